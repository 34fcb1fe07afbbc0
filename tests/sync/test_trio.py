"""The library in programs that run on trio."""

from __future__ import annotations

import re

import pytest
import trio
from tests.samples import SPEC

from paperspace.gradient import AsyncClient, Client, GradientError
from paperspace.gradient.aio import deployments as aio_deployments
from paperspace.gradient.server import LocalServer

MESSAGE = re.compile(r"need asyncio.*trio is not supported.*sync functions in a thread")


@pytest.mark.usefixtures("environment")
def test_async_functions(server: LocalServer) -> None:
    """Under trio, each kind of async function says that it needs asyncio, and what to do instead."""

    async def main() -> None:
        with pytest.raises(GradientError, match=MESSAGE):
            await aio_deployments.list_deployments()
        with pytest.raises(GradientError, match=MESSAGE):
            await aio_deployments.create_deployment("a", "p", SPEC, wait=True)
        with pytest.raises(GradientError, match=MESSAGE):
            async for _ in aio_deployments.iter_deployments():
                pass
        with pytest.raises(GradientError, match=MESSAGE):
            async with AsyncClient(server.api_key, server.url):
                pass
        client = AsyncClient(server.api_key, server.url)
        with pytest.raises(GradientError, match=MESSAGE):
            await client.execute("query Names { deployments(first: 1) { nodes { name } } }")

    trio.run(main)


def test_sync_functions(client: Client) -> None:
    """What the message says works: sync functions in a thread of trio."""

    async def main() -> list[str]:
        await trio.to_thread.run_sync(client.deployments.create_deployment, "a", "p", SPEC)
        return [entry["name"] for entry in await trio.to_thread.run_sync(client.deployments.list_deployments)]

    assert trio.run(main) == ["a"]
