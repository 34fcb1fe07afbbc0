"""Events of the Docker engine, and what happens when it restarts."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import time_machine
from tests.engine.conftest import WEB, idle, new_key, shell, workload
from tests.engine.private_engine import PrivateEngine

from paperspace.gradient.server.controller.engine import Container, EngineUnavailableError
from paperspace.gradient.server.docker import engine as docker_engine
from paperspace.gradient.server.docker.address import Address
from paperspace.gradient.server.docker.api import Api
from paperspace.gradient.server.docker.engine import DockerEngine

pytestmark = pytest.mark.anyio
Port = Callable[[], int]


class Changes:
    """Changes as they arrive."""

    def __init__(self) -> None:
        self.received: list[str | None] = []
        self.arrived = asyncio.Condition()

    async def until(self, deployment_id: str | None, count: int = 1) -> None:
        """Wait until a change was received `count` times."""
        async with asyncio.timeout(30), self.arrived:
            await self.arrived.wait_for(lambda: self.received.count(deployment_id) >= count)


@asynccontextmanager
async def receiving(engine: DockerEngine) -> AsyncIterator[Changes]:
    changes = Changes()

    async def receive() -> None:
        async for change in engine.changes():
            async with changes.arrived:
                changes.received.append(change)
                changes.arrived.notify_all()

    task = asyncio.create_task(receive())
    try:
        yield changes
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def test_changes_name_the_deployment(engine: DockerEngine, free_port: Port) -> None:
    """Start, exit, running out of memory and removal are changes of the deployment; first, anything may have changed."""
    async with receiving(engine) as changes:
        await changes.until(None)
        key = new_key()
        container = await engine.start(key, workload(WEB), free_port())
        await changes.until(key.deployment_id, 1)
        await engine.stop(container.id, 0)
        await changes.until(key.deployment_id, 2)
        await engine.remove(container.id)
        await changes.until(key.deployment_id, 3)
        assert changes.received[0] is None
        assert set(changes.received[1:]) == {key.deployment_id}


async def test_changes_of_others_are_not_received(engine: DockerEngine, docker: PrivateEngine, free_port: Port) -> None:
    """The engine filters the events: those of other containers do not wake the server."""
    async with receiving(engine) as changes:
        await changes.until(None)
        docker.docker("run", "--rm", "--network", "none", "--label", "gradient.server=other", "shell:1", "true")
        key = new_key()
        await engine.start(key, shell("exit 1"), free_port())
        await changes.until(key.deployment_id, 2)
        assert changes.received == [None, key.deployment_id, key.deployment_id]


async def test_a_container_that_starts_again_is_inspected_again(
    engine: DockerEngine, docker: PrivateEngine, free_port: Port
) -> None:
    """`docker restart` by hand is seen, although the container runs before and after it."""
    async with receiving(engine) as changes:
        await changes.until(None)
        container = await engine.start(new_key(), workload(WEB), free_port())
        await engine.containers()
        docker.docker("restart", "--time", "0", container.id)
        await changes.until(container.key.deployment_id, 3)
        (restarted,) = await engine.containers()
        assert container.started_at is not None
        assert restarted.started_at is not None
        assert restarted.started_at > container.started_at


async def test_limits_that_change(engine: DockerEngine, docker: PrivateEngine, free_port: Port) -> None:
    """A limit that is changed by hand with `docker update` is known: the use of CPU is a part of it."""
    async with receiving(engine) as changes:
        await changes.until(None)
        container = await engine.start(new_key(), workload(WEB), free_port())
        await changes.until(container.key.deployment_id)
        assert [entry.cpus for entry in await engine.containers()] == [None]
        docker.docker("update", "--cpus", "0.5", container.id)
        await changes.until(container.key.deployment_id, 2)
        assert [entry.cpus for entry in await engine.containers()] == [0.5]


@pytest.mark.parametrize("known", [False, True])
async def test_a_container_that_starts_again_during_a_listing(
    engine: DockerEngine, docker: PrivateEngine, free_port: Port, monkeypatch: pytest.MonkeyPatch, known: bool
) -> None:
    """The next listing inspects it again, whether the one before had to inspect it, or knew it and inspected another one."""
    inspect = engine._inspect

    async with receiving(engine) as changes:
        await changes.until(None)
        container = await engine.start(new_key(), workload(WEB), free_port())
        await changes.until(container.key.deployment_id)
        other = await engine.start(new_key(), workload(WEB), free_port())
        await changes.until(other.key.deployment_id)
        if known:
            await engine.containers()
            engine._observed.pop(other.id)
        slow = other.id if known else container.id

        async def inspect_slowly(name: str) -> Container | None:
            found = await inspect(name)
            if name == slow:
                docker.docker("restart", "--time", "0", container.id)
                await changes.until(container.key.deployment_id, 3)
            return found

        with monkeypatch.context() as patch:
            patch.setattr(engine, "_inspect", inspect_slowly)
            await engine.containers()
        (restarted,) = [found for found in await engine.containers() if found.id == container.id]
        assert container.started_at is not None
        assert restarted.started_at is not None
        assert restarted.started_at > container.started_at


@pytest.mark.parametrize(("end", "skew"), [("stop", 0), ("kill", -1), ("kill", 1)])
async def test_engine_restarts(
    engine: DockerEngine, docker: PrivateEngine, free_port: Port, end: str, skew: int
) -> None:
    """While the engine is down, calls say so; when it is back, the changes go on, and ends meanwhile are not taken as crashes.

    That holds also if the clock of the server is an hour behind that of the engine, or ahead.
    """
    with time_machine.travel(datetime.now(UTC) + timedelta(hours=skew)):
        await check_restart(engine, docker, free_port, end)


async def check_restart(engine: DockerEngine, docker: PrivateEngine, free_port: Port, end: str) -> None:
    async with receiving(engine) as changes:
        await changes.until(None)
        container = await engine.start(new_key(), idle(), free_port())
        getattr(docker, end)()
        try:
            with pytest.raises(EngineUnavailableError, match="does not run"):
                await engine.containers()
        finally:
            docker.start()
        await changes.until(None, 2)
        (restarted,) = await engine.containers()
        assert (restarted.id, restarted.state, restarted.ended_unseen) == (container.id, "exited", True)
        key = new_key()
        crashed = await engine.start(key, shell("exit 3"), free_port())
        await changes.until(key.deployment_id, 2)
        (seen,) = (container for container in await engine.containers() if container.id == crashed.id)
        assert (seen.state, seen.ended_unseen) == ("exited", False)


async def test_the_clock_of_the_engine_is_set_back(
    engine: DockerEngine, free_port: Port, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An end that was received as an event is seen, also if the clock of the engine was an hour ahead at the connection."""
    system_info = docker_engine._system_info

    async def ahead(api: Api) -> Mapping[str, Any]:
        info = await system_info(api)
        time = datetime.fromisoformat(info["SystemTime"]) + timedelta(hours=1)
        return {**info, "SystemTime": time.isoformat()}

    monkeypatch.setattr(docker_engine, "_system_info", ahead)
    async with receiving(engine) as changes:
        await changes.until(None)
        key = new_key()
        await engine.start(key, shell("exit 3"), free_port())
        await changes.until(key.deployment_id, 2)
        (ended,) = (container for container in await engine.containers() if container.key == key)
        assert (ended.state, ended.ended_unseen) == ("exited", False)


async def test_calls_wait_for_the_connection(docker: PrivateEngine) -> None:
    """What is called while the engine is opened waits for it. If that fails, the error is the reason."""
    engine = DockerEngine(address=Address(docker.url, "the test"))
    containers = asyncio.ensure_future(engine.containers())
    await engine.open("a server")
    assert await containers == []
    await engine.close()

    engine = DockerEngine(address=Address("unix:///nosuch.sock", "the test"))
    containers = asyncio.ensure_future(engine.containers())
    with pytest.raises(EngineUnavailableError, match="does not run"):
        await engine.open("a server")
    with pytest.raises(EngineUnavailableError, match="does not run"):
        await containers
