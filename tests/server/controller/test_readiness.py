"""The default probe, against real sockets."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from paperspace.gradient.server.controller import readiness
from paperspace.gradient.server.controller.readiness import wait_until_ready

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    Respond = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]

SETTINGS_FRAME = bytes(3) + b"\x04" + bytes(5)


def sends(*chunks: bytes) -> Respond:
    """Return what a server does that reads a request and sends these bytes."""

    async def respond(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await reader.read(1)
            for chunk in chunks:
                writer.write(chunk)
                await writer.drain()
                await asyncio.sleep(0.01)
        finally:
            writer.close()

    return respond


async def probe(respond: Respond, protocol: str = "http") -> list[str]:
    """Probe a server until it is ready or three reports were made; return the reports."""
    reports: list[str] = []
    enough = asyncio.Event()

    def report(reason: str) -> None:
        reports.append(reason)
        if len(reports) == 3:
            enough.set()

    server = await asyncio.start_server(respond, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with server:
        ready = asyncio.ensure_future(wait_until_ready(port, protocol, 8080, report))
        failed = asyncio.ensure_future(enough.wait())
        done, pending = await asyncio.wait({ready, failed}, timeout=20, return_when=asyncio.FIRST_COMPLETED)
        for task in pending:
            task.cancel()
        assert done
        return [] if ready in done else reports


@pytest.fixture(autouse=True)
def no_silence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(readiness, "SILENCE", 0.0)
    monkeypatch.setattr(readiness, "ATTEMPT_TIMEOUT", 0.3)


@pytest.mark.parametrize("status", [b"200 OK", b"404 Not Found", b"503 Service Unavailable"])
def test_any_http_response(status: bytes) -> None:
    """Any HTTP response means ready, whatever its status; it can arrive in pieces."""
    assert asyncio.run(probe(sends(b"HT", b"TP/1.1 " + status + b"\r\n\r\n"))) == []


def test_http_2() -> None:
    """For `http2`, the response is the SETTINGS frame of HTTP/2."""
    assert asyncio.run(probe(sends(SETTINGS_FRAME), "http2")) == []


@pytest.mark.parametrize(
    ("respond", "protocol", "reason"),
    [
        (sends(), "http", "No HTTP response on port 8080 yet: the connection was closed."),
        (sends(), "http2", "No HTTP/2 response on port 8080 yet: the connection was closed."),
        (sends(b"SSH-2.0-OpenSSH_9.2\r\n"), "http", "another protocol"),
        (sends(SETTINGS_FRAME), "http", "another protocol"),
        (sends(b"HTTP/1.1 400 Bad Request\r\n\r\n"), "http2", "another protocol"),
    ],
)
def test_not_ready(respond: Respond, protocol: str, reason: str) -> None:
    """A connection alone, or another protocol, is not ready; the reason is reported at each attempt."""
    reports = asyncio.run(probe(respond, protocol))
    assert len(reports) == 3
    assert all(reason in report for report in reports)


def test_silent_server() -> None:
    """A server that accepts connections and sends nothing is not ready."""

    async def respond(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await asyncio.sleep(5)
        finally:
            writer.close()

    reports = asyncio.run(probe(respond))
    assert reports == ["No HTTP response on port 8080 yet: nothing was received for 0.3 s."] * 3


def test_nothing_listens() -> None:
    """A refused connection is reported as such."""

    async def main() -> str:
        server = await asyncio.start_server(sends(), "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        server.close()
        await server.wait_closed()
        reported: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        task = asyncio.ensure_future(wait_until_ready(port, "http", 80, reported.set_result))
        reason = await reported
        task.cancel()
        return reason

    assert asyncio.run(main()) == "No HTTP response on port 80 yet: connection refused."
