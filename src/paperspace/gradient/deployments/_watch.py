"""Watches a deployment: looks at its status until it has come to something, reads its logs as they are written."""

from __future__ import annotations

from asyncio import sleep
from contextlib import aclosing, suppress
from functools import partial
from math import inf
from time import monotonic
from typing import TYPE_CHECKING, TypeVar

from paperspace.gradient._core.pagination import walk
from paperspace.gradient._generated.deployment_status import DEPLOYMENT_STATUS, DeploymentStatusVariables
from paperspace.gradient._generated.deployment_statuses import DEPLOYMENT_STATUSES, DeploymentStatusesVariables
from paperspace.gradient.deployments._logs import LogReader, in_order, written_since
from paperspace.gradient.deployments._queries import misfit, not_found, same_text, without_spec
from paperspace.gradient.deployments._status import FAILED_STATES, events_between, own_run, reason, status_of
from paperspace.gradient.errors import (
    APIConnectionError,
    APIStatusError,
    APITimeoutError,
    DeploymentFailedError,
    EndpointNotFoundError,
    NotFoundError,
    RateLimitError,
    RedirectError,
    ServerError,
    TLSError,
    WaitTimeoutError,
)

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable
    from datetime import datetime

    from paperspace.gradient._core.pagination import Page
    from paperspace.gradient._core.session import Session
    from paperspace.gradient._generated.deployment_run_instance_fields import DeploymentRunInstance
    from paperspace.gradient._generated.deployment_status_fields import Deployment as Found
    from paperspace.gradient._generated.deployment_statuses import Deployment as Node
    from paperspace.gradient.types import DeploymentEvent, DeploymentStatus, LogLine

T = TypeVar("T")

# Seconds from one look to the next: quick at first, then slower.
FIRST_POLL = 0.25
LAST_POLL = 5.0
POLL_GROWTH = 1.5

# Seconds between two looks while the server is away.
OUTAGE_POLL = 1.0

# What may pass, and what of it does not.
PASSING = (APIConnectionError, APITimeoutError, APIStatusError, RateLimitError, ServerError)
FOR_GOOD = (TLSError, EndpointNotFoundError, RedirectError)

# Seconds that the last look gets, however little is left.
MIN_REQUEST = 0.05

# Log lines that come with the error of a deployment that failed, and of how many of its instances.
LINES_OF_FAILURE = 20
INSTANCES_OF_FAILURE = 5


async def deployment_status(session: Session, id: str, timeout: float | None = None) -> DeploymentStatus:
    """The status of a deployment, within so many seconds."""
    if timeout is not None and timeout < session.settings.timeout:
        session = session.with_settings(timeout=timeout)
    return await _with_instances(session, await _found(session, id))


async def _found(session: Session, id: str, instances_after: str | None = None) -> Found:
    """What is known of a deployment, with a page of the instances of its own run, the newest first."""
    result = await session.run(
        DEPLOYMENT_STATUS,
        DeploymentStatusVariables(id=id, instancesAfter=instances_after),
        verify=lambda result: result["deployment"] and misfit(id, result["deployment"]),
    )
    if result["deployment"] is None:
        raise not_found(id, DEPLOYMENT_STATUS.name)
    return result["deployment"]


async def _with_instances(session: Session, found: Found) -> DeploymentStatus:
    """The status, with all the instances that are there, however many have come and gone since the run began."""
    run = own_run(found)
    if run is None or run["deploymentRunInstances"] is None:
        return status_of(found, [])

    async def fetch(_size: int, after: str | None) -> Page[DeploymentRunInstance]:
        newer = own_run(await _found(session, found["id"], after))
        if newer is None or newer["id"] != run["id"] or newer["deploymentRunInstances"] is None:
            return [], {"hasNextPage": False, "endCursor": None}  # another spec is at work by now: the next look has it
        return newer["deploymentRunInstances"]["nodes"], newer["deploymentRunInstances"]["pageInfo"]

    head = run["deploymentRunInstances"]["nodes"], run["deploymentRunInstances"]["pageInfo"]
    there: list[DeploymentRunInstance] = []
    async with aclosing(walk(fetch, operation=DEPLOYMENT_STATUS.name, head=head)) as pages:
        async for page in pages:
            there += [instance for instance in page if instance["dtDeleted"] is None]
            if len(there) >= (run["replicas"] or 0):
                break
    return status_of(found, there[::-1])


