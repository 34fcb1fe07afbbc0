"""Lanes: threads that execute work in the order of its arrival. Work in one lane does not wait for work in another.

Work in the background has a queue of its own. While both queues have work, they take turns: a request waits for at most
one piece of background work for each request before it, however much of it is queued, and neither queue is stuck.
"""

from __future__ import annotations

import asyncio
import threading
from collections import OrderedDict
from concurrent.futures import Future
from contextlib import closing
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any, Generic, NamedTuple, Protocol, TypeVar

from paperspace.gradient.server.errors import StoppedError
from paperspace.gradient.server.storage.budget import InterruptedRequestError

if TYPE_CHECKING:
    from collections.abc import Callable

    from paperspace.gradient.server.storage.budget import Budget


class Resource(Protocol):
    """What functions in a lane use. One thread opens it, uses it and closes it."""

    def close(self) -> None:
        """Release the resource."""


ResourceT = TypeVar("ResourceT", bound=Resource)
Result = TypeVar("Result")


class _Work(NamedTuple):
    function: Callable[[Any], Any]
    budget: Budget


class Lane(Generic[ResourceT]):
    """Run functions in threads that have one resource each.

    Work that nobody waits for any more is dropped, or interrupted if it runs.

    Args:
        name: The prefix of the names of the threads.
        open_resource: Opens the resource of a thread.
        threads: The number of threads.
    """

    def __init__(self, name: str, open_resource: Callable[[], ResourceT], threads: int = 1) -> None:
        self._name = name
        self._open_resource = open_resource
        self._number_of_threads = threads
        self._threads: list[tuple[threading.Thread, Future[None]]] = []  # with the future of the end
        self._lock = threading.RLock()  # protects what follows
        self._changed = threading.Condition(self._lock)
        self._requests: OrderedDict[Future[Any], _Work] = OrderedDict()
        self._background: OrderedDict[Future[Any], _Work] = OrderedDict()
        self._queues = [self._requests, self._background]  # the next one first
        self._running: set[Budget] = set()
        self._stopped = self._closing = False

    async def open(self) -> None:
        """Start the threads, one after another, and wait until each has opened its resource."""
        for number in range(self._number_of_threads):
            opened, ended = _milestone(), _milestone()
            # A daemon, unlike the threads of an executor: the end of the program waits for no request.
            name = f"gradient {self._name} {number}"
            thread = threading.Thread(target=self._serve, args=(opened, ended), name=name, daemon=True)
            thread.start()
            self._threads.append((thread, ended))
            await asyncio.wrap_future(opened)

    async def close(self) -> None:
        """Stop, and wait until the resources are closed."""
        self.stop()
        with self._changed:
            self._closing = True
            self._changed.notify_all()
        for thread, ended in self._threads:
            await asyncio.wrap_future(ended)
            thread.join()  # for a moment

    def stop(self) -> None:
        """Drop the work that waits, and interrupt the work that runs. The resources stay open."""
        with self._changed:
            self._stopped = True
            for queue in self._queues:
                for future in queue:
                    if future.set_running_or_notify_cancel():
                        future.set_exception(StoppedError())
                queue.clear()
            for budget in self._running:
                budget.interrupt()

    async def run(
        self, function: Callable[[ResourceT], Result], budget: Budget, *, finish: bool = False, background: bool = False
    ) -> Result:
        """Run a function within a budget, and return its result. In the `background`, it makes few requests wait.

        If the caller is cancelled, the function is not started, or interrupted unless it is to `finish`.

        Raises:
            StoppedError: the lane stopped first.
        """
        queue = self._background if background else self._requests
        future: Future[Result] = Future()
        self._submit(future, function, budget, queue)
        try:
            return await asyncio.wrap_future(future)
        except asyncio.CancelledError:
            with self._changed:
                queue.pop(future, None)
            if not finish:
                budget.interrupt()
            raise

    def run_and_wait(self, function: Callable[[ResourceT], Result], budget: Budget) -> Result:
        """Run a function within a budget, wait in this thread, and return its result.

        Raises:
            StoppedError: the lane stopped first.
        """
        # Queue and lock are in C: a signal handler that raises here leaves no lock that the threads would wait for forever.
        future: Future[Result] = Future()
        finished: SimpleQueue[Future[Result]] = SimpleQueue()
        future.add_done_callback(finished.put)
        self._submit(future, function, budget, self._requests)
        return finished.get().result()

    def _submit(
        self,
        future: Future[Result],
        function: Callable[[ResourceT], Result],
        budget: Budget,
        queue: OrderedDict[Future[Any], _Work],
    ) -> None:
        with self._lock:
            if self._stopped:
                raise StoppedError
            queue[future] = _Work(function, budget)
            self._changed.notify()

    def _serve(self, opened: Future[None], ended: Future[None]) -> None:
        """Run one thread."""
        try:
            with closing(self._open_resource()) as resource:
                opened.set_result(None)
                while self._execute_next(resource):
                    pass
        except BaseException as error:  # noqa: BLE001 - raised where the caller waits
            (ended if opened.done() else opened).set_exception(error)
        if not ended.done():
            ended.set_result(None)

    def _execute_next(self, resource: ResourceT) -> bool:
        """Wait for work and execute it, or return False at the end."""
        with self._changed:
            self._changed.wait_for(lambda: any(self._queues) or self._closing)
            queue = next(filter(None, self._queues), None)
            if queue is None:
                return False
            future, work = queue.popitem(last=False)
            self._queues.sort(key=lambda one: one is queue)  # the other one is next
            self._running.add(work.budget)
        try:
            if future.set_running_or_notify_cancel():
                work.budget.start()
                future.set_result(work.function(resource))
        except InterruptedRequestError:
            future.set_exception(StoppedError())
        except BaseException as error:  # noqa: BLE001 - raised where the caller waits
            future.set_exception(error)
        finally:
            with self._changed:
                self._running.discard(work.budget)
        return True


def _milestone() -> Future[None]:
    """Return a future that a waiting task does not cancel when it is cancelled itself."""
    future: Future[None] = Future()
    future.set_running_or_notify_cancel()
    return future
