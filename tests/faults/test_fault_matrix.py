"""The fault matrix: every fault, for every kind of operation, sync and async."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest
from tests.faults.behaviours import raw, response
from tests.faults.catalogue import FAULTS, OPERATIONS, Fault, Outcome
from tests.faults.harness import CALLS, CANARY, Cell, Result, check, in_sync_and_async, settings, wait_for
from tests.faults.server import FaultServer, good

from paperspace.gradient import Client, errors
from paperspace.gradient._core import retry as _retry
from paperspace.gradient._core.responses import _BY_CODE, _BY_STATUS
from paperspace.gradient._core.retry import BUDGET, RETRY_COST


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """Short waits between attempts, and no secret in any log record of any library."""
    monkeypatch.setattr(_retry, "FIRST_BACKOFF", 0.002)
    with caplog.at_level(logging.DEBUG):
        yield
    assert CANARY not in caplog.text
    assert "spec-value-of-mine" not in caplog.text


def run(fault: Fault, outcome: Callable[[str], Outcome], *, once: bool) -> None:
    """Run all cells of a fault in the first attempt (`once`) or in every attempt."""
    servers: list[tuple[str, FaultServer]] = []
    with ExitStack() as stack:

        def make(operation: str, version: str) -> Cell:
            server = FaultServer(fault.behaviour) if once else FaultServer(then=fault.behaviour)
            servers.append((operation, stack.enter_context(server)))

            def verify(result: Result) -> None:
                try:
                    check(result, outcome(operation), operation, fault.timeout)
                except AssertionError as error:
                    raise AssertionError(f"{fault.name}, {operation}, {version}: {error}") from result.error

            return Cell(server.url, settings(fault.timeout), verify)

        in_sync_and_async(make)
        for operation, server in servers:
            attempts = outcome(operation).attempts * outcome(operation).sizes
            opened = attempts - outcome(operation).reused
            wait_for(lambda server=server, opened=opened: server.connections >= opened)  # type: ignore[misc]
            assert server.connections == opened, f"{fault.name}, {operation}"
            if not hasattr(fault.behaviour, "early"):
                wait_for(lambda server=server, attempts=attempts: len(server.requests) >= attempts)  # type: ignore[misc]
                assert len(server.requests) == attempts, f"{fault.name}, {operation}"


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name)
def test_permanent_fault(fault: Fault) -> None:
    """The call ends with the right result or error, after as many attempts of each page as the error states, before the deadline."""
    run(fault, fault.outcome, once=False)


@pytest.mark.parametrize("fault", [fault for fault in FAULTS if fault.temporary], ids=lambda fault: fault.name)
def test_temporary_fault(fault: Fault) -> None:
    """The second attempt succeeds, and the call returns the right result."""
    run(fault, lambda _: Outcome(None, 2), once=True)


def test_faults_of_several_kinds() -> None:
    """The retries of a kind of failure count for that kind alone, within one call."""
    script = [raw(b""), response(200), raw(b"")]
    with FaultServer(*script) as server, Client(CANARY, server.url) as client:
        assert CALLS["get"](client.deployments)
        assert len(server.requests) == 4


def test_budget_lasts_while_calls_succeed() -> None:
    """Calls that succeed after a retry never use up the retry budget of their client."""
    calls = BUDGET // RETRY_COST + 10
    with FaultServer(*[response(503), good] * calls) as server, Client(CANARY, server.url) as client:
        for _ in range(calls):
            assert CALLS["get"](client.deployments)
        assert len(server.requests) == 2 * calls


def test_matrix_is_complete() -> None:
    """The matrix has every error that a request can end with, and every status and code that the client knows."""
    names = [fault.name for fault in FAULTS]
    assert len(set(names)) == len(names)
    assert {str(status) for status in _BY_STATUS} | set(_BY_CODE) <= set(names)
    ends = {outcome.error for fault in FAULTS for outcome in map(fault.outcome, OPERATIONS)}
    api_errors = {error for name in errors.__all__ if issubclass(error := getattr(errors, name), errors.APIError)}
    elsewhere = {errors.TLSError, errors.PaginationError}  # test_connecting and test_paging_guards
    assert ends - {None} == api_errors - elsewhere - {errors.APIError}
