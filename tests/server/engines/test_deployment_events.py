"""The events of deployments on the simulation, with a clock that the tests move."""

from __future__ import annotations

import re
import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING, Any

import pytest
from tests.server.engines.test_simulation import scenario_spec, spec
from tools import TOP

from paperspace.gradient.server import LocalServer
from paperspace.gradient.server.engines import deployment_events
from paperspace.gradient.server.engines.reasons import Reason

if TYPE_CHECKING:
    from pathlib import Path

    from tests.raw_client import Caller
    from tests.server.conftest import Clock

FIELDS = "nodes { id dtCreated dtLast count severity reason message deploymentSpecId instanceName } edges { cursor }"
PAGE = f"""
query ($id: UUID!, $first: Int, $after: String, $last: Int, $before: String) {{
  deployment(id: $id) {{
    events(first: $first, after: $after, last: $last, before: $before) {{
      {FIELDS} pageInfo {{ hasNextPage hasPreviousPage endCursor startCursor }}
    }}
  }}
}}
"""


def page(call: Caller, id_: str, **window: Any) -> Any:
    return call(PAGE, id=id_, **window).data["deployment"]["events"]


def events(call: Caller, id_: str) -> list[Any]:
    """Return the events of a deployment, newest first."""
    nodes: list[Any] = page(call, id_)["nodes"]
    return nodes


def told(call: Caller, id_: str) -> list[tuple[str, int]]:
    """Return the reasons and counts of the events, oldest first."""
    return [(event["reason"], event["count"]) for event in reversed(events(call, id_))]


def times(node: Any) -> list[str]:
    return [node[name].removeprefix("2024-05-17T09:").removesuffix(".000Z") for name in ("dtCreated", "dtLast")]


def test_from_create_to_ready(call: Caller, clock: Clock) -> None:
    """The events of a new deployment appear when they happen, with spec, instance, severity and time."""
    id_ = call.create(spec=spec(1))
    assert told(call, id_) == [("RolloutStarted", 1)]
    clock.forward(seconds=1)
    assert told(call, id_) == [("RolloutStarted", 1), ("Started", 1)]
    clock.forward(seconds=1)
    ready, started, rollout = events(call, id_)
    assert [node["reason"] for node in (ready, started, rollout)] == ["Ready", "Started", "RolloutStarted"]
    assert rollout["message"] == "Ada Example created the deployment: tensorflow/serving, 1 replica."
    assert ready["message"] == "Simulated: ready."
    assert {node["severity"] for node in (ready, started, rollout)} == {"NORMAL"}
    assert (times(rollout), times(started), times(ready)) == (["30:00"] * 2, ["30:01"] * 2, ["30:02"] * 2)
    query = "query ($id: UUID!) { deployment(id: $id) { deploymentSpecs { nodes { id } } logs { nodes { instanceName } } } }"
    data = call(query, id=id_).data["deployment"]
    spec_id, name = data["deploymentSpecs"]["nodes"][0]["id"], data["logs"]["nodes"][0]["instanceName"]
    assert [(node["deploymentSpecId"], node["instanceName"]) for node in (ready, started, rollout)] == [
        (spec_id, name),
        (spec_id, name),
        (spec_id, None),
    ]


def test_a_repeated_event(call: Caller, clock: Clock) -> None:
    """Each crash increases the count of one event, which keeps its id and its first time, and is the newest again."""
    id_ = call.create(spec=scenario_spec("crash-loop"))
    seen = []
    for _ in range(7):
        seen.append(
            [(node["id"], *times(node), node["count"]) for node in events(call, id_) if node["reason"] == "Crashed"]
        )
        clock.forward(seconds=1)
    (crashed,) = [node for node in events(call, id_) if node["reason"] == "Crashed"]
    name, first = crashed["id"], "30:02"
    assert seen == [
        [],
        [],
        [(name, first, "30:02", 1)],
        [(name, first, "30:03", 2)],
        [(name, first, "30:04", 3)],
        [(name, first, "30:05", 4)],
        [(name, first, "30:05", 4)],
    ]
    assert crashed["severity"] == "WARNING"
    assert crashed["message"] == "Simulated: exited with code 1 (crash 4); no more restarts."
    assert told(call, id_)[-1] == ("Crashed", 4)


def test_every_kind_of_change(call: Caller, clock: Clock) -> None:
    """A change of the spec is an event that says who changed what; a rename is none. No secret is in a message."""
    id_ = call.create(spec=spec(1))
    secret = {"env": [{"name": "TOKEN", "value": "hunter2"}]}
    for changed in (spec(3), spec(3, **secret), spec(3, enabled=False), spec(3), spec(3)):
        clock.forward(minutes=10)
        call.update(id_, spec=changed)
    call.update(id_, name="renamed")
    changes = [node for node in events(call, id_) if node["instanceName"] is None]
    assert [(node["reason"], node["message"].removeprefix("Ada Example ")) for node in reversed(changes)] == [
        ("RolloutStarted", "created the deployment: tensorflow/serving, 1 replica."),
        ("Scaled", "changed the number of replicas from 1 to 3."),
        ("RolloutStarted", "changed env."),
        ("Stopped", "stopped the deployment."),
        ("RolloutStarted", "started the deployment: tensorflow/serving, 3 replicas."),
        ("RolloutStarted", "restarted the deployment."),
    ]
    assert "hunter2" not in str(events(call, id_))


def test_removed_instances(call: Caller, clock: Clock) -> None:
    """An instance that is replaced is removed, which is an event."""
    id_ = call.create(spec=spec(1))
    clock.forward(minutes=1)
    call.update(id_, spec=spec(1, port=1))
    clock.forward(minutes=1)
    assert told(call, id_)[-1] == ("Removed", 1)
    assert events(call, id_)[0]["message"] == "Simulated: removed."


