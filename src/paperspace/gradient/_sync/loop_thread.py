"""The loop thread: one event loop, in one thread for each process, that runs the async functions for sync code.

The loop is used by nothing else, so sync calls work wherever Python runs: in scripts, beside a running loop
(notebooks), from many threads at a time, and in a forked child, which starts a thread of its own.

Where no thread can be started, the callers run the loop, one at a time: Python 3.12 starts no thread while the
interpreter exits, and the first call of a program may be in a function of `atexit`.
"""

from __future__ import annotations

import asyncio
import atexit
import concurrent.futures
import queue
import threading
from contextlib import suppress
from typing import TYPE_CHECKING, Any, TypeVar

from paperspace.gradient._shared.event_loops import new_event_loop
from paperspace.gradient._shared.fork import at_fork, never_finalize
from paperspace.gradient._shared.lazy import FORK_TIMEOUT, hold_before_forks, holds_imports
from paperspace.gradient.errors import GradientError

if TYPE_CHECKING:
    from collections.abc import Coroutine

R = TypeVar("R")

# Seconds for the last requests and connections to end when the interpreter exits.
_EXIT_TIMEOUT = 2.0


class _LoopThread:
    """An event loop, and the thread that runs it.

    Attributes:
        loop: The loop.
        thread: The thread. None: it cannot be started, or cannot run a loop, and the callers run the loop.
        stopping: Whether the loop is ended, as the interpreter exits.
        left_open: Whether it was created while the interpreter exits. Nothing may be left to end it.
    """

    def __init__(self) -> None:
        self._runner = asyncio.Runner(loop_factory=new_event_loop)
        self.loop = self._runner.get_loop()
        self.stopping = False
        self.left_open = not threading.main_thread().is_alive()
        if self.left_open:
            never_finalize(self)
        self.thread: threading.Thread | None = None
        self.start_thread()

    def start_thread(self) -> None:
        """Start the thread, if that is possible now."""
        can_run: queue.SimpleQueue[bool] = queue.SimpleQueue()
        thread = threading.Thread(target=self._run, args=(can_run,), name="paperspace.gradient", daemon=True)
        with suppress(RuntimeError):
            thread.start()
            if can_run.get():
                self.thread = thread

    def _run(self, can_run: queue.SimpleQueue[bool]) -> None:
        # With gevent, this is a greenlet, and another one in its thread may run a loop. The calls would wait forever.
        blocked = _runs_a_loop()
        can_run.put(not blocked)
        if blocked:
            return
        asyncio.set_event_loop(self.loop)
        while True:
            # Code of the user that runs here, such as a handler of logging, may call sys.exit. Its call gets the SystemExit, but
            # asyncio ends the loop too, and all calls would wait for it forever.
            with suppress(SystemExit, KeyboardInterrupt):
                self.loop.run_forever()
                return

    def run_here(self, coroutine: Coroutine[Any, Any, R]) -> R:
        """Run a coroutine in the thread of the caller."""
        try:
            return self._runner.run(coroutine)
        except BaseException:
            self.loop.call_soon(_cancel, coroutine)  # if it was interrupted, and another caller runs the loop
            raise

    def stop(self) -> None:
        """End the tasks of the loop, then the loop, then the thread."""
        self.stopping = True
        if self.thread is None:
            if not self.loop.is_running():  # by a daemon thread, which ends silently
                self._runner.close()
            return
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


# The lock of the start, by the function that creates locks. gevent may replace this function later than this module is
# imported, and a lock from before lets all greenlets of a thread in.
_locks: dict[object, threading.RLock] = {}
_running: _LoopThread | None = None

# By the thread that forks: the loop thread that it holds, and the event that lets it go on.
_held_for_forks: dict[int, tuple[_LoopThread, threading.Event]] = {}


