"""The rule: tables of (desired state, observed state) and the next steps.

A replica is written as in `a1 A ready routed`: the id of the instance, its revision, and what is known about it.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Literal

import pytest

from paperspace.gradient._shared.spec_rules import MAX_INT
from paperspace.gradient.server.controller.checks import NO_CHECKS, Check, Checks, Request
from paperspace.gradient.server.controller.engine import Container, ContainerKey
from paperspace.gradient.server.controller.gateway import Routes
from paperspace.gradient.server.controller.lifecycle import PORT_INTERVAL
from paperspace.gradient.server.controller.rollout import next_steps
from paperspace.gradient.server.controller.state import (
    Drained,
    Ended,
    Instance,
    Limits,
    Observed,
    PortTaken,
    Progress,
    Report,
    Responded,
    Revision,
    Wanted,
)
from paperspace.gradient.server.controller.steps import (
    Add,
    Adopt,
    AssignPort,
    Drain,
    Explain,
    Fail,
    Gone,
    Leave,
    Probe,
    Remove,
    Restart,
    Route,
    Serve,
    SetState,
    Start,
    Started,
    Step,
    Stop,
    Unroute,
    Wake,
)
from paperspace.gradient.server.controller.stopwatch import Stopwatch
from paperspace.gradient.server.engines.reasons import Reason

if TYPE_CHECKING:
    from collections.abc import Sequence

NOW = datetime(2024, 5, 17, 9, 30, tzinfo=UTC)
BEFORE = NOW - timedelta(seconds=5)
LIMITS = Limits(progress=timedelta(minutes=10), drain=timedelta(minutes=5))
PORT = 21000

A1, A2, A3 = (Revision(f"A{number}", "template A", number) for number in (1, 2, 3))
B1, B2, B3 = (Revision(f"B{number}", "template B", number) for number in (1, 2, 3))
C1 = Revision("C1", "template C", 1)
STOPPED = Revision("stopped", "template A", 0)

CHECK = Check("readiness", Request("/", 80), 0, 10, 1, 3)
CHECKS = Checks(readiness=CHECK, liveness=CHECK._replace(name="liveness"))
STARTUP = Checks(startup=CHECK._replace(name="startup", threshold=12))

# What is known about an instance: phase, state, the state of its container, whether it is routed.
KNOWN: dict[str, tuple[str, str, Literal["created", "running", "exited"] | None]] = {
    "new": ("Pending", "pending", None),
    "starting": ("Running", "pending", "running"),
    "created": ("Pending", "pending", "created"),
    "ready": ("Running", "healthy", "running"),
    "exited": ("Running", "healthy", "exited"),
    "lost": ("Running", "healthy", None),
    "crashed": ("Running", "retrying", None),
    "failed": ("Failed", "failed", None),
    "failed+running": ("Failed", "failed", "running"),
    "failed+exited": ("Failed", "failed", "exited"),
}


def observe(*lines: str, **reports: Report) -> Observed:
    """Return the observed state that the lines describe."""
    instances, containers = [], []
    for line in lines:
        id_, spec_id, known, *more = line.split()
        phase, state, container = KNOWN[known]
        template = f"template {spec_id[0]}"
        port = None if "portless" in more else PORT
        message = f"Ready on 127.0.0.1:{port}." if state == "healthy" else "message"
        instance = Instance(id_, spec_id, template, port, 1, phase, state, message, BEFORE)
        checks = CHECKS if "checked" in more else STARTUP if "startup" in more else NO_CHECKS
        instances.append(instance._replace(leaving_since=BEFORE if "leaving" in more else None, checks=checks))
        if container == "running":
            containers.append(running(id_))
        elif container is not None:
            containers.append(running(id_)._replace(state=container, exit_code=1, finished_at=NOW))
    routed, draining = (
        frozenset(line.split()[0] for line in lines if line.endswith(end)) for end in ("routed", "draining")
    )
    return Observed(tuple(instances), tuple(containers), routes=Routes(routed, draining), reports=reports)


def running(instance_id: str, attempt: int = 1) -> Container:
    key = ContainerKey("d", instance_id, attempt, "template")
    return Container(f"{instance_id}.{attempt}", key, "running", PORT, started_at=BEFORE)


def steps(wanted: Wanted, observed: Observed, now: datetime = NOW) -> list[Step]:
    """Return the steps at a time. Everything was observed since `BEFORE`."""
    ids = [container.id for container in observed.containers] + [instance.id for instance in observed.instances]
    seconds = dict.fromkeys(ids, (now - BEFORE).total_seconds())
    return next_steps(wanted, observed._replace(seconds=seconds), now, LIMITS)


ROLLOUTS: dict[str, tuple[Wanted, Sequence[str], Sequence[Step]]] = {
    "first revision: all instances at once": (Wanted(A3), [], [Add("A3", 3)]),
    "first revision: serves with its first available instance": (
        Wanted(A2),
        ["a1 A2 ready routed", "a2 A2 starting"],
        [Serve("A2")],
    ),
    "at rest": (Wanted(A2, A2), ["a1 A2 ready routed", "a2 A2 ready routed"], []),
    "ready but not routed yet: nothing is replaced": (
        Wanted(B1, A1),
        ["a1 A1 ready routed", "b1 B1 ready"],
        [],
    ),
    "scaled up": (Wanted(A3, A3), ["a1 A3 ready routed"], [Add("A3", 2)]),
    "scaled down: the newest leave first": (
        Wanted(A1, A1),
        ["a1 A1 ready routed", "a2 A1 ready routed", "a3 A1 ready routed"],
        [Leave("a2"), Leave("a3")],
    ),
    "scaled down: those that are not ready leave first": (
        Wanted(A1, A1),
        ["a1 A1 starting", "a2 A1 exited", "a3 A1 ready routed"],
        [Leave("a1"), Leave("a2")],
    ),
    "an update that changes only the replicas keeps the instances": (
        Wanted(A3, A1),
        ["a1 A1 ready routed"],
        [Adopt("a1", "A3"), Serve("A3")],
    ),
    "leaving and failed instances are not adopted": (
        Wanted(A3, A1),
        ["a1 A1 ready leaving", "a2 A1 failed"],
        [Serve("A3")],
    ),
    "an update that is superseded by a change of its replicas keeps its instances": (
        Wanted(B3, A1),
        ["a1 A1 ready routed", "b1 B1 starting"],
        [Adopt("b1", "B3")],
    ),
    "update: one more instance, although all are to be replaced": (
        Wanted(B3, A3),
        ["a1 A3 ready routed", "a2 A3 ready routed", "a3 A3 ready routed"],
        [Add("B3", 1)],
    ),
    "update: the next one replaces one of those before, and is followed by one more": (
        Wanted(B3, A3),
        ["a1 A3 ready routed", "a2 A3 ready routed", "a3 A3 ready routed", "b1 B3 ready routed"],
        [Leave("a3"), Add("B3", 1)],
    ),
    "update: while one starts, nothing else happens": (
        Wanted(B3, A3),
        ["a1 A3 ready routed", "a2 A3 ready routed", "b1 B3 ready routed", "b2 B3 starting"],
        [],
    ),
    "update: the last one is available": (
        Wanted(B2, A2),
        ["a1 A2 ready routed", "b1 B2 ready routed", "b2 B2 ready routed"],
        [Serve("B2"), Leave("a1")],
    ),
    "update: what serves gets more replicas, if it has too few": (
        Wanted(B1, A3),
        ["a1 A3 ready routed", "b1 B1 starting"],
        [Add("A3", 2)],
    ),
    "update: one that replaced another one ends, and what serves gets one more": (
        Wanted(B3, A3),
        ["a1 A3 ready routed", "a2 A3 ready routed", "b1 B3 exited"],
        [Add("A3", 1)],
    ),
    "update: if nothing of what serves is ready, only the new ones are started": (
        Wanted(B3, A3),
        ["a1 A3 exited", "b1 B3 starting"],
        [Add("B3", 2)],
    ),
    "update to more replicas: once all are replaced, the rest starts at once": (
        Wanted(B3, A1),
        ["b1 B3 ready routed"],
        [Serve("B3"), Add("B3", 2)],
    ),
    "update to fewer replicas: each one replaces one until the update is complete": (
        Wanted(B2, A3),
        ["a1 A3 ready routed", "a2 A3 ready routed", "a3 A3 ready routed", "b1 B2 ready routed"],
        [Leave("a3"), Add("B2", 1)],
    ),
    "update of what does not serve: all at once, and what does not serve is kept": (
        Wanted(B3, A2),
        ["a1 A2 starting", "a2 A2 lost"],
        [Add("B3", 3)],
    ),
    "update of what never served: it is removed at once": (
        Wanted(B2),
        ["a1 A2 starting", "a2 A2 failed"],
        [Leave("a1"), Leave("a2"), Add("B2", 2)],
    ),
    "superseded update: what does not serve of it is removed, the rest until it is replaced": (
        Wanted(C1, A2),
        ["a1 A2 ready routed", "b1 B2 ready routed", "b2 B2 starting"],
        [Leave("b2"), Add("C1", 1)],
    ),
    "superseded update: it is replaced before what serves": (
        Wanted(Revision("C2", "template C", 2), A2),
        ["a1 A2 ready routed", "b1 B2 ready routed", "c1 C2 ready routed"],
        [Leave("b1"), Add("C2", 1)],
    ),
    "failed update: what serves is restored one by one": (
        Wanted(B3._replace(error="it crashed"), A3),
        ["a1 A3 ready routed", "b1 B3 ready routed", "b2 B3 ready routed", "b3 B3 failed"],
        [Add("A3", 1)],
    ),
    "failed update: its instances are replaced one by one, and the failed one stays": (
        Wanted(B3._replace(error="it crashed"), A3),
        ["a1 A3 ready routed", "a2 A3 ready routed", "b1 B3 ready routed", "b2 B3 ready routed", "b3 B3 failed"],
        [Leave("b2"), Add("A3", 1)],
    ),
    "failed first revision: nothing is started": (
        Wanted(A2._replace(error="it crashed")),
        ["a1 A2 failed"],
        [],
    ),
    "rollback to what serves": (Wanted(A1, A1), ["a1 A1 ready routed", "b1 B1 starting"], [Leave("b1")]),
    "stopped": (
        Wanted(STOPPED, B1),
        ["b1 B1 ready routed"],
        [Serve("stopped"), Leave("b1")],
    ),
    "started again: it has to prove that it works": (Wanted(A2, STOPPED), [], [Add("A2", 2)]),
    "deleted": (
        Wanted(None, A2),
        ["a1 A2 ready routed", "a2 A2 failed", "b1 B1 starting"],
        [Leave("a1"), Leave("a2"), Leave("b1")],
    ),
}


@pytest.mark.parametrize("name", ROLLOUTS)
def test_which_instances_there_are(name: str) -> None:
    """The rule decides which instances are added and which leave, and which revision serves."""
    wanted, lines, expected = ROLLOUTS[name]
    decided = [step for step in steps(wanted, observe(*lines)) if isinstance(step, Serve | Adopt | Add | Leave)]
    assert decided == expected


ON_TRIAL, SERVED = Wanted(A1), Wanted(A1, A1)
GOES = Wanted(None)
IN_10_MIN, IN_5_MIN = BEFORE + timedelta(minutes=10), BEFORE + timedelta(minutes=5)
CRASH = Ended(1, "Exited with code 1.", output="KeyError: 'model'")
NOT_LIVE = Ended(1, "liveness: GET / returned 503 (3 of 3 failures).", cause=Reason.UNHEALTHY)
RESTARTED = "liveness: GET / returned 503 (3 of 3 failures); restarting after 1 s."
NOT_READY = Progress(1, "Running", "readiness: GET / returned 503 (3 of 3 failures).", Reason.UNREADY)
UNREADY = SetState("a1", "Running", "pending", NOT_READY.message, Reason.UNREADY)
NO_IMAGE = Ended(1, "There is no image nginxx.", permanent=True, cause=Reason.PULL_FAILED)

LIVES: dict[str, tuple[Wanted, str, Report | None, Sequence[Step]]] = {
    "a new instance gets a port": (ON_TRIAL, "a1 A1 new portless", None, [AssignPort("a1"), Wake(PORT_INTERVAL)]),
    "then it starts": (ON_TRIAL, "a1 A1 new", None, [Start("a1", 1)]),
    "what the start waits for is shown": (
        ON_TRIAL,
        "a1 A1 new",
        Progress(1, "Pending", "Pulling nginx, 41 %.", Reason.PULLING),
        [Start("a1", 1), SetState("a1", "Pending", "pending", "Pulling nginx, 41 %.", Reason.PULLING)],
    ),
    "what an earlier attempt waited for is not": (
        ON_TRIAL,
        "a1 A1 new",
        Progress(0, "Pending", "Pulling nginx, 41 %."),
        [Start("a1", 1)],
    ),
    "an interrupted start is repeated": (ON_TRIAL, "a1 A1 created", None, [Start("a1", 1)]),
    "another program has the port": (ON_TRIAL, "a1 A1 new", PortTaken(1), [AssignPort("a1")]),
    "a running container is probed": (ON_TRIAL, "a1 A1 starting", None, [Probe("a1", 1, PORT), Wake(595)]),
    "one of a revision that served has all the time": (SERVED, "a1 A1 starting", None, [Probe("a1", 1, PORT)]),
    "why it is not ready is shown": (
        SERVED,
        "a1 A1 starting",
        Progress(1, "Running", "Connection refused."),
        [Probe("a1", 1, PORT), SetState("a1", "Running", "pending", "Connection refused.")],
    ),
    "it has responded: first it is routed": (SERVED, "a1 A1 starting", Responded(1), [Route("a1")]),
    "then it is ready": (
        SERVED,
        "a1 A1 starting routed",
        Responded(1),
        [SetState("a1", "Running", "healthy", f"Ready on 127.0.0.1:{PORT}.", Reason.READY)],
    ),
    "the response of an earlier attempt does not count": (
        SERVED,
        "a1 A1 starting",
        Responded(0),
        [Probe("a1", 1, PORT)],
    ),
    "a ready one that the gateway does not know is routed again": (SERVED, "a1 A1 ready", None, [Route("a1")]),
    "a routed one whose response was not stored is probed again": (
        SERVED,
        "a1 A1 starting routed",
        None,
        [Unroute("a1"), Probe("a1", 1, PORT)],
    ),
    "a routed container that exits gets no more requests": (
        SERVED,
        "a1 A1 exited routed",
        None,
        [Unroute("a1"), Explain("a1", "a1.1")],
    ),
    "it is restarted": (
        SERVED,
        "a1 A1 exited",
        CRASH,
        [
            SetState(
                "a1",
                "Running",
                "retrying",
                "Exited with code 1 (crash 1); restarting after 1 s. Last output: KeyError: 'model'",
                Reason.CRASHED,
            ),
            Restart("a1", 1, NOW + timedelta(seconds=1)),
        ],
    ),
    "an end that nobody saw is no crash": (
        ON_TRIAL,
        "a1 A1 exited",
        Ended(1, "Ended by SIGKILL.", unseen=True),
        [
            SetState(
                "a1",
                "Running",
                "retrying",
                "Ended by SIGKILL while the server was not connected to the engine; restarting.",
                Reason.ENDED,
            ),
            Restart("a1", 0, NOW),
        ],
    ),
    "a lost container is replaced": (
        SERVED,
        "a1 A1 lost routed",
        None,
        [
            Unroute("a1"),
            SetState("a1", "Pending", "pending", "The container was removed; starting a new container.", Reason.LOST),
            Start("a1", 1),
        ],
    ),
    "health checks go on while it serves": (SERVED, "a1 A1 ready checked routed", None, [Probe("a1", 1, PORT, CHECKS)]),
    "a startup check does not": (SERVED, "a1 A1 ready startup routed", None, []),
    "a startup check gives a new revision more time": (
        ON_TRIAL,
        "a1 A1 starting startup",
        None,
        [Probe("a1", 1, PORT, STARTUP), Wake(715)],
    ),
    "one that is not ready any more gets no more requests, and its container runs on": (
        SERVED,
        "a1 A1 ready checked routed",
        NOT_READY,
        [Unroute("a1"), Probe("a1", 1, PORT, CHECKS), UNREADY],
    ),
    "its requests can take their time": (
        SERVED,
        "a1 A1 starting checked draining",
        NOT_READY,
        [Probe("a1", 1, PORT, CHECKS), UNREADY],
    ),
    "when it passes again, it is routed again": (
        SERVED,
        "a1 A1 starting checked draining",
        Responded(1),
        [Probe("a1", 1, PORT, CHECKS), Route("a1")],
    ),
    "one that is not live gets no more requests, and is restarted": (
        SERVED,
        "a1 A1 ready checked routed",
        NOT_LIVE,
        [
            Unroute("a1"),
            SetState("a1", "Running", "retrying", RESTARTED, Reason.UNHEALTHY),
            Restart("a1", 1, NOW + timedelta(seconds=1)),
        ],
    ),
    "an image that does not exist fails a new revision": (
        ON_TRIAL,
        "a1 A1 new",
        NO_IMAGE,
        [
            SetState("a1", "Pending", "errored", "There is no image nginxx.", Reason.PULL_FAILED),
            Fail("A1", "There is no image nginxx."),
        ],
    ),
    "a revision that served is never failed": (
        SERVED,
        "a1 A1 new",
        NO_IMAGE,
        [
            SetState(
                "a1",
                "Running",
                "retrying",
                "There is no image nginxx (crash 1); restarting after 1 s.",
                Reason.PULL_FAILED,
            ),
            Restart("a1", 1, NOW + timedelta(seconds=1)),
        ],
    ),
    "the instances of a failed revision fail": (
        Wanted(A1._replace(error="it crashed")),
        "a1 A1 starting",
        None,
        [SetState("a1", "Failed", "failed", "it crashed")],
    ),
    "one that has just been routed may have requests: it gets ready, and then leaves": (
        Wanted(A1._replace(error="it crashed")),
        "a1 A1 starting routed",
        Responded(1),
        [SetState("a1", "Running", "healthy", f"Ready on 127.0.0.1:{PORT}.", Reason.READY)],
    ),
    "a failed instance is stopped": (ON_TRIAL, "a1 A1 failed+running", None, [Stop("a1.1")]),
    "then its container is removed": (ON_TRIAL, "a1 A1 failed+exited", None, [Remove("a1.1")]),
    "then it stays": (Wanted(A1._replace(error="it crashed")), "a1 A1 failed", None, []),
    "a leaving instance first gets no more requests": (GOES, "a1 A1 ready leaving routed", None, [Unroute("a1")]),
    "then its requests end": (GOES, "a1 A1 ready leaving draining", None, [Drain("a1", 1), Wake(295)]),
    "also if it was routed and not ready yet": (
        GOES,
        "a1 A1 starting leaving draining",
        None,
        [Drain("a1", 1), Wake(295)],
    ),
    "then it is stopped": (GOES, "a1 A1 ready leaving draining", Drained(1), [Stop("a1.1")]),
    "one that was never routed is stopped at once": (GOES, "a1 A1 starting leaving", None, [Stop("a1.1")]),
    "then it is removed": (GOES, "a1 A1 exited leaving", None, [Remove("a1.1")]),
    "then it is gone": (GOES, "a1 A1 lost leaving", None, [Gone("a1")]),
}


@pytest.mark.parametrize("name", LIVES)
def test_life_of_an_instance(name: str) -> None:
    """The rule starts, probes, routes and restarts an instance, and ends it in the opposite order."""
    wanted, line, report, expected = LIVES[name]
    observed = observe(line, **({"a1": report} if report else {}))
    decided = [step for step in steps(wanted, observed) if not isinstance(step, Serve | Adopt | Add | Leave)]
    assert decided == expected


@pytest.mark.parametrize(
    ("line", "state", "expected"),
    [
        ("a1 A1 crashed checked routed", "running", [Unroute("a1")]),
        ("a1 A1 crashed checked draining", "running", [Stop("a1.0")]),
        ("a1 A1 crashed checked draining", "exited", [Remove("a1.0"), Start("a1", 1)]),
        ("a1 A1 ready leaving checked draining", "running", [Stop("a1.0"), Drain("a1", 1), Wake(295)]),
        ("a1 A1 lost leaving checked", "running", [Stop("a1.0")]),
    ],
)
def test_a_container_that_failed_a_check(
    line: str, state: Literal["running", "exited"], expected: Sequence[Step]
) -> None:
    """It is stopped once it gets no requests; the next attempt starts when it has ended."""
    observed = observe(line)
    failed = running("a1", attempt=0)._replace(state=state)
    wanted = GOES if "leaving" in line else SERVED
    assert steps(wanted, observed._replace(containers=(*observed.containers, failed))) == expected


def test_a_revision_that_is_not_live_fails() -> None:
    """A new revision whose containers fail a check five times in a row has failed; the check is the reason."""
    observed = observe("a1 A1 starting checked", a1=NOT_LIVE)
    (instance,) = observed.instances
    message = "liveness: GET / returned 503 (3 of 3 failures); no more restarts."
    assert steps(ON_TRIAL, observed._replace(instances=(instance._replace(crashes=4),))) == [
        SetState("a1", "Failed", "failed", message, Reason.UNHEALTHY),
        Fail("A1", message),
    ]


def test_an_update_to_a_container_that_is_not_ready() -> None:
    """A new container that is not ready any more replaces none of those before, and fails nothing, however old it is."""
    observed = observe("a1 A1 ready routed", "b1 B1 ready checked routed", b1=NOT_READY)
    for now in (NOW, NOW + timedelta(hours=1)):
        decided = steps(Wanted(B1, A1), observed, now)
        assert not [step for step in decided if isinstance(step, Serve | Leave | Add | Fail)]
    never_ready = NOT_READY._replace(reason=None)
    decided = steps(Wanted(B1, A1), observe("a1 A1 ready routed", "b1 B1 starting checked", b1=never_ready), IN_10_MIN)
    assert [step.spec_id for step in decided if isinstance(step, Fail)] == ["B1"]


def test_requests_that_do_not_end_are_cut_off() -> None:
    """At the drain timeout, a container is stopped with the requests that it still has."""
    assert steps(GOES, observe("a1 A1 ready leaving draining"), IN_5_MIN) == [Stop("a1.1")]


def test_problem_of_the_gateway_is_shown() -> None:
    """While the gateway does not run, a ready instance says that it gets no requests; afterwards it says nothing of it."""
    observed = observe("a1 A1 ready routed")
    routes = observed.routes._replace(problem="Port 8601 is in use.")
    message = f"Ready on 127.0.0.1:{PORT}. It gets no requests: Port 8601 is in use."
    shown = SetState("a1", "Running", "healthy", message, Reason.GATEWAY_UNAVAILABLE)
    assert steps(SERVED, observed._replace(routes=routes)) == [shown]
    after = observed.instances[0]._replace(message=message)
    assert steps(SERVED, observed._replace(instances=(after,), routes=routes)) == []
    ready = SetState("a1", "Running", "healthy", f"Ready on 127.0.0.1:{PORT}.", Reason.READY)
    assert steps(SERVED, observed._replace(instances=(after,))) == [ready]


def test_each_start_of_a_container_is_told_once() -> None:
    """The first pass that sees the container of an attempt run says so: of the first attempt, and of a restart."""
    (instance,) = observe("a1 A1 starting").instances
    containers, started = (running("a1"),), Started("a1")
    first = instance._replace(phase="Pending")
    assert steps(SERVED, Observed((first,), containers)) == [
        started,
        Probe("a1", 1, PORT),
        SetState("a1", "Running", "pending", "The container is starting."),
    ]
    restarted = instance._replace(restart_at=BEFORE)
    assert steps(SERVED, Observed((restarted,), containers)) == [started, Probe("a1", 1, PORT)]
    assert steps(SERVED, Observed((instance,), containers)) == [Probe("a1", 1, PORT)]


def test_new_revision_that_does_not_get_ready_fails() -> None:
    """At the progress deadline, a revision that never served fails with the reason that the probe reports."""
    refused = Progress(1, "Running", "message")
    message = "Not ready 600 s after its start. message"
    failed = SetState("a1", "Failed", "failed", message, Reason.UNHEALTHY)
    expected = [Probe("a1", 1, PORT), failed, Fail("A1", message)]
    assert steps(ON_TRIAL, observe("a1 A1 starting", a1=refused), IN_10_MIN) == expected


def test_container_is_probed_before_its_revision_fails() -> None:
    """A container that became ready while the controller was down gets probed, even after the progress deadline."""
    assert steps(ON_TRIAL, observe("a1 A1 starting"), IN_10_MIN) == [Probe("a1", 1, PORT)]


def test_new_revision_fails_at_the_fifth_crash() -> None:
    """Four crashes in a row are followed by a restart, the fifth fails the revision; with success in between, it does not."""
    (instance,) = observe("a1 A1 crashed").instances
    for crashes, fails in ((3, False), (4, True)):
        observed = Observed((instance._replace(crashes=crashes),), reports={"a1": CRASH})
        decided = steps(ON_TRIAL, observed)
        assert any(isinstance(step, Fail) for step in decided) == fails
        assert any(isinstance(step, Restart) for step in decided) != fails


def test_restart_waits() -> None:
    """A container is started again at the time that the back-off sets, not before."""
    (instance,) = observe("a1 A1 crashed").instances
    later = NOW + timedelta(seconds=8)
    observed = Observed((instance._replace(crashes=4, restart_at=later),))
    assert steps(SERVED, observed) == [Wake(8)]
    assert steps(SERVED, observed, later) == [Start("a1", 1)]


def test_containers_of_earlier_attempts_are_removed() -> None:
    """Only the container of the current attempt counts; the others are removed, and stopped first if they run."""
    (instance,) = observe("a1 A1 crashed").instances
    observed = Observed((instance._replace(attempt=2),), (running("a1", 1),))
    assert steps(SERVED, observed) == [Stop("a1.1")]
    exited = running("a1", 1)._replace(state="exited")
    assert steps(SERVED, observed._replace(containers=(exited,))) == [Remove("a1.1"), Start("a1", 2)]


def test_containers_of_removed_instances_are_removed_and_unknown_ones_kept() -> None:
    """A container is removed if the database knows its instance as removed; if it does not know it, it is kept."""
    observed = Observed((), (running("known"), running("unknown")), removed=frozenset({"known"}))
    assert steps(Wanted(STOPPED, STOPPED), observed) == [Remove("known.1")]


def test_a_startup_check_that_may_take_for_ever() -> None:
    """The largest numbers of a startup check, and those of a readiness check, do not fail a pass: the container is probed."""
    largest = CHECK._replace(initial_delay=MAX_INT, period=MAX_INT, timeout=MAX_INT, threshold=MAX_INT)
    checks = Checks(startup=largest._replace(name="startup"), readiness=largest)
    (instance,) = observe("a1 A1 starting").instances
    observed = observe("a1 A1 starting")._replace(instances=(instance._replace(checks=checks),))
    probe, wake = steps(ON_TRIAL, observed)
    assert probe == Probe("a1", 1, PORT, checks)
    assert isinstance(wake, Wake)
    assert wake.seconds > MAX_INT


def test_a_restart_of_a_wrong_clock() -> None:
    """A restart that was stored while the clock was ahead by days does not wait for days."""
    (instance,) = observe("a1 A1 crashed").instances
    observed = Observed((instance._replace(crashes=4, restart_at=NOW + timedelta(days=2)),))
    assert steps(SERVED, observed) == [Start("a1", 1)]


def test_stopwatch() -> None:
    """What is observed again later is new."""
    moment = 100.0
    stopwatch = Stopwatch(lambda: moment)
    assert stopwatch.observe(["a"]) == {"a": 0}
    moment = 103.0
    assert stopwatch.observe(["a", "b"]) == {"a": 3, "b": 0}
    assert stopwatch.observe(["b"]) == {"b": 0}
    moment = 104.0
    assert stopwatch.observe(["a", "b"]) == {"a": 0, "b": 1}


def test_checks_follow_their_ports() -> None:
    """After a restart by hand, which nobody may have seen, checks are sent to the ports that the container has now."""
    before = observe("a1 A1 ready checked routed")
    checks = before.instances[0].checks
    for ports in (((9090, 32768),), ((9090, 32769),)):
        containers = tuple(container._replace(check_ports=ports) for container in before.containers)
        [probe] = [step for step in steps(SERVED, before._replace(containers=containers)) if isinstance(step, Probe)]
        assert probe == Probe("a1", 1, PORT, checks, ports)
