"""The way from synchronous code to the asynchronous core: one event loop in a thread of its own, for the process.

Because the loop is nobody else's, a synchronous call works wherever Python runs: in a script, beside a running loop
(notebooks), from many threads at once, and in a forked child, which starts a thread of its own.
"""

from __future__ import annotations

import asyncio
import atexit
import concurrent.futures
import os
import threading
from typing import TYPE_CHECKING, Any, TypeVar

from paperspace.gradient._sync.fork import leak
from paperspace.gradient.errors import GradientError

if TYPE_CHECKING:
    from collections.abc import Coroutine

R = TypeVar("R")

# Seconds for the last requests and connections to end when the interpreter does.
_EXIT_TIMEOUT = 2.0

# Seconds that a fork waits for the loop to be between two steps.
_HOLD_TIMEOUT = 1.0


class _LoopThread:
    """A running event loop and the thread that it runs in."""

    def __init__(self) -> None:
        self.loop = asyncio.new_event_loop()
        self.stopping = False
        self.thread = threading.Thread(target=self._run, name="paperspace.gradient", daemon=True)
        self.thread.start()

    def _run(self) -> None:
        asyncio.set_event_loop(self.loop)
        self.loop.run_forever()

    def stop(self) -> None:
        """Ends what runs on the loop, then the loop, then the thread."""
        self.stopping = True
        asyncio.run_coroutine_threadsafe(self._wind_up(), self.loop)
        self.thread.join(_EXIT_TIMEOUT)
        if not self.thread.is_alive():
            self.loop.close()

    async def _wind_up(self) -> None:
        tasks = asyncio.all_tasks() - {asyncio.current_task()}
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self.loop.shutdown_asyncgens()
        self.loop.stop()


_lock = threading.Lock()
_holds: list[threading.Event] = []
_running: _LoopThread | None = None


def run(coroutine: Coroutine[Any, Any, R]) -> R:
    """Runs the coroutine on the loop thread and returns its result, or raises what it raises.

    Interrupted, by Ctrl-C say, it cancels the coroutine and raises the interruption.
    """
    there = _loop_thread()
    if threading.current_thread() is there.thread:
        coroutine.close()
        raise GradientError(
            "a synchronous call on the library's own event loop would wait for itself; await it from aio instead"
        )
    future: concurrent.futures.Future[R] | None = None
    try:
        future = asyncio.run_coroutine_threadsafe(coroutine, there.loop)
        return future.result()
    except concurrent.futures.CancelledError:
        if there.stopping:  # the interpreter ends, and this is a daemon thread, which ends with it in silence
            raise SystemExit from None
        raise
    except BaseException:
        if future is None:  # interrupted while it was handed over, which may be done or not
            there.loop.call_soon_threadsafe(_drop, coroutine)
        else:
            future.cancel()
        raise


def _drop(coroutine: Coroutine[Any, Any, object]) -> None:
    """Ends a coroutine, on its loop, whether or not it has become a task there."""
    task = next((task for task in asyncio.all_tasks() if task.get_coro() is coroutine), None)
    if task is None:
        coroutine.close()
    else:
        task.cancel()


def owns(loop: asyncio.AbstractEventLoop) -> bool:
    """Whether this is the loop of the loop thread."""
    return _running is not None and _running.loop is loop


def _loop_thread() -> _LoopThread:
    global _running  # noqa: PLW0603  # one for the process is the point
    if _running is None:
        with _lock:
            if _running is None:
                _running = _LoopThread()
    return _running


def _stop() -> None:
    global _running
    if _running is not None:
        there, _running = _running, None
        there.stop()


def _hold() -> None:
    """Before a fork: holds the loop between two of its steps, so that its thread has no lock that the child would need.

    In the middle of a step it may be importing something, and the child would wait for that import for ever.
    """
    there = _running
    if there is None or there.stopping or threading.current_thread() is there.thread:
        return
    held, forked = threading.Event(), threading.Event()

    def step() -> None:
        held.set()
        forked.wait()

    there.loop.call_soon_threadsafe(step)
    held.wait(_HOLD_TIMEOUT)
    _holds.append(forked)


def _release() -> None:
    """After a fork, in the parent."""
    if _holds:
        _holds.pop().set()


def _forget() -> None:
    """In a forked child: the parent's thread does not run here, and its lock may be held for ever."""
    global _running, _lock
    leak(_running)
    _running, _lock = None, threading.Lock()
    _holds.clear()


atexit.register(_stop)
os.register_at_fork(before=_hold, after_in_parent=_release, after_in_child=_forget)
