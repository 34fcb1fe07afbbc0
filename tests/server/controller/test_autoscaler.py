"""Autoscaling of containers: from readings to what the database asks for, with a clock that the tests move."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from time import monotonic
from typing import TYPE_CHECKING, Any

import pytest
from tests.conftest import counted_ids
from tests.server.controller.loads import INTERVAL, readings
from tests.server.controller.memory_engine import MemoryEngine
from tests.server.controller.test_controller import World as RunningWorld
from tests.server.controller.test_controller import run, until

from paperspace.gradient.server.controller import sampling
from paperspace.gradient.server.controller.autoscaler import Pass, Readings, decide_all, measure
from paperspace.gradient.server.controller.records import Records
from paperspace.gradient.server.controller.runtime import EngineRuntime
from paperspace.gradient.server.controller.state import Instance
from paperspace.gradient.server.controller.steps import Add, Fail, Leave, Serve, SetState
from paperspace.gradient.server.engines.autoscaling import Measured
from paperspace.gradient.server.engines.workloads import Workloads
from paperspace.gradient.server.storage.database import Database
from paperspace.gradient.server.storage.store import Store

if TYPE_CHECKING:
    from collections.abc import Iterator

PORTS = range(21000, 21020)
CPU = {"metric": "cpu", "value": 60}


def spec(least: int, most: int | None = None, *metrics: dict[str, Any], **fields: Any) -> dict[str, Any]:
    """A spec that scales by cpu, or by these metrics; without a maximum, it does not scale."""
    autoscaling = {"maxReplicas": most, "metrics": list(metrics or [CPU])}
    resources = {"replicas": least, **({} if most is None else {"autoscaling": autoscaling})}
    return {"image": "good", "resources": resources, **fields}


class World:
    """A database with a clock, and what the controller would have done."""

    def __init__(self) -> None:
        self.moment = datetime(2024, 5, 17, 9, 30, tzinfo=UTC)
        self.database = Database(":memory:", lambda: self.moment)
        self.workloads = Workloads(self.database, EngineRuntime(MemoryEngine(), PORTS))
        self.store = Store(self.database, actor="Ada", new_id=counted_ids())
        self.records = Records(self.database, self.workloads, PORTS)
        self.last = Pass()

    def create(self, data: dict[str, Any], name: str = "d") -> str:
        with self.database.writing():
            row = self.store.create_deployment(name=name, project_id="p", cluster_id=None, data=data)
            self.workloads.apply_new_spec(row["id"])
        id_: str = row["id"]
        self.roll_out(id_)
        return id_

    def update(self, id_: str, data: dict[str, Any]) -> None:
        with self.database.writing():
            self.store.update_deployment(id_, name=None, project_id=None, cluster_id=None, data=data)
            self.workloads.apply_new_spec(id_)

    def roll_out(self, id_: str) -> None:
        """Make as many instances ready as there should be, of the newest revision, which serves then."""
        with self.database.writing():
            newest = self.records.wanted(id_).newest
            assert newest
            instances = self.records.instances(id_)
            for instance in instances[newest.replicas :]:
                self.records.store(Leave(instance.id))
            self.records.store(Add(newest.spec_id, newest.replicas - len(instances)))
            for instance in self.records.instances(id_):
                if instance.state != "healthy":
                    self.records.store(SetState(instance.id, "Running", "healthy", "Ready."))
            self.records.store(Serve(newest.spec_id))

    def ready(self, id_: str) -> list[str]:
        """The ids of the instances that stay."""
        with self.database.reading():
            return [one.id for one in self.records.instances(id_) if one.leaving_since is None]

    def decide(self, id_: str, cpu: float = 0, **more: Any) -> int:
        """Decide after another interval, and return how many replicas there should be."""
        self.moment += INTERVAL
        measured = {id_: readings(self.moment, dict.fromkeys(self.ready(id_), cpu), **more)}
        with self.database.writing():
            self.last = decide_all(self.records, measured, self.last)
        return self.replicas(id_)

    def replicas(self, id_: str) -> int:
        with self.database.writing():
            newest = self.records.wanted(id_).newest
        assert newest
        return newest.replicas

    def events(self, id_: str, reason: str) -> list[tuple[str, int]]:
        with self.database.reading():
            rows = self.database.rows(
                "SELECT message, count FROM events_now WHERE deployment_id = ? AND reason = ? ORDER BY seq", id_, reason
            )
        return [(row["message"], row["count"]) for row in rows]

    def scales(self) -> list[int]:
        with self.database.reading():
            return [row["replicas"] for row in self.database.rows("SELECT replicas FROM scales ORDER BY seq")]


@pytest.fixture
def world() -> Iterator[World]:
    world = World()
    yield world
    world.database.close()


def test_ports_are_a_limit(world: World) -> None:
    """There are never more replicas than ports, whatever the spec allows: without a port, they would start for ever."""
    id_ = world.create(spec(1, 1_000_000))
    assert [world.decide(id_, 10_000) for _ in range(6)][-1] == len(PORTS)


def test_up_and_down(world: World) -> None:
    """Load adds replicas at the next decision; without it, they are removed after five minutes. Each decision has an event."""
    id_ = world.create(spec(1, 5))
    assert world.decide(id_, 60) == 1
    assert world.decide(id_, 170) == 3
    assert world.last.changed == {id_}
    assert world.events(id_, "ScaledUp") == [("cpu is 170 % (target: 60 %): 3 replicas instead of 1.", 1)]
    world.roll_out(id_)
    assert [world.decide(id_, 1) for _ in range(29)] == [3] * 29
    assert world.last.changed == frozenset()
    assert world.decide(id_, 1) == 1
    [(message, count)] = world.events(id_, "ScaledDown")
    assert (message.partition(",")[0], count) == ("cpu is 1 % (target: 60 %)", 1)
    assert world.scales() == [1]


@pytest.mark.parametrize(
    ("metric", "value", "low", "high"),
    [
        ("memory", 50, {"memory": 50}, {"memory": 90}),
        ("requestDuration", 0.5, {"durations": [0.4, 0.6]}, {"durations": [0.4, 1.4]}),
    ],
)
def test_other_metrics(world: World, metric: str, value: float, low: Any, high: Any) -> None:
    """Memory and the duration of requests add replicas as cpu does."""
    id_ = world.create(spec(1, 5, {"metric": metric, "value": value}))
    assert world.decide(id_, **low) == 1
    assert world.decide(id_, **high) == 2


def test_no_requests_are_no_load(world: World) -> None:
    """Without requests, their duration is 0, so that replicas are removed."""
    id_ = world.create(spec(1, 5, {"metric": "requestDuration", "value": 0.5}))
    world.decide(id_, durations=[1.0])
    world.roll_out(id_)
    assert [world.decide(id_) for _ in range(32)][-1] == 1


def test_requests_that_take_longer_than_the_window(world: World) -> None:
    """While requests run and none has ended, no replica with a request is removed, and none is added."""
    id_ = world.create(spec(1, 5, {"metric": "requestDuration", "value": 0.5}))
    world.decide(id_, durations=[2.0])
    world.roll_out(id_)
    oldest, second, _, newest = world.ready(id_)
    assert [world.decide(id_, active={newest: 9}) for _ in range(40)] == [4] * 40
    assert [world.decide(id_, active={oldest: 1, second: 9}) for _ in range(40)][-1] == 2
    world.roll_out(id_)
    assert world.ready(id_) == [oldest, second]
    assert [world.decide(id_, durations=[0.1], active={second: 9}) for _ in range(32)][-1] == 1
    assert world.events(id_, "MetricUnknown") == []


def test_a_long_request_of_a_replica_that_has_just_become_ready(world: World) -> None:
    """Nothing is decided about its deployment yet, and decisions about others go on."""
    id_ = world.create(spec(1, 5, {"metric": "requestDuration", "value": 0.5}))
    other = world.create(spec(1, 5), "other")
    world.moment -= INTERVAL / 2  # it became ready between the two readings
    assert world.decide(id_, active=dict.fromkeys(world.ready(id_), 1)) == 1
    assert list(world.last.decisions) == [id_, other]
    assert world.events(id_, "MetricUnknown") == []


def test_requests_of_a_replica_after_one_that_was_restarted() -> None:
    """A replica with a request stays also if an older one has just become ready again: this one stays before it."""
    restarted, busy = instance("restarted", since=0), instance("busy")
    measured = measure([restarted, busy], readings(NOW, {"restarted": 0, "busy": 0}, active={"busy": 1}), NOW)
    assert measured.unfinished == 2


def test_a_gateway_that_does_not_respond(world: World) -> None:
    """While the duration of requests is unknown, no replicas are removed, and one event says so; other metrics add some."""
    id_ = world.create(spec(1, 5, CPU, {"metric": "requestDuration", "value": 0.5}))
    world.decide(id_, 60, durations=[1.0])
    world.roll_out(id_)
    assert [world.decide(id_, 0, durations=None) for _ in range(40)] == [2] * 40
    assert world.decide(id_, 90, durations=None) == 3
    unknown = "The value of requestDuration is unknown, so requestDuration cannot add replicas, and the server removes no replicas."
    assert world.events(id_, "MetricUnknown") == [(unknown, 1)]
    world.roll_out(id_)
    assert [world.decide(id_) for _ in range(32)][-1] == 1
    world.decide(id_, durations=None)
    assert world.events(id_, "MetricUnknown") == [(unknown, 2)]


def test_a_restart_of_the_server(world: World) -> None:
    """After a restart, the number of replicas is the same, and none are removed for five minutes."""
    id_ = world.create(spec(1, 5))
    world.decide(id_, 240)
    world.roll_out(id_)
    for _ in range(20):
        world.decide(id_, 0)
    world.last = Pass()
    assert world.replicas(id_) == 4
    assert [world.decide(id_, 0) for _ in range(30)] == [4] * 30
    assert world.decide(id_, 0) == 1


def test_a_new_revision(world: World) -> None:
    """A new revision starts with as many replicas as the one before, within its limits, and the window goes on."""
    id_ = world.create(spec(1, 9))
    world.decide(id_, 300)
    world.roll_out(id_)
    world.update(id_, spec(1, 9, port=1))
    assert world.replicas(id_) == 5
    world.update(id_, spec(1, 4))
    assert world.replicas(id_) == 4
    world.update(id_, spec(6, 9))
    assert world.replicas(id_) == 6
    world.roll_out(id_)
    assert world.scales() == [6]
    world.update(id_, spec(1, 9))
    world.roll_out(id_)
    assert [world.decide(id_, 0) for _ in range(31)] == [5] * 29 + [1] * 2


def test_a_rollout(world: World) -> None:
    """During a rollout, what serves gets more replicas too, but not fewer, even if the new revision allows fewer."""
    id_ = world.create(spec(1, 9))
    world.decide(id_, 300)
    world.roll_out(id_)

    def wanted() -> tuple[int, int]:
        with world.database.writing():
            newest, serving = world.records.wanted(id_)
        assert newest
        assert serving
        return newest.replicas, serving.replicas

    world.update(id_, spec(1, 3, port=1))
    world.decide(id_, 0)
    assert wanted() == (3, 5)
    world.update(id_, spec(1, 9, port=2))
    world.decide(id_, 90)
    assert wanted() == (8, 8)
    for _ in range(40):
        world.decide(id_, 0)
    assert wanted() == (1, 8)
    world.roll_out(id_)
    assert wanted() == (1, 1)
    assert world.scales() == [1]


def test_a_failed_revision(world: World) -> None:
    """If the newest revision has failed, the one that serves is scaled, within its own limits."""
    id_ = world.create(spec(1, 9))
    world.decide(id_, 120)
    world.roll_out(id_)
    world.update(id_, spec(1, 2, port=1))
    with world.database.writing():
        newest = world.records.wanted(id_).newest
        assert newest
        world.records.store(Fail(newest.spec_id, "It crashed."))
    world.decide(id_, 120)
    with world.database.reading():
        assert world.records.revisions(id_).serving == world.records.revisions(id_).target
        assert world.records.revisions(id_).target.replicas == 4  # type: ignore[union-attr]


@pytest.mark.parametrize("fixed", [spec(1), spec(1, 9, enabled=False), spec(0, 9)])
def test_a_revision_that_is_not_scaled(world: World, fixed: dict[str, Any]) -> None:
    """While it is rolled out, the revision before keeps its replicas. Then nothing of autoscaling is left."""
    id_ = world.create(spec(1, 9))
    world.decide(id_, 300)
    world.roll_out(id_)
    world.update(id_, fixed)
    assert world.decide(id_, 300) <= 1
    with world.database.reading():
        assert world.records.revisions(id_).serving.replicas == 5  # type: ignore[union-attr]
    world.roll_out(id_)
    assert world.scales() == []
    assert world.decide(id_, 300) <= 1
    world.update(id_, spec(2, 9))
    assert world.replicas(id_) == 2


def test_a_deleted_deployment(world: World) -> None:
    """Nothing is left of a deleted deployment."""
    id_ = world.create(spec(1, 9))
    world.decide(id_, 300)
    with world.database.writing():
        world.store.delete_deployment(id_)
        world.workloads.remove(id_)
    assert world.scales() == []
    with world.database.writing():
        assert decide_all(world.records, {}, world.last) == Pass()


NOW = datetime(2024, 5, 17, 9, 30, tzinfo=UTC)


def instance(id_: str, state: str = "healthy", since: float = 60, *, leaving: bool = False) -> Instance:
    """An instance that has been in a state for some seconds."""
    at = NOW - timedelta(seconds=since)
    return Instance(id_, "s", "t", 1, 1, "Running", state, "", at, leaving_since=at if leaving else None)


@pytest.mark.parametrize(
    ("instances", "measured"),
    [
        ([instance("a"), instance("b")], Measured([{"cpu": 10, "memory": 5}, {"cpu": 20, "memory": 5}])),
        ([instance("a"), instance("b", "pending")], Measured([{"cpu": 10, "memory": 5}], 1)),
        ([instance("a"), instance("b", "retrying")], Measured([{"cpu": 10, "memory": 5}], 1)),
        ([instance("a"), instance("b", since=9)], Measured([{"cpu": 10, "memory": 5}], 1)),  # measured in its start
        ([instance("a"), instance("b", "failed"), instance("c", "errored")], Measured([{"cpu": 10, "memory": 5}])),
        ([instance("a"), instance("b", leaving=True)], Measured([{"cpu": 10, "memory": 5}])),
        ([instance("a"), instance("unknown")], Measured([{"cpu": 10, "memory": 5}, {}])),
    ],
)
def test_which_replicas_count(instances: list[Instance], measured: Measured) -> None:
    """Replicas count that are ready and stay; what they used before they were ready does not."""
    found = measure(instances, readings(NOW, {"a": 10, "b": 20, "c": 30}, 5, None), NOW)
    assert found.starting == measured.starting
    assert [dict(values) for values in found.replicas] == [pytest.approx(values) for values in measured.replicas]


def test_readings_that_are_missing_or_old() -> None:
    """Without readings, nothing is measured yet; if they are old, nothing is known of replicas that are ready."""
    assert measure([instance("a")], None, NOW) == Measured(starting=1)
    old: Readings = readings(NOW - timedelta(seconds=61), {"a": 10})
    assert measure([instance("a", since=200)], old, NOW) == Measured([{}], 0)


def test_the_controller_scales(monkeypatch: pytest.MonkeyPatch) -> None:
    """The controller decides after each reading, adds containers at once, and keeps those that run."""
    monkeypatch.setattr(sampling, "INTERVAL", 0.05)

    async def test(world: RunningWorld) -> None:
        id_ = world.create("good-1", resources=spec(1, 3)["resources"])
        await until(lambda: world.states(id_) == ["healthy"])
        before = list(world.engine.by_id)
        start = monotonic()

        def burn() -> bool:
            for container in world.engine.by_id:
                world.engine.cpu_seconds[container] = 4 * 0.9 * (monotonic() - start)  # of four CPUs
            return True

        await until(lambda: burn() and world.states(id_) == ["healthy"] * 3)
        assert list(world.engine.by_id)[:1] == before
        for _ in range(50):
            burn()
            await asyncio.sleep(0.005)
        assert len(world.engine.by_id) == 3

    run(test)
