"""Streams of the page of one deployment."""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from typing import TYPE_CHECKING, Any

from paperspace.gradient.console.lanes import lanes_of
from paperspace.gradient.console.revisions import read_newer
from paperspace.gradient.console.summary import reason_of, sentence_of
from paperspace.gradient.errors import BadRequestError, NotFoundError

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from paperspace.gradient.client import AsyncClient
    from paperspace.gradient.console.calls import Arguments, Stream
    from paperspace.gradient.types import DeploymentEvent, LogLine

# Seconds between two readings of a deployment that changes, and of one that does not.
FAST_POLL = 0.5
SLOW_POLL = 1.0

# How many lines one JSON object has at most, and how many are read before the page has taken them.
BATCH = 1000


async def deployment(client: AsyncClient, arguments: Arguments) -> AsyncGenerator[dict[str, Any]]:
    """Yield the parts of a deployment that have changed. The last one is `deleted`.

    Yields:
        Dicts with some of `status`, `events` (None: the server has none), `revisions`, `sentence` and `reason` (the state in
        words), and `lanes` (the history of the replicas).
    """
    id_, sent = arguments["id"], dict[str, Any]()
    while True:
        try:
            status = await client.deployments.get_deployment_status(id_)
            events = await _events(client, id_)
            revisions = sent.get("revisions", [])
            if status["specId"] != sent.get("status", {}).get("specId"):
                revisions = await read_newer(client.deployments.iter_deployment_history(id_), revisions)
        except NotFoundError:
            yield {"deleted": True}
            return
        parts = {
            "status": status,
            "events": events,
            "revisions": revisions,
            "sentence": sentence_of(status, revisions),
            "reason": reason_of(status, events or []),
            "lanes": lanes_of(status, events or []),
        }
        if changed := {name: part for name, part in parts.items() if part != sent.get(name)}:
            sent |= changed
            yield changed
        await asyncio.sleep(FAST_POLL if status["state"] == "pending" else SLOW_POLL)


async def _events(client: AsyncClient, id_: str) -> list[DeploymentEvent] | None:
    """Return the events, newest first. None: the server has none, as the hosted API."""
    try:
        return await client.deployments.get_deployment_events(id_, first=None)
    except BadRequestError:
        return None


async def logs(client: AsyncClient, arguments: Arguments) -> AsyncGenerator[dict[str, Any]]:
    """Yield `lines`: lists of the name of the instance, the number, the time and the text. The first list is empty.

    Args:
        client: The client.
        arguments: `id` and, as in `get_deployment_logs`, `instance`, `tail`, `since` and `follow`.
    """
    options = {name: arguments.get(name) for name in ("instance", "tail", "since")}
    follow = bool(arguments.get("follow"))
    await client.deployments.get_deployment_status(arguments["id"])
    yield {"lines": []}  # the API responds, and perhaps there are no lines for hours
    lines = client.deployments.get_deployment_logs(arguments["id"], **options, follow=follow)
    async with aclosing(_batches(lines)) as batches:
        async for batch in batches:
            yield {
                "lines": [[line["instanceName"], line["line"], line["dtCreated"], line["message"]] for line in batch]
            }


async def _batches(lines: AsyncGenerator[LogLine]) -> AsyncGenerator[list[LogLine]]:
    """Yield the lines that are there, in lists: lines are read together, but the library yields them one by one."""
    queue: asyncio.Queue[LogLine | Exception | None] = asyncio.Queue(BATCH)

    async def read() -> None:
        try:
            async with aclosing(lines):
                async for line in lines:
                    await queue.put(line)
        except Exception as error:  # noqa: BLE001  # raised again below, after the lines before it
            await queue.put(error)
        else:
            await queue.put(None)

    reader = asyncio.create_task(read())
    try:
        while True:
            batch = [await queue.get()]
            while not queue.empty() and len(batch) < BATCH:
                batch.append(queue.get_nowait())
            if found := [line for line in batch if isinstance(line, dict)]:
                yield found
            if isinstance(end := batch[-1], Exception):
                raise end
            if end is None:
                return
    finally:
        reader.cancel()
        await asyncio.gather(reader, return_exceptions=True)


STREAMS: dict[str, Stream] = {
    "deployment": deployment,
    "logs": logs,
}
