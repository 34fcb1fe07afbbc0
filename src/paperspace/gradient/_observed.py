"""Functions that watch a deployment: its status, waiting for it, its logs."""

from __future__ import annotations

from contextlib import aclosing
from datetime import datetime
from time import monotonic
from typing import TYPE_CHECKING

from paperspace.gradient import _checks
from paperspace.gradient._generated.deployment_status import DEPLOYMENT_STATUS, DeploymentStatusVariables
from paperspace.gradient._generated.deployment_statuses import DEPLOYMENT_STATUSES, DeploymentStatusesVariables
from paperspace.gradient._logs import LogReader, written_since
from paperspace.gradient._lookups import not_found, same_text
from paperspace.gradient._paging import walk
from paperspace.gradient._status import events_between, reason, status_of
from paperspace.gradient.errors import (
    APITimeoutError,
    DeploymentFailedError,
    InvalidArgumentError,
    NotFoundError,
    WaitTimeoutError,
)

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable

    from paperspace.gradient._generated.deployment_statuses import Deployment as Node
    from paperspace.gradient._paging import Page
    from paperspace.gradient._session import Session
    from paperspace.gradient.types import DeploymentEvent, DeploymentStatus, LogLine

# Seconds: fifteen minutes, as the vendor's own action waited.
DEFAULT_WAIT = 900.0

# Seconds from one look to the next: quick at first, then slower.
FIRST_POLL = 0.25
LAST_POLL = 5.0
POLL_GROWTH = 1.5

# Seconds that the last look gets, however little is left.
MIN_REQUEST = 0.05

# Log lines that come with the error of a deployment that failed.
LINES_OF_FAILURE = 20


class Observed:
    """The functions, to be awaited; a part of `AsyncDeployments`."""

    def __init__(self, session: Callable[[], Session]) -> None:
        self._session = session

    async def get_deployment_status(self, id: str) -> DeploymentStatus:
        """How a deployment is doing, by its newest spec and that spec's own run.

        Args:
            id: The id of the deployment.

        Returns:
            A dict with `state` (`pending`, `ready`, `stopped` or `failed`), `replicas`, `readyReplicas`, `instances`
            (each with `name`, `phase`, `state`, `message`), `specId`, `applied`, `error`, `endpointUrl`, `id`, `name`.

        Raises:
            NotFoundError: There is no such deployment, or it is deleted.

        Example:
            >>> [mnist] = deployments.list_deployments(name="mnist")
            >>> deployments.get_deployment_status(mnist["id"])["replicas"]
            1
        """
        _checks.require(_checks.identifier(id))
        return await _status(self._session(), id)

    async def list_deployment_statuses(
        self,
        name: str | None = None,
        project_id: str | None = None,
        cluster_id: str | None = None,
        first: int | None = 100,
    ) -> list[DeploymentStatus]:
        """How deployments are doing, the newest first.

        Args:
            name: Only the deployment with exactly this name. None: any name.
            project_id: Only deployments of this project. None: any project.
            cluster_id: Only deployments that have a spec on this cluster. None: any cluster.
            first: How many deployments at most. None: all of them, over as many pages as it takes.

        Returns:
            A list of dicts like that of `get_deployment_status`.

        Raises:
            InvalidArgumentError: An argument cannot be right. Nothing was sent.

        Example:
            >>> [(status["name"], status["image"]) for status in deployments.list_deployment_statuses(project_id="p1")]
            [('mnist', 'tensorflow/serving')]
        """
        _checks.require(_checks.filters(name, project_id, cluster_id, first))
        return await _statuses(self._session(), name, project_id, cluster_id, first)

    def watch_deployment(self, id: str, *, timeout: float = DEFAULT_WAIT) -> AsyncGenerator[DeploymentEvent]:
        """Tells what happens to a deployment until it is ready, stopped or failed.

        Args:
            id: The id of the deployment.
            timeout: Seconds until that has to be.

        Yields:
            Events with `type` (`applied`, `instance`, `replicas`, and at the end `ready`, `stopped` or `failed`), a
            `message` to be read, and the whole `status`.

        Raises:
            NotFoundError: There is no such deployment, or it was deleted meanwhile.
            WaitTimeoutError: The time is over; `status` is the last that was seen.

        Example:
            >>> [mnist] = deployments.list_deployments(name="mnist")
            >>> [event["type"] for event in deployments.watch_deployment(mnist["id"])][-1]
            'ready'
        """
        _checks.require(_checks.identifier(id))
        if not isinstance(timeout, int | float) or not timeout > 0:
            raise InvalidArgumentError(f"timeout: a number of seconds above 0 expected, {timeout!r} given")
        return _watch(self._session(), id, timeout)

    async def wait_for_deployment(
        self, id: str, *, timeout: float = DEFAULT_WAIT, on_event: Callable[[DeploymentEvent], object] | None = None
    ) -> DeploymentStatus:
        """Waits until the newest spec of a deployment is at work with all its replicas, or is stopped for good.

        An earlier spec that still serves does not count. A spec that asks for no replicas, or is disabled, counts as
        done when no run remains.

        Args:
            id: The id of the deployment.
            timeout: Seconds to wait at most.
            on_event: Called with each event; see `watch_deployment`.

        Returns:
            The status that it came to, `ready` or `stopped`; see `get_deployment_status`.

        Raises:
            DeploymentFailedError: It failed; the message says why, `status` and `logs` tell more.
            NotFoundError: There is no such deployment, or it was deleted meanwhile.
            WaitTimeoutError: The time is over; `status` is the last that was seen.

        Example:
            >>> [mnist] = deployments.list_deployments(name="mnist")
            >>> deployments.wait_for_deployment(mnist["id"], timeout=60.0)["state"]
            'ready'
        """
        status: DeploymentStatus | None = None
        async for event in self.watch_deployment(id, timeout=timeout):
            status = event["status"]
            if on_event is not None:
                on_event(event)
        return await self.settled(status)

    async def settled(self, status: DeploymentStatus | None) -> DeploymentStatus:
        """The status that a watch ended with, where that is a good end; a part of `wait_for_deployment`."""
        assert status is not None  # noqa: S101  # there is an event at the end at least
        if status["state"] == "failed":
            raise await _failure(self._session(), status)
        return status

    def get_deployment_logs(
        self,
        id: str,
        *,
        instance: str | None = None,
        tail: int | None = None,
        since: datetime | None = None,
        follow: bool = False,
    ) -> AsyncGenerator[LogLine]:
        """The log lines of a deployment by time, over all its instances, each line once.

        Args:
            id: The id of the deployment.
            instance: Only the log of the instance of this name. None: of all of them.
            tail: Only the last so many lines. None: all of them.
            since: Only lines that were written at this moment or later; without a time zone it is UTC. None: any.
            follow: Whether to go on with new lines as they are written, until the deployment is stopped or deleted.

        Yields:
            Dicts with `instanceName`, `line` (its number, from 1), `message` and `dtCreated`.

        Raises:
            InvalidArgumentError: An argument cannot be right. Nothing was sent.
            NotFoundError: There is no such deployment, or no log of this instance; `resource` says which of the two.

        Example:
            >>> [mnist] = deployments.list_deployments(name="mnist")
            >>> status = deployments.wait_for_deployment(mnist["id"])
            >>> for line in deployments.get_deployment_logs(mnist["id"], tail=1):
            ...     print(line["message"])
            [simulated] ready
        """
        _checks.require(
            _checks.identifier(id),
            _checks.optional_text(instance, "instance"),
            () if tail is None else _checks.count(tail, "tail"),
        )
        if since is not None and not isinstance(since, datetime):
            raise InvalidArgumentError(f"since: a datetime expected, {since!r} given")
        return _logs(self._session(), id, instance, tail, since, follow=follow)


