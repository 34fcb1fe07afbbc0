"""Restarts: how long a crashed container waits for its next start, and how its end is described."""

from __future__ import annotations

import signal
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from paperspace.gradient.server.controller.engine import Container

FIRST_DELAY = timedelta(seconds=1)
MAX_DELAY = timedelta(minutes=5)
RESET_AFTER = timedelta(minutes=10)
MAX_CRASHES = 5  # in a row, of a revision that has never served

_MAX_OUTPUT = 500  # characters of the last lines in a message
_SIGNAL_BASE = 128  # a container that a signal ends exits with this number plus the signal's


def crashes_in_a_row(crashes: int, healthy_since: datetime | None, now: datetime) -> int:
    """Return the number of crashes in a row, this one included: 1 if the container was healthy for long before it."""
    was_stable = healthy_since is not None and now - healthy_since >= RESET_AFTER
    return 1 if was_stable else crashes + 1


def delay(crashes: int) -> timedelta:
    """Return how long to wait after this many crashes in a row."""
    doublings = min(crashes - 1, (MAX_DELAY // FIRST_DELAY).bit_length())  # more exceed the maximum anyway
    return min(FIRST_DELAY * (1 << doublings), MAX_DELAY)


def remaining(restart_at: datetime | None, now: datetime) -> float:
    """Return the seconds until a restart. After a correction of the clock, no restart waits longer than the maximum."""
    if restart_at is None or not now < restart_at <= now + MAX_DELAY:
        return 0.0
    return (restart_at - now).total_seconds()


def exit_reason(container: Container) -> str:
    """Describe how a container has ended, such as "Exited with code 1."."""
    code = container.exit_code
    if container.out_of_memory:
        return "Out of memory."
    if code is None:
        return "Exited."
    try:
        return f"Ended by {signal.Signals(code - _SIGNAL_BASE).name}."
    except ValueError:
        return f"Exited with code {code}."


def output_excerpt(lines: Sequence[str]) -> str:
    """Return the last lines of a container's output as one line."""
    return " | ".join(line.strip() for line in lines if line.strip())[-_MAX_OUTPUT:]
