"""The sampler: takes a reading of every deployment each ten seconds, beside the loops of the controller.

A reading is due in the middle of each ten seconds of the clock. So the figures of each ten seconds are those of one reading,
although a reading can take seconds, and some take longer than others.
"""

from __future__ import annotations

import asyncio
from collections import deque
from typing import TYPE_CHECKING

from paperspace.gradient._shared.event_loops import monotonic
from paperspace.gradient.server.controller.engine import EngineUnavailableError
from paperspace.gradient.server.controller.gateway import GatewayUnavailableError
from paperspace.gradient.server.usage import Load, Reading

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from datetime import datetime

    from paperspace.gradient.server.controller.engine import Container, Engine
    from paperspace.gradient.server.controller.gateway import Router, Statistics
    from paperspace.gradient.server.controller.listing import Listing
    from paperspace.gradient.server.usage import Usage

INTERVAL = 10.0  # seconds
_TOO_SOON = 0.1  # of an interval: while a clock is corrected slowly, a reading can be so early
KEPT_READINGS = 7  # of each deployment: one minute

# Of containers at the same time. Each takes Docker 10 ms of CPU. Docker 20.10 responds to all that wait once a second, so
# with fewer it could not read hundreds of containers in time.
MAX_READS = 32
READ_TIMEOUT = 5.0  # seconds


class Sampler:
    """Takes the readings.

    Args:
        engine: Runs the containers.
        listing: Lists them.
        router: Counts the requests.
        now: Returns the current time.
        seconds: Returns the seconds of the monotonic clock.
    """

    def __init__(
        self,
        engine: Engine,
        listing: Listing,
        router: Router,
        now: Callable[[], datetime],
        seconds: Callable[[], float] = monotonic,
    ) -> None:
        self._engine = engine
        self._listing = listing
        self._router = router
        self._now = now
        self._seconds = seconds
        self._readings: dict[str, deque[Reading]] = {}
        self._callbacks: list[Callable[[datetime], None]] = []

    def readings(self, deployment_id: str) -> Sequence[Reading]:
        """Return the last readings of a deployment, oldest first. Empty: there are none yet."""
        return tuple(self._readings.get(deployment_id, ()))

    def latest(self) -> Mapping[str, Reading]:
        """Return the newest reading of each deployment with containers or an endpoint, by its id."""
        return {id_: readings[-1] for id_, readings in self._readings.items()}

    def call_after_reading(self, callback: Callable[[datetime], None]) -> None:
        """Call a function with the time of the new readings, whenever they were taken."""
        self._callbacks.append(callback)

    async def run(self) -> None:
        """Take one reading of every deployment, and wait until the next one is due."""
        await self.sample()  # at once at the start: requests count from the first reading
        await asyncio.sleep(seconds_until_due(self._now()))

    async def sample(self) -> None:
        """Take one reading of every deployment. What cannot be read is unknown."""
        now = self._now()
        running = await self._list_running()
        exposed = self._router.deployments()
        ids = exposed | (running.keys() if running is not None else self._readings.keys())
        statistics = await self._read_statistics()  # first: Docker can take a second
        usage = await self._read_usage(container for some in (running or {}).values() for container in some)
        taken: dict[str, Reading] = {}
        for id_ in ids:
            loads = None if running is None else _loads(running.get(id_, ()), usage, statistics)
            taken[id_] = Reading(now, loads, statistics.traffic.get(id_) if statistics else None)
        for id_, reading in taken.items():
            self._readings.setdefault(id_, deque(maxlen=KEPT_READINGS)).append(reading)
        self._readings = {id_: readings for id_, readings in self._readings.items() if id_ in taken}
        for callback in self._callbacks:
            callback(now)

    async def _list_running(self) -> dict[str, list[Container]] | None:
        """Return the containers that run, by the id of the deployment. None: they are unknown."""
        try:
            listed = await self._listing.deployments()
        except EngineUnavailableError:
            return None  # the loops of the controller report it
        running = {
            id_: [entry for entry in containers if entry.state == "running"] for id_, containers in listed.items()
        }
        return {id_: containers for id_, containers in running.items() if containers}

    async def _read_usage(self, containers: Iterable[Container]) -> dict[str, Usage | None]:
        """Return what containers use, by their ids. What cannot be read is unknown."""
        limit = asyncio.Semaphore(MAX_READS)

        async def read(container: Container) -> tuple[str, Usage | None]:
            async with limit:
                asked = self._seconds()
                try:
                    async with asyncio.timeout(READ_TIMEOUT):
                        usage = await self._engine.usage(container)
                except (EngineUnavailableError, TimeoutError):
                    usage = None
            return container.id, usage and usage._replace(asked=asked, received=self._seconds())

        return dict(await asyncio.gather(*map(read, containers)))

    async def _read_statistics(self) -> Statistics | None:
        """Return the requests that the gateway has counted. None: they are unknown."""
        try:
            async with asyncio.timeout(READ_TIMEOUT):
                return await self._router.statistics()
        except (GatewayUnavailableError, TimeoutError):
            return None


def seconds_until_due(now: datetime) -> float:
    """Return the seconds until the next reading is due, if one was taken just before."""
    seconds = (INTERVAL / 2 - now.timestamp()) % INTERVAL
    return seconds if seconds > _TOO_SOON * INTERVAL else seconds + INTERVAL


def _loads(
    containers: Iterable[Container], usage: Mapping[str, Usage | None], statistics: Statistics | None
) -> dict[str, Load]:
    """Return what the replicas of a deployment do."""
    return {
        container.key.instance_id: Load(
            container.id,
            usage[container.id],
            statistics.active.get(container.key.instance_id, 0) if statistics else None,
        )
        for container in containers
    }
