"""Checks of containers that speak HTTP/2."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest
from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.events import RequestReceived
from tests.server.controller.test_readiness import SETTINGS_FRAME, sends

from paperspace.gradient.server.controller import http_checks
from paperspace.gradient.server.controller.checks import Request, Result

Connect = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


class Container:
    """A server of HTTP/2 that responds with a status, and keeps the headers of the last request."""

    def __init__(self, status: int) -> None:
        self.headers: dict[object, object] = {}
        self._status = status

    async def connect(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connection = H2Connection(H2Configuration(client_side=False, header_encoding="utf-8"))
        connection.initiate_connection()
        while True:
            writer.write(connection.data_to_send())
            data = await reader.read(65_536)
            if not data:
                writer.close()
                return
            for event in connection.receive_data(data):
                if isinstance(event, RequestReceived):
                    self.headers = dict(event.headers)
                    response = [(":status", str(self._status)), ("x-large", "y" * 10_000)]
                    connection.send_headers(event.stream_id, response, end_stream=True)


def check(connect: Connect, request: Request) -> Result | None:
    async def main() -> Result | None:
        server = await asyncio.start_server(connect, "127.0.0.1", 0)
        async with server:
            return await http_checks.attempt(request, server.sockets[0].getsockname()[1], 20, http2=True)

    return asyncio.run(main())


@pytest.mark.parametrize(("status", "passed"), [(200, True), (204, True), (302, True), (404, False), (503, False)])
def test_status(status: int, passed: bool) -> None:
    """The status of the response decides."""
    assert check(Container(status).connect, Request("/health", 80)) == Result(passed, f"GET /health returned {status}")


def test_request() -> None:
    """The request has the method, the scheme, the path, the authority and the headers, also long ones."""
    container, long = Container(200), "x" * 10_000
    check(container.connect, Request("/a?b", 80, "models.example", (("X-Check", long),)))
    assert container.headers == {
        ":method": "GET",
        ":scheme": "http",
        ":authority": "models.example",
        ":path": "/a?b",
        "user-agent": "gradient-probe",
        "accept": "*/*",
        "x-check": long,
    }


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"HTTP/1.1 400 Bad Request\r\n\r\n" * 10, "the container responds with another protocol"),
        (SETTINGS_FRAME, "the connection was closed"),
        (b"", "the connection was closed"),
        (
            SETTINGS_FRAME + b"\0\0\x01\x01\x04\0\0\0\x01\x82",
            "the container responds with another protocol",
        ),  # no status
        (SETTINGS_FRAME + b"\0\0\x08\x07\0\0\0\0\0" + bytes(8), "the connection was closed"),  # GOAWAY
    ],
)
def test_failures(data: bytes, reason: str) -> None:
    """The result says why there is no status."""
    assert check(sends(data), Request("/", 80)) == Result(False, f"GET / failed, {reason}")


def test_any_headers() -> None:
    """Headers that HTTP/2 does not allow are sent as the spec has them: the container decides."""
    result = check(sends(SETTINGS_FRAME), Request("/", 80, None, (("TE", "gzip"),)))
    assert result == Result(False, "GET / failed, the connection was closed")