def run(coroutine: Coroutine[Any, Any, R]) -> R:
    """Run a coroutine on the loop thread. Return its result, or raise what it raises.

    If the wait is interrupted, by Ctrl-C for example, the coroutine is cancelled.
    """
    loop_thread = _running
    if loop_thread is None or loop_thread.thread is None:
        with _start_lock():
            try:
                loop_thread = _start()
            except BaseException:
                coroutine.close()
                raise
            if loop_thread.thread is None:
                return loop_thread.run_here(coroutine)
    if threading.current_thread() is loop_thread.thread:
        coroutine.close()
        raise GradientError(
            "a sync function was called on the event loop of the library, where it would block forever; "
            "use the async function of paperspace.gradient.aio"
        )
    if holds_imports():  # by a finalizer, or by a function of os.register_at_fork
        coroutine.close()
        raise GradientError(
            "a sync function was called in the middle of a fork, or of an import of the library, where it would block "
            "forever; call it later"
        )
    # In C: a signal handler that raises in the middle of it leaves no lock that the loop thread would wait for forever. The
    # futures of `concurrent` have such a lock. By its full name: gevent may replace it later than this module is imported.
    finished: queue.SimpleQueue[asyncio.Task[R]] = queue.SimpleQueue()

    def start() -> None:
        loop_thread.loop.create_task(coroutine).add_done_callback(finished.put)

    try:
        loop_thread.loop.call_soon_threadsafe(start)
        task = finished.get()
    except BaseException:
        loop_thread.loop.call_soon_threadsafe(_cancel, coroutine)  # it may not be a task yet
        raise
    if not task.cancelled():
        return task.result()
    if loop_thread.stopping:  # the interpreter exits, and this daemon thread ends silently with it
        raise SystemExit
    raise concurrent.futures.CancelledError


def cancel(coroutine: Coroutine[Any, Any, object]) -> None:
    """Cancel a coroutine that was to be run, whether or not it runs already."""
    loop_thread = _running
    if loop_thread is None:  # nothing can run it
        coroutine.close()
    else:
        loop_thread.loop.call_soon_threadsafe(_cancel, coroutine)


def _cancel(coroutine: Coroutine[Any, Any, object]) -> None:
    """Cancel a coroutine, on its loop, whether or not it has become a task there.

    A task that is cancelled already is left alone: a second time would interrupt what it does to end.
    """
    task = next((task for task in asyncio.all_tasks() if task.get_coro() is coroutine), None)
    if task is None:
        coroutine.close()
    elif not task.cancelling():
        task.cancel()


def is_left_open(loop: asyncio.AbstractEventLoop) -> bool:
    """Whether this is the loop of calls in functions of `atexit`. Nothing may be left to close what is opened on it."""
    return _running is not None and _running.loop is loop and _running.left_open


def is_loop_thread_loop(loop: asyncio.AbstractEventLoop) -> bool:
    """Whether this is the loop of the loop thread."""
    return _running is not None and _running.loop is loop


def _start_lock() -> threading.RLock:
    """Return the lock of the start. A signal handler may make a call while this thread holds it."""
    return _locks.setdefault(threading.RLock, threading.RLock())


def _start() -> _LoopThread:
    """Return the loop thread, started if that is possible.

    Raises:
        GradientError: There is no event loop that a coroutine can run on.
    """
    global _running  # noqa: PLW0603  # there is one for each process
    if _running is None:
        try:
            created = _LoopThread()
        except OSError as error:
            raise GradientError(f"cannot create an event loop: {error.strerror}") from error
        if _running is None:
            _running = created
        else:  # by a signal handler, in the meantime
            created.stop()
    elif _running.thread is None:
        _running.start_thread()
    if _running.thread is None and _runs_a_loop():
        raise GradientError(
            "no thread can be started, and this thread already runs an event loop (with gevent, all greenlets are in one "
            "thread); use the async function of paperspace.gradient.aio"
        )
    return _running


def _runs_a_loop() -> bool:
    """Whether this thread runs an event loop."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True


def _stop() -> None:
    global _running
    if _running is not None:
        loop_thread, _running = _running, None
        loop_thread.stop()


def _hold() -> None:
    """Hold the loop between two of its steps. In the middle of a step, its thread may be importing a module."""
    loop_thread = _running
    if loop_thread is None or _is_held():
        return
    _let_go()
    held, forked = threading.Event(), threading.Event()

    def hold() -> None:
        held.set()
        forked.wait()

    loop_thread.loop.call_soon_threadsafe(hold)
    held.wait(FORK_TIMEOUT)
    _held_for_forks[threading.get_ident()] = loop_thread, forked


def _is_held() -> bool:
    """Whether the thread that forks holds the loop thread, or does not need to."""
    loop_thread = _running
    if loop_thread is None or loop_thread.stopping or loop_thread.thread in (None, threading.current_thread()):
        return True
    held, _ = _held_for_forks.get(threading.get_ident(), (None, None))
    return held is loop_thread


def _let_go() -> None:
    _, forked = _held_for_forks.pop(threading.get_ident(), (None, None))
    if forked is not None:
        forked.set()


def _after_fork_in_child() -> None:
    """Forget the parent's thread, which does not run here. The lock may be held forever by another thread of the parent."""
    global _running, _locks
    never_finalize(_running)
    _running, _locks = None, {}
    _held_for_forks.clear()


atexit.register(_stop)
hold_before_forks(_hold, _is_held)
at_fork(after_in_parent=_let_go, after_in_child=_after_fork_in_child)
