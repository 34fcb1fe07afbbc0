"""The loop thread: one event loop, in one thread for each process, that runs the async functions for sync code.

The loop is used by nothing else, so sync calls work wherever Python runs: in scripts, beside a running loop
(notebooks), from many threads at a time, and in a forked child, which starts a thread of its own.
"""

from __future__ import annotations

import asyncio
import atexit
import concurrent.futures
import os
import threading
from typing import TYPE_CHECKING, Any, TypeVar

from paperspace.gradient._sync.fork import never_finalize
from paperspace.gradient.errors import GradientError

if TYPE_CHECKING:
    from collections.abc import Coroutine

R = TypeVar("R")

# Seconds for the last requests and connections to end when the interpreter exits.
_EXIT_TIMEOUT = 2.0

# Seconds that a fork waits until the loop is between two steps.
_HOLD_TIMEOUT = 1.0


class _LoopThread:
    """A running event loop and its thread."""

    def __init__(self) -> None:
        self.loop = asyncio.new_event_loop()
        self.stopping = False
        self.thread = threading.Thread(target=self._run, name="paperspace.gradient", daemon=True)
        self.thread.start()

    def _run(self) -> None:
        asyncio.set_event_loop(self.loop)
        self.loop.run_forever()

    def stop(self) -> None:
        """End the tasks of the loop, then the loop, then the thread."""
        self.stopping = True
        asyncio.run_coroutine_threadsafe(self._shut_down(), self.loop)
        self.thread.join(_EXIT_TIMEOUT)
        if not self.thread.is_alive():
            self.loop.close()

    async def _shut_down(self) -> None:
        tasks = asyncio.all_tasks() - {asyncio.current_task()}
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self.loop.shutdown_asyncgens()
        self.loop.stop()


_lock = threading.Lock()
_forks_in_progress: list[threading.Event] = []
_running: _LoopThread | None = None


def run(coroutine: Coroutine[Any, Any, R]) -> R:
    """Run a coroutine on the loop thread. Return its result, or raise what it raises.

    If the wait is interrupted, by Ctrl-C for example, the coroutine is cancelled.
    """
    loop_thread = _start_once()
    if threading.current_thread() is loop_thread.thread:
        coroutine.close()
        raise GradientError(
            "a sync function was called on the library's event loop and would wait for itself; "
            "await the function of paperspace.gradient.aio instead"
        )
    future: concurrent.futures.Future[R] | None = None
    try:
        future = asyncio.run_coroutine_threadsafe(coroutine, loop_thread.loop)
        return future.result()
    except concurrent.futures.CancelledError:
        if loop_thread.stopping:  # the interpreter exits, and this daemon thread ends silently with it
            raise SystemExit from None
        raise
    except BaseException:
        if future is None:  # interrupted while the coroutine was handed over; it may be a task already
            loop_thread.loop.call_soon_threadsafe(_cancel, coroutine)
        else:
            future.cancel()
        raise


def _cancel(coroutine: Coroutine[Any, Any, object]) -> None:
    """Cancel a coroutine, on its loop, whether or not it has become a task there."""
    task = next((task for task in asyncio.all_tasks() if task.get_coro() is coroutine), None)
    if task is None:
        coroutine.close()
    else:
        task.cancel()


def is_loop_thread_loop(loop: asyncio.AbstractEventLoop) -> bool:
    """Whether this is the loop of the loop thread."""
    return _running is not None and _running.loop is loop


def _start_once() -> _LoopThread:
    global _running  # noqa: PLW0603  # there is one for each process
    if _running is None:
        with _lock:
            if _running is None:
                _running = _LoopThread()
    return _running


def _stop() -> None:
    global _running
    if _running is not None:
        loop_thread, _running = _running, None
        loop_thread.stop()


def _before_fork() -> None:
    """Hold the loop between two of its steps, so that its thread holds no lock that the child would need.

    In the middle of a step it may be importing a module, and the child would wait for that import forever.
    """
    loop_thread = _running
    if loop_thread is None or loop_thread.stopping or threading.current_thread() is loop_thread.thread:
        return
    held, forked = threading.Event(), threading.Event()

    def hold() -> None:
        held.set()
        forked.wait()

    loop_thread.loop.call_soon_threadsafe(hold)
    held.wait(_HOLD_TIMEOUT)
    _forks_in_progress.append(forked)


def _after_fork_in_parent() -> None:
    if _forks_in_progress:
        _forks_in_progress.pop().set()


def _after_fork_in_child() -> None:
    """Forget the parent's thread, which does not run here. Its lock may be held forever."""
    global _running, _lock
    never_finalize(_running)
    _running, _lock = None, threading.Lock()
    _forks_in_progress.clear()


atexit.register(_stop)
os.register_at_fork(before=_before_fork, after_in_parent=_after_fork_in_parent, after_in_child=_after_fork_in_child)
