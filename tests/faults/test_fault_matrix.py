"""The matrix: every fault, in every kind of operation, in both faces."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest
from tests.faults.catalogue import FAULTS, SENDS, Fault, Outcome
from tests.faults.harness import CANARY, Seen, check, in_both_faces, settings
from tests.faults.server import FaultServer

from paperspace.gradient._core import retry as _retry


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """Short waits between sends, and no secret in what is logged, at any level, by anybody."""
    monkeypatch.setattr(_retry, "FIRST_BACKOFF", 0.002)
    with caplog.at_level(logging.DEBUG):
        yield
    assert CANARY not in caplog.text
    assert "spec-value-of-mine" not in caplog.text


def run(fault: Fault, outcome: Callable[[str], Outcome], *, once: bool) -> None:
    """All the cells of a fault, that stays or that passes after the first send."""
    with ExitStack() as stack:

        def make(operation: str, face: str) -> tuple[str, dict[str, Any], Callable[[Seen], None]]:
            server = FaultServer(fault.behaviour) if once else FaultServer(then=fault.behaviour)
            stack.enter_context(server)

            def judge(seen: Seen) -> None:
                expected = outcome(operation)
                try:
                    check(seen, expected, operation, fault.timeout)
                    assert server.connections == expected.sends
                    if not hasattr(fault.behaviour, "early"):
                        assert len(server.requests) == expected.sends
                except AssertionError as error:
                    raise AssertionError(f"{fault.name}, {operation}, {face}: {error}") from seen.error

            return server.url, settings(fault.timeout), judge

        in_both_faces(make)


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name)
def test_fault_that_stays(fault: Fault) -> None:
    """It ends in the right error, with the right facts, after as many sends as it says, before the deadline."""
    run(fault, fault.outcome, once=False)


@pytest.mark.parametrize("fault", [fault for fault in FAULTS if fault.passes], ids=lambda fault: fault.name)
def test_fault_that_passes(fault: Fault) -> None:
    """The second send succeeds, and nobody hears of the first."""
    run(fault, lambda _: Outcome(None, 2), once=True)


def test_size() -> None:
    """The matrix is as large as was asked for: 50 faults and 350 cells."""
    assert len({fault.name for fault in FAULTS}) == len(FAULTS) >= 50
    assert SENDS == 3
