"""Functions that read what a deployment did: its history, its events, its metrics, its logs."""

from __future__ import annotations

from contextlib import aclosing
from functools import cache
from typing import TYPE_CHECKING, Self, TypeVar

from paperspace.gradient._shared.lazy import lazy_modules

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable
    from datetime import datetime

    from paperspace.gradient._core.session import Session
    from paperspace.gradient._generated.deployments_metrics import Deployment as DeploymentWithMetrics
    from paperspace.gradient.deployments import _arguments, _events, _history, _metrics, _queries, _watch
    from paperspace.gradient.types import DeploymentEvent, DeploymentMetrics, DeploymentRevision, LogLine
else:
    _arguments, _events, _history, _metrics, _queries, _watch = lazy_modules(
        "paperspace.gradient.deployments", "_arguments", "_events", "_history", "_metrics", "_queries", "_watch"
    )

T = TypeVar("T")


class RecordsAPI:
    """Part of `AsyncDeployments`: the functions that read what a deployment did."""

    def __init__(self, session: Callable[[], Session]) -> None:
        self._session = session

    def _with_one_session(self) -> Self:
        """Return the functions for one call that consists of several: all use the session that the first one gets.

        `configure` may replace the session of the default client meanwhile.
        """
        return type(self)(cache(self._session))

    async def get_deployment_history(
        self,
        id: str | None = None,
        first: int | None = None,
        *,
        name: str | None = None,
        project_id: str | None = None,
        show_secrets: bool = False,
    ) -> list[DeploymentRevision]:
        """Get the specs of a deployment, newest first: who created each, when, and what it changed.

        All of them are in memory at the same time. `iter_deployment_history` keeps one page of them.

        Args:
            id: The id of the deployment.
            first: The maximum number of revisions. None: no limit.
            name: Its exact name, instead of its id.
            project_id: The project in which to look for the name. None: any project.
            show_secrets: Whether `difference` shows secrets; see `diff_deployment`.

        Returns:
            A list of dicts with `id`, `dtCreated`, `actor`, `cluster`, `data` (the complete spec), and `difference`
            (what changed from the spec before, as `diff_deployment` returns it). `data` contains the secrets of the
            spec; `difference` hides them.

        Raises:
            InvalidArgumentError: An argument is invalid. Nothing was sent.
            NotFoundError: No deployment has this id or name, or it is deleted.
            ConflictError: Several deployments have the name; the message lists them.

        Example:
            >>> [mnist] = deployments.list_deployments(name="mnist")
            >>> scaled = deployments.scale_deployment(mnist["id"], 4)
            >>> newest, oldest = deployments.get_deployment_history(mnist["id"])
            >>> newest["difference"]["text"]
            '~ resources.replicas: 1 -> 4'
        """
        _arguments.require(
            _arguments.check_target(id, name, project_id), _arguments.check_optional_count(first, "first")
        )
        session = self._session()
        found = await self._find(session, id, name, project_id)
        return await _history.list_history(session, found, first, show_secrets=show_secrets)

    def iter_deployment_history(
        self,
        id: str | None = None,
        first: int | None = None,
        *,
        name: str | None = None,
        project_id: str | None = None,
        show_secrets: bool = False,
    ) -> AsyncGenerator[DeploymentRevision]:
        """Iterate over the specs of a deployment, newest first, fetching one page at a time.

        Without `first`, the first page has 10 specs, and the next ones are larger, up to 100.

        Args:
            id: The id of the deployment.
            first: The maximum number of revisions. None: no limit.
            name: Its exact name, instead of its id.
            project_id: The project in which to look for the name. None: any project.
            show_secrets: Whether `difference` shows secrets; see `diff_deployment`.

        Yields:
            Dicts as `get_deployment_history` returns them.

        Raises:
            InvalidArgumentError: An argument is invalid. Raised when the function is called, not at
                the first iteration. Nothing was sent.
            NotFoundError: No deployment has this id or name, or it is deleted.
            ConflictError: Several deployments have the name; the message lists them.

        Example:
            >>> [mnist] = deployments.list_deployments(name="mnist")
            >>> for revision in deployments.iter_deployment_history(mnist["id"]):
            ...     if revision["data"]["image"] == "tensorflow/serving":
            ...         print(revision["actor"]["fullName"])
            ...         break
            First Last
        """
        _arguments.require(
            _arguments.check_target(id, name, project_id), _arguments.check_optional_count(first, "first")
        )
        session = self._session()
        return self._found(
            session,
            id,
            name,
            project_id,
            lambda found: _history.iter_history(session, found, first, show_secrets=show_secrets),
        )

    async def get_deployment_events(
        self,
        id: str | None = None,
        first: int | None = 100,
        *,
        name: str | None = None,
        project_id: str | None = None,
    ) -> list[DeploymentEvent]:
        """Get the events of a deployment, newest first: what happened, when, why and how often.

        An event that happens again is returned once, with a higher `count`, a later `dtLast` and its last `message`. The
        local server keeps at least the newest 200 events of a deployment.

        Args:
            id: The id of the deployment.
            first: The maximum number of events. None: no limit.
            name: Its exact name, instead of its id.
            project_id: The project in which to look for the name. None: any project.

        Returns:
            A list of dicts with `id`, `dtCreated` (when it happened first), `dtLast` (when it happened last), `count`,
            `severity` (`NORMAL` or `WARNING`), `reason` (a word for programs, such as `Crashed`), `message`,
            `deploymentSpecId` and `instanceName` (the spec and the instance that it is about, or None).

        Raises:
            InvalidArgumentError: An argument is invalid. Nothing was sent.
            NotFoundError: No deployment has this id or name, or it is deleted.
            ConflictError: Several deployments have the name; the message lists them.
            BadRequestError: The server has no events. The hosted API had none.

        Example:
            >>> [mnist] = deployments.list_deployments(name="mnist")
            >>> status = deployments.wait_for_deployment(mnist["id"])
            >>> [event["reason"] for event in deployments.get_deployment_events(mnist["id"])]
            ['Ready', 'Started', 'RolloutStarted']
        """
        _arguments.require(
            _arguments.check_target(id, name, project_id), _arguments.check_optional_count(first, "first")
        )
        session = self._session()
        return await _events.list_events(session, await self._find(session, id, name, project_id), first)

    def _follow_deployment_events(self, id: str, first: int | None) -> AsyncGenerator[DeploymentEvent]:
        """Yield the events of a deployment by time, and new ones as they happen, for `gradient deployments events`."""
        _arguments.require(_arguments.check_id(id))
        return _watch.follow_events(self._session(), id, first)

    async def get_deployment_metrics(
        self,
        id: str | None = None,
        *,
        name: str | None = None,
        project_id: str | None = None,
        since: datetime | str | None = None,
        step: int | None = None,
    ) -> list[DeploymentMetrics]:
        """Get what a deployment used and which requests it got, oldest first.

        The server takes figures every 10 seconds, and keeps them for a day. Each item of the list has the figures of the
        time since the previous item.

        Args:
            id: The id of the deployment.
            name: Its exact name, instead of its id.
            project_id: The project in which to look for the name. None: any project.
            since: The start: a datetime, a time such as `"2024-05-17T09:30"`, or a duration such as `"10m"` (10 minutes ago;
                units: `s`, `m`, `h`, `d`; by the clock of the server). A time without a time zone is in UTC. None: an hour
                ago.
            step: The seconds between two items, rounded up to a multiple of 10. The server increases it if there would be
                over 360 items. None: the smallest possible step.

        Returns:
            A list of dicts with `time`, `replicas` and `readyReplicas` (of the newest spec), `cpu` (how many CPUs all
            replicas used together) and `cpuLimit`, `memory` and `memoryLimit` (in bytes), `activeRequests`,
            `requestsPerSecond`, `errorsPerSecond` (status 500 or higher), `requestDuration` (the mean, in seconds),
            `requestDurationP50` and `requestDurationP95`. What is unknown is None. Simulated deployments use nothing, so
            their list is empty.

        Raises:
            InvalidArgumentError: An argument is invalid. Nothing was sent.
            NotFoundError: No deployment has this id or name, or it is deleted.
            ConflictError: Several deployments have the name; the message lists them.
            BadRequestError: The server has no metrics. The hosted API had none.

        Example:
            >>> [mnist] = deployments.list_deployments(name="mnist")
            >>> [point["cpu"] for point in deployments.get_deployment_metrics(mnist["id"])]  # it is simulated
            []
        """
        _arguments.require(
            _arguments.check_target(id, name, project_id),
            _arguments.check_since(since),
            _arguments.check_optional_count(step, "step", minimum=1),
        )
        start = None if since is None else _arguments.parse_since(since)
        session = self._session()
        call = session.start()
        found = await _queries.id_of(session, call, id, name, project_id)
        return await _metrics.list_metrics(session, call, found, start, step)

    async def _get_latest_metrics(self, id: str | None, project_id: str | None) -> list[DeploymentWithMetrics]:
        """Get one deployment or all, each with the newest point of its metrics, for `gradient deployments top`."""
        _arguments.require(() if id is None else _arguments.check_id(id))
        return await _metrics.latest_metrics(self._session(), id, project_id)

    def get_deployment_logs(
        self,
        id: str | None = None,
        *,
        name: str | None = None,
        project_id: str | None = None,
        instance: str | None = None,
        tail: int | None = None,
        since: datetime | str | None = None,
        follow: bool = False,
    ) -> AsyncGenerator[LogLine]:
        """Yield the log lines of a deployment by time, over all its instances.

        Args:
            id: The id of the deployment.
            name: Its exact name, instead of its id.
            project_id: The project in which to look for the name. None: any project.
            instance: Only the log of the instance with this name. None: the logs of all instances.
            tail: Only the last `tail` lines. None: all lines.
            since: Only lines written at this time or later: a datetime, a time such as `"2024-05-17T09:30"`, or a duration
                such as `"10m"` (10 minutes ago; units: `s`, `m`, `h`, `d`; by the clock of the server). A time without a
                time zone is in UTC. None: any time.
            follow: Whether to continue with new lines as they are written, until the deployment is stopped or deleted.

        Yields:
            Dicts with `instanceName`, `line` (the number of the line in the log of its instance, from 1), `message`
            and `dtCreated`.

        Raises:
            InvalidArgumentError: An argument is invalid. Raised when the function is called, not at
                the first iteration. Nothing was sent.
            NotFoundError: The deployment does not exist, or the instance has no log; `resource` is `deployment` or
                `instance`.
            ConflictError: Several deployments have the name; the message lists them.

        Example:
            >>> [mnist] = deployments.list_deployments(name="mnist")
            >>> status = deployments.wait_for_deployment(mnist["id"])
            >>> for line in deployments.get_deployment_logs(mnist["id"], tail=1):
            ...     print(line["message"])
            [simulated] ready
        """
        _arguments.require(
            _arguments.check_target(id, name, project_id),
            _arguments.check_optional_text(instance, "instance"),
            _arguments.check_optional_count(tail, "tail"),
            _arguments.check_since(since),
        )
        start = None if since is None else _arguments.parse_since(since)
        session = self._session()
        return self._found(
            session,
            id,
            name,
            project_id,
            lambda found: _watch.log_lines(session, found, instance, tail, start, follow=follow),
        )

    async def _find(self, session: Session, id: str | None, name: str | None, project_id: str | None) -> str:
        """Return the id of the deployment with this id or name."""
        return await _queries.id_of(session, session.start(), id, name, project_id)

    async def _found(
        self,
        session: Session,
        id: str | None,
        name: str | None,
        project_id: str | None,
        items_of: Callable[[str], AsyncGenerator[T]],
    ) -> AsyncGenerator[T]:
        """Yield what a generator yields for the deployment with this id or name."""
        found = await self._find(session, id, name, project_id)
        async with aclosing(items_of(found)) as items:
            async for item in items:
                yield item
