"""A thread that keeps the server open, with an event loop of its own."""

from __future__ import annotations

import asyncio
import threading
from concurrent.futures import Future
from contextlib import suppress
from typing import TYPE_CHECKING

from paperspace.gradient._shared.event_loops import new_event_loop

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractAsyncContextManager

    Server = AbstractAsyncContextManager[object]
    Started = Future[Callable[[], object]]  # of the function that requests the stop

_KEY = "start"


class _Start:
    """A start of a server, in a new thread."""

    def __init__(self, server: Server) -> None:
        self.started: Started = Future()
        self.thread = threading.Thread(target=_run_thread, args=(server, self), name="gradient server", daemon=True)
        self.failed = False
        """Whether `start` was left with an error. After Ctrl-C, the thread may open the server all the same, and closes it then."""

    def stop(self) -> None:
        """Close the server, which is open, and return when it is closed."""
        with suppress(RuntimeError):  # stopped already, by another thread or a stop that was interrupted
            self.started.result()()
        self.thread.join()


class OwnThread:
    """Open a server in a thread, and close it there. It may be started and stopped by any thread.

    A signal handler may raise at any point. So no lock is held: `setdefault` of a dict lets only one start succeed.
    """

    def __init__(self) -> None:
        self._current: dict[str, _Start] = {}  # has one key at most

    def start(self, server: Server) -> None:
        """Open the server and return when it is open. An earlier start that was interrupted ends first: it has the same server.

        Raises:
            RuntimeError: the server is running already, or no thread can be started.
            Exception: what the server raises when it is opened.
        """
        start = _Start(server)
        try:
            while (first := self._current.setdefault(_KEY, start)) is not start and first.failed:
                if first.thread.is_alive():
                    first.thread.join()
                self._forget(first)
            if first is start:
                start.thread.start()
                start.started.result()
        except BaseException:
            start.failed = True
            start.started.add_done_callback(_stop_started)  # after Ctrl-C, nothing else can stop the server
            if start.started.done() and start.started.exception():
                self._forget(start)  # with the error, whose frames keep what they refer to
            raise
        if first is not start:
            raise RuntimeError("the server is running already")

    def stop(self) -> None:
        """Close the server, if it is open, and return when it is closed."""
        start = self._current.get(_KEY)
        if start is not None and start.started.done() and start.started.exception() is None:
            start.stop()
            self._forget(start)

    def _forget(self, start: _Start) -> None:
        if self._current.get(_KEY) is start:  # another thread may have stopped it too, and started it again
            self._current.pop(_KEY, None)


def _stop_started(started: Started) -> None:
    """Stop the server of a start, unless it failed."""
    if started.exception() is None:
        started.result()()


def _run_thread(server: Server, start: _Start) -> None:
    if start.failed:  # it was interrupted before the thread was alive, so that no other start waits for it
        return
    started = start.started
    try:
        with asyncio.Runner(loop_factory=new_event_loop) as runner:
            runner.run(_run(server, started))
    except BaseException as error:
        if started.done():
            raise
        started.set_exception(error)  # raised in the thread that waits for the start


async def _run(server: Server, started: Started) -> None:
    loop, stop_requested = asyncio.get_running_loop(), asyncio.Event()
    async with server:
        started.set_result(lambda: loop.call_soon_threadsafe(stop_requested.set))
        await stop_requested.wait()
