"""The transports of a client: one for each event loop that it is used on.

A connection belongs to its loop, and a client may meet several: the loop thread of the synchronous calls, one
`asyncio.run` after another. A forked child starts without any: its parent's sockets are none of its business.
"""

from __future__ import annotations

import asyncio
import atexit
import os
import weakref
from typing import TYPE_CHECKING

from paperspace.gradient._sync.fork import leak
from paperspace.gradient._sync.loop_thread import owns
from paperspace.gradient.errors import ClientClosedError

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable

    from paperspace.gradient._core.transport import HTTPTransport


class Connections:
    """Makes a transport for each loop when it is first asked for, and closes them all."""

    def __init__(self, make: Callable[[], HTTPTransport]) -> None:
        self._make = make
        self._by_loop: dict[asyncio.AbstractEventLoop, tuple[HTTPTransport, AsyncGenerator[None]]] = {}
        self.closed = False
        weakref.finalize(self, _let_go, self._by_loop).atexit = False  # at exit, the loop thread ends them
        _all.add(self)

    async def transport(self) -> HTTPTransport:
        """The transport of the running loop.

        Raises:
            ClientClosedError: The client was closed.
        """
        if self.closed:
            raise ClientClosedError("the client is closed; make a new one")
        loop = asyncio.get_running_loop()
        found = self._by_loop.get(loop)
        if found is not None:
            return found[0]
        # Other threads have loops too, and may be here at the same time.
        for other in [other for other in list(self._by_loop) if other.is_closed()]:
            if gone := self._by_loop.pop(other, None):
                gone[0].abandon()
        transport = self._make()
        lifetime = _lifetime(transport)
        self._by_loop[loop] = transport, lifetime
        try:
            await anext(lifetime)
        except BaseException:
            del self._by_loop[loop]  # nobody would close it
            raise
        return transport

    async def close(self) -> None:
        """Closes every transport, each on its own loop. Calls that are under way end with ClientClosedError."""
        self.closed = True
        here = self._by_loop.pop(asyncio.get_running_loop(), None)
        _end_all(self._by_loop)
        if here is not None:
            await here[1].aclose()

    def abandon_stopped(self) -> None:
        """Lets go of what was left open on loops that do not run."""
        for loop, (transport, _) in list(self._by_loop.items()):
            if not loop.is_running():
                transport.abandon()

    def forget(self) -> None:
        """Leaves everything to the parent process, in a child that was forked."""
        leak(self._by_loop.copy())
        self._by_loop.clear()


async def _lifetime(transport: HTTPTransport) -> AsyncGenerator[None]:
    """Keeps a transport open for as long as it makes sense.

    asyncio ends a generator like this one when its loop shuts down, as it does at the end of `asyncio.run`. So nothing
    is left open there, and nobody has to close anything.
    """
    await transport.connect()
    try:
        yield
    finally:
        await transport.close()


def _end_all(by_loop: dict[asyncio.AbstractEventLoop, tuple[HTTPTransport, AsyncGenerator[None]]]) -> None:
    """Ends every transport on its own loop: those of a client that was closed elsewhere, or is garbage."""
    while by_loop:
        loop, (transport, lifetime) = by_loop.popitem()
        if loop.is_closed():
            transport.abandon()
        else:
            loop.call_soon_threadsafe(loop.create_task, lifetime.aclose())


def _let_go(by_loop: dict[asyncio.AbstractEventLoop, tuple[HTTPTransport, AsyncGenerator[None]]]) -> None:
    """Ends what a client that is garbage has left open.

    On a loop of the user's, that is left to the end of the loop, which may just be coming: two cannot end it at once.
    Until then, connections that idle are closed by aiohttp.
    """
    for loop in [loop for loop in by_loop if not loop.is_closed() and not owns(loop)]:
        _left.setdefault(loop, []).append(by_loop.pop(loop))
    _end_all(by_loop)


# What garbage clients have left to the end of a loop.
_left: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, list[object]] = weakref.WeakKeyDictionary()

_all: weakref.WeakSet[Connections] = weakref.WeakSet()


def _abandon_all() -> None:
    """At the end of the interpreter: no loop that has stopped will run again."""
    for connections in _all:
        connections.abandon_stopped()


def _forget_all() -> None:
    for connections in _all:
        connections.forget()
    leak(dict(_left))
    _left.clear()


atexit.register(_abandon_all)
os.register_at_fork(after_in_child=_forget_all)
