"""The server as an object: start, stop, and cleanup."""

from __future__ import annotations

import asyncio
import gc
import socket
import threading
from typing import TYPE_CHECKING, Any

import aiohttp
import pytest

from paperspace.gradient.server import LocalServer
from paperspace.gradient.server.graphql.execution import Executor, Request, Response

if TYPE_CHECKING:
    from tests.raw_client import Caller


QUERY = "{ deployments { nodes { name } } }"


def test_nothing_is_left_running(caller: type[Caller]) -> None:
    """After the block, no thread, listening socket or other resource remains."""
    before = set(threading.enumerate())
    with LocalServer() as server:
        assert caller(server)(QUERY).data
        address = server.url.split("/")[2].split(":")
    assert set(threading.enumerate()) == before
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection((address[0], int(address[1])))
    gc.collect()


def test_a_server_can_be_started_again(caller: type[Caller]) -> None:
    """A stopped server can start again; a second stop does nothing, a second start raises an error."""
    server = LocalServer()
    for _ in range(2):
        server.start()
        with pytest.raises(RuntimeError, match="running already"):
            server.start()
        assert caller(server)(QUERY).data == {"deployments": {"nodes": []}}
        caller(server).create()
        server.stop()
        server.stop()


def test_servers_are_independent(caller: type[Caller]) -> None:
    """Two servers in one process have different URLs, API keys and data."""
    with LocalServer() as one, LocalServer() as two:
        assert one.url != two.url
        assert one.api_key != two.api_key
        caller(one).create()
        assert caller(two)(QUERY).data == {"deployments": {"nodes": []}}


@pytest.mark.anyio
async def test_async_with() -> None:
    """In an `async with` block, the server runs on the running loop and handles concurrent requests."""
    async with LocalServer(api_key="key") as server, aiohttp.ClientSession() as session:

        async def ask() -> Any:
            headers = {"Authorization": "Bearer key"}
            async with session.post(server.url, json={"query": QUERY}, headers=headers) as response:
                return await response.json()

        responses = await asyncio.gather(*(ask() for _ in range(50)))
    assert responses == [{"data": {"deployments": {"nodes": []}}}] * 50


@pytest.mark.anyio
async def test_requests_do_not_block_the_loop(monkeypatch: pytest.MonkeyPatch) -> None:
    """While a request is executed, the event loop runs other tasks, and the health check responds."""
    executing, finish = threading.Event(), threading.Event()
    execute = Executor.execute

    def wait_and_execute(self: Executor, request: Request) -> Response:
        executing.set()
        assert finish.wait(timeout=30)  # on the event loop, nothing could set it
        return execute(self, request)

    monkeypatch.setattr(Executor, "execute", wait_and_execute)
    async with LocalServer(api_key="key") as server, aiohttp.ClientSession() as session:
        headers = {"Authorization": "Bearer key"}
        request = asyncio.create_task(session.post(server.url, json={"query": QUERY}, headers=headers))
        assert await asyncio.to_thread(executing.wait, 60)
        async with session.get(server.url.replace("graphql", "healthz")) as health:
            assert health.status == 200
        assert not request.done()
        finish.set()
        async with await request as response:
            assert response.status == 200


def test_a_port_in_use_is_an_os_error() -> None:
    """If the port is in use, the start raises the system's OSError."""
    with LocalServer() as server, pytest.raises(OSError, match="in use"):
        LocalServer(port=int(server.url.split(":")[2].split("/")[0])).start()


@pytest.mark.parametrize("key", ["", "with space", "é", "line\nend"])
def test_invalid_api_keys(key: str) -> None:
    """An API key that no header can contain raises a ValueError."""
    with pytest.raises(ValueError, match="visible ASCII"):
        LocalServer(api_key=key)


def test_ipv6_host() -> None:
    """The URL has an IPv6 address in brackets."""
    if not socket.has_ipv6:
        pytest.skip("no IPv6 here")
    try:
        server = LocalServer(host="::1")
        server.start()
    except OSError:
        pytest.skip("no IPv6 here")
    assert server.url.startswith("http://[::1]:")
    server.stop()
