"""Usage: what deployments use, and what happened between two readings. Types and pure functions.

Counters only grow, except when what counts is started again: then a reading is smaller than the one before.
"""

from __future__ import annotations

from math import inf
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

# Seconds. The gateway counts the requests between each two of these, so that percentiles can be estimated.
BOUNDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0)


class Usage(NamedTuple):
    """What a container uses, and what it may use."""

    at: datetime
    """When it was read, by the clock of the engine."""
    cpu_seconds: float
    """Of all its CPUs together, since it was started."""
    memory: int
    """Bytes, without cached files that the kernel can drop at any time."""
    cpus: float
    """How many it may use."""
    memory_limit: int
    """Bytes."""
    asked: float = -inf
    """When the engine was asked for it, in seconds of the monotonic clock."""
    received: float = inf
    """When it responded."""


class Traffic(NamedTuple):
    """The requests of a deployment since the server was started."""

    requests: int = 0
    errors: int = 0
    """Those with a status of 500 or higher, also if the gateway itself responded."""
    seconds: float = 0.0
    """The sum of the durations."""
    durations: tuple[int, ...] = (0,) * (len(BOUNDS) + 1)
    """For each of `BOUNDS`, how many requests took at most this long and longer than the previous bound. The last number:
    longer than all."""

    @property
    def timed(self) -> int:
        """The number of requests with a known duration. The others were interrupted by the client, for example."""
        return sum(self.durations)


NO_TRAFFIC = Traffic()


class Load(NamedTuple):
    """What one replica does."""

    container_id: str
    usage: Usage | None
    """None: it is unknown, for example because the container has just ended."""
    active_requests: int | None
    """None: it is unknown, because the gateway does not respond."""


class Reading(NamedTuple):
    """What is known of a deployment at one moment."""

    at: datetime
    """When it began."""
    loads: Mapping[str, Load] | None
    """The replicas whose containers run, by the id of the instance. None: unknown, because the engine does not respond."""
    traffic: Traffic | None
    """None: it is unknown, because there is no gateway, or it does not respond."""


def increase(before: Traffic, after: Traffic) -> Traffic:
    """Return the requests between two readings. If the counters were started again, return what they counted since."""
    durations = tuple(new - old for old, new in zip(before.durations, after.durations, strict=True))
    requests, errors = after.requests - before.requests, after.errors - before.errors
    if min(requests, errors, *durations) < 0:
        return after
    return Traffic(requests, errors, max(after.seconds - before.seconds, 0.0), durations)


def add(first: Traffic, second: Traffic) -> Traffic:
    """Return the requests of both."""
    durations = tuple(map(sum, zip(first.durations, second.durations, strict=True)))
    return Traffic(
        first.requests + second.requests, first.errors + second.errors, first.seconds + second.seconds, durations
    )


def requests_between(before: Reading, after: Reading) -> Traffic | None:
    """Return the requests between two readings. None: they are unknown."""
    if before.traffic is None or after.traffic is None:
        return None
    return increase(before.traffic, after.traffic)


def cpus_between(before: Usage | None, after: Usage | None) -> float | None:
    """Return how many CPUs a container used on average between two readings. None: it is unknown.

    The clock of the engine is exact, but it may have been set meanwhile.
    """
    if before is None or after is None:
        return None
    least, most = after.asked - before.received, after.received - before.asked
    seconds = max(least, min((after.at - before.at).total_seconds(), most))
    used = after.cpu_seconds - before.cpu_seconds
    return used / seconds if seconds > 0 and used >= 0 else None


def cpus_by_instance(before: Reading, after: Reading) -> dict[str, float]:
    """Return how many CPUs each replica used between two readings; those whose containers ran at both."""
    used: dict[str, float] = {}
    for instance_id, load in (after.loads or {}).items():
        earlier = (before.loads or {}).get(instance_id)
        if earlier and earlier.container_id == load.container_id:
            cpus = cpus_between(earlier.usage, load.usage)
            if cpus is not None:
                used[instance_id] = cpus
    return used


def cpu_fractions(before: Reading, after: Reading) -> dict[str, float]:
    """Return, for each replica in `cpus_by_instance`, the fraction of the CPUs that it may use."""
    fractions = {}
    for instance_id, cpus in cpus_by_instance(before, after).items():
        usage = (after.loads or {})[instance_id].usage
        if usage and usage.cpus > 0:
            fractions[instance_id] = cpus / usage.cpus
    return fractions


def memory_fractions(reading: Reading) -> dict[str, float]:
    """Return, for each replica whose memory is known, the fraction of its limit."""
    return {
        instance_id: load.usage.memory / load.usage.memory_limit
        for instance_id, load in (reading.loads or {}).items()
        if load.usage and load.usage.memory_limit > 0
    }


def mean_duration(traffic: Traffic) -> float | None:
    """Return the mean duration of requests in seconds. None: there are no requests."""
    return traffic.seconds / traffic.timed if traffic.timed else None


def percentile(durations: Sequence[int], fraction: float) -> float | None:
    """Estimate a percentile of durations in seconds, as Prometheus does. None: there are no requests.

    Args:
        durations: As in `Traffic`. Within two bounds, they count as evenly distributed.
        fraction: 0.5 for the median.
    """
    total = sum(durations)
    if not total:
        return None
    rank, below, lower = fraction * total, 0, 0.0
    for bound, count in zip(BOUNDS, durations, strict=False):  # those above the last bound have no upper bound
        if count and below + count >= rank:
            return lower + (bound - lower) * max(rank - below, 0.0) / count
        below, lower = below + count, bound
    return BOUNDS[-1]
