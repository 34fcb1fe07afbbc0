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


class OwnThread:
    """Open a server in a thread, and close it there. It may be started and stopped by any thread."""

    def __init__(self) -> None:
        self._starting = threading.Lock()
        self._stop: Callable[[], None] | None = None

    def start(self, server: Server) -> None:
        """Open the server and return when it is open.

        Raises:
            RuntimeError: the server is running already, or no thread can be started.
            Exception: what the server raises when it is opened.
        """
        if not self._starting.acquire(blocking=False):
            raise RuntimeError("the server is running already")
        try:
            if self._stop is not None:
                raise RuntimeError("the server is running already")
            self._stop = _start(server)
        finally:
            self._starting.release()

    def stop(self) -> None:
        """Close the server, if it is open, and return when it is closed."""
        stop = self._stop
        if stop is not None:
            stop()
            if self._stop is stop:  # another thread may have stopped it too, and started it again
                self._stop = None


def _start(server: Server) -> Callable[[], None]:
    """Open the server in a new thread, and return the function that closes it."""
    started: Started = Future()
    thread = threading.Thread(target=_run_thread, args=(server, started), name="gradient server", daemon=True)
    try:
        thread.start()
        request_stop = started.result()
    except BaseException:
        started.add_done_callback(_stop_started)  # after Ctrl-C, nothing else can stop the server
        raise

    def stop() -> None:
        with suppress(RuntimeError):  # stopped already, by another thread or a stop that was interrupted
            request_stop()
        thread.join()

    return stop


def _stop_started(started: Started) -> None:
    """Stop the server of a start, unless it failed."""
    if started.exception() is None:
        started.result()()


def _run_thread(server: Server, started: Started) -> None:
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
