"""The server as an object: it starts, it stops, and leaves nothing behind."""

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
    """After the block there is no thread, no listening socket and no unclosed thing left."""
    before = set(threading.enumerate())
    with LocalServer() as server:
        assert caller(server)(QUERY).data
        address = server.url.split("/")[2].split(":")
    assert set(threading.enumerate()) == before
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection((address[0], int(address[1])))
    gc.collect()


def test_a_server_can_be_started_again(caller: type[Caller]) -> None:
    """A server that was stopped can be started again; stopping twice is harmless, starting twice is not done."""
    server = LocalServer()
    for _ in range(2):
        server.start()
        with pytest.raises(RuntimeError, match="running already"):
            server.start()
        assert caller(server)(QUERY).data == {"deployments": {"nodes": []}}
        caller(server).create()
        server.stop()
        server.stop()


def test_servers_do_not_meet(caller: type[Caller]) -> None:
    """Two servers in one process have addresses, keys and data of their own."""
    with LocalServer() as one, LocalServer() as two:
        assert one.url != two.url
        assert one.api_key != two.api_key
        caller(one).create()
        assert caller(two)(QUERY).data == {"deployments": {"nodes": []}}


@pytest.mark.anyio
async def test_it_runs_on_the_running_loop() -> None:
    """In an `async with` block the server runs on the caller's own loop, and responses many at once."""
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
    """A port that is taken is the OSError of the system, raised where the server was started."""
    with LocalServer() as server, pytest.raises(OSError, match="in use"):
        LocalServer(port=int(server.url.split(":")[2].split("/")[0])).start()


@pytest.mark.parametrize("key", ["", "with space", "é", "line\nend"])
def test_keys_that_no_header_can_carry(key: str) -> None:
    """A key that cannot be sent in a header is refused at once."""
    with pytest.raises(ValueError, match="visible ASCII"):
        LocalServer(api_key=key)


def test_the_address_of_an_ipv6_host() -> None:
    """An IPv6 address stands in brackets in the URL, and works."""
    if not socket.has_ipv6:
        pytest.skip("no IPv6 here")
    try:
        server = LocalServer(host="::1")
        server.start()
    except OSError:
        pytest.skip("no IPv6 here")
    assert server.url.startswith("http://[::1]:")
    server.stop()
