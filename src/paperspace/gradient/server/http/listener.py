"""The listening socket: its address, and the limit on connections."""

from __future__ import annotations

import asyncio
import errno
import ipaddress
import json
import logging
import os
import socket
from contextlib import suppress
from typing import TYPE_CHECKING, Any, cast
from weakref import WeakSet

from paperspace.gradient._shared.daemon_threads import in_daemon_thread
from paperspace.gradient._shared.error_codes import Code
from paperspace.gradient._shared.event_loops import monotonic
from paperspace.gradient._shared.fork import at_fork
from paperspace.gradient.server.http.connections import Connection, UnreadResponses

if TYPE_CHECKING:
    from collections.abc import Callable
    from uuid import UUID

    from aiohttp import web

MAX_CONNECTIONS = 500
RESERVED_FILES = 64  # for the database, and for everything else in the process

_WARNING_INTERVAL = 10.0  # seconds

_log = logging.getLogger(__name__)


# The sockets of all servers in this process: the listening ones, and their connections.
_sockets: WeakSet[socket.socket] = WeakSet()


def _close_inherited() -> None:
    """In a forked child: close the sockets of the parent. Otherwise a connection that the parent closes would stay open.

    The file descriptors remain, and lead to the null device: what refers to them in the child closes them one day.
    """
    null = os.open(os.devnull, os.O_RDWR)
    for inherited in _sockets:
        if inherited.fileno() >= 0:
            os.dup2(null, inherited.fileno(), inheritable=False)
    os.close(null)
    _sockets.clear()


at_fork(after_in_child=_close_inherited)


class _Listener(socket.socket):
    """A listening socket. When the process has no file descriptor left, it closes new connections.

    The event loop would log a traceback for each of them. It uses a file descriptor that it keeps for this purpose, as
    a connection can be closed only after it has been accepted.
    """

    def __init__(self, fileno: int) -> None:
        super().__init__(fileno=fileno)
        self._spare: int | None = os.open(os.devnull, os.O_RDONLY)
        self._warned = -_WARNING_INTERVAL
        _sockets.add(self)

    def accept(self) -> tuple[socket.socket, Any]:
        try:
            if self._spare is None:
                self._spare = os.open(os.devnull, os.O_RDONLY)
            accepted = super().accept()
        except OSError as error:
            if error.errno not in (errno.EMFILE, errno.ENFILE) or self._spare is None:
                raise
        else:
            _sockets.add(accepted[0])
            return accepted
        self._free_spare()
        with suppress(OSError):
            super().accept()[0].close()
        with suppress(OSError):
            self._spare = os.open(os.devnull, os.O_RDONLY)
        if monotonic() - self._warned >= _WARNING_INTERVAL:
            self._warned = monotonic()
            _log.warning("no file descriptor is left: new connections are closed; see `ulimit -n`")
        raise BlockingIOError  # as if no connection had arrived

    def close(self) -> None:
        self._free_spare()
        super().close()

    def detach(self) -> int:
        """Leave the socket to the caller. uvloop closes it so."""
        self._free_spare()
        return super().detach()

    def _free_spare(self) -> None:
        spare, self._spare = self._spare, None
        if spare is not None:
            os.close(spare)


class _RejectConnection(asyncio.Protocol):
    """Respond to a connection above the limit with status 503."""

    def __init__(self, limit: int, request_id: UUID) -> None:
        self._limit = limit
        self._request_id = request_id

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        message = f"too many connections: the server accepts {self._limit}; the request was not executed"
        extensions = {"code": Code.SERVICE_UNAVAILABLE, "retryable": True}
        body = json.dumps({"errors": [{"message": message, "extensions": extensions}]})
        head = (
            "HTTP/1.1 503 Service Unavailable\r\nRetry-After: 1\r\nConnection: close\r\n"
            f"X-Request-Id: {self._request_id.hex}\r\n"
            f"Content-Type: application/json; charset=utf-8\r\nContent-Length: {len(body)}\r\n\r\n"
        )
        connection = cast("asyncio.Transport", transport)
        connection.write((head + body).encode())
        connection.close()


def is_loopback(host: str) -> bool:
    """Return whether a server that listens on this host can be reached from this machine only."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


async def open_listener(host: str, port: int) -> socket.socket:
    """Open a listening socket; port 0 selects a free port. Where no name server responds, this can be cancelled.

    Raises:
        OSError: the server cannot listen on this address.
    """
    [(family, _kind, _protocol, _name, address), *_] = await in_daemon_thread(
        socket.getaddrinfo, host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
    )
    return _Listener(fileno=socket.create_server(address, family=family).detach())


def base_url(host: str, listener: socket.socket) -> str:
    """Return the URL of the server for clients on this machine, without a path."""
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104  # all addresses, of which clients use one
    return f"http://{f'[{host}]' if ':' in host else host}:{listener.getsockname()[1]}"


def connection_limit() -> int:
    """Return how many connections the server accepts: each one takes memory and a file descriptor."""
    try:
        import resource
    except ImportError:  # on Windows, which has no such limit
        return MAX_CONNECTIONS
    files, _hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    return MAX_CONNECTIONS if files == resource.RLIM_INFINITY else max(1, min(MAX_CONNECTIONS, files - RESERVED_FILES))


async def accept_connections(
    listener: socket.socket, server: web.Server, unread: UnreadResponses, new_request_id: Callable[[], UUID]
) -> asyncio.Server:
    """Accept connections for a web server, up to a limit."""
    limit = connection_limit()

    def connect() -> asyncio.Protocol:
        if len(server.connections) < limit:
            return Connection(server, unread, new_request_id)
        return _RejectConnection(limit, new_request_id())

    return await asyncio.get_running_loop().create_server(connect, sock=listener)
