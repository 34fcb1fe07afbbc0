"""The listening socket: its address, and the limit on connections."""

from __future__ import annotations

import asyncio
import ipaddress
import logging
import socket
from typing import TYPE_CHECKING, cast

from aiohttp.http_exceptions import HttpProcessingError

if TYPE_CHECKING:
    from aiohttp import web

MAX_CONNECTIONS = 500

_TOO_MANY_CONNECTIONS = (
    b"HTTP/1.1 503 Service Unavailable\r\nRetry-After: 1\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
)


class _RedactRequest(logging.Filter):
    """Remove received data from log records: malformed HTTP may contain an API key."""

    def filter(self, record: logging.LogRecord) -> bool:
        if record.exc_info and isinstance(record.exc_info[1], HttpProcessingError):
            record.msg += ": malformed HTTP request"
            record.exc_info = None
        return True


connection_log = logging.getLogger(f"{__name__}.connections")
connection_log.addFilter(_RedactRequest())


class _RejectConnection(asyncio.Protocol):
    """Respond to a connection above the limit with status 503."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        connection = cast("asyncio.Transport", transport)
        connection.write(_TOO_MANY_CONNECTIONS)
        connection.close()


def is_loopback(host: str) -> bool:
    """Return whether a server that listens on this host can be reached from this machine only."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def open_listener(host: str, port: int) -> socket.socket:
    """Open a listening socket; port 0 selects a free port.

    Raises:
        OSError: the server cannot listen on this address.
    """
    family, _kind, _protocol, _name, address = socket.getaddrinfo(
        host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
    )[0]
    return socket.create_server(address, family=family)


def base_url(host: str, listener: socket.socket) -> str:
    """Return the URL of the server, without a path."""
    return f"http://{f'[{host}]' if ':' in host else host}:{listener.getsockname()[1]}"


async def accept_connections(listener: socket.socket, server: web.Server) -> asyncio.Server:
    """Accept connections for a web server, up to a limit: each one takes memory and a file descriptor."""
    return await asyncio.get_running_loop().create_server(
        lambda: server() if len(server.connections) < MAX_CONNECTIONS else _RejectConnection(), sock=listener
    )
