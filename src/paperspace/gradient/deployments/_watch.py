"""Watch a deployment: poll its status until it is ready, stopped or failed, and read its logs as they are written."""

from __future__ import annotations

import logging
from asyncio import sleep
from asyncio import timeout as time_limit
from contextlib import aclosing, asynccontextmanager, suppress
from functools import partial
from math import inf
from typing import TYPE_CHECKING, TypeVar

from paperspace.gradient._core.pagination import empty_page, iter_pages
from paperspace.gradient._generated.deployment_status import DEPLOYMENT_STATUS, DeploymentStatusVariables
from paperspace.gradient._generated.deployment_statuses import DEPLOYMENT_STATUSES, DeploymentStatusesVariables
from paperspace.gradient._shared.event_loops import monotonic
from paperspace.gradient._shared.lazy import lazy_modules
from paperspace.gradient.deployments._errors import spec_replaced
from paperspace.gradient.deployments._events import unread_events
from paperspace.gradient.deployments._logs import LogReader, written_since
from paperspace.gradient.deployments._queries import (
    fetch_by_id,
    id_of,
    same_id,
    same_text,
    start_of,
    verify_has_spec,
)
from paperspace.gradient.deployments._rollouts import iter_rollout_pages, rollouts_with_instances
from paperspace.gradient.deployments._status import events_between, newest_run, remaining_runs, status_of
from paperspace.gradient.deployments._wait_errors import wait_timeout
from paperspace.gradient.errors import (
    APIConnectionError,
    APIStatusError,
    APITimeoutError,
    BadRequestError,
    EndpointNotFoundError,
    NotFoundError,
    RateLimitError,
    RedirectError,
    ServerError,
    TLSError,
)

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable
    from datetime import datetime, timedelta

    from paperspace.gradient._core.pagination import FetchPage, Page
    from paperspace.gradient._core.session import Session
    from paperspace.gradient._generated.deployment_run_instance_fields import DeploymentRunInstance
    from paperspace.gradient._generated.deployment_status_fields import Deployment
    from paperspace.gradient._generated.deployment_statuses import Deployment as DeploymentNode
    from paperspace.gradient._generated.deployment_statuses import DeploymentStatusesResult
    from paperspace.gradient._generated.deployment_statuses_on_cluster import DeploymentStatusesOnClusterResult
    from paperspace.gradient.deployments import _on_cluster
    from paperspace.gradient.deployments._status import RemainingRun
    from paperspace.gradient.types import DeploymentEvent, DeploymentStatus, LogLine, WatchEvent
else:
    [_on_cluster] = lazy_modules("paperspace.gradient.deployments", "_on_cluster")

T = TypeVar("T")

_log = logging.getLogger("paperspace.gradient.outages")

# Seconds between two polls: short at first, then growing to `max_poll_interval` of the client.
FIRST_POLL = 0.25
POLL_GROWTH = 1.5

# Seconds between two polls of logs, however long nothing is written: each is one small request.
LOG_POLL = 0.3

# Seconds between two polls during an outage.
OUTAGE_POLL = 1.0

# Errors that an outage explains, so that polling goes on; and those of their subclasses that stay until somebody acts.
TRANSIENT_ERRORS = (APIConnectionError, APITimeoutError, APIStatusError, RateLimitError, ServerError)
PERMANENT_ERRORS = (TLSError, EndpointNotFoundError, RedirectError)

# Seconds that the last poll gets at least, however little time remains.
MIN_REQUEST = 0.05


def is_transient(error: Exception) -> bool:
    """Return whether an outage explains an error, so that polling goes on."""
    return isinstance(error, TRANSIENT_ERRORS) and not isinstance(error, PERMANENT_ERRORS)


async def deployment_status(session: Session, id: str, timeout: float | None = None) -> DeploymentStatus:
    """Return the status of a deployment, in at most `timeout` seconds, if that is given.

    Raises:
        NotFoundError: No deployment has this id.
        TimeoutError: Several requests together took too long.
    """
    async with _limited(session, timeout) as limited:
        return await _complete_status(limited, await _fetch_status(limited, id))


async def _find(session: Session, id: str | None, name: str | None, project_id: str | None, timeout: float) -> str:
    """Return the id of the deployment with this id or name, in at most `timeout` seconds."""
    async with _limited(session, timeout) as limited:
        return await id_of(limited, limited.start(), id, name, project_id)


@asynccontextmanager
async def _limited(session: Session, timeout: float | None) -> AsyncGenerator[Session]:
    """Run a block whose requests together take at most `timeout` seconds, if that is given. Yield the session for them."""
    if timeout is not None and timeout < session.settings.timeout:
        session = session.with_settings(timeout=timeout)
    # A single request that takes too long has the better error, so its limit is a little earlier.
    async with time_limit(None if timeout is None else timeout + MIN_REQUEST):
        yield session


