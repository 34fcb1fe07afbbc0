"""Daemon threads: they do not delay the exit of the process, and they work during it.

The interpreter waits for the threads of `concurrent.futures` and asyncio when it exits, and before the functions of
`atexit` run. A name server that does not respond would delay the exit; and the functions of `atexit` would find no thread.
"""

from __future__ import annotations

import asyncio
from concurrent.futures import Executor, Future
from functools import partial
from queue import Empty, SimpleQueue
from threading import Lock, Thread
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

    Work = SimpleQueue[tuple[Future[Any], Callable[[], Any]] | None]

P = ParamSpec("P")
R = TypeVar("R")


class DaemonThreads(Executor):
    """An executor with daemon threads. All of them start at once: Python 3.12 starts none while the interpreter exits.

    Args:
        number: The number of threads.
        name: The name of the threads.

    Raises:
        RuntimeError: No thread can be started.
    """

    def __init__(self, number: int, name: str) -> None:
        self._work: Work = SimpleQueue()
        self._lock = Lock()
        self._stopped = False
        self._threads = [Thread(target=_run_all, args=(self._work,), name=name, daemon=True) for _ in range(number)]
        try:
            for thread in self._threads:
                thread.start()
        except RuntimeError:
            self.shutdown(wait=False)
            raise

    def submit(self, fn: Callable[P, R], /, *args: P.args, **kwargs: P.kwargs) -> Future[R]:
        """Run a function in one of the threads.

        Raises:
            RuntimeError: The executor was shut down.
        """
        future: Future[R] = Future()
        with self._lock:
            if self._stopped:
                raise RuntimeError("the executor was shut down")
            self._work.put((future, partial(fn, *args, **kwargs)))
        return future

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """End the threads after the submitted functions. With `cancel_futures`, those that wait are not run."""
        with self._lock:
            self._stopped = True
            if cancel_futures:
                for future in _waiting(self._work):
                    future.cancel()
            for _ in self._threads:
                self._work.put(None)
        if wait:
            for thread in self._threads:
                thread.join()


async def in_daemon_thread(function: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
    """Run a function in a daemon thread of its own. Where no thread can be started, run it in this one."""
    try:
        thread = DaemonThreads(1, "paperspace.gradient")
    except RuntimeError:
        return function(*args, **kwargs)
    future = thread.submit(function, *args, **kwargs)
    thread.shutdown(wait=False)
    return await asyncio.wrap_future(future)


def _waiting(work: Work) -> list[Future[Any]]:
    """Take all functions that wait out of the queue, and return their futures."""
    futures: list[Future[Any]] = []
    while True:
        try:
            item = work.get_nowait()
        except Empty:
            return futures
        if item is not None:
            futures.append(item[0])


def _run_all(work: Work) -> None:
    while (item := work.get()) is not None:
        future, function = item
        if future.set_running_or_notify_cancel():
            try:
                result = function()
            except BaseException as error:  # noqa: BLE001  # raised where the future is awaited
                future.set_exception(error)
            else:
                future.set_result(result)
        del item, future, function  # not kept until the next function arrives
