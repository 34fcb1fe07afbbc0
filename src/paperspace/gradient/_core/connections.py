"""The connections of a client: one transport for each event loop that the client is used on.

Connections belong to an event loop, and a client may be used on several: the loop thread of the sync functions, and one
`asyncio.run` after another. A forked child starts without any; its parent's sockets are not its own.
"""

from __future__ import annotations

import asyncio
import atexit
import os
import weakref
from typing import TYPE_CHECKING

from paperspace.gradient._core.transport import HTTPTransport
from paperspace.gradient._sync.fork import never_finalize
from paperspace.gradient._sync.loop_thread import is_loop_thread_loop
from paperspace.gradient.errors import ClientClosedError

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from paperspace.gradient.config import Settings

    Transports = dict[asyncio.AbstractEventLoop, tuple[HTTPTransport, AsyncGenerator[None]]]


class Connections:
    """Creates a transport for each event loop when it is first needed, and closes them all."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._by_loop: Transports = {}
        self.closed = False
        weakref.finalize(self, _release, self._by_loop).atexit = False  # at exit, the loop thread closes them
        _all_connections.add(self)

    async def transport(self) -> HTTPTransport:
        """Return the transport of the running loop.

        Raises:
            ClientClosedError: The client was closed.
        """
        if self.closed:
            raise ClientClosedError("the client is closed; create a new one")
        loop = asyncio.get_running_loop()
        entry = self._by_loop.get(loop)
        if entry is not None:
            return entry[0]
        # Other threads run loops too, and may be here at the same time.
        for other in [other for other in list(self._by_loop) if other.is_closed()]:
            if stale := self._by_loop.pop(other, None):
                stale[0].abandon()
        transport = HTTPTransport(self._settings)
        lifetime = _lifetime(transport)
        self._by_loop[loop] = transport, lifetime
        try:
            await anext(lifetime)
        except BaseException:
            del self._by_loop[loop]  # nothing would close it
            raise
        return transport

    async def close(self) -> None:
        """Close every transport on its own loop. Calls in progress end with ClientClosedError."""
        self.closed = True
        entry = self._by_loop.pop(asyncio.get_running_loop(), None)
        _close_all(self._by_loop)
        if entry is not None:
            await entry[1].aclose()

    def abandon_stopped(self) -> None:
        """Abandon the transports of loops that do not run."""
        for loop, (transport, _) in list(self._by_loop.items()):
            if not loop.is_running():
                transport.abandon()

    def forget(self) -> None:
        """In a forked child: leave all transports to the parent process."""
        never_finalize(self._by_loop.copy())
        self._by_loop.clear()


async def _lifetime(transport: HTTPTransport) -> AsyncGenerator[None]:
    """Keep a transport open until the generator is closed.

    asyncio closes such a generator when its loop shuts down, as at the end of `asyncio.run`. So no connection stays
    open there, and the user does not have to close anything.
    """
    await transport.connect()
    try:
        yield
    finally:
        await transport.close()


def _close_all(by_loop: Transports) -> None:
    """Close every transport on its own loop."""
    while by_loop:
        loop, (transport, lifetime) = by_loop.popitem()
        if loop.is_closed():
            transport.abandon()
        else:
            loop.call_soon_threadsafe(loop.create_task, lifetime.aclose())


def _release(by_loop: Transports) -> None:
    """Close what a garbage-collected client left open.

    On a loop of the user, the transport is closed when the loop ends, which may be happening now: two cannot close it
    at once. Until then, aiohttp closes idle connections.
    """
    for loop in [loop for loop in by_loop if not loop.is_closed() and not is_loop_thread_loop(loop)]:
        _left_to_loop.setdefault(loop, []).append(by_loop.pop(loop))
    _close_all(by_loop)


# The transports of garbage-collected clients, until the end of their loop.
_left_to_loop: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, list[object]] = weakref.WeakKeyDictionary()

_all_connections: weakref.WeakSet[Connections] = weakref.WeakSet()


def _abandon_all() -> None:
    """At the exit of the interpreter: no stopped loop will run again."""
    for connections in _all_connections:
        connections.abandon_stopped()


def _forget_all() -> None:
    for connections in _all_connections:
        connections.forget()
    never_finalize(dict(_left_to_loop))
    _left_to_loop.clear()


atexit.register(_abandon_all)
os.register_at_fork(after_in_child=_forget_all)
