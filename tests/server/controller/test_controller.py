"""The controller with a database in memory, an engine in memory, and containers that respond over real sockets."""

from __future__ import annotations

import asyncio
import logging
import sqlite3
import threading
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar
from unittest.mock import AsyncMock, Mock
from uuid import uuid4

import pytest
from tests.ports import ports
from tests.server.controller.memory_engine import ServingEngine

from paperspace.gradient.server.controller import worker as worker_module
from paperspace.gradient.server.controller.controller import DEFAULT_OPTIONS, RESYNC_GROUP, Controller, Options
from paperspace.gradient.server.controller.decide import Decision, decide
from paperspace.gradient.server.controller.engine import (
    Container,
    ContainerKey,
    EngineUnavailableError,
    Image,
    ImageError,
    StartError,
    Workload,
)
from paperspace.gradient.server.controller.gateway import NO_ROUTES, NoGateway, Routes
from paperspace.gradient.server.controller.records import Records
from paperspace.gradient.server.controller.runtime import EngineRuntime
from paperspace.gradient.server.controller.state import Limits
from paperspace.gradient.server.controller.stopwatch import Stopwatch
from paperspace.gradient.server.engines.runtime import UnsupportedSpecError
from paperspace.gradient.server.engines.workloads import Workloads
from paperspace.gradient.server.storage.database import Database
from paperspace.gradient.server.storage.store import Store

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Sequence

    from paperspace.gradient.server.controller.gateway import Target
    from paperspace.gradient.server.protection import Access

T = TypeVar("T")

PORTS = ports(24000)
PATIENCE = 20.0  # seconds


class World:
    """A database, an engine, and a controller that can be killed."""

    def __init__(self, options: Options = DEFAULT_OPTIONS) -> None:
        self.engine = ServingEngine()
        self.options = options
        self.router = RecordingRouter()
        self.database = Database(":memory:", lambda: datetime.now(UTC))
        self.workloads = Workloads(self.database, EngineRuntime(self.engine, PORTS))
        self.store = Store(self.database, actor="Ada", new_id=uuid4)
        self.records = Records(self.database, self.workloads, PORTS)

    async def change(self, function: Callable[[Records], T]) -> T:
        await asyncio.sleep(0)
        with self.database.writing():
            return function(self.records)

    def controller(self) -> Controller:
        self._controller = Controller(self.engine, self.change, "server", router=self.router, options=self.options)
        return self._controller

    def create(self, image: str, replicas: int = 1, **more: Any) -> str:
        with self.database.writing():
            spec = {"image": image, "resources": {"replicas": replicas}, **more}
            row = self.store.create_deployment(name=str(uuid4()), project_id="p", cluster_id=None, data=spec)
            self.workloads.apply_new_spec(row["id"])
        self._controller.notify()
        id_: str = row["id"]
        return id_

    def update(self, id_: str, image: str, replicas: int = 1, **more: Any) -> None:
        with self.database.writing():
            spec = {"image": image, "resources": {"replicas": replicas}, **more}
            self.store.update_deployment(id_, name=None, project_id=None, cluster_id=None, data=spec)
            self.workloads.apply_new_spec(id_)
        self._controller.notify()

    def delete(self, id_: str) -> None:
        with self.database.writing():
            self.store.delete_deployment(id_)
            self.workloads.remove(id_)
        self._controller.notify()

    def images(self, id_: str) -> list[str]:
        """Return the images of the running containers of a deployment."""
        return [self.engine.images[container.id] for container in self.engine.running() if container.key[0] == id_]

    def instances(self, id_: str) -> list[Any]:
        with self.database.reading():
            return self.database.rows(
                "SELECT * FROM instances_now WHERE deployment_id = ? AND dt_deleted IS NULL ORDER BY seq", id_
            )

    def states(self, id_: str) -> list[str]:
        return [instance["state"] for instance in self.instances(id_)]

    def messages(self, id_: str) -> list[str]:
        """Return all messages in the history of a deployment's instances."""
        with self.database.reading():
            rows = self.database.rows(
                "SELECT message FROM instance_states JOIN instances ON instances.id = deployment_run_instance_id"
                " WHERE deployment_id = ? ORDER BY instance_states.seq",
                id_,
            )
        return [row["message"] for row in rows]

    def error(self, id_: str) -> str | None:
        """Return the error of the newest spec."""
        with self.database.reading():
            sql = "SELECT error FROM deployment_specs WHERE deployment_id = ? ORDER BY seq DESC LIMIT 1"
            error: str | None = self.database.rows(sql, id_)[0]["error"]
            return error


async def until(condition: Callable[[], object]) -> None:
    """Wait until a condition is true."""
    async with asyncio.timeout(PATIENCE):
        while not condition():  # noqa: ASYNC110  # the database has no events
            await asyncio.sleep(0.005)


