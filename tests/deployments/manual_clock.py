"""A clock of the server that a test moves, so that nothing waits for the simulation."""

from __future__ import annotations

from contextlib import AbstractContextManager
from datetime import UTC, datetime, timedelta

from tests.repeating import repeated


class ManualClock:
    """A clock that only changes when a test moves it."""

    def __init__(self) -> None:
        self._now = datetime(2024, 5, 17, 9, 30, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self._now

    def move(self, seconds: float) -> None:
        """Move the clock forward by so many seconds."""
        self._now += timedelta(seconds=seconds)

    def ticking(self) -> AbstractContextManager[None]:
        """Move the clock forward by itself, about fifty times as fast as real time."""
        return repeated(lambda: self.move(0.1), pause=0.002)
