"""Run calls against a faulty server and check their results and errors."""

from __future__ import annotations

import asyncio
import pickle
import threading
import time
import traceback
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from itertools import product
from typing import Any, NamedTuple, Self

from tests.faults.catalogue import MAX_RETRIES, OPERATIONS, Outcome
from tests.faults.server import ID, SPEC

from paperspace.gradient import APIError, AsyncClient, Client, GradientError

CANARY = "canary-0123456789abcdef0123456789"

CALLS: dict[str, Callable[[Any], Any]] = {
    "get": lambda deployments: deployments.get_deployment(ID),
    "create": lambda deployments: deployments.create_deployment("mine", "p1", SPEC),
    "update": lambda deployments: deployments.update_deployment(id=ID, spec=SPEC),
    "delete": lambda deployments: deployments.delete_deployment(ID),
}
MORE_OF_GET = {"name": "mine", "deploymentSpecs": {"nodes": []}}
NAMES = {"get": "Deployment", "create": "DeploymentCreate", "update": "DeploymentUpdate", "delete": "DeploymentDelete"}

# Seconds that a call may take beyond its deadline, not counting the delay that LagMeter measures.
OVERRUN = 0.5

# The cells of the matrix that ran to their end.
finished_cells: list[tuple[str, str]] = []


class LagMeter:
    """Measure how much the machine delays this process, so that no test fails on a slow or busy one.

    A thread sleeps 10 ms, over and over, and adds up how much too late it wakes.
    """

    seconds = 0.0

    def __enter__(self) -> Self:
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._measure)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopped.set()
        self._thread.join()

    def _measure(self) -> None:
        start = time.monotonic()
        while not self._stopped.wait(0.01):
            end = time.monotonic()
            self.seconds += max(0, end - start - 0.01)
            start = end


lag_meter = LagMeter()


class Result(NamedTuple):
    """The end of a call: the value or the error, the seconds that it took, and the delay by the machine in them."""

    value: Any
    error: BaseException | None
    elapsed: float
    lag: float


class _Watch:
    """Note the time and the lag since it was made."""

    def __init__(self) -> None:
        self._start, self._lag = time.monotonic(), lag_meter.seconds

    def result(self, value: Any, error: BaseException | None = None) -> Result:
        return Result(value, error, time.monotonic() - self._start, lag_meter.seconds - self._lag)


async def run_async(call: Callable[[], Any]) -> Result:
    """Run the async version of a call."""
    watch = _Watch()
    try:
        value = await call()
    except Exception as error:  # noqa: BLE001  # the caller checks it
        return watch.result(None, error)
    return watch.result(value)


def run_sync(call: Callable[[], Any]) -> Result:
    """Run the sync version of a call."""
    watch = _Watch()
    try:
        value = call()
    except Exception as error:  # noqa: BLE001  # the caller checks it
        return watch.result(None, error)
    return watch.result(value)


class Cell(NamedTuple):
    """One call of the matrix: the API URL, the settings of the client, and a function that checks the result."""

    url: str
    settings: dict[str, Any]
    verify: Callable[[Result], None]


def in_sync_and_async(make: Callable[[str, str], Cell]) -> None:
    """Run every operation, in its sync and its async version, all at the same time.

    Args:
        make: Make the cell of an operation and a version.
    """

    async def one(operation: str) -> None:
        cell = make(operation, "async")
        async with AsyncClient(CANARY, cell.url, **cell.settings) as client:
            result = await run_async(lambda: CALLS[operation](client.deployments))
        cell.verify(result)
        finished_cells.append((operation, "async"))

    async def every() -> None:
        await asyncio.gather(*map(one, OPERATIONS))

    def blocking(operation: str) -> None:
        cell = make(operation, "sync")
        with Client(CANARY, cell.url, **cell.settings) as client:
            result = run_sync(lambda: CALLS[operation](client.deployments))
        cell.verify(result)
        finished_cells.append((operation, "sync"))

    def on_a_loop() -> None:
        asyncio.run(every())

    before = len(finished_cells)
    with lag_meter, ThreadPoolExecutor(len(OPERATIONS) + 1) as pool:
        jobs = [pool.submit(on_a_loop), *(pool.submit(blocking, operation) for operation in OPERATIONS)]
        for job in jobs:
            job.result()
    assert sorted(finished_cells[before:]) == sorted(product(CALLS, ("sync", "async")))


def settings(timeout: float) -> dict[str, Any]:
    return {"timeout": timeout, "max_retries": MAX_RETRIES, "max_response_bytes": 1_000_000}


def check(result: Result, outcome: Outcome, operation: str, timeout: float) -> None:
    """Assert that the call ended as expected: with the right value, or with the right error and its attributes."""
    assert result.elapsed <= timeout + OVERRUN + result.lag
    assert type(result.error) is (outcome.error or type(None)), repr(result.error)
    error = result.error
    if error is None:
        assert result.value == {"id": outcome.id} | (MORE_OF_GET if operation == "get" else {})
        return
    assert isinstance(error, GradientError)
    assert len(str(error)) < 2200
    check_secret(error)
    check_pickle(error)
    if isinstance(error, APIError):
        assert error.operation == NAMES[operation]
        assert error.attempts == outcome.attempts
        assert error.may_have_executed == outcome.executed
        assert 0 <= error.elapsed <= result.elapsed + 0.01


def check_secret(error: BaseException, secret: str = CANARY) -> None:
    """Assert that a secret is not in the error, nor in what a debugger or a crash reporter would show of it."""
    shown = [str(error), repr(error), pickle.dumps(error).decode("latin-1")]
    shown += traceback.TracebackException.from_exception(error, capture_locals=True).format()
    cause: BaseException | None = error
    while cause is not None:
        shown += [str(cause), repr(cause), repr(cause.__dict__)]
        cause = cause.__cause__ or cause.__context__
    for text in shown:
        assert secret not in text, text


def check_pickle(error: BaseException) -> None:
    """Assert that pickling keeps the class, the message and the attributes."""
    unpickled = pickle.loads(pickle.dumps(error))
    assert type(unpickled) is type(error)
    assert str(unpickled) == str(error)
    assert unpickled.__dict__ == error.__dict__


def wait_for(condition: Callable[[], object]) -> None:
    """Wait until a condition is true; a minute at most, so that a test which fails also ends."""
    end = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.005)
