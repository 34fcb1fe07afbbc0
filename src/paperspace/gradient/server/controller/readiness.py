"""Readiness without a readiness check: a container is ready when it sends any HTTP response on its port.

That it accepts connections says nothing: engines accept them on a published port before the application listens.
"""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

FIRST_INTERVAL, MAX_INTERVAL, GROWTH = 0.05, 1.0, 1.5  # seconds between two attempts
ATTEMPT_TIMEOUT = 10.0  # seconds
ANOTHER_PROTOCOL = "the container responds with another protocol"
SILENCE = 1.0  # seconds before a failed attempt is reported: most containers need some time

_HTTP_1_REQUEST = b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nUser-Agent: gradient-probe\r\nConnection: close\r\n\r\n"
_HTTP_1_RESPONSE = b"HTTP/1."

# HTTP/2 with prior knowledge: the preface and an empty SETTINGS frame. The response starts with a SETTINGS frame too.
_HTTP_2_REQUEST = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes(3) + b"\x04" + bytes(5)
FRAME_HEADER = 9
_FRAME_TYPE, _SETTINGS = 3, 4


async def wait_until_ready(port: int, protocol: str, container_port: int, report: Callable[[str], None]) -> None:
    """Return when a container responds on a port of 127.0.0.1.

    Args:
        port: The port of 127.0.0.1.
        protocol: `http` or `http2`, as in the spec.
        container_port: The port of the container, for the reports.
        report: Called with the reason when an attempt failed.
    """
    loop = asyncio.get_running_loop()
    start, interval = loop.time(), FIRST_INTERVAL
    while failure := await _failure(port, protocol):
        if loop.time() - start >= SILENCE:
            name = "HTTP/2" if protocol == "http2" else "HTTP"
            report(f"No {name} response on port {container_port} yet: {failure}.")
        await asyncio.sleep(interval)
        interval = min(interval * GROWTH, MAX_INTERVAL)


async def _failure(port: int, protocol: str) -> str | None:
    """Send one request; return why there is no response. None: there is one."""
    try:
        async with asyncio.timeout(ATTEMPT_TIMEOUT):
            return await (_http_2_failure(port) if protocol == "http2" else _http_1_failure(port))
    except TimeoutError:
        return f"nothing was received for {ATTEMPT_TIMEOUT:g} s"
    except (OSError, EOFError) as error:
        return reason_of(error)


def reason_of(error: Exception) -> str:
    """Return why there is no HTTP response."""
    match error:
        case ConnectionRefusedError():
            return "connection refused"
        case EOFError():
            return "the connection was closed"
        case OSError():
            return (error.strerror or str(error)).lower()
        case _:
            return ANOTHER_PROTOCOL


async def _http_1_failure(port: int) -> str | None:
    start = await _exchange(port, _HTTP_1_REQUEST, len(_HTTP_1_RESPONSE))
    return None if start == _HTTP_1_RESPONSE else ANOTHER_PROTOCOL


async def _http_2_failure(port: int) -> str | None:
    start = await _exchange(port, _HTTP_2_REQUEST, FRAME_HEADER)
    return None if starts_http_2(start) else ANOTHER_PROTOCOL


def starts_http_2(header: bytes) -> bool:
    """Return whether this is the header of the first frame of a server that speaks HTTP/2."""
    return header[_FRAME_TYPE] == _SETTINGS


async def _exchange(port: int, request: bytes, length: int) -> bytes:
    """Send a request and return the start of the response."""
    async with connected(port) as (reader, writer):
        writer.write(request)
        return await reader.readexactly(length)


@asynccontextmanager
async def connected(port: int) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    """Connect to a port of 127.0.0.1 for the block.

    What was not sent at the end of the block is dropped: a container that reads nothing would never let the connection close.
    """
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        yield reader, writer
    finally:
        writer.transport.abort()
        with suppress(OSError):
            await writer.wait_closed()
