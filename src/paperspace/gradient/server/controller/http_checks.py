"""One HTTP request to a container on a port of 127.0.0.1: the status of its response."""

from __future__ import annotations

import asyncio
import errno
import re
from typing import TYPE_CHECKING

from paperspace.gradient.server.controller.checks import Result
from paperspace.gradient.server.controller.http2 import get_status
from paperspace.gradient.server.controller.readiness import connected, reason_of

if TYPE_CHECKING:
    from collections.abc import Iterable

    from paperspace.gradient.server.controller.checks import Request

_PASSES = range(200, 400)
_INFORMATIONAL = range(100, 200)
_DEFAULT_HEADERS = (("User-Agent", "gradient-probe"), ("Accept", "*/*"))
_STATUS = re.compile(r"HTTP/1\.[01] ([0-9]{3})\b")

# Errors of this process or this machine, which say nothing about the container.
_OWN_FAILURES = {errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM, errno.EADDRNOTAVAIL}

# Seconds after its end at which a timeout is noticed. Later, this process did not run, and may have missed the response.
_PUNCTUAL = 0.5


async def attempt(request: Request, port: int, timeout: float, *, http2: bool = False) -> Result | None:
    """Send a request. Return whether its status passes, or None if it is not known.

    Args:
        request: The request.
        port: The port of 127.0.0.1.
        timeout: The seconds that it may take.
        http2: Whether the container speaks HTTP/2 on this port.
    """
    loop = asyncio.get_running_loop()
    start = loop.time()
    name = f"GET {request.path.partition('?')[0]}"  # a query may be secret
    try:
        async with asyncio.timeout(timeout):
            status = await _status(request, port, http2=http2)
    except TimeoutError:
        is_punctual = loop.time() - start < timeout + _PUNCTUAL
        return Result(False, f"{name} had no response in {timeout:g} s") if is_punctual else None
    except (OSError, EOFError, ValueError) as error:
        if getattr(error, "errno", None) in _OWN_FAILURES:
            return None
        return Result(False, f"{name} failed, {reason_of(error)}")
    return Result(status in _PASSES, f"{name} returned {status}")


async def _status(request: Request, port: int, *, http2: bool) -> int:
    hosts = [value for name, value in request.headers if name.lower() == "host"]
    host = hosts[-1] if hosts else request.host or f"127.0.0.1:{port}"
    names = {name.lower() for name, _ in request.headers}
    headers = [(name, value) for name, value in _DEFAULT_HEADERS if name.lower() not in names]
    headers += [(name, value) for name, value in request.headers if name.lower() != "host"]
    async with connected(port) as (reader, writer):
        if http2:
            return await get_status(reader, writer, request.path, host, headers)
        writer.write(_head(request.path, [("Host", host), ("Connection", "close"), *headers]))
        while (status := await _next_status(reader)) in _INFORMATIONAL:
            while (await reader.readline()).strip():
                pass
        return status


def _head(path: str, headers: Iterable[tuple[str, str]]) -> bytes:
    lines = [f"GET {path} HTTP/1.1", *(f"{name}: {value}" for name, value in headers)]
    return "\r\n".join([*lines, "", ""]).encode()


async def _next_status(reader: asyncio.StreamReader) -> int:
    line = await reader.readline()
    if not line:
        raise EOFError
    match = _STATUS.match(line.decode("latin-1"))
    if match is None:
        raise ValueError
    return int(match[1])
