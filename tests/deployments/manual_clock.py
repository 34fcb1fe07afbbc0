"""A clock of the server that a test moves, so that nothing waits for the simulation."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta


class ManualClock:
    """A clock that only changes when a test moves it."""

    def __init__(self) -> None:
        self._now = datetime(2024, 5, 17, 9, 30, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self._now

    def move(self, seconds: float) -> None:
        """Move the clock forward by so many seconds."""
        self._now += timedelta(seconds=seconds)

    @contextmanager
    def ticking(self) -> Iterator[None]:
        """Move the clock forward by itself, about fifty times as fast as real time."""
        stop = threading.Event()

        def tick() -> None:
            while not stop.wait(0.002):
                self.move(0.1)

        mover = threading.Thread(target=tick)
        mover.start()
        try:
            yield
        finally:
            stop.set()
            mover.join()
