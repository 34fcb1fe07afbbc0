"""The recorder: stores the figures of each deployment in the file of metrics, after each reading."""

from __future__ import annotations

import asyncio
from collections import deque
from contextlib import suppress
from datetime import timedelta
from typing import TYPE_CHECKING

from paperspace.gradient.server.controller.sampling import INTERVAL
from paperspace.gradient.server.storage import metric_file
from paperspace.gradient.server.storage.metric_file import Point
from paperspace.gradient.server.storage.side_file import SideFileError
from paperspace.gradient.server.usage import cpus_by_instance, requests_between

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence
    from datetime import datetime

    from paperspace.gradient.server.controller.sampling import Sampler
    from paperspace.gradient.server.controller.side_store import SideStore
    from paperspace.gradient.server.storage.metric_file import MetricFile
    from paperspace.gradient.server.storage.summary import DeploymentState
    from paperspace.gradient.server.usage import Reading

# After a longer time without a reading, what happened meanwhile does not belong to the last interval.
_MAX_GAP = timedelta(seconds=2 * INTERVAL)


class Recorder:
    """Stores the figures.

    Args:
        sampler: Takes the readings.
        store: Where they are stored.
        states: Returns all deployments.
    """

    def __init__(
        self,
        sampler: Sampler,
        store: SideStore[MetricFile],
        states: Callable[[], Awaitable[Sequence[DeploymentState]]],
    ) -> None:
        self._sampler = sampler
        self._store = store
        self._states = states
        self._times: deque[datetime] = deque(maxlen=2)
        self._taken = asyncio.Event()
        sampler.call_after_reading(self._take)

    def _take(self, at: datetime) -> None:
        self._times.append(at)
        if len(self._times) > 1:  # the first reading would replace what the server before has stored of its interval
            self._taken.set()

    async def run(self) -> None:
        """Wait for a reading, and store its figures. What cannot be stored is left out: the store reports it."""
        await self._taken.wait()
        self._taken.clear()
        number = int(self._times[-1].timestamp()) // metric_file.INTERVAL
        readings = {id_: self._sampler.readings(id_) for id_ in self._sampler.latest()}  # before others are taken
        points = {state.id: point_of(state, readings.get(state.id, ())) for state in await self._states()}
        with suppress(SideFileError):
            await self._store.run(lambda file: file.append(number, points))


def point_of(state: DeploymentState, readings: Sequence[Reading]) -> Point:
    """Return the figures of a deployment between its last two readings."""
    point = usage_of(state, readings)
    return point._replace(traffic=requests_between(*readings[-2:])) if _are_consecutive(readings) else point


def usage_of(state: DeploymentState, readings: Sequence[Reading]) -> Point:
    """Return the figures of a deployment as `point_of` does, without its traffic."""
    point = Point(state.replicas, state.ready)
    if not readings:
        return point
    latest = readings[-1]
    loads = latest.loads
    usages = [load.usage for load in (loads or {}).values() if load.usage]
    if usages or loads == {}:
        point = point._replace(
            cpu_limit=sum(usage.cpus for usage in usages),
            memory=sum(usage.memory for usage in usages),
            memory_limit=sum(usage.memory_limit for usage in usages),
        )
    if loads is not None and latest.traffic is not None:
        point = point._replace(active_requests=sum(load.active_requests or 0 for load in loads.values()))
    if _are_consecutive(readings):
        cpus = cpus_by_instance(readings[-2], latest)
        if cpus or loads == {}:
            point = point._replace(cpus=sum(cpus.values()))
    return point


def _are_consecutive(readings: Sequence[Reading]) -> bool:
    """Return whether there are two last readings with no gap between them."""
    return len(readings) > 1 and readings[-1].at - readings[-2].at <= _MAX_GAP
