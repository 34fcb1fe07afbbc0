"""Functions that watch a deployment: its status, its events, its metrics, its logs."""

from __future__ import annotations

from contextlib import aclosing
from typing import TYPE_CHECKING

from paperspace.gradient._core.defaults import DEFAULT_WAIT
from paperspace.gradient._shared.lazy import lazy_modules
from paperspace.gradient.errors import APIError, DeploymentFailedError

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable
    from datetime import datetime

    from paperspace.gradient._core.session import Session
    from paperspace.gradient._generated.deployments_metrics import Deployment as DeploymentWithMetrics
    from paperspace.gradient.deployments import _arguments, _errors, _events, _metrics, _wait_errors, _watch
    from paperspace.gradient.types import (
        DeploymentEvent,
        DeploymentMetrics,
        DeploymentRef,
        DeploymentStatus,
        LogLine,
        WatchEvent,
    )
else:
    _arguments, _errors, _events, _metrics, _wait_errors, _watch = lazy_modules(
        "paperspace.gradient.deployments", "_arguments", "_errors", "_events", "_metrics", "_wait_errors", "_watch"
    )


class MonitoringAPI:
    """Part of `AsyncDeployments`: the functions that watch a deployment."""

    def __init__(self, session: Callable[[], Session]) -> None:
        self._session = session

    async def get_deployment_status(self, id: str) -> DeploymentStatus:
        """Get the status of a deployment: that of its newest spec.

        An earlier spec that still serves does not count; it is in `serving`.

        Args:
            id: The id of the deployment.

        Returns:
            A dict with `state` (`pending`, `ready`, `stopped` or `failed`), `replicas`, `readyReplicas`, `instances`
            (each with `name`, `phase`, `state` and `message`), `applied`, `error` (why it failed), `serving` (the earlier
            revision that still serves, with `specId`, `replicas` and `readyReplicas`, or None), `endpointUrl`, `specId`,
            `image`, `id`, `name` and `dtCreated`.

        Raises:
            InvalidArgumentError: `id` is not a UUID. Nothing was sent.
            NotFoundError: No deployment has this id, or it is deleted.

        Example:
            >>> [mnist] = deployments.list_deployments(name="mnist")
            >>> deployments.get_deployment_status(mnist["id"])["replicas"]
            1
        """
        _arguments.require(_arguments.check_id(id))
        return await _watch.deployment_status(self._session(), id)

    async def list_deployment_statuses(
        self,
        name: str | None = None,
        project_id: str | None = None,
        cluster_id: str | None = None,
        first: int | None = 100,
    ) -> list[DeploymentStatus]:
        """List the statuses of deployments, newest deployment first.

        Args:
            name: Only the deployments with exactly this name. None: any name.
            project_id: Only deployments of this project. None: any project.
            cluster_id: Only deployments with a spec on this cluster. None: any cluster.
            first: The maximum number of deployments. None: no limit.

        Returns:
            A list of dicts as `get_deployment_status` returns them.

        Raises:
            InvalidArgumentError: An argument is invalid. Nothing was sent.

        Example:
            >>> [(status["name"], status["image"]) for status in deployments.list_deployment_statuses(project_id="p1")]
            [('mnist', 'tensorflow/serving')]
        """
        _arguments.require(_arguments.check_filters(name, project_id, cluster_id, first))
        return await _watch.deployment_statuses(self._session(), name, project_id, cluster_id, first)

    def watch_deployment(self, id: str, *, timeout: float = DEFAULT_WAIT) -> AsyncGenerator[WatchEvent]:
        """Yield the events of a deployment until it is ready, stopped or failed.

        If the deployment fails, the last event is `failed`, and no error is raised. Once the first status was received,
        a short outage of the server does not end the events.

        Args:
            id: The id of the deployment.
            timeout: The maximum number of seconds until the last event.

        Yields:
            Dicts with `type` (`applied`, `instance` or `replicas`; the last one is `ready`, `stopped` or `failed`),
            `message` (a description) and `status` (as `get_deployment_status` returns it).

        Raises:
            InvalidArgumentError: An argument is invalid. Raised when the function is called, not at
                the first iteration. Nothing was sent.
            NotFoundError: No deployment has this id, or it was deleted.
            WaitTimeoutError: The timeout has passed; `status` is the last known status, and `events` has the last
                warnings of the newest spec.

        Example:
            >>> [mnist] = deployments.list_deployments(name="mnist")
            >>> [event["type"] for event in deployments.watch_deployment(mnist["id"])][-1]
            'ready'
        """
        _arguments.require(_arguments.check_id(id), _arguments.check_timeout(timeout))
        return _watch.watch(self._session(), id, timeout)

    async def wait_for_deployment(
        self, id: str, *, timeout: float = DEFAULT_WAIT, on_event: Callable[[WatchEvent], object] | None = None
    ) -> DeploymentStatus:
        """Wait until all replicas of the newest spec are ready.

        If the spec has 0 replicas or is disabled, wait until nothing runs any more. An earlier spec that still serves
        during a rollout does not count.

        Args:
            id: The id of the deployment.
            timeout: The maximum number of seconds to wait.
            on_event: A function to call with each event that `watch_deployment` yields. In the async version it may be
                a coroutine function.

        Returns:
            The last status, with the state `ready` or `stopped`, as `get_deployment_status` returns it.

        Raises:
            InvalidArgumentError: An argument is invalid. Nothing was sent.
            DeploymentFailedError: The deployment failed. The message has the reason, `status` the last status, `logs`
                the last log lines of the failed instances, and `events` the last warnings of the newest spec.
            NotFoundError: No deployment has this id, or it was deleted.
            WaitTimeoutError: The timeout has passed; `status` is the last known status, and `events` has the last
                warnings of the newest spec.

        Example:
            >>> [mnist] = deployments.list_deployments(name="mnist")
            >>> deployments.wait_for_deployment(mnist["id"], timeout=60.0)["state"]
            'ready'
        """
        from inspect import isawaitable

        status: DeploymentStatus | None = None
        async with aclosing(self.watch_deployment(id, timeout=timeout)) as events:
            async for event in events:
                status = event["status"]
                if on_event is not None and isawaitable(result := on_event(event)):
                    await result
        assert status is not None  # noqa: S101  # a watch ends with an event or an error
        if failure := await self._failure(status):
            raise failure
        return status

    async def _failure(self, status: DeploymentStatus) -> DeploymentFailedError | None:
        """Return the error for the last status of a watch. None: the deployment did not fail."""
        return await _wait_errors.deployment_failed(self._session(), status) if status["state"] == "failed" else None

    async def get_deployment_events(self, id: str, first: int | None = 100) -> list[DeploymentEvent]:
        """Get the events of a deployment, newest first: what happened, when, why and how often.

        An event that happens again is returned once, with a higher `count`, a later `dtLast` and its last `message`. The
        local server keeps the newest 200 events of a deployment.

        Args:
            id: The id of the deployment.
            first: The maximum number of events. None: no limit.

        Returns:
            A list of dicts with `id`, `dtCreated` (when it happened first), `dtLast` (when it happened last), `count`,
            `severity` (`NORMAL` or `WARNING`), `reason` (a word for programs, such as `Crashed`), `message`,
            `deploymentSpecId` and `instanceName` (the spec and the instance that it is about, or None).

        Raises:
            InvalidArgumentError: An argument is invalid. Nothing was sent.
            NotFoundError: No deployment has this id, or it is deleted.
            BadRequestError: The server has no events. The hosted API had none.

        Example:
            >>> [mnist] = deployments.list_deployments(name="mnist")
            >>> status = deployments.wait_for_deployment(mnist["id"])
            >>> [event["reason"] for event in deployments.get_deployment_events(mnist["id"])]
            ['Ready', 'Started', 'RolloutStarted']
        """
        _arguments.require(_arguments.check_id(id), () if first is None else _arguments.check_count(first, "first"))
        return await _events.list_events(self._session(), id, first)

    def _follow_deployment_events(self, id: str, first: int | None) -> AsyncGenerator[DeploymentEvent]:
        """Yield the events of a deployment by time, and new ones as they happen, for `gradient deployments events`."""
        _arguments.require(_arguments.check_id(id))
        return _watch.follow_events(self._session(), id, first)

    async def get_deployment_metrics(
        self, id: str, *, since: datetime | str | None = None, step: int | None = None
    ) -> list[DeploymentMetrics]:
        """Get what a deployment used and which requests it got, oldest first.

        The server takes figures every 10 seconds, and keeps them for a day. A point has the figures of the time since the
        point before.

        Args:
            id: The id of the deployment.
            since: The start: a datetime, a time such as `"2024-05-17T09:30"`, or a duration such as `"10m"` (10 minutes ago;
                units: `s`, `m`, `h`, `d`). A time without a time zone is in UTC. None: an hour ago.
            step: The seconds between two points, rounded up to a multiple of 10. The server uses more if there would be
                more than 360 points. None: as few as possible.

        Returns:
            A list of dicts with `time`, `replicas` and `readyReplicas` (of the newest spec), `cpu` (how many CPUs all
            replicas used together) and `cpuLimit`, `memory` and `memoryLimit` (in bytes), `activeRequests`,
            `requestsPerSecond`, `errorsPerSecond` (status 500 or higher), `requestDuration` (the mean, in seconds),
            `requestDurationP50` and `requestDurationP95`. What is unknown is None. Simulated deployments use nothing, so
            their list is empty.

        Raises:
            InvalidArgumentError: An argument is invalid. Nothing was sent.
            NotFoundError: No deployment has this id, or it is deleted.
            BadRequestError: The server has no metrics. The hosted API had none.

        Example:
            >>> [mnist] = deployments.list_deployments(name="mnist")
            >>> [point["cpu"] for point in deployments.get_deployment_metrics(mnist["id"])]  # it is simulated
            []
        """
        _arguments.require(
            _arguments.check_id(id),
            _arguments.check_since(since),
            () if step is None else _arguments.check_count(step, "step", minimum=1),
        )
        start = None if since is None else _arguments.parse_since(since)
        return await _metrics.list_metrics(self._session(), id, start, step)

    async def _get_latest_metrics(self, id: str | None, project_id: str | None) -> list[DeploymentWithMetrics]:
        """Get one deployment or all, each with the newest point of its metrics, for `gradient deployments top`."""
        _arguments.require(() if id is None else _arguments.check_id(id))
        return await _metrics.latest_metrics(self._session(), id, project_id)

    def get_deployment_logs(
        self,
        id: str,
        *,
        instance: str | None = None,
        tail: int | None = None,
        since: datetime | str | None = None,
        follow: bool = False,
    ) -> AsyncGenerator[LogLine]:
        """Yield the log lines of a deployment by time, over all its instances.

        Args:
            id: The id of the deployment.
            instance: Only the log of the instance with this name. None: the logs of all instances.
            tail: Only the last `tail` lines. None: all lines.
            since: Only lines written at this time or later: a datetime, a time such as `"2024-05-17T09:30"`, or a duration
                such as `"10m"` (10 minutes ago; units: `s`, `m`, `h`, `d`). A time without a time zone is in UTC. None: any
                time.
            follow: Whether to continue with new lines as they are written, until the deployment is stopped or deleted.

        Yields:
            Dicts with `instanceName`, `line` (the number of the line in the log of its instance, from 1), `message`
            and `dtCreated`.

        Raises:
            InvalidArgumentError: An argument is invalid. Raised when the function is called, not at
                the first iteration. Nothing was sent.
            NotFoundError: The deployment does not exist, or the instance has no log; `resource` is `deployment` or
                `instance`.

        Example:
            >>> [mnist] = deployments.list_deployments(name="mnist")
            >>> status = deployments.wait_for_deployment(mnist["id"])
            >>> for line in deployments.get_deployment_logs(mnist["id"], tail=1):
            ...     print(line["message"])
            [simulated] ready
        """
        _arguments.require(
            _arguments.check_id(id),
            _arguments.check_optional_text(instance, "instance"),
            () if tail is None else _arguments.check_count(tail, "tail"),
            _arguments.check_since(since),
        )
        start = None if since is None else _arguments.parse_since(since)
        return _watch.log_lines(self._session(), id, instance, tail, start, follow=follow)

    async def _wait_after_change(self, changed: DeploymentRef, change: str) -> None:
        """Wait until a changed deployment is ready. An error of the wait says that the change was applied."""
        try:
            await self.wait_for_deployment(changed["id"])
        except APIError as error:
            message = f"deployment {changed['id']} was {change}, but the wait for it failed: {error.args[0]}"
            raise _errors.rebuilt(error, message, may_have_executed="yes") from error
