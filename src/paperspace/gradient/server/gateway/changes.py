"""Apply routing to the files of Envoy: many changes in one step, and in an order in which no request is lost."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import TYPE_CHECKING

from paperspace.gradient.server.gateway.endpoints import endpoints, read_endpoints
from paperspace.gradient.server.gateway.resources import ROUTES, endpoints_file
from paperspace.gradient.server.gateway.route_configuration import read_digests, read_routes, routes
from paperspace.gradient.server.gateway.routing import PROTOCOLS, Routing, combine, without_shared_ports
from paperspace.gradient.server.protection import Access
from paperspace.gradient.server.tasks import cancel

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable

    from paperspace.gradient.server.gateway.files import Files
    from paperspace.gradient.server.gateway.routing import Instance

FILES = (ROUTES, *(endpoints_file(protocol) for protocol in PROTOCOLS))
"""The files with the routing."""


class Changes:
    """The routing that is wanted, and the one that is in effect.

    Args:
        files: The files of Envoy.
        routing: The routing that the files contain.
        domain: Endpoints have a host in this domain.
        in_effect: Returns True when Envoy has applied these files; False if it does not run. Then it reads them when it
            starts.
    """

    def __init__(
        self, files: Files, routing: Routing, domain: str | None, in_effect: Callable[[], Awaitable[bool]]
    ) -> None:
        self.applied = routing
        """The routing that is in effect, or will be when Envoy starts."""
        self.wanted = routing
        """The routing with all changes, also those that failed: later changes apply them too."""
        self._complete = len(files.versions(FILES)) == len(FILES)
        """Whether `applied` is all that the files and Envoy have.

        False: a file is missing or damaged, or a change has begun, and perhaps failed.
        """
        self._files = files
        self._domain = domain
        self._in_effect = in_effect
        self._waiting: list[asyncio.Future[bool]] = []
        self._task: asyncio.Task[None] | None = None

    async def change(self, change: Callable[[Routing], Routing]) -> bool:
        """Change the routing. Return True when it is in effect, and False if Envoy does not run.

        Changes that are requested while earlier ones are applied are applied together.

        Raises:
            GatewayUnavailableError: it is not in effect. Later changes apply it too.
        """
        self.wanted = change(self.wanted)
        if self._complete and self.wanted == self.applied:
            return True
        future: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        self._waiting.append(future)
        self._task = self._task or asyncio.create_task(self._apply_all())
        return await future

    def write(self) -> None:
        """Write the files without waiting for Envoy.

        Raises:
            GatewayUnavailableError: a file cannot be written.
        """
        self._write_endpoints(self.applied.instances)
        self._files.write(ROUTES, routes(self.applied, self._domain))
        self._complete = True

    async def close(self) -> None:
        """Stop applying changes. The files are complete at each moment."""
        if self._task:
            await cancel([self._task])
        for future in self._waiting:
            future.cancel()

    async def _apply_all(self) -> None:
        try:
            while self._waiting:
                waiting, self._waiting = self._waiting, []
                try:
                    running = await self._apply(self.wanted)
                except asyncio.CancelledError:
                    self._waiting += waiting
                    raise
                except Exception as error:  # noqa: BLE001  # it belongs to those who wait
                    for future in waiting:
                        if not future.done():
                            future.set_exception(error)
                else:
                    for future in waiting:
                        if not future.done():
                            future.set_result(running)
        finally:
            self._task = None

    async def _apply(self, wanted: Routing) -> bool:
        """Apply a routing. While routes change, the endpoints that the old ones use stay."""
        if not self._complete:  # Envoy reads each version once, and may have had no file descriptors left
            self._files.renew(FILES)
        self._complete = False
        new_routes = routes(wanted, self._domain)
        if not self._files.contains(ROUTES, new_routes):
            self._write_endpoints(combine(self.applied, wanted))
            await self._in_effect()
            self._files.write(ROUTES, new_routes)
            await self._in_effect()
        self._write_endpoints(wanted.instances)
        running = await self._in_effect()
        self.applied, self._complete = wanted, True
        return running

    def _write_endpoints(self, instances: Iterable[Instance]) -> None:
        for protocol in PROTOCOLS:
            self._files.write(endpoints_file(protocol), endpoints(protocol, instances))


def read_routing(files: Files) -> Routing:
    """Return the routing that the files contain. A file that is damaged or missing counts as empty.

    Nobody may use an endpoint that only its instances show, until it is known who may.
    """
    instances: set[Instance] = set()
    for protocol in PROTOCOLS:
        instances |= files.read(endpoints_file(protocol), partial(read_endpoints, protocol)) or set()
    slots, digests = files.read(ROUTES, read_routes) or {}, files.read(ROUTES, read_digests) or {}
    routing = Routing(slots, without_shared_ports(instances), digests)
    for deployment_id in sorted({instance.deployment_id for instance in routing.instances}):
        if deployment_id not in slots:
            routing = routing.expose(deployment_id).protect(deployment_id, Access(None))
    return routing