async def _fetch_status(session: Session, id: str, instances_after: str | None = None) -> Deployment:
    """Fetch a deployment with one page of the instances of its newest run, newest first."""
    variables = DeploymentStatusVariables(id=id, instancesAfter=instances_after)
    return await fetch_by_id(session, DEPLOYMENT_STATUS, variables, require_spec=True)


async def _complete_status(session: Session, deployment: Deployment) -> DeploymentStatus:
    """Return the status, reading further pages of instances and rollouts only while some may be missing."""
    instances = await _instances(session, deployment)
    rollouts = deployment["deploymentRollouts"]
    remaining = remaining_runs(rollouts["nodes"])
    status = status_of(deployment, instances, remaining)
    stops = status["replicas"] == 0 and not remaining
    nothing_serves = status["state"] == "failed" and status["serving"] is None
    if rollouts["pageInfo"]["hasNextPage"] and (stops or nothing_serves):
        status = status_of(deployment, instances, await _all_remaining_runs(session, deployment))
    return status


async def _all_remaining_runs(session: Session, deployment: Deployment) -> list[RemainingRun]:
    """Return the runs that have not ended, in the whole history of a deployment: earlier runs serve until they are replaced."""
    with suppress(
        BadRequestError
    ):  # a server without this filter, as the hosted one: pages are read until a run serves
        return remaining_runs(await rollouts_with_instances(session, deployment["id"]))
    first_page = deployment["deploymentRollouts"]["nodes"], deployment["deploymentRollouts"]["pageInfo"]
    remaining: list[RemainingRun] = []
    async with aclosing(iter_rollout_pages(session, deployment["id"], first_page=first_page)) as pages:
        async for page in pages:
            remaining += remaining_runs(page)
            if any(run.ready_replicas for run in remaining):
                break
    return remaining


async def _instances(session: Session, deployment: Deployment) -> list[DeploymentRunInstance]:
    """Return the instances of the newest run that are not deleted, oldest first."""
    run = newest_run(deployment)
    if run is None or run["deploymentRunInstances"] is None:
        return []

    async def fetch(_size: int, after: str | None) -> Page[DeploymentRunInstance]:
        current_run = newest_run(await _fetch_status(session, deployment["id"], after))
        if current_run is None or current_run["id"] != run["id"] or current_run["deploymentRunInstances"] is None:
            return empty_page()  # a newer spec has replaced the run; the next poll sees it
        return current_run["deploymentRunInstances"]["nodes"], current_run["deploymentRunInstances"]["pageInfo"]

    first_page = run["deploymentRunInstances"]["nodes"], run["deploymentRunInstances"]["pageInfo"]
    instances: list[DeploymentRunInstance] = []
    async with aclosing(iter_pages(fetch, operation=DEPLOYMENT_STATUS.name, first_page=first_page)) as pages:
        async for page in pages:
            instances += [instance for instance in page if instance["dtDeleted"] is None]
            if len(instances) >= (run["replicas"] or 0):
                break
    return instances[::-1]


async def deployment_statuses(
    session: Session, name: str | None, project_id: str | None, cluster_id: str | None, first: int | None
) -> list[DeploymentStatus]:
    """Return the statuses of the deployments that match the filters, newest first; `first` at most."""
    statuses: list[DeploymentStatus] = []
    if first == 0:
        return statuses

    def verify(result: DeploymentStatusesResult | DeploymentStatusesOnClusterResult) -> str | None:
        return verify_has_spec(*result["deployments"]["nodes"])

    async def fetch(size: int, after: str | None) -> Page[DeploymentNode]:
        variables: DeploymentStatusesVariables = {"name": name, "projectId": project_id, "clusterId": cluster_id}
        variables |= {"first": size, "after": after}
        result = await session.run(DEPLOYMENT_STATUSES, variables, verify=verify)
        return result["deployments"]["nodes"], result["deployments"]["pageInfo"]

    fetch_page: FetchPage[DeploymentNode] = fetch
    if cluster_id is not None:
        on_cluster = _on_cluster.statuses(session, name, project_id, cluster_id, verify)
        fetch_page = _on_cluster.filtered_by_server(fetch, on_cluster)
    filtered = name is not None or cluster_id is not None
    limit = None if filtered else first
    async with aclosing(iter_pages(fetch_page, operation=DEPLOYMENT_STATUSES.name, limit=limit)) as pages:
        async for page in pages:
            for node in page:
                if (name is None or same_text(node["name"], name)) and node["onCluster"]["nodes"]:
                    with suppress(NotFoundError):  # it was deleted in the meantime
                        statuses.append(await _complete_status(session, node))
            if first is not None and len(statuses) >= first:
                break
    return statuses[:first]


