"""Listings of all containers, shared by the deployments that need one at the same time."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from itertools import count
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from paperspace.gradient.server.controller.engine import Container, Engine


class Listing:
    """Lists the containers of an engine. Callers that wait for a listing share the next one."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._lock = asyncio.Lock()
        self._tick = count(1)
        self._started = 0
        self._by_deployment: dict[str, list[Container]] = {}

    async def containers(self, deployment_id: str) -> Sequence[Container]:
        """Return the containers of a deployment, from a listing that starts after this call."""
        return (await self.deployments()).get(deployment_id, [])

    async def deployments(self) -> dict[str, list[Container]]:
        """Return the containers by deployment id, from a listing that starts after this call."""
        asked = next(self._tick)
        async with self._lock:
            if self._started < asked:
                started, by_deployment = next(self._tick), defaultdict(list)
                for container in await self._engine.containers():
                    by_deployment[container.key.deployment_id].append(container)
                self._started, self._by_deployment = started, dict(by_deployment)
            return self._by_deployment
