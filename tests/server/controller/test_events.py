"""The events of deployments that a controller runs, on an engine in memory."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, get_args

import pytest
from tests.server.controller.memory_engine import ServingEngine
from tests.server.controller.test_controller import PATIENCE, World, run, running, until
from tests.server.controller.test_server import OPTIONS, in_thread, spec

from paperspace.gradient.server import LocalServer
from paperspace.gradient.server.controller import steps
from paperspace.gradient.server.controller.controller import Options
from paperspace.gradient.server.controller.engine import Image, ImageError, Workload
from paperspace.gradient.server.controller.events import event_of
from paperspace.gradient.server.engines.reasons import Reason
from paperspace.gradient.server.engines.runtime import InstanceNoted, InstanceRemoved, SpecNoted, StateChanged

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

NOW = datetime(2024, 5, 17, 9, 30, tzinfo=UTC)

EVENTS: dict[steps.Change, object] = {
    steps.Serve("s"): SpecNoted("s", NOW, Reason.SERVING, "The endpoint belongs to this revision now."),
    steps.Fail("s", "why"): SpecNoted("s", NOW, Reason.ROLLOUT_FAILED, "why"),
    steps.Adopt("i", "s"): None,
    steps.Add("s", 2): None,
    steps.Leave("i"): InstanceNoted(
        "i",
        NOW,
        Reason.STOPPING,
        "The instance is not needed any more. It gets no new requests, and stops when its active ones have ended.",
    ),
    steps.Gone("i"): InstanceRemoved("i", NOW, "The instance was removed.", Reason.REMOVED),
    steps.AssignPort("i"): None,
    steps.Restart("i", 1, NOW): None,
    steps.Started("i"): InstanceNoted("i", NOW, Reason.STARTED, "The container runs."),
    steps.SetState("i", "Running", "healthy", "m", Reason.READY): StateChanged(
        "i", NOW, "Running", "healthy", "m", Reason.READY
    ),
}


def test_every_change() -> None:
    """Each kind of change is an event, or none."""
    assert {change: event_of(change, NOW) for change in EVENTS} == EVENTS
    assert {type(change) for change in EVENTS} == set(get_args(steps.Change))


def events(world: World, id_: str) -> list[Any]:
    """Return the events of a deployment, oldest first."""
    with world.database.reading():
        return [
            dict(row)
            for row in world.database.rows("SELECT * FROM events_now WHERE deployment_id = ? ORDER BY seq", id_)
        ]


def told(world: World, id_: str) -> dict[str, int]:
    """Return how often each event has happened, by its reason."""
    counts: dict[str, int] = {}
    for event in events(world, id_):
        counts[event["reason"]] = counts.get(event["reason"], 0) + event["count"]
    return counts


def message(world: World, id_: str, reason: str) -> str:
    """Return the last message of an event."""
    return [str(event["message"]) for event in events(world, id_) if event["reason"] == reason][-1]


@pytest.fixture(autouse=True)
def _quick_restarts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("paperspace.gradient.server.controller.restarts.FIRST_DELAY", timedelta(seconds=0.02))


def test_a_rollout() -> None:
    """The events of a deployment tell its life: created, pulled, started, ready, serving, replaced, stopped."""

    async def test(world: World) -> None:
        id_ = world.create("good-1")
        await until(lambda: "Serving" in told(world, id_))
        pulling = [event["reason"] for event in events(world, id_) if event["reason"] != "Pulling"]
        assert pulling == ["RolloutStarted", "Pulled", "Started", "Ready", "Serving"]
        assert message(world, id_, "RolloutStarted") == "Ada created the deployment: good-1, 1 replica."
        assert message(world, id_, "Pulled") == "The containers of this revision run sha256:good-1."
        assert message(world, id_, "Ready").startswith("Ready on 127.0.0.1:")
        world.update(id_, "good-2", 1)
        await until(lambda: "Removed" in told(world, id_))
        assert message(world, id_, "RolloutStarted") == "Ada changed image (good-1 to good-2)."
        world.update(id_, "good-2", 0)
        await until(lambda: told(world, id_)["Removed"] == 2)
        counts = told(world, id_)
        assert (counts["Stopped"], counts["Stopping"], counts["Ready"]) == (1, 2, 2)
        assert {event["severity"] for event in events(world, id_)} == {"NORMAL"}
        world.delete(id_)
        await until(lambda: not events(world, id_))

    run(test)


def test_an_image_that_is_not_the_newest() -> None:
    """The event about an image says why the registry does not have it, if the one on this machine is used."""

    async def test(world: World) -> None:
        async def resolve(workload: Workload, progress: Callable[[str], None]) -> Image:
            progress("Pulling good-1.")
            return Image(workload.image_id or "sha256:good-1", "The image that is already on this machine is used.")

        world.engine.resolve = resolve  # type: ignore[method-assign]
        id_ = world.create("good-1")
        await until(lambda: "Ready" in told(world, id_))
        run = "The containers of this revision run sha256:good-1."
        assert message(world, id_, "Pulled") == f"{run} The image that is already on this machine is used."

    run(test)


def test_a_crash_loop() -> None:
    """Crashes are one event with their number, the last reason and the delay; the failure of the revision is another one."""

    async def test(world: World) -> None:
        id_ = world.create("crashing")
        await until(lambda: "RolloutFailed" in told(world, id_))
        counts = told(world, id_)
        assert counts["Crashed"] == 5
        assert len([event for event in events(world, id_) if event["reason"] == "Crashed"]) == 1
        reason = "Exited with code 1 (crash 5); no more restarts."
        assert message(world, id_, "RolloutFailed") == reason
        assert message(world, id_, "Crashed") == f"{reason} Last output: starting | error in crashing"
        assert {"Ready", "Serving"}.isdisjoint(counts)

    run(test)


def test_restarts_of_a_container_that_was_ready() -> None:
    """Each start of a container is counted, and a restart says why, and after how long."""

    async def test(world: World) -> None:
        id_ = world.create("good-1")
        for crash in (1, 2, 3):
            await until(lambda crash=crash: told(world, id_).get("Ready") == crash)  # type: ignore[misc]
            assert told(world, id_)["Started"] == crash
            world.engine.exit(world.engine.running()[0].id, 137)
            await until(lambda crash=crash: told(world, id_).get("Crashed") == crash)  # type: ignore[misc]
        assert message(world, id_, "Crashed").startswith("Ended by SIGKILL (crash 3); restarting after 0.08 s.")
        await until(lambda: told(world, id_).get("Ready") == 4)
        world.engine.lose(world.engine.running()[0].id)
        await until(lambda: told(world, id_).get("Ready") == 5)
        counts = told(world, id_)
        assert (counts["Lost"], counts["Started"]) == (1, 5)

    run(test)


@pytest.mark.parametrize(
    ("image", "reason", "count", "words"),
    [
        ("missing", "PullFailed", 1, "There is no image missing."),
        ("broken", "StartFailed", 5, "The command does not exist. (crash 5); no more restarts."),
        ("silent", "Unhealthy", 1, "Not ready 0.2 s after its start."),
    ],
)
def test_revisions_that_fail(image: str, reason: str, count: int, words: str) -> None:
    """Each kind of failure has a reason of its own, and the revision fails."""

    async def test(world: World) -> None:
        id_ = world.create(image)
        await until(lambda: "RolloutFailed" in told(world, id_))
        assert told(world, id_)[reason] == count
        assert message(world, id_, reason).startswith(words.replace("exist. (", "exist ("))
        assert "Crashed" not in told(world, id_)

    monkeypatch = pytest.MonkeyPatch()
    with monkeypatch.context() as context:
        context.setattr("paperspace.gradient.server.controller.readiness.SILENCE", 0.0)
        run(test, Options(progress_deadline=timedelta(seconds=0.2)))


def test_a_pull_that_fails_for_a_while() -> None:
    """Failed attempts of a pull are counted; the pull itself is one event, however often it reports its progress."""

    async def test(world: World) -> None:
        failures = iter(range(2))
        resolve = world.engine.resolve

        async def flaky(workload: Workload, progress: Callable[[str], None]) -> Image:
            for percent in range(0, 100, 20):
                progress(f"Pulling {workload.image}, {percent} %.")
                await asyncio.sleep(0.01)
            if next(failures, None) is not None:
                raise ImageError("The registry does not respond.", permanent=False)
            return await resolve(workload, progress)

        world.engine.resolve = flaky  # type: ignore[method-assign]
        id_ = world.create("good-1")
        await until(lambda: "Ready" in told(world, id_))
        counts = told(world, id_)
        assert (counts["Pulling"], counts["PullFailed"], counts["Pulled"]) == (1, 2, 1)
        assert message(world, id_, "PullFailed").startswith(
            "The registry does not respond. The next attempt follows after"
        )

    monkeypatch = pytest.MonkeyPatch()
    with monkeypatch.context() as context:
        context.setattr("paperspace.gradient.server.controller.worker.PROGRESS_INTERVAL", 0.0)
        context.setattr("paperspace.gradient.server.controller.restarts.FIRST_DELAY", timedelta(seconds=0.2))
        run(test)


def test_reduced_limits() -> None:
    """That an instance type is reduced to the machine is a warning, once for each revision."""

    async def test(world: World) -> None:
        id_ = world.create("good-1", 2, resources={"replicas": 2, "instanceType": "large"})
        await until(lambda: told(world, id_).get("Ready") == 2)
        (reduced,) = [event for event in events(world, id_) if event["reason"] == "LimitsReduced"]
        assert (reduced["severity"], reduced["message"], reduced["count"]) == ("WARNING", "2 of 8 CPUs.", 1)

    run(test)


def test_what_instances_depend_on() -> None:
    """An engine that does not respond, ports that are used up, and a gateway that does not work are warnings."""

    async def test(world: World) -> None:
        ready = world.create("good-1")
        await until(lambda: "Ready" in told(world, ready))
        world.engine.available = False
        waiting = world.create("good-2")
        await until(lambda: "EngineUnavailable" in told(world, waiting))
        assert message(world, waiting, "EngineUnavailable") == "the engine in memory does not respond"
        world.engine.available = True
        await until(lambda: "Ready" in told(world, waiting))
        world.router.problem = "The gateway does not run."
        world._controller.wake([ready])
        await until(lambda: "GatewayUnavailable" in told(world, ready))
        assert message(world, ready, "GatewayUnavailable").endswith("It gets no requests: The gateway does not run.")
        world.router.problem = None
        world._controller.wake([ready])
        await until(lambda: told(world, ready)["Ready"] == 2)
        assert told(world, ready)["GatewayUnavailable"] == 1
        many = world.create("good-3", 50)
        await until(lambda: "NoFreePort" in told(world, many))

    run(test)


def test_a_restarted_controller_repeats_no_event() -> None:
    """A new controller adds no events for what it finds."""

    async def main() -> None:
        async with running() as world:
            id_ = world.create("good-1", 2)
            await until(lambda: told(world, id_).get("Ready") == 2)
            before = events(world, id_)
            await world._controller.__aexit__()
            async with world.controller():
                other = world.create("good-2")
                await until(lambda: "Ready" in told(world, other))
                await asyncio.sleep(0.05)
                assert events(world, id_) == before

    asyncio.run(main())


def test_a_server_that_is_taken_down() -> None:
    """What `gradient server down` stops is an event of each deployment, and so is its next start."""

    async def main() -> None:
        async with running() as world:
            id_ = world.create("good-1")
            await until(lambda: "Serving" in told(world, id_))
            await world._controller.__aexit__()
            world.engine.lose(world.engine.running()[0].id)
            await world.change(lambda records: records.store_down())
            assert events(world, id_)[-1]["reason"] == "ServerDown"
            async with world.controller():
                await until(lambda: told(world, id_)["Ready"] == 2)
            counts = told(world, id_)
            assert (counts["ServerDown"], counts["Started"], counts.get("Lost"), counts.get("Crashed")) == (
                1,
                2,
                None,
                None,
            )

    asyncio.run(main())


def test_another_engine(tmp_path: Path) -> None:
    """What the simulation was to do does not happen after a change to an engine, and the rollout starts again."""

    async def main() -> None:
        engine, file = ServingEngine(), tmp_path / "gradient.db"
        async with LocalServer(database=file) as server:
            created = await in_thread(server, lambda api: api.create_deployment("mnist", "p", spec("good-1")))
            id_ = created["id"]
        async with LocalServer(database=file, engine=engine, options=OPTIONS) as server:
            await in_thread(server, lambda api: api.wait_for_deployment(id_, timeout=PATIENCE))
            await asyncio.sleep(2)  # the simulation would have been ready
            listed = await in_thread(server, lambda api: api.get_deployment_events(id_))
        assert not [event for event in listed if "Simulated" in event["message"]]
        assert {event["reason"]: event["count"] for event in listed}["RolloutStarted"] == 2

    asyncio.run(main())
