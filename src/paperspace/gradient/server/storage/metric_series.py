"""Series of the figures of a deployment, with a step: pure functions."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import reduce
from itertools import groupby
from typing import TYPE_CHECKING, Any, NamedTuple

from paperspace.gradient.server.storage.metric_file import INTERVAL, KEPT
from paperspace.gradient.server.usage import add, mean_duration, percentile

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from paperspace.gradient.server.storage.metric_file import Point

MAX_POINTS = 360
"""The most points of a series."""

DEFAULT_SECONDS = 3600
"""How much of the past a series has by default."""


_DELAY = 3  # intervals, at most, until the figures of an interval are stored, if all is well


class Range(NamedTuple):
    """Intervals, by their numbers, and how many of them make one point."""

    first: int
    last: int
    step: int

    @classmethod
    def of(cls, now: datetime, since: datetime | None, step: int | None, last: int | None) -> Range:
        """Return the intervals of a series.

        Args:
            now: The current time.
            since: Its start. None: an hour ago. What is not kept any more is left out.
            step: Seconds between two points; more if there would be more than `MAX_POINTS`. None: as few as possible.
            last: How many points at most: those of this many steps before the newest figures. None: all.
        """
        end = int(now.timestamp()) // INTERVAL
        start = int(since.timestamp()) // INTERVAL if since else end - DEFAULT_SECONDS // INTERVAL + 1
        start = max(start, end - KEPT + 1)
        # One interval does not count: an hour, from within one interval to within another, needs no longer step.
        size = max(-(-(step or INTERVAL) // INTERVAL), -(-(end - start) // MAX_POINTS), 1)
        # All series have their points at the same times, so the first and the last one may have fewer intervals.
        start = max(start, (end // size - MAX_POINTS + 1) * size)
        if last is not None:
            start = max(start, ((end - _DELAY) // size - last + 1) * size)
        return cls(start, end, size)


def series(points: Iterable[tuple[int, Point]], step: int) -> list[dict[str, Any]]:
    """Return the points of a series as the schema names them.

    Args:
        points: The figures of intervals with their numbers, oldest first.
        step: How many intervals make one point.
    """
    return [_combined(list(group)) for _, group in groupby(points, key=lambda entry: entry[0] // step)]


def _combined(group: Sequence[tuple[int, Point]]) -> dict[str, Any]:
    """Return one point: the means of rates and of what is used, and what was true at the end of all else."""
    number, latest = group[-1]
    points = [point for _, point in group]
    counted = [point.traffic for point in points if point.traffic is not None]
    seconds = len(counted) * INTERVAL
    traffic = reduce(add, counted) if counted else None
    return {
        "time": datetime.fromtimestamp(number * INTERVAL, UTC),
        "replicas": latest.replicas,
        "readyReplicas": latest.ready_replicas,
        "cpu": _mean([point.cpus for point in points]),
        "cpuLimit": latest.cpu_limit,
        "memory": _mean([point.memory for point in points]),
        "memoryLimit": latest.memory_limit,
        "activeRequests": latest.active_requests,
        "requestsPerSecond": traffic and traffic.requests / seconds,
        "errorsPerSecond": traffic and traffic.errors / seconds,
        "requestDuration": traffic and mean_duration(traffic),
        "requestDurationP50": traffic and percentile(traffic.durations, 0.5),
        "requestDurationP95": traffic and percentile(traffic.durations, 0.95),
    }


def _mean(values: Sequence[float | None]) -> float | None:
    """Return the mean of the values that are known. None: none of them is."""
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known else None
