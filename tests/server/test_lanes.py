"""Lanes: order, errors, callers who left, and the end."""

from __future__ import annotations

import asyncio
import threading
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest

from paperspace.gradient.server.errors import StoppedError
from paperspace.gradient.server.lanes import Lane
from paperspace.gradient.server.storage.budget import UNLIMITED, Budget, BudgetExceededError

if TYPE_CHECKING:
    from collections.abc import Callable


class Resource:
    """Record which threads use it."""

    def __init__(self, opened: list[Resource]) -> None:
        self.threads = [threading.current_thread()]
        opened.append(self)

    def use(self) -> None:
        self.threads.append(threading.current_thread())

    def close(self) -> None:
        self.use()


async def wait_until(condition: Callable[[], bool]) -> None:
    while not condition():  # noqa: ASYNC110 - a thread meets it
        await asyncio.sleep(0.01)


def budget() -> Budget:
    return Budget(UNLIMITED)


@pytest.mark.anyio
async def test_threads_and_resources() -> None:
    """Each thread opens, uses and closes one resource, and ends with the lane."""
    opened: list[Resource] = []
    before = set(threading.enumerate())
    lane = Lane("test", partial(Resource, opened), threads=3)
    await lane.open()
    assert len(opened) == 3
    await asyncio.gather(*(lane.run(Resource.use, budget()) for _ in range(100)))
    await lane.close()
    assert set(threading.enumerate()) == before
    assert sum(len(resource.threads) for resource in opened) == 106
    assert [len(set(resource.threads)) for resource in opened] == [1, 1, 1]


@pytest.mark.anyio
async def test_background_work_and_requests_take_turns() -> None:
    """A request waits for at most one piece of background work for each request before it, and neither queue is stuck."""
    lane, order, blocked = Lane("test", partial(Resource, [])), list[str](), threading.Event()
    started = threading.Event()
    await lane.open()

    def block() -> None:
        started.set()
        blocked.wait()

    def start(name: str, *, background: bool) -> asyncio.Task[None]:
        return asyncio.create_task(lane.run(lambda _: order.append(name), budget(), background=background))

    try:
        first = asyncio.create_task(lane.run(lambda _: block(), budget(), background=True))
        await wait_until(started.is_set)
        tasks = [start(f"background {number}", background=True) for number in range(4)]
        tasks += [start(f"request {number}", background=False) for number in range(2)]
        await asyncio.sleep(0)  # all are queued
        blocked.set()
        await asyncio.gather(first, *tasks)
    finally:
        blocked.set()
        await lane.close()
    expected = ["request 0", "background 0", "request 1", "background 1", "background 2", "background 3"]
    assert order == expected


@pytest.mark.anyio
async def test_errors() -> None:
    """Errors of opening, of the work and of closing are raised where the caller waits; the work after them is executed."""

    class Broken(Resource):
        def close(self) -> None:
            raise OSError("close")

    def fail(error: BaseException) -> Any:
        raise error

    lane = Lane("test", lambda: fail(OSError("open")))
    with pytest.raises(OSError, match="open"):
        await lane.open()
    await lane.close()
    lane = Lane("test", partial(Broken, []))
    await lane.open()
    for error in (RuntimeError("work"), BudgetExceededError("work")):
        with pytest.raises(type(error), match="work"):
            await lane.run(lambda _, error=error: fail(error), budget())  # type: ignore[misc]
    assert await lane.run(lambda _: 1, budget()) == 1
    with pytest.raises(OSError, match="close"):
        await lane.close()


@pytest.mark.anyio
async def test_dropped_work() -> None:
    """Work whose caller left is not kept until its turn, and not started. Work that runs is interrupted, or finished."""
    release, started = threading.Event(), threading.Event()

    def hold(_: Resource) -> None:
        started.set()
        release.wait()

    lane = Lane("test", partial(Resource, []))
    await lane.open()
    budgets = [budget() for _ in range(4)]
    tasks = [asyncio.create_task(lane.run(hold, budgets[0], finish=True))]
    await asyncio.to_thread(started.wait)
    executed: list[int] = []
    tasks += [
        asyncio.create_task(lane.run(lambda _, number=number: executed.append(number), budgets[number]))  # type: ignore[misc]
        for number in (1, 2, 3)
    ]
    await asyncio.sleep(0)
    for task in (tasks[0], tasks[1], tasks[2]):
        task.cancel()
    await asyncio.wait(tasks[:3])
    assert len(lane._requests) == 1
    assert [item.is_over for item in budgets] == [False, True, True, False]
    release.set()
    await tasks[3]
    assert executed == [3]
    await lane.close()


@pytest.mark.anyio
async def test_stop() -> None:
    """At the stop, work that waits is dropped, work that runs is interrupted, and more is rejected, for all callers."""

    def run_until_interrupted(_: Resource, budget: Budget) -> None:
        started.set()
        while True:
            budget.check()

    started = threading.Event()
    lane = Lane("test", partial(Resource, []))
    await lane.open()
    running = budget()
    tasks = [asyncio.create_task(lane.run(lambda resource: run_until_interrupted(resource, running), running))]
    await asyncio.to_thread(started.wait)
    tasks += [asyncio.create_task(lane.run(Resource.use, budget())) for _ in range(3)]
    in_thread = asyncio.create_task(asyncio.to_thread(lane.run_and_wait, Resource.use, budget()))
    await wait_until(lambda: len(lane._requests) == 4)
    lane.stop()
    for task in [*tasks, in_thread]:
        with pytest.raises(StoppedError):
            await task
    with pytest.raises(StoppedError):
        await lane.run(Resource.use, budget())
    await lane.close()
    await lane.close()


@pytest.mark.anyio
async def test_a_cancelled_start() -> None:
    """If the caller of `open` is cancelled, `close` waits until what was opened is closed."""
    release, opened = threading.Event(), list[Resource]()

    def open_slowly() -> Resource:
        release.wait()
        return Resource(opened)

    lane = Lane("test", open_slowly)
    task = asyncio.create_task(lane.open())
    await asyncio.sleep(0)
    task.cancel()
    await asyncio.wait([task])
    closing = asyncio.create_task(lane.close())
    await asyncio.sleep(0.05)
    assert not closing.done()
    release.set()
    await closing
    assert len(opened[0].threads) == 2