def test_a_rejected_spec(call: Caller, clock: Clock) -> None:
    """A spec that cannot run is a warning with the reason, and what was to come still happens."""
    id_ = call.create(spec=spec(1))
    call.update(id_, spec=spec(101))
    rejected = events(call, id_)[0]
    assert (rejected["reason"], rejected["severity"]) == ("SpecRejected", "WARNING")
    assert rejected["message"] == "Simulated: 101 replicas are too many; the limit is 100."
    clock.forward(minutes=1)
    assert set(told(call, id_)) == {("RolloutStarted", 1), ("SpecRejected", 1), ("Started", 1), ("Ready", 1)}
    call.update(id_, spec=spec(0))
    assert told(call, id_)[-1] == ("Stopped", 1)


def test_a_change_discards_what_was_to_come(call: Caller, clock: Clock) -> None:
    """Events that a change prevents never happen, also if they were to happen before others of the same kind."""
    id_ = call.create(spec=scenario_spec("crash-loop"))
    clock.forward(seconds=3)
    call.update(id_, spec=spec(0))
    clock.forward(minutes=1)
    assert [entry for entry in told(call, id_) if entry[0] in ("Crashed", "Started")] == [
        ("Started", 1),
        ("Crashed", 2),
    ]


def test_a_change_that_fails_leaves_no_event(call: Caller) -> None:
    """An event is stored in the transaction of its change."""
    call.create("taken")
    id_ = call.create("other", spec=spec(1))
    response = call(call.UPDATE, input={"id": id_, "name": "taken", "spec": spec(2)})
    assert response.code == "CONFLICT"
    assert told(call, id_) == [("RolloutStarted", 1)]


def test_a_retried_change_is_one_event(call: Caller) -> None:
    """A retry with the same idempotency key adds no event."""
    id_ = call.create(spec=spec(1))
    payload = {"query": call.UPDATE, "variables": {"input": {"id": id_, "spec": spec(2)}}}
    for _ in range(2):
        assert call.post(payload, Idempotency_Key="k").data
    assert [entry for entry in told(call, id_) if entry[0] in ("RolloutStarted", "Scaled")] == [
        ("RolloutStarted", 1),
        ("Scaled", 1),
    ]


@pytest.fixture
def few(monkeypatch: pytest.MonkeyPatch) -> int:
    """Keep few events, so that the tests are fast."""
    monkeypatch.setattr(deployment_events, "MAX_EVENTS", 12)
    return 12


def test_only_the_newest_are_kept(call: Caller, clock: Clock, few: int) -> None:
    """The oldest events are deleted, of this deployment only; what is to come does not count, and still happens."""
    other = call.create("other", spec=spec(1))
    id_ = call.create(spec=spec(30))
    assert told(call, id_) == [("RolloutStarted", 1)]  # 60 events are to come
    clock.forward(minutes=1)
    call.update(id_, spec=spec(30, port=1))
    assert len(events(call, id_)) == few
    assert told(call, id_)[-1] == ("RolloutStarted", 1)
    assert told(call, other) == [("RolloutStarted", 1), ("Started", 1), ("Ready", 1)]
    clock.forward(minutes=1)
    assert told(call, id_)[-1] == ("Removed", 1)


def test_a_repeated_event_takes_the_place_of_no_other(call: Caller, clock: Clock, few: int) -> None:
    """An event that happens very often does not push the others out."""
    id_ = call.create(spec=scenario_spec("crash-loop"))
    for _ in range(few):
        clock.forward(minutes=1)
        call.server.reconcile("demo")  # type: ignore[attr-defined]
    assert told(call, id_)[0] == ("RolloutStarted", 1)
    assert max(count for _, count in told(call, id_)) > few


def test_pages(call: Caller, clock: Clock) -> None:
    """Pages in both directions have every event once."""
    id_ = call.create(spec=spec(4))
    clock.forward(minutes=1)
    whole = events(call, id_)
    assert len(whole) == 9
    read: list[Any] = []
    cursor = None
    while True:
        part = page(call, id_, first=2, after=cursor)
        read += part["nodes"]
        cursor = part["pageInfo"]["endCursor"]
        if not part["pageInfo"]["hasNextPage"]:
            break
    assert read == whole
    backward = page(call, id_, last=2, before=cursor)
    assert (backward["nodes"], backward["pageInfo"]["hasPreviousPage"]) == (whole[-3:-1], True)


def test_a_deleted_deployment(tmp_path: Path, clock: Clock, caller: type[Caller]) -> None:
    """The events of a deleted deployment cannot be read, and nothing is left of them."""
    file = tmp_path / "gradient.db"
    with LocalServer(database=file, now=clock) as server:
        call = caller(server)
        kept, id_ = call.create("kept"), call.create()
        clock.forward(minutes=1)
        call.delete(id_)
        assert call(PAGE, id=id_).data["deployment"] is None
    with closing(sqlite3.connect(file)) as connection:
        assert connection.execute("SELECT DISTINCT deployment_id FROM deployment_events").fetchall() == [(kept,)]


def test_the_page_lists_the_reasons() -> None:
    """The table of the page has every reason with its severity, and no others."""
    text = (TOP / "docs/containers.md").read_text(encoding="utf-8")
    listed = re.findall(r"^\| `([A-Z]\w+)` \| (normal|warning) \|", text, re.MULTILINE)
    assert sorted(listed) == sorted((str(reason), reason.severity.lower()) for reason in Reason)
