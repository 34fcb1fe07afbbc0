"""A model of everything that can happen, in any order, with a controller that is killed between any two steps.

The database, the rule and its records are the real ones. The engine is in memory, and each test step does one step of
one deployment, so that a kill between any two of them is one more test step.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any
from uuid import UUID

import pytest
from hypothesis import HealthCheck, assume, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from tests.server.controller.loads import readings
from tests.server.controller.memory_engine import MemoryEngine

from paperspace.gradient.server.controller.autoscaler import Pass, decide_all
from paperspace.gradient.server.controller.decide import decide
from paperspace.gradient.server.controller.engine import ContainerKey, PortInUseError, StartError
from paperspace.gradient.server.controller.gateway import Routes
from paperspace.gradient.server.controller.records import Records
from paperspace.gradient.server.controller.runtime import EngineRuntime
from paperspace.gradient.server.controller.state import Drained, Ended, Limits, PortTaken, Progress, Report, Responded
from paperspace.gradient.server.controller.steps import (
    Drain,
    Explain,
    Probe,
    Remove,
    Route,
    Start,
    Step,
    Stop,
    Unroute,
    Wake,
)
from paperspace.gradient.server.controller.stopwatch import Stopwatch
from paperspace.gradient.server.engines.reasons import Reason
from paperspace.gradient.server.engines.workloads import Workloads
from paperspace.gradient.server.storage.database import Database
from paperspace.gradient.server.storage.store import Store

LIMITS = Limits(progress=timedelta(minutes=10), drain=timedelta(minutes=5))
PORTS = range(21000, 21020)
MAX_STEPS = 2000

GOOD = ["good-1", "good-2", "good-3"]
BAD = ["silent", "crashing", "missing", "broken"]


def spec_of(image: str, replicas: int, more: int = 0) -> dict[str, Any]:
    """A spec that scales, if it may have more replicas."""
    autoscaling = {"maxReplicas": replicas + more, "metrics": [{"metric": "cpu", "value": 60}]}
    return {"image": image, "resources": {"replicas": replicas, "autoscaling": autoscaling if more else None}}


specs = st.builds(
    spec_of, st.sampled_from(GOOD * 2 + BAD), st.sampled_from([0, 1, 2, 2, 3, 3]), st.sampled_from([0, 1, 2])
)
picks = st.integers(0, 1000)

START = datetime(2024, 5, 17, 9, 30, tzinfo=UTC)


class ControllerMachine(RuleBasedStateMachine):
    """Requests, faults and steps."""

    def __init__(self) -> None:
        super().__init__()
        self.moment = START
        self.engine = MemoryEngine(lambda: self.moment)
        numbers = count(1)

        def new_id() -> UUID:
            return UUID(int=next(numbers))

        self.database = Database(":memory:", lambda: self.moment)
        self.workloads = Workloads(self.database, EngineRuntime(self.engine, PORTS))
        self.store = Store(self.database, actor="Ada", new_id=new_id)
        self.records = Records(self.database, self.workloads, PORTS, new_id)
        self.wanted: dict[str, dict[str, Any] | None] = {}  # the newest acknowledged spec; None: deleted
        self.routed: set[str] = set()
        self.draining: set[str] = set()
        self.reports: dict[str, Report] = {}
        self.promised: Counter[str] = Counter()  # available replicas that must not be lost
        self.last = Pass()  # of autoscaling
        self.stopwatches = defaultdict[str, Stopwatch](self.stopwatch)

    def stopwatch(self) -> Stopwatch:
        def seconds() -> float:
            return (self.moment - START).total_seconds()

        return Stopwatch(seconds)

    def teardown(self) -> None:
        self.database.close()

    # Requests

    @initialize(image=st.sampled_from(GOOD), replicas=st.integers(1, 3))
    def start_with_a_deployment(self, image: str, replicas: int) -> None:
        self.create(spec_of(image, replicas))
        self.settle()

    @precondition(lambda self: len(self.wanted) < 3)
    @rule(spec=specs)
    def create(self, spec: dict[str, Any]) -> None:
        with self.database.writing():
            name = f"d{len(self.wanted)}"
            row = self.store.create_deployment(name=name, project_id="p", cluster_id=None, data=spec)
            self.workloads.apply_new_spec(row["id"])
        self.wanted[row["id"]] = spec

    @rule(pick=picks, spec=specs | st.none())
    def update(self, pick: int, spec: dict[str, Any] | None) -> None:
        """Update a deployment. None: restart it with the same spec."""
        id_ = self._pick_deployment(pick)
        self.wanted[id_] = spec = spec or self.wanted[id_]
        with self.database.writing():
            self.store.update_deployment(id_, name=None, project_id=None, cluster_id=None, data=spec)
            self.workloads.apply_new_spec(id_)
        self._promise(id_)

    @precondition(lambda self: len(self.wanted) > 1)
    @rule(pick=picks)
    def delete(self, pick: int) -> None:
        id_ = self._pick_deployment(pick)
        with self.database.writing():
            self.store.delete_deployment(id_)
            self.workloads.remove(id_)
        self.wanted[id_] = None
        self.promised[id_] = 0

    # Faults

    @rule(pick=picks, exit_code=st.sampled_from([0, 137, None]))
    def end_a_container(self, pick: int, exit_code: int | None) -> None:
        """Let a container exit, or remove it behind the controller's back (None)."""
        containers = self.engine.running() if exit_code is not None else list(self.engine.by_id.values())
        assume(containers)
        container = containers[pick % len(containers)]
        if exit_code is None:
            self.engine.lose(container.id)
        else:
            self.engine.exit(container.id, exit_code)
        self.promised[container.key.deployment_id] = 0

    @rule(pick=picks, alive=st.booleans())
    def fail_a_check(self, pick: int, alive: bool) -> None:
        """Let a running container fail its readiness check, or its liveness check."""
        containers = [container for container in self.engine.running() if container.host_port]
        assume(containers)
        key = containers[pick % len(containers)].key
        self.reports[key.instance_id] = (
            Progress(key.attempt, "Running", "readiness: failed.", Reason.UNREADY)
            if alive
            else Ended(key.attempt, "liveness: failed.", cause=Reason.UNHEALTHY)
        )
        self.promised[key.deployment_id] = 0

    @rule(pick=picks)
    def take_a_port(self, pick: int) -> None:
        self.engine.taken_ports = {PORTS[pick % len(PORTS)]}

    @rule(gateway_too=st.sampled_from([False, False, True]))
    def kill_the_controller(self, gateway_too: bool) -> None:
        self.reports.clear()
        self.stopwatches.clear()
        self.last = Pass()
        if gateway_too:
            self.routed.clear()
            self.draining.clear()
            self.promised.clear()

    @rule(seconds=st.sampled_from([1, 10, 700]))
    def pass_time(self, seconds: int) -> None:
        self.moment += timedelta(seconds=seconds)

    # The controller

    @rule(pick=picks, choices=st.lists(picks, min_size=1, max_size=15))
    def some_steps(self, pick: int, choices: list[int]) -> None:
        """Do some of the next steps of a deployment, one at a time."""
        id_ = list(self.wanted)[pick % len(self.wanted)]
        for choice in choices:
            if steps := self._decide(id_):
                self._do(steps[choice % len(steps)])
            self.nothing_is_doubled()
            self.promises_are_kept()

    @rule(pick=picks, step=picks)
    def late_step(self, pick: int, step: int) -> None:
        """Do a step of before a change: the controller had begun it already."""
        id_ = self._pick_deployment(pick)
        steps = [step for step in self._decide(id_) if isinstance(step, Start)]
        assume(steps)
        self.update(pick, spec_of(GOOD[step % len(GOOD)], 1))
        self._decide(id_)
        self._do(steps[step % len(steps)])

    @rule(pick=picks)
    def interrupted_start(self, pick: int) -> None:
        """The controller is killed after it created a container, and before the start."""
        id_ = list(self.wanted)[pick % len(self.wanted)]
        starts = [step for step in self._decide(id_) if isinstance(step, Start)]
        assume(starts)
        with self.database.reading():
            assignment = self.records.assignment(starts[0].instance_id)
        if not any(container.key == assignment.key for container in self.engine.by_id.values()):
            self.engine.create(assignment.key, assignment.workload.image, assignment.port)
        self.reports.clear()

    @rule(cpu=st.lists(st.floats(0, 300), min_size=3, max_size=3), seconds=st.sampled_from([10, 200]))
    def autoscale(self, cpu: list[float], seconds: int) -> None:
        """Decide how many replicas there should be, twice, at some load of each deployment."""
        for _ in range(2):
            self.moment += timedelta(seconds=seconds)
            with self.database.writing():
                loads = {
                    id_: dict.fromkeys((instance.id for instance in self.records.instances(id_)), percent)
                    for id_, percent in zip(self.wanted, cpu, strict=False)
                }
                measured = {id_: readings(self.moment, load) for id_, load in loads.items()}
                self.last = decide_all(self.records, measured, self.last)
            for id_ in self.last.changed:
                self._promise(id_)

    @rule()
    def settle(self) -> None:
        """Let the controller do all its work: what was acknowledged runs, and nothing else."""
        self.engine.taken_ports.clear()
        for _ in range(MAX_STEPS):
            steps = [step for id_ in self.wanted for step in self._decide(id_)]
            work = [step for step in steps if not isinstance(step, Wake) and not self._waits(step)]
            for step in work:
                self._do(step)
            if not work:
                wakes = [step.seconds for step in steps if isinstance(step, Wake)]
                if not wakes:
                    break
                self.moment += timedelta(seconds=min(wakes), microseconds=1)  # more than a float can be too short
        else:
            pytest.fail("the controller does not come to rest")
        for id_ in self.wanted:
            self._check_settled(id_)
        known = {container.key.deployment_id for container in self.engine.by_id.values()}
        assert known <= set(self.wanted)

    @invariant()
    def nothing_is_doubled(self) -> None:
        """No two containers run for one instance, or with one port."""
        running = self.engine.running()
        assert len({container.key.instance_id for container in running}) == len(running)
        assert len({container.host_port for container in running}) == len(running)

    @invariant()
    def promises_are_kept(self) -> None:
        """No step of the controller takes away a replica that an update has to keep."""
        for id_, number in self.promised.items():
            assert self._available(id_) >= number

    # Details

    def _pick_deployment(self, pick: int) -> str:
        ids = [id_ for id_, spec in self.wanted.items() if spec is not None]
        assume(ids)
        return ids[pick % len(ids)]

    def _promise(self, id_: str) -> None:
        """Note how many replicas must stay available from now on: those of now, up to what both revisions ask for."""
        with self.database.reading():
            wanted = self.records.wanted(id_)
        if wanted.newest is None:
            return
        lower = min(wanted.newest.replicas, wanted.serving.replicas if wanted.serving else 0)
        kept = min(self._available(id_), lower)
        self.promised[id_] = min(kept, self.promised[id_]) if id_ in self.promised else kept

    def _available(self, id_: str) -> int:
        """Return how many replicas get requests and respond."""
        return sum(
            container.key.instance_id in self.routed and self.engine.responds(container.host_port or 0)
            for container in self.engine.running()
            if container.key.deployment_id == id_
        )

    def _decide(self, id_: str) -> list[Step]:
        containers = [container for container in self.engine.by_id.values() if container.key.deployment_id == id_]
        routes = Routes(frozenset(self.routed), frozenset(self.draining))
        with self.database.writing():
            return decide(self.records, id_, containers, routes, self.reports, LIMITS, self.stopwatches[id_]).steps

    def _waits(self, step: Step) -> bool:
        if not isinstance(step, Probe) or self.engine.responds(step.port):
            return False
        report = self.reports.get(step.instance_id)
        return isinstance(report, Progress) and report.attempt == step.attempt

    def _do(self, step: Step) -> None:  # noqa: C901  # one line for each kind of step
        match step:
            case Start(instance_id, attempt):
                self._start(instance_id, attempt)
            case Probe(instance_id, attempt, port) if self.engine.responds(port):
                self.reports[instance_id] = Responded(attempt)
            case Probe(instance_id, attempt, _):
                self.reports[instance_id] = Progress(attempt, "Running", "no response")
            case Explain(instance_id, container_id):
                if container := self.engine.by_id.get(container_id):
                    self.reports[instance_id] = Ended(container.key.attempt, "exited")
            case Route(instance_id):
                self.routed.add(instance_id)
                self.draining.discard(instance_id)
            case Unroute(instance_id):
                self.routed.discard(instance_id)
                self.draining.add(instance_id)
            case Drain(instance_id, attempt):
                assert instance_id in self.draining
                self.reports[instance_id] = Drained(attempt)
            case Stop(container_id):
                self._check_no_requests(self.engine.by_id[container_id].key)
                self.engine.exit(container_id, 143)
            case Remove(container_id):
                self.engine.lose(container_id)

    def _check_no_requests(self, key: ContainerKey) -> None:
        """Check that a container gets no requests, and that those it has had time to end."""
        assert key.instance_id not in self.routed
        with self.database.reading():
            instances = {instance.id: instance for instance in self.records.instances(key.deployment_id)}
        instance = instances[key.instance_id]
        restarted = (
            key.attempt != instance.attempt
        )  # it has failed a health check just before the instance was to leave
        if instance.leaving_since and key.instance_id in self.draining and not restarted:
            ended = isinstance(self.reports.get(key.instance_id), Drained)
            assert ended or self.moment >= instance.leaving_since + LIMITS.drain

    def _start(self, instance_id: str, attempt: int) -> None:
        with self.database.writing():
            assignment = self.records.assignment(instance_id)
        key, workload = assignment.key, assignment.workload
        if workload.image.startswith("missing"):
            self.reports[instance_id] = Ended(attempt, "no such image", permanent=True)
            return
        try:
            self.engine.start_now(key, workload, assignment.port)
        except PortInUseError:
            self.reports[instance_id] = PortTaken(attempt)
        except StartError as error:
            self.reports[instance_id] = Ended(attempt, str(error))

    def _check_settled(self, id_: str) -> None:
        """Check that exactly what is wanted runs: the newest spec, or what served before if the newest has failed."""
        with self.database.reading():
            wanted = self.records.wanted(id_)
        containers = [container for container in self.engine.by_id.values() if container.key.deployment_id == id_]
        if (spec := self.wanted[id_]) is None:
            assert not containers
            return
        assert wanted.newest is not None
        replicas = wanted.newest.replicas
        least, autoscaling = spec["resources"]["replicas"], spec["resources"]["autoscaling"]
        assert least <= replicas <= (autoscaling["maxReplicas"] if autoscaling and least else least)
        if replicas == 0 or spec["image"].startswith("good"):
            assert wanted.newest == wanted.serving
            images = [spec["image"]] * replicas
        else:
            assert wanted.newest.error
            images = [self._image_of(wanted.serving.spec_id)] * wanted.serving.replicas if wanted.serving else []
        assert [self.engine.images[container.id] for container in containers] == images
        assert self._available(id_) == len(images)
        self.promised.pop(id_, None)

    def _image_of(self, spec_id: str) -> str:
        with self.database.reading():
            (row,) = self.database.rows("SELECT data ->> 'image' AS image FROM deployment_specs WHERE id = ?", spec_id)
        image: str = row["image"]
        return image


TestController = ControllerMachine.TestCase
TestController.settings = settings(
    max_examples=50,
    stateful_step_count=30,
    suppress_health_check=[HealthCheck.filter_too_much, HealthCheck.too_slow],
)
