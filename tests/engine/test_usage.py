"""What containers of the Docker engine use."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest
from tests.engine.conftest import idle, new_key, shell

from paperspace.gradient.server.controller.engine import Container
from paperspace.gradient.server.docker.engine import DockerEngine
from paperspace.gradient.server.usage import Usage, cpus_between

pytestmark = pytest.mark.anyio
Port = Callable[[], int]

MB = 1_000_000
BUSY = "while true; do i=$((i + 1)); done"
# `tail` keeps what it has read until the end of its input.
FIFTY_MB = "{ head -c 50000000 /dev/zero; echo written >&2; sleep 600; } | tail"
FILE_OF_FIFTY_MB = "head -c 50000000 /dev/zero > /file; echo written >&2; sleep 600"


async def usage(engine: DockerEngine, container: Container) -> Usage:
    found = await engine.usage(container)
    assert found is not None
    return found


async def written(engine: DockerEngine, container: Container) -> None:
    async with asyncio.timeout(30):
        while "written" not in await engine.last_lines(container.id, 1):  # noqa: ASYNC110
            await asyncio.sleep(0.05)


async def test_cpu(engine: DockerEngine, free_port: Port) -> None:
    """A busy container uses up to the CPUs of its instance type; one that does nothing uses nearly none."""
    busy = await engine.start(new_key(), shell(BUSY, instance_type="C2"), free_port())
    quiet = await engine.start(new_key(), idle(), free_port())
    before = await usage(engine, busy), await usage(engine, quiet)
    await asyncio.sleep(1)
    after = await usage(engine, busy), await usage(engine, quiet)
    await engine.remove(busy.id)
    used, unused = (cpus_between(*pair) for pair in zip(before, after, strict=True))
    assert used is not None
    assert unused is not None
    assert 0 <= unused < used < 1.2
    assert after[0].cpus == 1
    assert after[1].cpus >= 1  # those of the machine


async def test_memory(engine: DockerEngine, free_port: Port) -> None:
    """The memory of a container counts, and cached files do not; the limit is that of the instance type."""
    holds = await engine.start(new_key(), shell(FIFTY_MB, instance_type="C2"), free_port())
    writes = await engine.start(new_key(), shell(FILE_OF_FIFTY_MB), free_port())
    for container in (holds, writes):
        await written(engine, container)
    async with asyncio.timeout(30):
        while (await usage(engine, holds)).memory < 50 * MB:  # noqa: ASYNC110
            await asyncio.sleep(0.05)
    assert (await usage(engine, holds)).memory_limit == 2**30
    assert (await usage(engine, writes)).memory < 25 * MB
    assert (await usage(engine, writes)).memory_limit > 2**30  # that of the machine


async def test_a_container_that_is_gone(engine: DockerEngine, free_port: Port) -> None:
    """A container that has exited, or was removed since it was listed, is no error."""
    container = await engine.start(new_key(), idle(), free_port())
    assert await engine.usage(container) is not None
    await engine.stop(container.id, 1)
    assert await engine.usage(container) is None
    await engine.remove(container.id)
    assert await engine.usage(container) is None
