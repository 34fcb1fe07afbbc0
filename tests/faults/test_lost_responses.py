"""Each fault after an attempt whose response was lost: the outcome of a change is unknown, whatever its retry meets."""

from __future__ import annotations

import asyncio
from contextlib import ExitStack
from contextvars import copy_context

import pytest
from tests.faults.behaviours import raw, response
from tests.faults.catalogue import FAULTS, Fault
from tests.faults.harness import CANARY, Cell, Result, check_pickle, check_secret, in_sync_and_async, settings, wait_for
from tests.faults.server import FaultServer

from paperspace.gradient import (
    APIError,
    AsyncClient,
    AuthenticationError,
    Client,
    NotFoundError,
    OutcomeUnknownError,
    PartialResultError,
)
from paperspace.gradient._core import retry as _retry

LOST = raw(b"")

# Seconds in which the first attempt has to fail and the second one has to arrive, also on a busy machine.
MIN_TIMEOUT = 4.0


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_retry, "FIRST_BACKOFF", 0.002)


def verify(fault: Fault, operation: str, result: Result, requests: int) -> None:
    """Assert that the call ended as the rule in docs/retries.md says."""
    alone = fault.outcome(operation).error
    error = result.error
    if alone is None or (operation == "delete" and alone is NotFoundError):
        assert error is None, repr(error)
        assert result.value["id"] == fault.outcome(operation).id
        return
    assert isinstance(error, APIError)
    check_secret(error)
    check_pickle(error)
    assert error.attempts == requests
    if operation == "get" or alone is PartialResultError:
        assert type(error) is alone
        assert error.may_have_executed == fault.outcome(operation).executed
    else:
        assert type(error) is OutcomeUnknownError
        assert error.may_have_executed == "unknown"
        assert type(error.__cause__) is fault.read.error


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name)
def test_fault_after_a_lost_response(fault: Fault) -> None:
    """A change raises OutcomeUnknownError with the error of the retry as its cause; a read raises that error."""
    with ExitStack() as stack:

        def make(operation: str, version: str) -> Cell:
            server = stack.enter_context(FaultServer(LOST, then=fault.behaviour))

            def verify_cell(result: Result) -> None:
                if isinstance(result.error, APIError) and not hasattr(fault.behaviour, "early"):
                    wait_for(lambda: len(server.requests) >= result.error.attempts)  # type: ignore[union-attr]
                    # A page that is too large is requested again as a smaller one; the attempts are those of the last one.
                    requests = server.last_attempts if operation == "get" else len(server.requests)
                else:
                    requests = server.connections
                try:
                    verify(fault, operation, result, requests)
                except AssertionError as error:
                    raise AssertionError(f"{fault.name}, {operation}, {version}: {error}") from result.error

            return Cell(server.url, settings(max(fault.timeout, MIN_TIMEOUT)), verify_cell)

        in_sync_and_async(make)


def test_custom_operation() -> None:
    """The rule holds for operations of the user: a mutation that may be retried, and a query."""
    mutation = 'mutation M { deleteDeployment(input: {id: "x"}) { deployment { id } } }'
    for document, error in ((mutation, OutcomeUnknownError), ("query Q { __typename }", AuthenticationError)):
        with FaultServer(LOST, then=response(401)) as server, Client(CANARY, server.url) as client:
            with pytest.raises(APIError) as caught:
                client.execute(document, check=False, idempotent=True)
            assert (type(caught.value), caught.value.attempts) == (error, 2)


def test_tasks_that_share_a_context() -> None:
    """A mutation that may not be retried is sent once, also if several tasks with the same context make calls at the same time."""

    async def main() -> list[BaseException | None]:
        async with AsyncClient(CANARY, server.url) as client:
            context = copy_context()
            mutation = "mutation M { restart }"
            calls = [client.execute(mutation, check=False) for _ in range(4)]
            tasks = [asyncio.create_task(call, context=context) for call in calls]
            await asyncio.wait(tasks)
        return [task.exception() for task in tasks]

    with FaultServer(then=LOST) as server:
        errors = asyncio.run(main())
        assert [type(error) for error in errors] == [OutcomeUnknownError] * 4
        assert len(server.requests) == 4
