"""Connections: callers that do not read, and a process without file descriptors."""

from __future__ import annotations

import asyncio
import json
import os
import socket
import subprocess
import sys
import time
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import pytest
from aiohttp import web
from tests.raw_client import Caller

from paperspace.gradient.server import LocalServer
from paperspace.gradient.server.http import connections
from paperspace.gradient.server.http.listener import open_listener

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from paperspace.gradient.server.http.middleware import Handler

QUERY = json.dumps({"query": "{ deployments { nodes { id } } }"}).encode()
SIZE = 8_000_000  # more than the buffers of the operating system hold


async def large_response(_request: web.Request, _handler: Handler) -> web.StreamResponse:
    """Respond with much data; a fault that tests inject."""
    return web.Response(body=bytes(SIZE))


@pytest.fixture
def server() -> Iterator[LocalServer]:
    with LocalServer() as server:
        yield server


def send(server: LocalServer) -> socket.socket:
    """Send a request with a large response, which the caller may read or not."""
    server.inject_fault(large_response)
    parts = urlsplit(server.url)
    connection = socket.create_connection((str(parts.hostname), int(parts.port or 0)), timeout=30)
    head = f"POST /graphql HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(QUERY)}\r\n\r\n"
    connection.sendall(head.encode() + QUERY)
    return connection


def received(connection: socket.socket, at_most: int = SIZE) -> int:
    """Return how much a caller receives until it has this much, or the connection is closed."""
    size = 0
    with suppress(ConnectionError):
        while size < at_most and (data := connection.recv(1_000_000)):
            size += len(data)
    return size


def unread(server: LocalServer) -> int:
    return len(server._unread._waiting)


def wait_until(condition: Callable[[], bool]) -> None:
    for _ in range(3000):
        if condition():
            return
        time.sleep(0.01)
    pytest.fail("the condition is still false after half a minute")


def test_a_response_that_is_read_late(server: LocalServer) -> None:
    """A caller that starts to read after a while gets the whole response."""
    with send(server) as connection:
        wait_until(lambda: unread(server) == 1)
        assert received(connection) >= SIZE
    wait_until(lambda: unread(server) == 0)
    assert Caller(server)("{ __typename }").data


def test_the_time_to_read_a_response(server: LocalServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """The connection of a caller that does not read its response in time is closed."""
    monkeypatch.setattr(connections, "READ_TIMEOUT", 0.2)
    monkeypatch.setattr(connections, "READ_RATE", 1_000_000_000)
    with send(server) as connection:
        wait_until(lambda: server._http_server.requests_count == 1 and not server._http_server.connections)
        assert received(connection) < SIZE
    assert unread(server) == 0


@pytest.mark.parametrize(("name", "limit"), [("MAX_UNREAD_RESPONSES", 3), ("MAX_UNREAD_BYTES", 100 * SIZE)])
def test_unread_responses_are_limited(
    server: LocalServer, monkeypatch: pytest.MonkeyPatch, name: str, limit: int
) -> None:
    """Above the limits of number and size, the response that waited longest is given up."""
    monkeypatch.setattr(connections, name, limit)
    with ExitStack() as stack:
        callers = [stack.enter_context(send(server))]
        wait_until(lambda: unread(server) == 1)
        if name == "MAX_UNREAD_BYTES":
            monkeypatch.setattr(connections, name, int(3.5 * server._unread._size))
        callers += [stack.enter_context(send(server)) for _ in range(3)]
        wait_until(lambda: server._http_server.requests_count == 4 and unread(server) == 3)
        wait_until(lambda: len(server._http_server.connections) == 3)
        assert received(callers[0]) < SIZE
        for connection in callers[1:]:
            assert received(connection) >= SIZE


def test_unread_responses_do_not_delay_the_stop() -> None:
    """A caller that does not read does not keep the server from stopping, and its connection is closed."""
    with LocalServer() as server:
        connection = send(server)
        wait_until(lambda: unread(server) == 1)
    with connection:
        assert received(connection) < SIZE


def test_event_loop_that_detaches_the_listener() -> None:
    """The listener leaves no file descriptor behind if the event loop detaches it to close it, as uvloop does."""

    async def listen() -> None:
        os.close((await open_listener("127.0.0.1", 0)).detach())

    descriptors = Path("/proc/self/fd")
    if not descriptors.exists():
        pytest.skip("no list of file descriptors here")
    asyncio.run(listen())
    before = len(list(descriptors.iterdir()))
    asyncio.run(listen())
    assert len(list(descriptors.iterdir())) == before


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no limit of file descriptors")
def test_no_file_descriptor_is_left() -> None:
    """When the process has no file descriptor left, new connections are closed, with one log line; later ones work."""
    script = """
    import logging, os, resource, sys
    from paperspace.gradient.server import LocalServer
    logging.basicConfig()
    resource.setrlimit(resource.RLIMIT_NOFILE, (200, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
    with LocalServer() as server:
        files = []
        print(server.url, flush=True)
        sys.stdin.readline()
        try:
            while True:
                files.append(os.open(os.devnull, os.O_RDONLY))
        except OSError:
            pass
        print("full", flush=True)
        sys.stdin.readline()
        for file in files:
            os.close(file)
        print("free", flush=True)
        sys.stdin.readline()
    """
    code = "\n".join(line[4:] for line in script.splitlines())
    command = [sys.executable, "-c", code]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdin
        assert process.stdout
        assert process.stderr
        parts = urlsplit(process.stdout.readline().strip())

        def get() -> bytes:
            address = (str(parts.hostname), int(parts.port or 0))
            with socket.create_connection(address, timeout=20) as connection, suppress(ConnectionError):
                connection.sendall(b"GET /healthz HTTP/1.0\r\nHost: localhost\r\n\r\n")
                return connection.recv(4096)
            return b""

        def proceed() -> str:
            assert process.stdin
            assert process.stdout
            process.stdin.write("\n")
            process.stdin.flush()
            return process.stdout.readline().strip()

        assert proceed() == "full"
        assert [get() for _ in range(50)] == [b""] * 50
        assert proceed() == "free"
        assert b" 200 " in get()
        process.stdin.write("\n")
        process.stdin.close()
        assert process.wait(60) == 0
        (line,) = process.stderr.readlines()
        assert "no file descriptor is left" in line