async def watch(
    session: Session, id: str | None, name: str | None, project_id: str | None, timeout: float, spec_id: str | None
) -> AsyncGenerator[WatchEvent]:
    """Poll the status of a deployment until it is not pending any more, and yield what changes.

    Args:
        session: The session to read it with.
        id: The id of the deployment. None: look for its name.
        name: Its exact name.
        project_id: The project in which to look for the name. None: any project.
        timeout: The seconds until the last event.
        spec_id: The id of the spec to watch. None: whichever is the newest.

    Raises:
        NotFoundError: No deployment has this id or name, or it was deleted in the meantime.
        ConflictError: Several deployments have the name, or another spec is the newest.
        WaitTimeoutError: It is still pending after `timeout` seconds.
    """
    deadline = monotonic() + timeout
    status: DeploymentStatus | None = None
    longest = session.settings.max_poll_interval
    interval = min(FIRST_POLL, longest)
    found = id

    async def poll() -> DeploymentStatus:
        nonlocal found
        found = await _find(session, found, name, project_id, max(deadline - monotonic(), MIN_REQUEST))
        return await deployment_status(session, found, max(deadline - monotonic(), MIN_REQUEST))

    while True:
        try:
            # An outage before the first status is an error at once: most likely a setting is wrong.
            new_status = await (poll() if status is None else retry_in_outage(session, poll, deadline))
        except TRANSIENT_ERRORS as error:
            if deadline - monotonic() > 0:
                raise
            raise await wait_timeout(session, found or repr(name), timeout, status) from error
        except TimeoutError as error:
            raise await wait_timeout(session, found or repr(name), timeout, status) from error
        if spec_id is not None and not same_id(new_status["specId"], spec_id):
            raise spec_replaced(new_status, spec_id, DEPLOYMENT_STATUS.name)
        for event in events_between(status, new_status):
            yield event
        status = new_status
        if status["state"] != "pending":
            return
        remaining = deadline - monotonic()
        if remaining <= 0:
            raise await wait_timeout(session, found or repr(name), timeout, status)
        await sleep(min(interval, remaining))
        interval = min(interval * POLL_GROWTH, longest)


async def retry_in_outage(session: Session, read: Callable[[], Awaitable[T]], deadline: float = inf) -> T:
    """Call `read` again while it fails with a transient error, for as long as one call may take.

    A restart of the server can take longer than the retries of one request. The log says when an outage begins and ends.
    """
    end = min(monotonic() + session.settings.timeout, deadline)
    is_outage = False
    while True:
        try:
            result = await read()
        except TRANSIENT_ERRORS as error:
            interval = max(error.retry_after or 0.0, OUTAGE_POLL)
            if not is_transient(error) or monotonic() + interval >= end:
                raise
            if not is_outage:
                _log.info("The server does not respond; trying again: %s", error.args[0])
            is_outage = True
        else:
            if is_outage:
                _log.info("The server responds again.")
            return result
        await sleep(interval)


async def log_lines(
    session: Session,
    id: str,
    instance: str | None,
    tail: int | None,
    since: datetime | timedelta | None,
    *,
    follow: bool,
) -> AsyncGenerator[LogLine]:
    """Yield the log lines of a deployment by time; with `follow`, until it is stopped or deleted."""
    reader = LogReader(session, id, instance)
    is_whole_log = tail is None and since is None
    lines = await (reader.new_lines() if is_whole_log else reader.last_lines(tail, since))
    start = None if since is None else start_of(since, session)  # here, where the clock of the server is known
    longest = session.settings.max_poll_interval
    interval = first = min(FIRST_POLL, longest)
    status_due = monotonic()
    while True:
        for line in lines:
            if start is None or written_since(line, start):
                yield line
        if not follow:
            return
        if lines:
            interval, status_due = first, min(status_due, monotonic() + first)
        await sleep(min(interval, LOG_POLL))
        try:
            # The status first: what was written before it became `stopped` is still read below.
            if monotonic() >= status_due:
                status = await retry_in_outage(session, partial(deployment_status, session, id))
                follow = status["state"] != "stopped"
                interval = min(interval * POLL_GROWTH, longest)
                status_due = monotonic() + interval
            lines = await retry_in_outage(session, reader.new_lines)
        except NotFoundError:
            return


async def follow_events(session: Session, id: str, first: int | None) -> AsyncGenerator[DeploymentEvent]:
    """Yield the events of a deployment by time, and then each event whenever it happens, until the deployment is deleted.

    Args:
        session: The session to read them with.
        id: The id of the deployment.
        first: The maximum number of events that have happened before. None: all.
    """
    read: dict[str, str] = {}  # the last time of each event
    events = await unread_events(session, id, read)
    newest = events[:first]
    longest = session.settings.max_poll_interval
    interval = first_interval = min(FIRST_POLL, longest)
    while True:
        read |= {event["id"]: event["dtLast"] for event in events}
        for event in reversed(newest):
            yield event
        interval = first_interval if newest else min(interval * POLL_GROWTH, longest)
        await sleep(interval)
        try:
            events = newest = await retry_in_outage(session, partial(unread_events, session, id, read))
        except NotFoundError:
            return