@asynccontextmanager
async def running(options: Options = DEFAULT_OPTIONS) -> AsyncIterator[World]:
    world = World(options)
    try:
        async with world.controller():
            yield world
    finally:
        world.database.close()


def run(test: Callable[[World], Awaitable[None]], options: Options = DEFAULT_OPTIONS) -> None:
    """Run a test with a controller."""

    async def main() -> None:
        async with running(options) as world:
            await test(world)

    asyncio.run(main())


def test_from_create_to_ready_to_deleted() -> None:
    """A deployment becomes ready on its ports, each step is in its history, and nothing is left after the delete."""

    async def test(world: World) -> None:
        id_ = world.create("good-1", 2, env=[{"name": "A", "value": "1"}])
        await until(lambda: world.states(id_) == ["healthy"] * 2)
        ports = [container.host_port for container in world.engine.running()]
        assert set(ports) <= set(PORTS)
        assert [row["stateMessage"] for row in world.instances(id_)] == [f"Ready on 127.0.0.1:{p}." for p in ports]
        assert world.messages(id_)[0] == "Waiting to be started."
        world.delete(id_)
        await until(lambda: not world.engine.by_id and not world.instances(id_))

    run(test)


def test_update_replaces_and_scaling_keeps() -> None:
    """An update replaces the containers; a change of the replicas alone keeps those that stay; a restart replaces."""

    async def test(world: World) -> None:
        id_ = world.create("good-1")
        await until(lambda: world.states(id_) == ["healthy"])
        world.update(id_, "good-2")
        await until(lambda: world.images(id_) == ["good-2"])
        before = {container.id for container in world.engine.running()}
        world.update(id_, "good-2", 3)
        await until(lambda: world.states(id_) == ["healthy"] * 3)
        assert before <= {container.id for container in world.engine.running()}
        world.update(id_, "good-2", 1)
        await until(lambda: len(world.engine.by_id) == 1)
        assert {container.id for container in world.engine.running()} == before
        world.update(id_, "good-2", 1)
        await until(lambda: len(world.engine.by_id) == 1 and before.isdisjoint(world.engine.by_id))

    run(test)


