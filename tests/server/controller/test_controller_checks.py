"""Health checks of the controller, with an engine in memory, containers that respond over real sockets, and short periods."""

from __future__ import annotations

import asyncio
import threading
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest
from tests.server.controller.test_controller import PATIENCE, World, run, running, until
from tests.server.controller.test_events import message, told

from paperspace.gradient.server.controller import command_limit, monitor
from paperspace.gradient.server.controller.checks import checks_of
from paperspace.gradient.server.controller.controller import Options
from paperspace.gradient.server.controller.engine import Execution
from paperspace.gradient.server.storage.budget import UNLIMITED, Budget
from paperspace.gradient.server.tasks import cancel

if TYPE_CHECKING:
    pass

PERIOD = 0.05


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Periods are not whole seconds, restarts follow at once, and each failure is reported."""
    monkeypatch.setattr("paperspace.gradient.server.controller.restarts.FIRST_DELAY", timedelta(seconds=0.05))
    monkeypatch.setattr(monitor, "SILENCE", 0.0)


def request(path: str, **more: Any) -> dict[str, Any]:
    return {"path": path, "periodSeconds": PERIOD, "timeoutSeconds": 10, **more}


def command(program: str) -> dict[str, Any]:
    return {"exec": {"command": [program]}, "periodSeconds": PERIOD, "timeoutSeconds": 10}


def routed(world: World, id_: str) -> int:
    return len(world._controller._router.routes(id_).routed)


def containers(world: World) -> set[str]:
    return {container.id for container in world.engine.running()}


def test_readiness() -> None:
    """A container is routed while its check passes; whether it does never ends it."""

    async def test(world: World) -> None:
        id_ = world.create("good-1", healthChecks={"readiness": request("/ready")})
        await until(lambda: "readiness: GET /ready returned 404." in world.messages(id_))
        assert (world.states(id_), routed(world, id_)) == (["pending"], 0)
        world.engine.statuses["/ready"] = 200
        await until(lambda: world.states(id_) == ["healthy"])
        before = containers(world)
        for status in (503, 302):
            world.engine.statuses["/ready"] = status
            if status == 503:
                await until(lambda: world.states(id_) == ["pending"] and routed(world, id_) == 0)
            else:
                await until(lambda: world.states(id_) == ["healthy"] and routed(world, id_) == 1)
        assert containers(world) == before
        assert message(world, id_, "Unready") == "readiness: GET /ready returned 503 (3 of 3 failures)."
        assert told(world, id_)["Ready"] == 2

    run(test)


def test_liveness() -> None:
    """A container whose check fails is stopped, and another one starts when it has ended."""

    async def test(world: World) -> None:
        world.engine.exit_codes["alive"] = 0
        id_ = world.create("good-1", healthChecks={"liveness": command("alive")})
        await until(lambda: world.states(id_) == ["healthy"])
        before = containers(world)
        world.engine.exit_codes["alive"] = 7
        await until(lambda: "Unhealthy" in told(world, id_))
        world.engine.exit_codes["alive"] = 0
        await until(lambda: world.states(id_) == ["healthy"] and containers(world) not in (before, set()))
        assert len(world.engine.by_id) == 1
        expected = "liveness: alive exited with code 7: output of alive (3 of 3 failures); restarting after 0.05 s."
        assert expected in world.messages(id_)
        assert "Crashed" not in told(world, id_)

    run(test)


def test_commands_that_are_not_run() -> None:
    """If the engine does not run the commands of checks, a container stays as it is, and an event says why; later it is checked."""

    async def test(world: World) -> None:
        world.engine.exit_codes |= {"alive": 0, "ready": 0}
        checks = {"liveness": command("alive"), "readiness": command("ready")}
        id_ = world.create("good-1", healthChecks=checks)
        await until(lambda: world.states(id_) == ["healthy"])
        before = containers(world)
        world.engine.refused = {"alive"}
        await until(lambda: "CheckUnknown" in told(world, id_))
        assert message(world, id_, "CheckUnknown") == (
            "liveness: alive cannot be run: not allowed. The result does not count."
        )
        world.engine.refused = {"alive", "ready"}
        await until(lambda: told(world, id_)["CheckUnknown"] == 2)
        await asyncio.sleep(10 * PERIOD)  # more than three failures
        assert told(world, id_)["CheckUnknown"] == 2
        assert (world.states(id_), routed(world, id_), containers(world)) == (["healthy"], 1, before)
        world.engine.refused = set()
        world.engine.exit_codes["ready"] = 1
        await until(lambda: world.states(id_) == ["pending"])
        assert "Unhealthy" not in told(world, id_)

    run(test)


def test_command_of_a_new_revision_that_is_not_run() -> None:
    """A new revision whose check is not run does not get ready, and fails with that reason."""

    async def test(world: World) -> None:
        world.engine.refused = {"started"}
        id_ = world.create("good-1", healthChecks={"startup": command("started") | {"failureThreshold": 1}})
        await until(lambda: world.states(id_) == ["failed"])
        assert str(world.error(id_)).endswith("after its start. startup: started cannot be run: not allowed.")

    run(test, Options(progress_deadline=timedelta(seconds=0.2)))


def test_startup() -> None:
    """Until the startup check passes, no other check runs; then they do, and the start took longer than a readiness deadline."""

    async def test(world: World) -> None:
        checks = {
            "startup": request("/started", failureThreshold=10_000),
            "liveness": request("/live", failureThreshold=1),
        }
        id_ = world.create("good-1", healthChecks=checks)
        await until(lambda: "startup: GET /started returned 404." in world.messages(id_))
        await asyncio.sleep(0.5)  # more than the deadline
        assert world.error(id_) is None
        before = containers(world)
        world.engine.statuses |= {"/started": 200, "/live": 200}
        await until(lambda: world.states(id_) == ["healthy"])
        assert containers(world) == before
        assert "Unhealthy" not in told(world, id_)
        del world.engine.statuses["/live"]
        await until(lambda: "Unhealthy" in told(world, id_))

    run(test, Options(progress_deadline=timedelta(seconds=0.2)))


def test_a_revision_that_fails_its_checks() -> None:
    """A new revision that never starts fails with the check as its reason, and what served before is untouched."""

    async def test(world: World) -> None:
        id_ = world.create("good-1")
        await until(lambda: world.states(id_) == ["healthy"])
        before = containers(world)
        world.update(id_, "good-2", healthChecks={"startup": request("/", failureThreshold=2)})
        await until(lambda: world.error(id_) == "startup: GET / returned 404 (2 of 2 failures); no more restarts.")
        await until(lambda: containers(world) == before)

    run(test)


def test_new_checks_apply_to_running_containers() -> None:
    """A change of the checks alone keeps the containers, and is in effect."""

    async def test(world: World) -> None:
        id_ = world.create("good-1", 2)
        await until(lambda: world.states(id_) == ["healthy"] * 2)
        before = containers(world)
        world.update(id_, "good-1", 2, healthChecks={"readiness": request("/ready")})
        await until(lambda: world.states(id_) == ["pending"] * 2)
        world.update(id_, "good-1", 2, healthChecks={"readiness": command("ready")})
        world.engine.exit_codes["ready"] = 0
        await until(lambda: world.states(id_) == ["healthy"] * 2)
        world.update(id_, "good-1", 2)
        await until(lambda: not probes(world, id_))
        assert containers(world) == before
        assert world.states(id_) == ["healthy"] * 2

    run(test)


def probes(world: World, id_: str) -> list[object]:
    return list(world._controller._workers[id_]._tasks)


def test_checks_of_a_large_spec() -> None:
    """The controller reads the checks of a spec without the rest, which may be large or secret."""

    async def test(world: World) -> None:
        env = [{"name": "BIG", "value": "x" * 100_000}]
        world.engine.statuses["/ready"] = 200
        id_ = world.create("good-1", port=8080, env=env, healthChecks={"readiness": request("/ready")})
        await until(lambda: world.states(id_) == ["healthy"])
        with world.database.reading(Budget(UNLIMITED._replace(read_bytes=10_000))):
            (instance,) = world.records.instances(id_)
        assert instance.checks == checks_of({"port": 8080, "healthChecks": {"readiness": request("/ready")}})

    run(test)


def test_an_engine_that_is_away() -> None:
    """While the engine does not respond, the result of a command is unknown, and nothing is restarted."""

    async def test(world: World) -> None:
        world.engine.exit_codes["alive"] = 0
        id_ = world.create("good-1", healthChecks={"liveness": command("alive"), "readiness": command("alive")})
        await until(lambda: world.states(id_) == ["healthy"])
        before = containers(world)
        world.engine.available = False
        await asyncio.sleep(PERIOD * 10)
        world.engine.available = True
        await asyncio.sleep(PERIOD * 10)
        assert (containers(world), routed(world, id_)) == (before, 1)
        assert set(told(world, id_)).isdisjoint({"Unready", "Unhealthy"})

    run(test)


def test_a_restarted_controller() -> None:
    """A new controller leaves a ready container ready, and goes on with its checks."""

    async def main() -> None:
        async with running() as world:
            world.engine.statuses["/ready"] = 200
            checks = {"startup": request("/started"), "readiness": request("/ready")}
            world.engine.statuses["/started"] = 200
            id_ = world.create("good-1", healthChecks=checks)
            await until(lambda: world.states(id_) == ["healthy"])
            before = containers(world)
            del world.engine.statuses["/started"]
            await world._controller.__aexit__()
            async with world.controller():
                await until(lambda: routed(world, id_) == 1)
                world.engine.statuses["/ready"] = 500
                await until(lambda: world.states(id_) == ["pending"])
                assert containers(world) == before

    asyncio.run(main())


def test_many_checks_need_no_threads() -> None:
    """100 deployments with two checks each run in one thread, with a task for each container."""

    async def test(world: World) -> None:
        world.engine.statuses["/"] = 200
        checks = {"readiness": {"path": "/"}, "liveness": {"path": "/"}}
        ids = [world.create("good-1", healthChecks=checks) for _ in range(40)]
        await until(lambda: all(world.states(id_) == ["healthy"] for id_ in ids))
        assert threading.active_count() < 10

    run(test)


def test_commands_that_hang(monkeypatch: pytest.MonkeyPatch) -> None:
    """Commands that hang delay neither those of other deployments nor those of other replicas."""
    monkeypatch.setattr(command_limit, "COUNTED", 0.05)
    replicas = command_limit.MAX_COMMANDS + 4

    async def test(world: World) -> None:
        hanging: set[str] = set()
        execute = world.engine.execute

        async def hang(container_id: str, command: tuple[str, ...], timeout: float) -> Execution:
            if command != ("hang",):
                return await execute(container_id, command, timeout)
            hanging.add(container_id)
            await asyncio.Event().wait()
            raise AssertionError

        monkeypatch.setattr(world.engine, "execute", hang)
        world.engine.exit_codes["ready"] = 0
        world.create("good-1", replicas, healthChecks={"readiness": command("hang")})
        await until(lambda: len(hanging) == replicas)
        id_ = world.create("good-1", healthChecks={"readiness": command("ready")})
        await until(lambda: world.states(id_) == ["healthy"])

    run(test)


def test_a_deployment_has_a_part_of_the_commands(monkeypatch: pytest.MonkeyPatch) -> None:
    """The commands of one deployment never take all places, not even for a moment."""
    monkeypatch.setattr(command_limit, "COUNTED", 3600.0)

    async def main() -> None:
        own, other = (asyncio.Semaphore(command_limit.MAX_OWN_COMMANDS) for _ in range(2))
        shared = asyncio.Semaphore(command_limit.MAX_COMMANDS)

        async def hang() -> None:
            async with command_limit.limited(own, shared):
                await asyncio.Event().wait()

        tasks = [asyncio.create_task(hang()) for _ in range(command_limit.MAX_COMMANDS)]
        await asyncio.sleep(0)
        async with asyncio.timeout(PATIENCE), command_limit.limited(other, shared):
            pass
        await cancel(tasks)
        assert not own.locked()
        assert not shared.locked()

    asyncio.run(main())
