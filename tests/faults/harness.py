"""Makes one call under a fault, and holds what comes of it against everything that is promised."""

from __future__ import annotations

import asyncio
import pickle
import time
import traceback
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

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
NAMES = {"get": "Deployment", "create": "DeploymentCreate", "update": "DeploymentUpdate", "delete": "DeploymentDelete"}

# Seconds that a call may take beyond its deadline. Wide, as the tests share the machine; scripts/chaos is strict.
OVERRUN = 0.5


# How many cells of the matrix were run, for the summary.
cells: list[int] = []


class Seen:
    """What a call came to."""

    def __init__(self, error: BaseException | None, elapsed: float) -> None:
        self.error = error
        self.elapsed = elapsed


async def attempt(call: Callable[[], Any]) -> Seen:
    """Makes the call and notes how it ends."""
    start = time.monotonic()
    try:
        await call()
    except Exception as error:  # noqa: BLE001  # whatever it is, it is what is looked at
        return Seen(error, time.monotonic() - start)
    return Seen(None, time.monotonic() - start)


def attempt_blocking(call: Callable[[], Any]) -> Seen:
    """Makes the synchronous call and notes how it ends."""
    start = time.monotonic()
    try:
        call()
    except Exception as error:  # noqa: BLE001  # as above
        return Seen(error, time.monotonic() - start)
    return Seen(None, time.monotonic() - start)


def in_both_faces(
    make: Callable[[str, str], tuple[str, dict[str, Any], Callable[[Seen], None]]],
) -> None:
    """Runs all the operations in both faces at the same time.

    Args:
        make: For an operation and a face, the address, the settings of the client, and the judge of what was seen.
    """

    async def one(operation: str) -> None:
        url, settings, judge = make(operation, "async")
        async with AsyncClient(CANARY, url, **settings) as client:
            seen = await attempt(lambda: CALLS[operation](client.deployments))
        judge(seen)

    async def every() -> None:
        await asyncio.gather(*map(one, OPERATIONS))

    def blocking(operation: str) -> None:
        url, settings, judge = make(operation, "sync")
        with Client(CANARY, url, **settings) as client:
            seen = attempt_blocking(lambda: CALLS[operation](client.deployments))
        judge(seen)

    def awaited() -> None:
        asyncio.run(every())

    with ThreadPoolExecutor(len(OPERATIONS) + 1) as pool:
        jobs = [pool.submit(awaited), *(pool.submit(blocking, operation) for operation in OPERATIONS)]
        for job in jobs:
            job.result()
    cells.append(2 * len(OPERATIONS))


def settings(timeout: float) -> dict[str, Any]:
    return {"timeout": timeout, "max_retries": MAX_RETRIES, "max_response_bytes": 1_000_000}


def check(seen: Seen, outcome: Outcome, operation: str, timeout: float) -> None:
    """Asserts that the call came to what it should, and that its error keeps every promise."""
    assert seen.elapsed <= timeout + OVERRUN
    assert type(seen.error) is (outcome.error or type(None)), repr(seen.error)
    error = seen.error
    if error is None:
        return
    assert isinstance(error, GradientError)
    assert len(str(error)) < 2200
    check_secret(error)
    check_pickle(error)
    if isinstance(error, APIError):
        assert error.operation == NAMES[operation]
        assert error.attempts == outcome.sends
        assert error.may_have_executed == outcome.executed
        assert 0 <= error.elapsed <= seen.elapsed + 0.01


def check_secret(error: BaseException) -> None:
    """Asserts that the key is nowhere in the error, nor in what a debugger or a crash reporter would show of it."""
    shown = [str(error), repr(error), pickle.dumps(error).decode("latin-1")]
    shown += traceback.TracebackException.from_exception(error, capture_locals=True).format()
    cause: BaseException | None = error
    while cause is not None:
        shown += [str(cause), repr(cause), repr(cause.__dict__)]
        cause = cause.__cause__ or cause.__context__
    for text in shown:
        assert CANARY not in text, text


def check_pickle(error: BaseException) -> None:
    """Asserts that the error survives pickling with all its facts."""
    again = pickle.loads(pickle.dumps(error))
    assert type(again) is type(error)
    assert str(again) == str(error)
    assert again.__dict__ == error.__dict__


def wait_for(condition: Callable[[], object]) -> None:
    """Waits until something holds, five seconds at most."""
    end = time.monotonic() + 5
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.005)