@pytest.mark.parametrize(
    ("image", "reason"),
    [
        ("missing", "There is no image missing."),
        ("crashing", "Exited with code 1 (crash 5); no more restarts."),
        ("broken", "The command does not exist (crash 5); no more restarts."),
        ("silent", "Not ready 2 s after its start. No HTTP response on port 80 yet: connection refused."),
    ],
)
def test_failed_update_leaves_the_old_revision(image: str, reason: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A revision that cannot become ready fails with its reason, and what served before is untouched."""
    monkeypatch.setattr("paperspace.gradient.server.controller.restarts.FIRST_DELAY", timedelta(seconds=0.05))

    async def test(world: World) -> None:
        id_ = world.create("good-1", 2)
        await until(lambda: world.states(id_) == ["healthy"] * 2)
        before = list(world.engine.by_id)
        world.update(id_, image, 2)
        await until(lambda: world.error(id_) == reason)
        await until(lambda: list(world.engine.by_id) == before)
        assert world.images(id_) == ["good-1"] * 2
        assert sorted(world.states(id_)) in (["errored", "healthy", "healthy"], ["failed", "healthy", "healthy"])
        world.update(id_, "good-2", 2)
        await until(lambda: world.images(id_) == ["good-2"] * 2)

    run(test, Options(progress_deadline=timedelta(seconds=2)))


def test_scaling_after_a_failed_restart(monkeypatch: pytest.MonkeyPatch) -> None:
    """After a restart that has failed, a change of the replicas keeps the containers that serve, and adds equal ones."""
    monkeypatch.setattr("paperspace.gradient.server.controller.restarts.FIRST_DELAY", timedelta(seconds=0.05))

    async def test(world: World) -> None:
        id_ = world.create("good-1")
        await until(lambda: world.states(id_) == ["healthy"])
        [first] = world.engine.by_id
        monkeypatch.setattr(world.engine, "start", AsyncMock(side_effect=StartError("The disk is full.")))
        world.update(id_, "good-1")
        await until(lambda: world.error(id_))
        monkeypatch.undo()
        world.update(id_, "good-1", 2)
        await until(lambda: world.states(id_) == ["healthy"] * 2)
        assert first in world.engine.by_id
        assert len({row["template"] for row in world.instances(id_)}) == 1

    run(test)


def test_crashed_and_lost_containers_are_healed() -> None:
    """A container that exits is restarted after a second, with its reason in the states; a removed one at once."""

    async def test(world: World) -> None:
        id_ = world.create("good-1")
        await until(lambda: world.states(id_) == ["healthy"])
        [first] = world.engine.running()
        world.engine.exit(first.id, 137)
        await until(lambda: world.states(id_) == ["retrying"])
        await until(lambda: world.states(id_) == ["healthy"])
        [second] = world.engine.running()
        assert second.id != first.id
        assert "Ended by SIGKILL (crash 1); restarting after 1 s. Last output: starting | error in good-1" in (
            world.messages(id_)
        )
        world.engine.lose(second.id)
        await until(lambda: world.engine.running() and world.states(id_) == ["healthy"])
        assert len(world.engine.by_id) == 1

    run(test)


def test_restarted_controller_adopts_containers() -> None:
    """A new controller keeps the containers of the one before, and does what was requested in between."""

    async def main() -> None:
        async with running() as world:
            id_ = world.create("good-1", 2)
            await until(lambda: world.states(id_) == ["healthy"] * 2)
            before = list(world.engine.by_id)
            await world._controller.__aexit__()
            world.update(id_, "good-1", 3)
            async with world.controller():
                await until(lambda: world.states(id_) == ["healthy"] * 3)
                assert list(world.engine.by_id)[:2] == before
                assert len(world.engine.by_id) == 3

    asyncio.run(main())


async def look_at_all(world: World, count: int) -> None:
    """Start a controller after an earlier one, and wait until it has looked at so many deployments without replicas."""
    world.controller()  # of an earlier server
    ids = {world.create("good-1", 0) for _ in range(count)}
    async with world.controller() as controller:
        await until(lambda: controller.restarts().keys() == ids)


def test_deployments_are_looked_at_in_groups() -> None:
    """At the start, the transactions of one group of deployments wait at the same time, however many deployments there are."""

    class Counting(World):
        waiting = most = 0

        async def change(self, function: Callable[[Records], T]) -> T:
            self.waiting += 1
            self.most = max(self.most, self.waiting)
            await asyncio.sleep(0.001)
            self.waiting -= 1
            return await super().change(function)

    async def main() -> None:
        world = Counting()
        await look_at_all(world, 3 * RESYNC_GROUP)
        assert world.most < 1.5 * RESYNC_GROUP

    asyncio.run(main())


def test_resync_that_is_requested_again_and_again() -> None:
    """However often an engine comes and goes, all deployments are looked at: a new resync does not end the one before."""

    class Flapping(World):
        async def change(self, function: Callable[[Records], T]) -> T:
            self._controller._resync_soon()
            return await super().change(function)

    async def main() -> None:
        await look_at_all(Flapping(), 2 * RESYNC_GROUP)

    asyncio.run(main())


def test_engine_that_does_not_respond() -> None:
    """While the engine is away, states say so and ready instances stay ready; when it is back, everything goes on."""

    async def test(world: World) -> None:
        ready = world.create("good-1")
        await until(lambda: world.states(ready) == ["healthy"])
        world.engine.available = False
        waiting = world.create("good-2")
        reason = "the engine in memory does not respond"
        await until(lambda: [row["stateMessage"] for row in world.instances(waiting)] == [reason])
        assert world.states(ready) == ["healthy"]
        world.engine.available = True
        await until(lambda: world.states(waiting) == ["healthy"])
        assert world.states(ready) == ["healthy"]

    run(test)


def test_timers_of_an_outage(monkeypatch: pytest.MonkeyPatch) -> None:
    """While the engine is away, a deployment has one timer for the next attempt, however often something else wakes it."""

    async def test(world: World) -> None:
        id_ = world.create("good-1")
        await until(lambda: world.states(id_) == ["healthy"])
        loop, timers = asyncio.get_running_loop(), list[asyncio.TimerHandle]()
        call_later = loop.call_later

        def recorded(delay: float, callback: Any, *arguments: Any) -> asyncio.TimerHandle:
            timer = call_later(delay, callback, *arguments)
            if callback == worker.wake:
                timers.append(timer)
            return timer

        worker = world._controller._workers[id_]
        monkeypatch.setattr(loop, "call_later", recorded)
        world.engine.available = False
        for _ in range(10):
            worker.wake()
            await worker.idle.wait()
        assert len(timers) >= 10
        assert len([timer for timer in timers if not timer.cancelled() and timer.when() > loop.time()]) == 1

    run(test)


def test_a_failure_is_logged_once(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    """A failure such as a full disk is logged once, until the deployment could be reconciled again."""

    async def test(world: World) -> None:
        id_ = world.create("good-1")
        await until(lambda: world.states(id_) == ["healthy"])
        worker = world._controller._workers[id_]
        for number in (1, 2):
            with monkeypatch.context() as patch:
                patch.setattr(worker_module, "decide", Mock(side_effect=OSError("the disk is full")))
                for _ in range(5):
                    worker.wake()
                    await worker.idle.wait()
            worker.wake()
            await worker.idle.wait()
            assert [record.levelname for record in caplog.records] == ["ERROR"] * number

    run(test)


@pytest.mark.parametrize(
    ("error", "level"),
    [(EngineUnavailableError("The engine failed: its disk is full."), "WARNING"), (ValueError("a bug"), "ERROR")],
)
def test_a_step_that_fails(
    error: Exception, level: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """It is repeated after longer and longer pauses, and logged once. A failure of the engine is shown in the instance."""

    async def test(world: World) -> None:
        failures: list[int] = []

        def pause(number: int) -> float:
            failures.append(number)
            return 0.001

        monkeypatch.setattr(worker_module, "pause", pause)
        start, world.engine.start = world.engine.start, AsyncMock(side_effect=error)  # type: ignore[method-assign]
        id_ = world.create("good-1")
        await until(lambda: failures[:5] == [0, 1, 2, 3, 4])
        world.engine.start = start  # type: ignore[method-assign]
        await until(lambda: world.states(id_) == ["healthy"])
        assert [record.levelname for record in caplog.records] == [level]
        assert (str(error) in world.messages(id_)) == isinstance(error, EngineUnavailableError)

    run(test)


def test_port_of_another_program() -> None:
    """If another program uses a port, the container gets the next one."""

    async def main() -> None:
        async with running() as world:
            other = await asyncio.start_server(lambda *_: None, "127.0.0.1", PORTS[0])
            id_ = world.create("good-1", 2)
            await until(lambda: world.states(id_) == ["healthy"] * 2)
            ports = {container.host_port for container in world.engine.running()}
            assert PORTS[0] not in ports
            assert len(ports) == 2
            other.close()

    asyncio.run(main())


def test_port_that_another_program_releases(monkeypatch: pytest.MonkeyPatch) -> None:
    """If another program uses the last free port, the container that needs it starts when that program has ended."""
    monkeypatch.setattr("paperspace.gradient.server.controller.lifecycle.PORT_INTERVAL", 0.05)

    async def test(world: World) -> None:
        other = await asyncio.start_server(lambda *_: None, "127.0.0.1", PORTS[0])
        id_ = world.create("good-1", len(PORTS))
        await until(lambda: "Waiting for a free port in --port-range." in world.messages(id_))
        other.close()
        await until(lambda: world.states(id_) == ["healthy"] * len(PORTS))

    run(test)


def test_all_ports_of_other_programs(monkeypatch: pytest.MonkeyPatch) -> None:
    """If other programs use all ports, an instance says so and waits, and starts no container again and again."""
    monkeypatch.setattr("paperspace.gradient.server.controller.lifecycle.PORT_INTERVAL", 0.05)
    monkeypatch.setattr("tests.server.controller.test_controller.PORTS", PORTS[:2])

    async def test(world: World) -> None:
        others = [await asyncio.start_server(lambda *_: None, "127.0.0.1", port) for port in PORTS]
        id_ = world.create("good-1")
        await until(lambda: "Waiting for a free port in --port-range." in world.messages(id_))
        assert "Starting the container." not in world.messages(id_)
        for other in others:
            other.close()
        await until(lambda: world.states(id_) == ["healthy"])

    run(test)


def test_runs_end() -> None:
    """A run ends although its instances moved to a newer run, or were never added: a stopped deployment has no run left."""

    async def test(world: World) -> None:
        id_ = world.create("good-1")
        await until(lambda: world.states(id_) == ["healthy"])
        world.update(id_, "good-1", 2)
        await until(lambda: world.states(id_) == ["healthy"] * 2)
        world.update(id_, "good-2")
        world.update(id_, "good-1", 0)  # in the same moment: nothing of the revision before it was started
        await until(lambda: not world.instances(id_))
        with world.database.reading():
            ends = [row["dtDeleted"] for row in world.database.rows("SELECT dt_deleted FROM runs_now")]
        assert len(ends) == 3
        assert None not in ends

    run(test)


def test_an_instance_type_that_is_deleted() -> None:
    """If the instance type of a running spec is deleted, the next start says so, and succeeds when it exists again."""

    async def test(world: World) -> None:
        id_ = world.create("good-1")
        await until(lambda: world.states(id_) == ["healthy"])

        def refuse(_: Workload) -> list[str]:
            raise UnsupportedSpecError("There is no instance type 'gone'.")

        check, world.engine.check = world.engine.check, refuse  # type: ignore[method-assign, assignment]
        world.engine.lose(world.engine.running()[0].id)
        await until(lambda: any("There is no instance type" in message for message in world.messages(id_)))
        world.engine.check = check  # type: ignore[method-assign]
        await until(lambda: world.states(id_) == ["healthy"])

    run(test)


def test_a_check_that_waits_for_a_file_system() -> None:
    """While the check of one deployment waits, as for a folder of models that does not respond, others are started."""

    async def test(world: World) -> None:
        waiting, other = world.create("good-1"), world.create("good-2")
        await until(lambda: world.states(waiting) == world.states(other) == ["healthy"])
        check, responds = world.engine.check, threading.Event()

        def wait(workload: Workload) -> Sequence[str]:
            if workload.image == "good-1":
                responds.wait()
            return check(workload)

        world.engine.check = wait  # type: ignore[method-assign]
        before = [container.id for container in world.engine.running()]
        for container_id in before:
            world.engine.lose(container_id)
        try:
            await until(lambda: world.images(other) == ["good-2"] and world.states(other) == ["healthy"])
            assert world.images(waiting) == []
        finally:
            responds.set()
        await until(lambda: world.states(waiting) == ["healthy"])

    run(test)


def test_unknown_containers_are_kept(caplog: pytest.LogCaptureFixture) -> None:
    """Containers that the database does not know, as after restoring a backup, are kept and reported."""

    async def main() -> None:
        world = World()
        world.engine.start_now(
            ContainerKey("d", "i", 1, "t"), Workload("good", None, 80, (), (), None, None), PORTS[-1]
        )
        async with world.controller():
            await until(
                lambda: "containers of this server that are not in its database: 1; they are kept" in caplog.text
            )
            id_ = world.create("good-1")
            await until(lambda: world.states(id_) == ["healthy"])
            assert len(world.engine.by_id) == 2

    with caplog.at_level(logging.WARNING):
        asyncio.run(main())


@pytest.mark.parametrize(
    ("spec", "error"),
    [
        pytest.param(
            {"resources": {"replicas": 51}},
            f"51 replicas need 51 ports, but --port-range {PORTS[0]}-{PORTS[-1]} has only 50.",
            id="ports",
        ),
        ({"resources": {"instanceType": "unknown"}}, "There is no instance type 'unknown'."),
    ],
)
def test_unsupported_specs(spec: dict[str, Any], error: str) -> None:
    """A spec that the controller or the engine cannot run gets an error, and what runs is not touched."""

    async def test(world: World) -> None:
        id_ = world.create("good-1")
        await until(lambda: world.states(id_) == ["healthy"])
        before = list(world.engine.by_id)
        with world.database.writing():
            data = {"image": "good-2", **spec}
            world.store.update_deployment(id_, name=None, project_id=None, cluster_id=None, data=data)
            world.workloads.apply_new_spec(id_)
        world._controller.notify()
        assert error in (world.error(id_) or "")
        await asyncio.sleep(0.05)
        assert list(world.engine.by_id) == before

    run(test)


def repositories(*urls: str) -> dict[str, Any]:
    """Return the field of a spec with repositories."""
    return {"repositories": {"repositories": [{"url": url, "name": url} for url in urls]}}


def test_replicas_have_the_same_commits() -> None:
    """All replicas of a revision, and the containers that replace theirs, get the commits that were found first."""

    async def test(world: World) -> None:
        id_ = world.create("good-1", 3, **repositories("a", "b"))
        await until(lambda: world.states(id_) == ["healthy"] * 3)
        for container in world.engine.running()[:2]:
            world.engine.exit(container.id)
        await until(lambda: len(world.engine.commits) == 5 and world.states(id_) == ["healthy"] * 3)
        world.update(id_, "good-1", 4, **repositories("a", "b"))
        await until(lambda: world.states(id_) == ["healthy"] * 4)
        (commits,) = set(world.engine.commits.values())
        assert [commit.partition("-")[2] for commit in commits] == ["a", "b"]

    run(test)


def test_one_replica_resolves() -> None:
    """One replica of a revision finds its image and its commits. The others need them only: a tag or a branch may be deleted by then."""

    async def test(world: World) -> None:
        resolve, clone, resolved = world.engine.resolve, world.engine.clone, list[str]()

        async def resolve_once(workload: Workload, progress: Callable[[str], None]) -> Image:
            if workload.image_id is None:
                resolved.append("image")
            return await resolve(workload, progress)

        async def clone_once(key: ContainerKey, workload: Workload, progress: Callable[[str], None]) -> tuple[str, ...]:
            if not workload.commits:
                resolved.append("commits")
            return await clone(key, workload, progress)

        world.engine.resolve = resolve_once  # type: ignore[method-assign]
        world.engine.clone = clone_once  # type: ignore[method-assign]
        id_ = world.create("good-1", 5, **repositories("a"))
        await until(lambda: world.states(id_) == ["healthy"] * 5)
        world.update(id_, "good-2", 5, **repositories("a"))
        await until(lambda: world.images(id_) == ["good-2"] * 5 and world.states(id_) == ["healthy"] * 5)
        assert resolved == ["image", "commits"] * 2

    run(test)


def test_a_stuck_revision_does_not_delay_the_other() -> None:
    """While a new revision waits for its image, the containers of the revision that serves are replaced when they end."""

    async def test(world: World) -> None:
        id_ = world.create("good-1", 2)
        await until(lambda: world.states(id_) == ["healthy"] * 2)
        resolve = world.engine.resolve

        async def stuck(workload: Workload, progress: Callable[[str], None]) -> Image:
            if workload.image == "good-2":
                await asyncio.Event().wait()
            return await resolve(workload, progress)

        world.engine.resolve = stuck  # type: ignore[method-assign]
        world.update(id_, "good-2", 2)
        await until(lambda: len(world.states(id_)) == 3)
        world.engine.exit(world.engine.running()[0].id)
        await until(lambda: world.images(id_) == ["good-1"])
        await until(lambda: world.images(id_) == ["good-1"] * 2)

    run(test)


def test_a_new_revision_has_new_commits() -> None:
    """A new revision resolves branches again, also if it is a restart of the same spec."""

    async def test(world: World) -> None:
        def found(number: int) -> bool:
            return len(set(world.engine.commits.values())) == number

        id_ = world.create("good-1", **repositories("a"))
        await until(lambda: world.states(id_) == ["healthy"])
        for number in (2, 3):
            world.update(id_, "good-2", **repositories("a"))
            await until(partial(found, number))
            await until(lambda: len(world.engine.by_id) == 1 and world.states(id_) == ["healthy"])

    run(test)


def test_going_back_to_a_restarted_revision() -> None:
    """What goes back to an earlier spec has the commits of its last restart. If the update failed, its containers stay."""

    async def test(world: World) -> None:
        id_ = world.create("good-1", **repositories("a"))
        await until(lambda: world.states(id_) == ["healthy"])
        world.update(id_, "good-1", **repositories("a"))
        await until(lambda: len(world.engine.commits) == 2 and len(world.engine.by_id) == 1)
        (restarted,) = world.engine.by_id
        world.update(id_, "missing", **repositories("a"))
        await until(lambda: world.error(id_) is not None)
        world.update(id_, "good-1", **repositories("a"))
        await until(lambda: world.states(id_) == ["healthy"])
        assert list(world.engine.by_id) == [restarted]
        world.update(id_, "good-2", **repositories("a"))
        await until(lambda: world.images(id_) == ["good-2"] and len(world.engine.by_id) == 1)
        world.update(id_, "good-1", **repositories("a"))
        await until(lambda: world.images(id_) == ["good-1"] and len(world.engine.by_id) == 1)
        (last,) = world.engine.by_id
        assert world.engine.commits[last] == world.engine.commits[restarted]

    run(test)


def test_update_that_a_rejected_one_follows() -> None:
    """An update is applied soon, also if another one that is rejected follows at once."""

    async def test(world: World) -> None:
        id_ = world.create("good-1")
        await until(lambda: world.states(id_) == ["healthy"])
        worker = world._controller._workers[id_]
        await until(lambda: worker.idle.is_set() and worker._progress_timer is None)  # nothing else wakes it
        world.update(id_, "good-2")
        world.update(id_, "good-3", 100)
        assert world.error(id_) is not None
        await until(lambda: world.images(id_) == ["good-2"])

    run(test)


def test_a_delete_of_a_stopped_deployment() -> None:
    """Its endpoint is removed soon, not only with the next resync."""

    async def test(world: World) -> None:
        id_ = world.create("good-1")
        await until(lambda: world.states(id_) == ["healthy"])
        world.update(id_, "good-1", 0)
        await until(lambda: not world.engine.by_id and not world.instances(id_))
        worker = world._controller._workers[id_]
        await until(lambda: worker.idle.is_set() and worker._progress_timer is None)  # nothing else wakes it
        assert world.router.deployments() == {id_}
        world.delete(id_)
        await until(lambda: not world.router.deployments())

    run(test)


def test_going_back_after_an_update_that_was_rejected() -> None:
    """The containers stay, as they serve what is wanted. It is no restart."""

    async def test(world: World) -> None:
        id_ = world.create("good-1")
        await until(lambda: world.states(id_) == ["healthy"])
        (serving,) = world.engine.by_id
        world.update(id_, "good-2", 100)
        assert world.error(id_) is not None
        world.update(id_, "good-1")
        world.update(id_, "good-1", 2)
        await until(lambda: world.states(id_) == ["healthy"] * 2)
        assert serving in world.engine.by_id

    run(test)


def test_going_back_after_a_restart_that_failed() -> None:
    """What goes back to an earlier spec has the commits that it had before a restart of it failed."""

    async def test(world: World) -> None:
        id_ = world.create("good-1", **repositories("a"))
        await until(lambda: world.states(id_) == ["healthy"])
        (first,) = world.engine.commits.values()
        resolve = world.engine.resolve

        async def refuse(workload: Workload, progress: Callable[[str], None]) -> Image:  # noqa: ARG001
            raise ImageError(f"Image {workload.image} was removed.", permanent=True)

        world.engine.resolve = refuse  # type: ignore[method-assign]
        world.update(id_, "good-1", **repositories("a"))
        await until(lambda: world.error(id_) is not None)
        world.engine.resolve = resolve  # type: ignore[method-assign]
        world.update(id_, "good-2", **repositories("a"))
        await until(lambda: world.images(id_) == ["good-2"] and len(world.engine.by_id) == 1)
        world.update(id_, "good-1", **repositories("a"))
        await until(lambda: world.images(id_) == ["good-1"] and len(world.engine.by_id) == 1)
        (last,) = world.engine.by_id
        assert world.engine.commits[last] == first

    run(test)


def test_files_of_containers_are_kept() -> None:
    """While containers of a revision run, the files of their commits are in use, whatever happens to later revisions."""

    async def test(world: World) -> None:
        def runs(image: str) -> bool:
            return [world.engine.images[container] for container in world.engine.by_id] == [image]

        id_ = world.create("good-1", **repositories("a"))
        await until(lambda: world.states(id_) == ["healthy"])
        (serving,) = world.engine.commits.values()
        assert set(serving) <= world.engine.in_use  # which is read when all repositories have been cloned
        world.update(id_, "good-1", **repositories("a", "missing"))
        await until(lambda: world.error(id_) is not None)
        assert set(serving) <= world.engine.in_use
        for image in ("good-2", "good-3"):
            world.update(id_, image, **repositories("a"))
            await until(partial(runs, image))
        assert not set(serving) & world.engine.in_use

    run(test)


def test_files_of_deployments_that_do_not_exist() -> None:
    """They are removed, for example if the server was killed just before; those of other deployments are kept."""

    async def test(world: World) -> None:
        world.engine.files.add("deleted")
        id_ = world.create("good-1", **repositories("a"))
        await until(lambda: world.states(id_) == ["healthy"] and world.engine.forgotten != [])
        assert (world.engine.files, world.engine.forgotten) == ({id_}, ["deleted"])

    run(test)


def test_repository_that_cannot_be_cloned() -> None:
    """The reason is that of the revision, and the old one serves on. If the failure may pass, another attempt follows."""

    async def test(world: World) -> None:
        id_ = world.create("good-1", **repositories("a"))
        await until(lambda: world.states(id_) == ["healthy"])
        world.update(id_, "good-1", **repositories("unreachable"))
        text = "The host does not respond. The next attempt follows after 1 s."
        await until(lambda: text in world.messages(id_))
        assert world.error(id_) is None
        world.update(id_, "good-1", **repositories("missing"))
        await until(lambda: world.error(id_) == "There is no repository missing.")
        assert [world.engine.images[container.id] for container in world.engine.running()] == ["good-1"]

    run(test)


def test_clones_of_a_deleted_deployment_are_removed() -> None:
    """When nothing of a deployment is left, the engine removes what it has stored for it."""

    async def test(world: World) -> None:
        id_ = world.create("good-1", **repositories("a"))
        await until(lambda: world.states(id_) == ["healthy"])
        assert world.engine.forgotten == []
        world.delete(id_)
        await until(lambda: world.engine.forgotten == [id_])
        assert world.engine.by_id == {}

    run(test)


class RecordingRouter(NoGateway):
    """Records changes of who may use an endpoint, and when instances get requests."""

    problem: str | None = None

    def __init__(self) -> None:
        super().__init__()
        self.access: Access | None = None
        self.calls: list[object] = []

    def routes(self, deployment_id: str) -> Routes:
        return super().routes(deployment_id)._replace(problem=self.problem)

    async def expose(self, deployment_id: str, access: Access | None = None) -> None:  # noqa: ARG002
        if access != self.access:
            self.access = access
            self.calls.append(access)

    async def route(self, deployment_id: str, instance_id: str, target: Target) -> None:
        self.calls.append("route")
        await super().route(deployment_id, instance_id, target)

    async def unroute(self, deployment_id: str, instance_id: str) -> None:
        await super().unroute(deployment_id, instance_id)
        self.calls.append("unroute")


@pytest.mark.parametrize("end", ["delete", "stop", "scale"])
def test_ended_while_the_engine_does_not_respond(end: str) -> None:
    """A deployment that is deleted or stopped gets no new requests, also while its containers cannot be stopped."""

    async def test(world: World) -> None:
        id_ = world.create("good-1", 2)
        await until(lambda: world.states(id_) == ["healthy"] * 2)
        assert len(world.router.routes(id_).routed) == 2
        world.engine.available = False
        match end:
            case "delete":
                world.delete(id_)
            case "stop":
                world.update(id_, "good-1", 2, enabled=False)
            case _:
                world.update(id_, "good-1", 0)
        await until(lambda: not world.router.routes(id_).routed)
        assert len(world.engine.by_id) == 2
        world.engine.available = True
        await until(lambda: not world.engine.by_id)

    run(test)


def test_a_commit_is_not_forgotten() -> None:
    """If the database cannot be read after a commit, it is read again soon, and not only with the next resync."""

    class Busy(World):
        failures = 0

        async def change(self, function: Callable[[Records], T]) -> T:
            if self.failures:
                self.failures -= 1
                raise sqlite3.OperationalError("database is locked")
            return await super().change(function)

    async def main() -> None:
        world = Busy()
        async with world.controller():
            first = world.create("good-1")
            await until(lambda: world.states(first) == ["healthy"])
            world.failures = 1
            second = world.create("good-1")
            await until(lambda: world.states(second) == ["healthy"])
        world.database.close()

    asyncio.run(main())


PROTECTED: dict[str, Any] = {"endpointSecurity": {"protected": True}}


def test_protected_before_it_is_routed_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """A container of a protected revision between two others is protected before the gateway, which lost its files, routes to it."""

    async def test(world: World) -> None:
        id_ = world.create("good-1", 2)
        await until(lambda: world.states(id_) == ["healthy"] * 2)
        start = world.engine.start

        async def start_one(key: ContainerKey, workload: Workload, host_port: int) -> Container:
            if workload.image != "good-2" or "good-2" in world.images(id_):
                await asyncio.get_running_loop().create_future()
            return await start(key, workload, host_port)

        monkeypatch.setattr(world.engine, "start", start_one)
        world.update(id_, "good-2", 2, **PROTECTED)
        await until(lambda: sorted(world.images(id_)) == ["good-1", "good-2"])
        world.update(id_, "good-3", 2)
        await until(lambda: [row["state"] for row in world.instances(id_)].count("pending") == 1)
        router = world.router
        router.access, router.calls, router._routed = None, [], {}
        world._controller._resync_soon()
        await until(lambda: len(router.routes(id_).routed) == 2)
        access = world.workloads.passwords.access(id_, PROTECTED["endpointSecurity"])
        assert router.calls == [access, "route", "route"]

    run(test)


def test_protected_before_it_is_routed() -> None:
    """A protected deployment is protected before its containers get requests, and as long as they do."""

    async def test(world: World) -> None:
        id_ = world.create("good-1", **PROTECTED)
        access = world.workloads.passwords.access(id_, PROTECTED["endpointSecurity"])
        await until(lambda: world.states(id_) == ["healthy"])
        assert world.router.calls == [access, "route"]
        world.update(id_, "good-2")
        await until(lambda: world.router.calls == [access, "route", "route", "unroute", None])
        world.update(id_, "good-3", **PROTECTED)
        await until(lambda: world.router.calls[5:] == [access, "route", "unroute"])
        assert world.router.access == access

    run(test)


def test_a_change_of_the_protection_replaces_nothing() -> None:
    """The containers stay, and the change is in effect, also while the engine does not respond."""

    async def test(world: World) -> None:
        id_ = world.create("good-1", 2)
        access = world.workloads.passwords.access(id_, PROTECTED["endpointSecurity"])
        await until(lambda: world.states(id_) == ["healthy"] * 2)
        before = list(world.engine.by_id)
        for available in (True, False):
            world.engine.available = available
            world.update(id_, "good-1", 2, **PROTECTED)
            await until(lambda: world.router.access == access)
            world.engine.available = True
            world.update(id_, "good-1", 2)
            await until(lambda: world.router.access is None)
        assert list(world.engine.by_id) == before

    run(test)


def test_containers_that_the_database_does_not_know_do_not_count() -> None:
    """A deployment of which only unknown containers are left is finished: its endpoint is removed, its containers are not."""
    world = World()
    unknown = world.engine.create(ContainerKey("d", "i", 1, "t"), "good", PORTS[-1])
    limits = Limits(timedelta(minutes=1), timedelta(minutes=1))
    with world.database.writing():
        decision = decide(world.records, "d", [unknown], NO_ROUTES, {}, limits, Stopwatch())
    assert decision == Decision([], frozenset(), exists=False, finished=True)
