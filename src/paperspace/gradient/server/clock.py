"""Times as text, which is readable and sorted by time when sorted as text; and a clock that never goes back."""

from __future__ import annotations

import threading
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable


def utc_now() -> datetime:
    """Return the current time."""
    return datetime.now(UTC)


def iso(time: datetime) -> str:
    """Format a time in UTC with milliseconds, such as `2024-05-17T09:30:00.000Z`."""
    return time.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


class SteadyClock:
    """A clock that never goes back.

    If the clock of the machine is set back, time continues from where it was: it stays ahead by as much, until that clock is
    set forward. Otherwise events that have happened would be in the future again. Threads share it.
    """

    def __init__(self, now: Callable[[], datetime]) -> None:
        self._now = now
        self._latest = now()
        self._ahead = timedelta(0)
        self._lock = threading.Lock()

    def __call__(self) -> datetime:
        """Return the current time."""
        with self._lock:
            now = self._now()
            if now >= self._latest:
                self._ahead = timedelta(0)
            elif now + self._ahead < self._latest:
                self._ahead = self._latest - now
            self._latest = now + self._ahead
            return self._latest

    def continue_from(self, time: datetime) -> None:
        """Continue from a time if it is later."""
        with self._lock:
            self._latest = max(self._latest, time)
