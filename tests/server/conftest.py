"""A server with a clock that only a test moves, and a client for it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest
from tests.raw_client import Caller
from tests.server.controller.memory_engine import close_listeners

from paperspace.gradient.server import LocalServer
from paperspace.gradient.server.backend import Backend, open_backend

if TYPE_CHECKING:
    from collections.abc import Iterator


class Clock:
    """A clock that stands still until a test moves it."""

    def __init__(self) -> None:
        self.moment = datetime(2024, 5, 17, 9, 30, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.moment

    def forward(self, **duration: float) -> None:
        self.moment += timedelta(**duration)


def backend_of(server: LocalServer) -> Backend:
    """Open the database of a server that does not run."""
    return open_backend(server._settings("http://localhost"))


@pytest.fixture(autouse=True)
def _containers() -> Iterator[None]:
    """Close the ports of containers in memory: warnings of sockets that are left open would fail a later test."""
    yield
    close_listeners()


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def server(clock: Clock) -> Iterator[LocalServer]:
    with LocalServer(actor="Ada Example", now=clock) as server:
        yield server


@pytest.fixture
def call(server: LocalServer) -> Caller:
    return Caller(server)
