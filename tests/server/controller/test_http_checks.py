"""One HTTP request of a health check, against real sockets."""

from __future__ import annotations

import asyncio
import socket
from contextlib import ExitStack
from typing import TYPE_CHECKING

import pytest
from tests.server.controller.test_readiness import sends

from paperspace.gradient.server.controller import http_checks
from paperspace.gradient.server.controller.checks import Request, Result

if TYPE_CHECKING:
    from tests.server.controller.test_readiness import Respond


HEALTH = Request("/health", 80)


def attempt(respond: Respond, request: Request = HEALTH, timeout: float = 20) -> Result | None:
    """Make one attempt against a server."""

    async def main() -> Result | None:
        server = await asyncio.start_server(respond, "127.0.0.1", 0)
        async with server:
            return await http_checks.attempt(request, server.sockets[0].getsockname()[1], timeout)

    return asyncio.run(main())


@pytest.mark.parametrize(
    ("status", "passes"),
    [(199, False), (200, True), (204, True), (302, True), (399, True), (400, False), (404, False), (503, False)],
)
def test_status(status: int, passes: bool) -> None:
    """A status from 200 to 399 passes; a redirect is not followed."""
    head = b"HTTP/1.1 %d Some Reason\r\nLocation: /elsewhere\r\n\r\n" % status
    if status < 200:
        head += b"HTTP/1.1 500 Then This\r\n\r\n"
    assert attempt(sends(head)) == Result(passes, f"GET /health returned {status if status >= 200 else 500}")


def test_an_informational_response_comes_first() -> None:
    """The status is that of the final response; it can arrive in pieces."""
    chunks = b"HTTP/1.1 103 Early Hints\r\nLink: a\r\n\r\n", b"HTTP/1.0 2", b"00\r\n"
    assert attempt(sends(*chunks)) == Result(True, "GET /health returned 200")


def test_request() -> None:
    """The request has the path with its query, the host and all headers of the check, which replace the default ones."""
    received = bytearray()

    async def respond(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        received.extend(await reader.readuntil(b"\r\n\r\n"))
        writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
        writer.close()

    headers = (("X-Check", "1"), ("user-agent", "é"), ("x-check", "2"), ("X-Check", ""))
    request = Request("/a?key=1", 80, "models.example.com", headers)
    assert attempt(respond, request) == Result(True, "GET /a returned 200")
    assert received.decode().split("\r\n") == [
        "GET /a?key=1 HTTP/1.1",
        "Host: models.example.com",
        "Connection: close",
        "Accept: */*",
        "X-Check: 1",
        "user-agent: é",
        "x-check: 2",
        "X-Check: ",
        "",
        "",
    ]


@pytest.mark.parametrize(
    ("respond", "text"),
    [
        (sends(), "GET /health failed, the connection was closed"),
        (sends(b"SSH-2.0-OpenSSH_9.2\r\n"), "GET /health failed, the container responds with another protocol"),
        (sends(b"x" * 100_000), "GET /health failed, the container responds with another protocol"),
        (sends(b"HTTP/1.1 abc\r\n"), "GET /health failed, the container responds with another protocol"),
    ],
)
def test_failures(respond: Respond, text: str) -> None:
    """Everything but a status is a failure, with its reason."""
    assert attempt(respond) == Result(False, text)


async def silent(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        await asyncio.sleep(20)
    finally:
        writer.close()


def test_timeout() -> None:
    """A response that does not arrive in time is a failure."""
    assert attempt(silent, timeout=0.1) == Result(False, "GET /health had no response in 0.1 s")


def test_a_container_that_reads_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """A request that the container does not read ends with the timeout: its rest does not have to be sent first."""

    async def main(port: int) -> Result | None:
        request = Request("/health", 80, headers=(("X-Large", "x" * 10_000_000),))
        return await asyncio.wait_for(http_checks.attempt(request, port, 0.5), 20)

    monkeypatch.setattr(http_checks, "_PUNCTUAL", 20)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        result = asyncio.run(main(listener.getsockname()[1]))
    assert result == Result(False, "GET /health had no response in 0.5 s")


def test_a_late_timeout_says_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """If the server itself was busy for longer than the timeout, the container is not blamed."""
    monkeypatch.setattr(http_checks, "_PUNCTUAL", -1.0)
    assert attempt(silent, timeout=0.1) is None


def test_nothing_listens() -> None:
    """A refused connection is reported as such."""

    async def main() -> Result | None:
        server = await asyncio.start_server(sends(), "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        server.close()
        await server.wait_closed()
        return await http_checks.attempt(Request("/", 80), port, 20)

    assert asyncio.run(main()) == Result(False, "GET / failed, connection refused")


def test_too_few_files() -> None:
    """If this process has no file descriptor left for the connection, the container has not failed a check."""
    resource = pytest.importorskip("resource")  # not on Windows

    async def main() -> Result | None:
        async with await asyncio.start_server(sends(), "127.0.0.1", 0) as server:
            with ExitStack() as stack:
                limit = resource.getrlimit(resource.RLIMIT_NOFILE)
                stack.callback(resource.setrlimit, resource.RLIMIT_NOFILE, limit)
                with socket.socket() as last:
                    resource.setrlimit(resource.RLIMIT_NOFILE, (last.fileno(), limit[1]))
                return await http_checks.attempt(HEALTH, server.sockets[0].getsockname()[1], 20)

    assert asyncio.run(main()) is None
