"""A server whose clock is moved by the test."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from tests.deployments.manual_clock import ManualClock
from tests.samples import API_KEY

from paperspace.gradient.server import LocalServer


@pytest.fixture
def fast_polls(monkeypatch: pytest.MonkeyPatch) -> None:
    """Polls follow each other quickly, as tests move the clock of the server instead of waiting."""
    monkeypatch.setenv("PAPERSPACE_MAX_POLL_INTERVAL", "0.01")


@pytest.fixture
def clock() -> ManualClock:
    """The clock of the server."""
    return ManualClock()


@pytest.fixture
def manual_server(clock: ManualClock) -> Iterator[LocalServer]:
    """A server whose clock is moved by the test."""
    with LocalServer(api_key=API_KEY, now=clock, actor="Ada") as server:
        yield server
