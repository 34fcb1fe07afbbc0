"""The progress of an attempt: whether it has a connection, and whether that was used before."""

from __future__ import annotations

import socket
from contextvars import ContextVar
from typing import TYPE_CHECKING, cast
from weakref import WeakSet

import aiohttp

from paperspace.gradient._shared.daemon_threads import Lookups

if TYPE_CHECKING:
    import asyncio
    import ssl

    from aiohttp.client_proto import ResponseHandler
    from aiohttp.tracing import Trace

# Connections at a time. This is aiohttp's own limit; further calls wait.
MAX_CONNECTIONS = 100


class Progress:
    """How far an attempt has come.

    Attributes:
        sent: Whether it has a connection: from then on, a part of the request may have been sent.
        reused: Whether that connection was kept from an earlier request.
        connection: That connection, as the event loop knows it.
    """

    __slots__ = ("connection", "reused", "sent")

    def __init__(self) -> None:
        self.sent = self.reused = False
        self.connection: asyncio.Transport | None = None

    def abort_closing(self) -> None:
        """Close the connection at once, if aiohttp is closing it: it would wait until the whole request is sent."""
        if self.connection is not None and self.connection.is_closing():
            self.connection.abort()


_progress: ContextVar[Progress] = ContextVar("progress")


def start_attempt() -> Progress:
    """Return the progress of a new attempt, which a `Connector` records while the current task makes it."""
    progress = Progress()
    _progress.set(progress)
    return progress


class Connector(aiohttp.TCPConnector):
    """Records the progress of an attempt when it has its connection. aiohttp's tracing would cost three times as much."""

    def __init__(self, *, certificates: ssl.SSLContext | bool, keep: bool) -> None:
        self.sockets: WeakSet[socket.socket] = WeakSet()
        self.known: WeakSet[ResponseHandler] = WeakSet()
        super().__init__(
            limit=MAX_CONNECTIONS,
            ssl=certificates,
            force_close=not keep,
            socket_factory=self._create_socket,
            # A name server that does not respond does not delay the exit of the process.
            resolver=aiohttp.ThreadedResolver(cast("asyncio.AbstractEventLoop", Lookups())),
        )

    def _create_socket(self, address: aiohttp.AddrInfoType) -> socket.socket:
        created = socket.socket(*address[:3])
        self.sockets.add(created)
        return created

    async def connect(
        self, req: aiohttp.ClientRequest, traces: list[Trace], timeout: aiohttp.ClientTimeout
    ) -> aiohttp.connector.Connection:
        """Return a connection, kept or new."""
        connection = await super().connect(req, traces, timeout)
        # A kept connection that has received something holds a response that nobody requested; aiohttp would take it
        # for the response to this request.
        while (kept := connection.protocol) is not None and kept in self.known and kept.should_close:
            connection.close()
            connection = await super().connect(req, traces, timeout)
        progress = _progress.get()
        progress.sent = True
        if (protocol := connection.protocol) is not None:
            progress.connection = protocol.transport
            progress.reused = protocol in self.known
            if not progress.reused:
                self.known.add(protocol)
        return connection