async def deployment_statuses(
    session: Session, name: str | None, project_id: str | None, cluster_id: str | None, first: int | None
) -> list[DeploymentStatus]:
    found: list[DeploymentStatus] = []
    if first == 0:
        return found

    async def fetch(size: int, after: str | None) -> Page[Node]:
        variables: DeploymentStatusesVariables = {"name": name, "projectId": project_id, "clusterId": cluster_id}
        variables |= {"first": size, "after": after}
        result = await session.run(
            DEPLOYMENT_STATUSES, variables, verify=lambda result: without_spec(*result["deployments"]["nodes"])
        )
        return result["deployments"]["nodes"], result["deployments"]["pageInfo"]

    filtered = name is not None or cluster_id is not None
    async with aclosing(walk(fetch, operation=DEPLOYMENT_STATUSES.name, limit=None if filtered else first)) as pages:
        async for page in pages:
            found += [
                await _with_instances(session, node)
                for node in page
                if (name is None or same_text(node["name"], name)) and node["onCluster"]["nodes"]
            ]
            if first is not None and len(found) >= first:
                break
    return found[:first]


async def watch(session: Session, id: str, timeout: float) -> AsyncGenerator[DeploymentEvent]:
    deadline = monotonic() + timeout
    status: DeploymentStatus | None = None
    pause = FIRST_POLL

    async def look() -> DeploymentStatus:
        return await deployment_status(session, id, max(deadline - monotonic(), MIN_REQUEST))

    while True:
        try:
            seen = await (look() if status is None else patiently(session, look, deadline))
        except PASSING as error:
            if deadline - monotonic() > 0:
                raise
            raise _too_late(id, timeout, status) from error
        for event in events_between(status, seen):
            yield event
        status = seen
        if status["state"] != "pending":
            return
        left = deadline - monotonic()
        if left <= 0:
            raise _too_late(id, timeout, status)
        await sleep(min(pause, left))
        pause = min(pause * POLL_GROWTH, LAST_POLL)


async def patiently(session: Session, look: Callable[[], Awaitable[T]], deadline: float = inf) -> T:
    """Looks, and where that fails by something that may pass, again: for as long as a whole call may take.

    A server that is started anew is away for longer than the resends of one request are meant for.
    """
    end = min(monotonic() + session.settings.timeout, deadline)
    while True:
        try:
            return await look()
        except PASSING as error:
            pause = max(error.retry_after or 0.0, OUTAGE_POLL)
            if isinstance(error, FOR_GOOD) or monotonic() + pause >= end:
                raise
        await sleep(pause)


def _too_late(id: str, timeout: float, status: DeploymentStatus | None) -> WaitTimeoutError:
    seen = "nothing was seen of it"
    if status is not None:
        seen = f"{status['readyReplicas']} of {status['replicas']} replicas are ready"
        seen += "" if status["applied"] else ", and the newest spec is not applied yet"
    return WaitTimeoutError(f"the deployment {id} is not there after {timeout:g} s: {seen}", status=status)


async def failure(session: Session, status: DeploymentStatus) -> DeploymentFailedError:
    """The error for a deployment that failed, with the last lines of the instances that did."""
    failed = [instance["name"] for instance in status["instances"] if instance["state"] in FAILED_STATES]
    lines: list[LogLine] = []
    for name in filter(None, failed[:INSTANCES_OF_FAILURE]):
        with suppress(NotFoundError):  # it has not written anything
            lines += await LogReader(session, status["id"], name).last_lines(LINES_OF_FAILURE)
    logs = in_order(lines)[-LINES_OF_FAILURE:]
    text = "".join(f"\n  {line['instanceName']}: {line['message']}" for line in logs)
    message = f"the deployment {status['name']!r} ({status['id']}) failed: {reason(status)}{text}"
    return DeploymentFailedError(message, status=status, logs=logs)


async def log_lines(
    session: Session, id: str, instance: str | None, tail: int | None, since: datetime | None, *, follow: bool
) -> AsyncGenerator[LogLine]:
    reader = LogReader(session, id, instance)
    lines = await (reader.new_lines() if tail is None else reader.last_lines(tail))
    pause = FIRST_POLL
    while True:
        for line in lines:
            if since is None or written_since(line, since):
                yield line
        if not follow:
            return
        pause = FIRST_POLL if lines else min(pause * POLL_GROWTH, LAST_POLL)
        await sleep(pause)
        try:
            ended = (await patiently(session, partial(deployment_status, session, id)))["state"] == "stopped"
            lines = await patiently(session, reader.new_lines)
        except NotFoundError:
            return
        follow = not ended
