"""Envoy's admin interface: what is in effect, and which requests there are and were."""

from __future__ import annotations

import asyncio
import json
import re
from collections import Counter
from typing import TYPE_CHECKING
from urllib.parse import quote

import aiohttp

from paperspace.gradient.server.gateway import route_configuration, statistics
from paperspace.gradient.server.gateway.listener import SECRET, STAT_PREFIX
from paperspace.gradient.server.gateway.resources import CLUSTERS, LISTENERS, ROUTES, SECRETS, endpoints_file
from paperspace.gradient.server.gateway.routing import PROTOCOLS

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

_TIMEOUT = aiohttp.ClientTimeout(total=5)
_INTERVAL = 0.01  # seconds between two requests that wait for something

_VERSIONS = {
    CLUSTERS: "cluster_manager.cds.version_text",
    LISTENERS: "listener_manager.lds.version_text",
    ROUTES: f"http.{STAT_PREFIX}.rds.{route_configuration.NAME}.version_text",
    SECRETS: f"sds.{SECRET}.version_text",
    **{endpoints_file(protocol): f"cluster.{protocol}.version_text" for protocol in PROTOCOLS},
}
_DROPPED = "server.dropped_stat_flushes"
_UNFINISHED = rf"^http\.{STAT_PREFIX}\.downstream_(rq_active|cx_tx_bytes_buffered)$"
_ACTIVE = re.compile(r"^\w+::127\.0\.0\.1:(\d+)::rq_(?:pending_)?active::(\d+)$", re.MULTILINE)


class AdminError(Exception):
    """Envoy does not respond, or not as expected."""


class Admin:
    """A client of the admin interface."""

    def __init__(self, socket: Path) -> None:
        self._session = aiohttp.ClientSession(connector=aiohttp.UnixConnector(str(socket)), timeout=_TIMEOUT)
        self._settling = asyncio.Lock()

    async def close(self) -> None:
        """Close the connections."""
        await self._session.close()

    async def version(self) -> str:
        """Return the version of Envoy, as its program prints it.

        Raises:
            AdminError: Envoy does not respond, or not as expected.
        """
        try:
            return str(json.loads(await self._get("server_info"))["version"])
        except (ValueError, LookupError, TypeError) as error:
            raise AdminError(str(error)) from error

    async def in_effect(self, versions: Mapping[str, str]) -> bool:
        """Return whether Envoy's main thread has applied the versions of files.

        Raises:
            AdminError: Envoy does not respond.
        """
        stats = await self._stats("version_text$")
        return all(stats.get(_VERSIONS[file]) == f'"{version}"' for file, version in versions.items())

    async def refuses(self) -> bool:
        """Return whether Envoy has refused any version of a file since it was started.

        Raises:
            AdminError: Envoy does not respond.
        """
        stats = await self._stats(r"\.update_(rejected|failure)$")
        return any(value != "0" for value in stats.values())

    async def settle(self) -> None:
        """Return when all threads of Envoy have applied what its main thread has applied.

        The main thread sends each change to the queues of the threads. A request for statistics sends a flush to the
        same queues, unless an earlier flush is not finished, which is counted. So if two requests in a row were not
        counted, the flush of the first one has passed all queues, and everything before it too.

        Raises:
            AdminError: Envoy does not respond.
        """
        async with self._settling:
            dropped, started = await self._dropped(), False
            while True:
                before, dropped = dropped, await self._dropped()
                if dropped != before:
                    await asyncio.sleep(_INTERVAL)
                elif started:
                    return
                else:
                    started = True

    async def active_requests(self) -> Mapping[int, int]:
        """Return the number of active and waiting requests for each port.

        Raises:
            AdminError: Envoy does not respond.
        """
        active: Counter[int] = Counter()
        for port, count in _ACTIVE.findall(await self._get("clusters")):
            active[int(port)] += int(count)
        return active

    async def has_requests(self) -> bool:
        """Return whether a request has not ended for its client: it runs, or the client has not received the whole response.

        When a container has sent its response, it has no active request any more, but the gateway may still have a part of it.

        Raises:
            AdminError: Envoy does not respond.
        """
        stats = await self._stats(_UNFINISHED)
        return any(value != "0" for value in stats.values())

    async def request_counters(self) -> str:
        """Return the counters of requests in the text format of Prometheus, as `statistics.parse` reads it.

        Raises:
            AdminError: Envoy does not respond.
        """
        await self.settle()  # the flush adds up the durations of all threads
        return await self._get(f"stats?format=prometheus&usedonly&filter={quote(statistics.FILTER)}")

    async def _dropped(self) -> int:
        return int((await self._stats(re.escape(_DROPPED))).get(_DROPPED, "0"))

    async def _stats(self, pattern: str) -> dict[str, str]:
        lines = (await self._get(f"stats?filter={quote(pattern)}")).splitlines()
        return {name: value for name, separator, value in (line.partition(": ") for line in lines) if separator}

    async def _get(self, path: str) -> str:
        try:
            async with self._session.get(f"http://envoy/{path}", raise_for_status=True) as response:
                return await response.text()
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise AdminError(str(error)) from error
