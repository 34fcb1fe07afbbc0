"""Readings of the load of containers."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from paperspace.gradient.server.controller.autoscaler import Readings
from paperspace.gradient.server.usage import BOUNDS, Load, Reading, Traffic, Usage

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

INTERVAL = timedelta(seconds=10)
CPUS, MEMORY_LIMIT = 0.5, 2**30


def readings(
    at: datetime,
    cpu: Mapping[str, float],
    memory: float = 0,
    durations: Sequence[float] | None = (),
    active: Mapping[str, int] = {},
) -> Readings:
    """Return two readings with an interval in between.

    Args:
        at: The time of the second one.
        cpu: The percent of the CPU of each instance that runs.
        memory: The percent of memory of each of them.
        durations: The seconds of the requests that ended in the interval. None: the gateway does not respond.
        active: How many requests of each instance run.
    """
    counts = [0] * (len(BOUNDS) + 1)
    for seconds in durations or ():
        counts[sum(bound < seconds for bound in BOUNDS)] += 1
    requests = Traffic(len(durations or ()), 0, sum(durations or ()), tuple(counts))

    def reading(time: datetime, seconds: float, traffic: Traffic) -> Reading:
        used = int(memory / 100 * MEMORY_LIMIT)
        loads = {
            id_: Load(id_, Usage(time, percent / 100 * CPUS * seconds, used, CPUS, MEMORY_LIMIT), active.get(id_, 0))
            for id_, percent in cpu.items()
        }
        return Reading(time, loads, None if durations is None else traffic)

    return Readings(reading(at - INTERVAL, 0, Traffic()), reading(at, INTERVAL.total_seconds(), requests))
