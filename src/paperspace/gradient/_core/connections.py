"""The connections of a client: one transport for each event loop that the client is used on.

Connections belong to an event loop, and a client may be used on several: the loop thread of the sync functions, and one
`asyncio.run` after another. A forked child starts without any; its parent's sockets are not its own.
"""

from __future__ import annotations

import asyncio
import atexit
import weakref
from contextlib import suppress
from typing import TYPE_CHECKING

from paperspace.gradient._core.transport import HTTPTransport
from paperspace.gradient._shared.event_loops import run_to_end
from paperspace.gradient._shared.fork import at_fork, never_finalize
from paperspace.gradient._sync.loop_thread import is_left_open, is_loop_thread_loop
from paperspace.gradient.errors import ClientClosedError, GradientError

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator
    from typing import NoReturn

    from paperspace.gradient.config import Settings

    Entry = tuple[HTTPTransport, AsyncGenerator[None]]
    Transports = dict[asyncio.AbstractEventLoop, Entry]
    Left = tuple[asyncio.AbstractEventLoop, Entry]

# Seconds until aborted connections are closed.
_ABORT_TIME = 1.0


def running_loop() -> asyncio.AbstractEventLoop:
    """Return the running event loop.

    Raises:
        GradientError: No event loop of asyncio runs: the coroutine runs under another library.
    """
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        raise GradientError(
            "the async functions need asyncio, and no event loop of asyncio runs here; trio is not supported: "
            "call the sync functions in a thread, for example with trio.to_thread.run_sync"
        ) from None


class Connections:
    """Creates a transport for each event loop when it is first needed, and closes them all."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._by_loop: Transports = {}
        self.closed = False
        weakref.finalize(self, _release, self._by_loop).atexit = False  # at exit, the loop thread closes them
        _all_connections.add(self)

    def __deepcopy__(self, _memo: object) -> Connections:
        """Return the same connections: a copy of a client shares them, as one of `with_options` does."""
        return self

    def __reduce__(self) -> NoReturn:
        """Raise: in another process, connections are of no use, and a pickle would have the API key."""
        raise TypeError("a client cannot be pickled; create one in each process")

    async def transport(self) -> HTTPTransport:
        """Return the transport of the running loop.

        Raises:
            ClientClosedError: The client was closed.
        """
        if self.closed:
            raise ClientClosedError("the client is closed; create a new one")
        loop = running_loop()
        entry = self._by_loop.get(loop)
        if entry is not None:
            return entry[0]
        # Other threads run loops too, and may be here at the same time.
        for other in [other for other in list(self._by_loop) if other.is_closed()]:
            if stale := self._by_loop.pop(other, None):
                stale[0].abandon()
        transport = HTTPTransport(self._settings)
        if is_left_open(loop):
            never_finalize(transport)
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
        entry = self._by_loop.pop(running_loop(), None)
        _release(self._by_loop)
        if entry is not None:
            await _close(*entry)

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
        await transport.leave()


async def _close(transport: HTTPTransport, lifetime: AsyncGenerator[None]) -> None:
    """Close a transport, with its calls in progress."""
    await transport.close()
    with suppress(RuntimeError):  # the loop is ending, and closes it now
        await lifetime.aclose()


def _release(by_loop: Transports) -> None:
    """Close transports from outside of their loops: those of a garbage-collected client, or of other loops."""
    for left in list(_left_open):
        if left[0].is_closed():
            left[1][0].abandon()
            _left_open.discard(left)
    while by_loop:
        loop, entry = by_loop.popitem()
        if loop.is_closed():
            entry[0].abandon()
        elif is_loop_thread_loop(loop):
            loop.call_soon_threadsafe(loop.create_task, _close(*entry))
        else:
            left = loop, entry
            _left_open.add(left)
            with suppress(RuntimeError):  # closed by its thread in the meantime
                loop.call_soon_threadsafe(_abort, left)


def _abort(left: Left) -> None:
    """End the calls of a transport, close its connections, and then the transport.

    Neither needs a task: the loop may be ending now, and would report a task that does not finish.
    """
    loop, (transport, lifetime) = left
    transport.end_calls()
    transport.abort()

    def finish() -> None:
        # Without connections, the transport waits for nothing when it is closed, though aiohttp yields to the loop.
        with suppress(RuntimeError):  # the loop is ending, and closes the generator
            run_to_end(lifetime.aclose())
        _left_open.discard(left)

    loop.call_later(_ABORT_TIME, finish)


# The transports that were released, with their loops, until they are closed.
_left_open: set[Left] = set()

_all_connections: weakref.WeakSet[Connections] = weakref.WeakSet()


def _abandon_all() -> None:
    """At the exit of the interpreter: no stopped loop will run again."""
    for connections in _all_connections:
        connections.abandon_stopped()
    for loop, (transport, _) in _left_open:
        if not loop.is_running():
            transport.abandon()


def _forget_all() -> None:
    for connections in _all_connections:
        connections.forget()
    never_finalize(_left_open.copy())
    _left_open.clear()


atexit.register(_abandon_all)
at_fork(after_in_child=_forget_all)
