"""The API requests of a server, counted by operation, and their durations."""

from __future__ import annotations

import re
from bisect import bisect_left
from typing import NamedTuple

# Seconds.
BOUNDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)

OTHER = "other"
"""The operation of requests without a name, and of all names after the first `MAX_OPERATIONS`."""

MAX_OPERATIONS = 100  # clients choose the names

_NAME = re.compile(r"[A-Za-z_]\w{0,99}", re.ASCII)


class Durations(NamedTuple):
    """The durations of the requests of an operation."""

    counts: tuple[int, ...]
    """For each of `BOUNDS`, how many took at most this long and longer than the previous bound. The last number: longer
    than all."""
    seconds: float
    """Their sum."""


class RequestCounts:
    """The requests since the start of the server. It belongs to one event loop.

    Attributes:
        by_status: The number of requests for each operation and HTTP status.
        durations: Their durations, by operation.
    """

    def __init__(self) -> None:
        self.by_status: dict[tuple[str, int], int] = {}
        self.durations: dict[str, Durations] = {}

    def count(self, operation: str | None, status: int, seconds: float) -> None:
        """Count a request.

        Args:
            operation: The name of the operation. None: it has no name.
            status: The HTTP status of the response.
            seconds: How long it took.
        """
        name = operation or OTHER
        if name not in self.durations and (len(self.durations) >= MAX_OPERATIONS or not _NAME.fullmatch(name)):
            name = OTHER
        self.by_status[name, status] = self.by_status.get((name, status), 0) + 1
        before = self.durations.get(name) or Durations((0,) * (len(BOUNDS) + 1), 0.0)
        index = bisect_left(BOUNDS, seconds)
        counts = (*before.counts[:index], before.counts[index] + 1, *before.counts[index + 1 :])
        self.durations[name] = Durations(counts, before.seconds + seconds)
