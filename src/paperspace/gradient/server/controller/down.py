"""Stop all deployments of a database, and the gateway. The database is kept: the next server starts them again."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, NamedTuple

from paperspace.gradient._shared.counting import count
from paperspace.gradient.server.controller.engine import EngineUnavailableError
from paperspace.gradient.server.controller.gateway import GatewayUnavailableError
from paperspace.gradient.server.controller.logs import NoLogs

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from paperspace.gradient.server.controller.engine import Container, Engine
    from paperspace.gradient.server.controller.gateway import Gateway
    from paperspace.gradient.server.controller.logs import Logs
    from paperspace.gradient.server.controller.work import Change

_log = logging.getLogger(__name__)

_MAX_STOPS = 8  # containers that stop at the same time
_DESCRIBE_TIMEOUT = 5.0  # seconds


class Estate(NamedTuple):
    """All that belongs to a database, outside of it. No controller runs."""

    engine: Engine
    gateway: Gateway | None
    logs: Logs
    change: Change
    stop_grace: float
    """Seconds between SIGTERM and SIGKILL."""


class Down(NamedTuple):
    """What was stopped."""

    deployments: int
    unknown: int
    """The number of containers that the database does not know. They are kept."""


class Drain:
    """How long active requests may take. It can be shortened.

    Args:
        seconds: The limit.
    """

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self._ended = asyncio.Event()

    @property
    def over(self) -> bool:
        """Whether active requests have no time, or no more."""
        return not self.seconds or self._ended.is_set()

    def end(self) -> None:
        """Do not wait any longer."""
        self._ended.set()

    async def wait(self, gateway: Gateway) -> None:
        """Return when there are no active requests, or when the limit is reached."""
        if self.over:
            return
        tasks = [asyncio.ensure_future(gateway.drain()), asyncio.ensure_future(self._ended.wait())]
        try:
            await asyncio.wait(tasks, timeout=self.seconds, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in tasks:
                task.cancel()
            results = await asyncio.gather(*tasks, return_exceptions=True)
        if isinstance(results[0], GatewayUnavailableError):
            _log.warning("%s Active requests are interrupted.", results[0])


async def describe_engine(engine: Engine) -> str:
    """Return the engine and its version.

    Raises:
        EngineUnavailableError: it does not respond, or not in time.
    """
    try:
        async with asyncio.timeout(_DESCRIBE_TIMEOUT):
            return await engine.describe()
    except TimeoutError:
        raise EngineUnavailableError("The engine does not respond in time.") from None


async def take_down(estate: Estate, drain: Drain, report: Callable[[str], None]) -> Down:
    """Let active requests end, stop and remove all containers, and then remove the gateway.

    Containers that the database does not know are kept. If this is interrupted, the next server or another call goes on.

    Args:
        estate: What to stop.
        drain: How long active requests may take.
        report: Called with a sentence about each step.

    Raises:
        EngineUnavailableError: the engine does not respond.
        GatewayUnavailableError: the gateway cannot be removed.
    """
    engine, gateway, logs, change, _ = estate
    containers, unknown = await split(
        estate, await engine.containers()
    )  # first: without the engine, nothing is changed
    if gateway and containers and not drain.over:
        report(f"Waiting for active requests to end, for at most {drain.seconds:g} s.")
        await drain.wait(gateway)
    deployments: set[str] = set()
    while containers:
        deployments |= {container.key.deployment_id for container in containers}
        report(f"Stopping {count(len(containers), 'container')}.")
        await _stop_all(estate, containers, logs)
        containers, unknown = await split(estate, await engine.containers())
    await change(lambda records: records.store_down())
    await engine.release()
    if gateway:
        await gateway.remove()
    return Down(len(deployments), len(unknown))


async def split(estate: Estate, containers: Sequence[Container]) -> tuple[list[Container], list[Container]]:
    """Return the containers that the database knows, and the others."""
    instance_ids = frozenset(container.key.instance_id for container in containers)
    unknown = await estate.change(lambda records: records.unknown(instance_ids))
    return (
        [container for container in containers if container.key.instance_id not in unknown],
        [container for container in containers if container.key.instance_id in unknown],
    )


async def remove_unknown(estate: Estate, container_ids: Iterable[str]) -> list[str]:
    """Remove those of the containers that the database does not know. Return their ids."""
    wanted = frozenset(container_ids)
    _, unknown = await split(estate, await estate.engine.containers())
    removed = [container for container in unknown if container.id in wanted]
    await _stop_all(estate, removed, NoLogs())
    return [container.id for container in removed]


async def _stop_all(estate: Estate, containers: Iterable[Container], logs: Logs) -> None:
    limit = asyncio.Semaphore(_MAX_STOPS)

    async def stop(container: Container) -> None:
        async with limit:
            if container.state == "running":
                await estate.engine.stop(container.id, estate.stop_grace)
            await logs.finish(container)
            await estate.engine.remove(container.id)

    results = await asyncio.gather(*map(stop, containers), return_exceptions=True)
    for error in filter(None, results):  # after all of them have ended
        raise error