async def _status(session: Session, id: str, timeout: float | None = None) -> DeploymentStatus:
    """The status of a deployment, within so many seconds."""
    if timeout is not None and timeout < session.settings.timeout:
        session = session.with_settings(timeout=timeout)
    result = await session.run(DEPLOYMENT_STATUS, DeploymentStatusVariables(id=id))
    if result["deployment"] is None:
        raise not_found(id, DEPLOYMENT_STATUS.name)
    return status_of(result["deployment"])


async def _statuses(
    session: Session, name: str | None, project_id: str | None, cluster_id: str | None, first: int | None
) -> list[DeploymentStatus]:
    found: list[DeploymentStatus] = []
    if first == 0:
        return found

    async def fetch(size: int, after: str | None) -> Page[Node]:
        variables: DeploymentStatusesVariables = {"name": name, "projectId": project_id, "clusterId": cluster_id}
        variables |= {"first": size, "after": after}
        result = await session.run(DEPLOYMENT_STATUSES, variables)
        return result["deployments"]["nodes"], result["deployments"]["pageInfo"]

    filtered = name is not None or cluster_id is not None
    async with aclosing(walk(fetch, operation=DEPLOYMENT_STATUSES.name, limit=None if filtered else first)) as pages:
        async for page in pages:
            found += [
                status_of(node)
                for node in page
                if (name is None or same_text(node["name"], name)) and node["onCluster"]["nodes"]
            ]
            if first is not None and len(found) >= first:
                break
    return found[:first]


async def _watch(session: Session, id: str, timeout: float) -> AsyncGenerator[DeploymentEvent]:
    from asyncio import sleep

    deadline = monotonic() + timeout
    status: DeploymentStatus | None = None
    pause = FIRST_POLL
    while True:
        left = deadline - monotonic()
        try:
            seen = await _status(session, id, max(left, MIN_REQUEST))
        except APITimeoutError as error:
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


def _too_late(id: str, timeout: float, status: DeploymentStatus | None) -> WaitTimeoutError:
    seen = "nothing was seen of it"
    if status is not None:
        seen = f"{status['readyReplicas']} of {status['replicas']} replicas are ready"
        seen += "" if status["applied"] else ", and the newest spec is not applied yet"
    return WaitTimeoutError(f"the deployment {id} is not there after {timeout:g} s: {seen}", status=status)


async def _failure(session: Session, status: DeploymentStatus) -> DeploymentFailedError:
    """The error for a deployment that failed, with the last lines of its logs."""
    logs = await LogReader(session, status["id"], None).last_lines(LINES_OF_FAILURE)
    text = "".join(f"\n  {line['instanceName']}: {line['message']}" for line in logs)
    message = f"the deployment {status['name']!r} ({status['id']}) failed: {reason(status)}{text}"
    return DeploymentFailedError(message, status=status, logs=logs)


async def _logs(
    session: Session, id: str, instance: str | None, tail: int | None, since: datetime | None, *, follow: bool
) -> AsyncGenerator[LogLine]:
    from asyncio import sleep

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
            ended = (await _status(session, id))["state"] == "stopped"
            lines = await reader.new_lines()
        except NotFoundError:
            return
        follow = not ended
