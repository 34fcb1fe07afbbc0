"""Where the server listens, and whom it can be reached by."""

from __future__ import annotations

import asyncio
import ipaddress
import logging
import socket
from typing import TYPE_CHECKING, cast

from aiohttp.http_exceptions import HttpProcessingError

if TYPE_CHECKING:
    from aiohttp import web

MOST_CONNECTIONS = 500

_FULL = b"HTTP/1.1 503 Service Unavailable\r\nRetry-After: 1\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"


class _WithoutContent(logging.Filter):
    """Takes out of a record what was sent: where it is no HTTP, it may yet hold a key."""

    def filter(self, record: logging.LogRecord) -> bool:
        if record.exc_info and isinstance(record.exc_info[1], HttpProcessingError):
            record.msg += ": what came is no HTTP"
            record.exc_info = None
        return True


connection_log = logging.getLogger(f"{__name__}.connections")
connection_log.addFilter(_WithoutContent())


class _Full(asyncio.Protocol):
    """Answers a connection beyond the most there may be."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        connection = cast("asyncio.Transport", transport)
        connection.write(_FULL)
        connection.close()


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach a server that listens there."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def open_listener(host: str, port: int) -> socket.socket:
    """A socket that listens; port 0 takes a free one.

    Raises:
        OSError: The address cannot be listened on.
    """
    family, _kind, _protocol, _name, address = socket.getaddrinfo(
        host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
    )[0]
    return socket.create_server(address, family=family)


def url_of(host: str, listener: socket.socket) -> str:
    """The address of the server as a URL without a path."""
    return f"http://{f'[{host}]' if ':' in host else host}:{listener.getsockname()[1]}"


async def accept(listener: socket.socket, server: web.Server) -> asyncio.Server:
    """Takes connections for a web server, up to a bound: each takes memory and a file handle."""
    return await asyncio.get_running_loop().create_server(
        lambda: server() if len(server.connections) < MOST_CONNECTIONS else _Full(), sock=listener
    )
