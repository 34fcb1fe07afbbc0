"""Streams of the list."""

from __future__ import annotations

from asyncio import sleep
from typing import TYPE_CHECKING, Any

from paperspace.gradient._shared.event_loops import monotonic
from paperspace.gradient.errors import BadRequestError

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from paperspace.gradient.client import AsyncClient
    from paperspace.gradient.console.calls import Arguments, Stream
    from paperspace.gradient.types import DeploymentStatus

# The newest deployments are read often. The whole list is read so that it takes the server a fifth of the time at most.
# Those that fill a window come first.
FIRST = 30
NEWEST = 100
INTERVAL = 1.0  # seconds
WHOLE_LIST_SHARE = 5

Row = dict[str, Any]

_FIELDS = (
    "id",
    "name",
    "projectId",
    "state",
    "replicas",
    "readyReplicas",
    "image",
    "endpointUrl",
    "dtCreated",
    "error",
)


async def _deployments(client: AsyncClient, arguments: Arguments) -> AsyncGenerator[dict[str, Any]]:  # noqa: ARG001
    """Yield all deployments, and then what changes.

    Yields:
        Dicts with `rows` (new or changed ones), `removed` (ids), `complete` (whether all deployments were read once), and
        `first` (whether it is the first dict).
    """
    shown: dict[str, Row] = {}
    whole_due, complete, first, refused = 0.0, False, True, False
    while True:
        size = FIRST if first else NEWEST
        newest = await client.deployments.list_deployment_statuses(first=size)
        is_whole = len(newest) < size
        complete = complete or is_whole
        yield {**_changes(shown, newest, is_whole=is_whole), "complete": complete, "first": first}
        first = False
        if not is_whole and monotonic() >= whole_due:
            started = monotonic()
            try:
                statuses = await client.deployments.list_deployment_statuses(first=None)
            except BadRequestError:
                if refused:
                    raise
                refused = True  # perhaps once only: between two pages, the server was started with another database
            else:
                refused = False
                whole_due = monotonic() + (monotonic() - started) * WHOLE_LIST_SHARE
                complete = True
                yield {**_changes(shown, statuses, is_whole=True), "complete": True, "first": False}
        await sleep(INTERVAL)


def _changes(shown: dict[str, Row], statuses: list[DeploymentStatus], *, is_whole: bool) -> dict[str, Any]:
    """Return what differs from the rows that are shown, and update these.

    Args:
        shown: The rows by id.
        statuses: The statuses that were read.
        is_whole: Whether they are all deployments.
    """
    rows = {status["id"]: _row(status) for status in statuses}
    changed = [row for id_, row in rows.items() if shown.get(id_) != row]
    removed = [id_ for id_ in shown if id_ not in rows] if is_whole else []
    shown.update(rows)
    for id_ in removed:
        del shown[id_]
    return {"rows": changed, "removed": removed}


def _row(status: DeploymentStatus) -> Row:
    return {field: status[field] for field in _FIELDS}  # type: ignore[literal-required]


STREAMS: dict[str, Stream] = {"deployments": _deployments}
