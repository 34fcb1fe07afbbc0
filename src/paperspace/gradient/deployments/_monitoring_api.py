"""Functions that watch a deployment: its status, and the wait for it."""

from __future__ import annotations

from contextlib import aclosing
from typing import TYPE_CHECKING

from paperspace.gradient._core.defaults import DEFAULT_WAIT
from paperspace.gradient._shared.interrupts import note_for_interrupt
from paperspace.gradient._shared.lazy import lazy_modules
from paperspace.gradient.deployments._records_api import RecordsAPI
from paperspace.gradient.errors import APIError, ClientClosedError, DeploymentFailedError

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable

    from paperspace.gradient.deployments import _arguments, _errors, _queries, _status_queries, _wait_errors, _watch
    from paperspace.gradient.types import DeploymentStatus, WatchEvent
else:
    _arguments, _errors, _queries, _status_queries, _wait_errors, _watch = lazy_modules(
        "paperspace.gradient.deployments",
        "_arguments",
        "_errors",
        "_queries",
        "_status_queries",
        "_wait_errors",
        "_watch",
    )


class MonitoringAPI(RecordsAPI):
    """Part of `AsyncDeployments`: the functions that watch a deployment."""

    async def get_deployment_status(
        self, id: str | None = None, *, name: str | None = None, project_id: str | None = None
    ) -> DeploymentStatus:
        """Get the status of a deployment: that of its newest spec.

        An earlier spec that still serves does not count; it is in `serving`.

        Args:
            id: The id of the deployment.
            name: Its exact name, instead of its id.
            project_id: The project in which to look for the name. None: any project.

        Returns:
            A dict with `state` (`pending`, `ready`, `stopped` or `failed`), `replicas`, `readyReplicas`, `instances`
            (each with `name`, `phase`, `state` and `message`), `applied`, `error` (why it failed), `serving` (the earlier
            revision that still serves, with `specId`, `replicas` and `readyReplicas`, or None), `endpointUrl`, `protected`
            (whether the endpoint needs a password), `specId`, `dtSpecCreated` (when that spec was created), `image`, `id`,
            `name`, `projectId` and `dtCreated`.

        Raises:
            InvalidArgumentError: An argument is invalid. Nothing was sent.
            NotFoundError: No deployment has this id or name, or it is deleted.
            ConflictError: Several deployments have the name; the message lists them.

        Example:
            >>> deployments.get_deployment_status(name="mnist", project_id="p1")["replicas"]
            1
        """
        _arguments.require(_arguments.check_target(id, name, project_id))
        session = self._session()
        call = session.start()
        found = await _queries.id_of(session, call, id, name, project_id)
        return await _status_queries.deployment_status(session, found, call)

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
        return await _status_queries.deployment_statuses(self._session(), name, project_id, cluster_id, first)

    def watch_deployment(
        self,
        id: str | None = None,
        *,
        name: str | None = None,
        project_id: str | None = None,
        spec_id: str | None = None,
        timeout: float = DEFAULT_WAIT,
    ) -> AsyncGenerator[WatchEvent]:
        """Yield the events of a deployment until it is ready, stopped or failed.

        If the deployment fails, the last event is `failed`, and no error is raised. Once the first status was received,
        a short outage of the server does not end the events.

        Args:
            id: The id of the deployment.
            name: Its exact name, instead of its id.
            project_id: The project in which to look for the name. None: any project.
            spec_id: The id of the spec to watch, such as the `specId` of `patch_deployment`. None: whichever is the newest.
            timeout: The maximum number of seconds until the last event.

        Yields:
            Dicts with `type` (`applied`, `instance` or `replicas`; the last one is `ready`, `stopped` or `failed`),
            `message` (a description) and `status` (as `get_deployment_status` returns it).

        Raises:
            InvalidArgumentError: An argument is invalid. Raised when the function is called, not at
                the first iteration. Nothing was sent.
            NotFoundError: No deployment has this id or name, or it was deleted.
            ConflictError: Several deployments have the name; the message lists them. Or the spec `spec_id` is not the newest,
                because another change has replaced it.
            WaitTimeoutError: The timeout has passed; `status` is the last known status, and `events` has the last
                warnings of the newest spec.

        Example:
            >>> [mnist] = deployments.list_deployments(name="mnist")
            >>> [event["type"] for event in deployments.watch_deployment(mnist["id"])][-1]
            'ready'
        """
        _arguments.require(
            _arguments.check_target(id, name, project_id),
            () if spec_id is None else _arguments.check_id(spec_id, "spec_id"),
            _arguments.check_timeout(timeout),
        )
        return _watch.watch(self._session(), id, name, project_id, timeout, spec_id)

    async def wait_for_deployment(
        self,
        id: str | None = None,
        *,
        name: str | None = None,
        project_id: str | None = None,
        spec_id: str | None = None,
        timeout: float = DEFAULT_WAIT,
        on_event: Callable[[WatchEvent], object] | None = None,
    ) -> DeploymentStatus:
        """Wait until all replicas of the newest spec are ready.

        If the spec has 0 replicas or is disabled, wait until nothing runs any more. An earlier spec that still serves
        during a rollout does not count.

        Args:
            id: The id of the deployment.
            name: Its exact name, instead of its id.
            project_id: The project in which to look for the name. None: any project.
            spec_id: The id of the spec to wait for, such as the `specId` of `patch_deployment`. None: whichever is the newest.
            timeout: The maximum number of seconds to wait. If the wait fails, reading logs and events for the error can take four seconds more.
            on_event: A function to call with each event that `watch_deployment` yields. In the async version it may be
                a coroutine function.

        Returns:
            The last status, with the state `ready` or `stopped`, as `get_deployment_status` returns it.

        Raises:
            InvalidArgumentError: An argument is invalid. Nothing was sent.
            DeploymentFailedError: The deployment failed. The message has the reason, `status` the last status, `logs`
                the last log lines of the failed instances, and `events` the last warnings of the newest spec.
            NotFoundError: No deployment has this id or name, or it was deleted.
            ConflictError: Several deployments have the name; the message lists them. Or the spec `spec_id` is not the newest,
                because another change has replaced it.
            WaitTimeoutError: The timeout has passed; `status` is the last known status, and `events` has the last
                warnings of the newest spec.

        Example:
            >>> deployments.wait_for_deployment(name="mnist", project_id="p1", timeout=60.0)["state"]
            'ready'
            >>> scaled = deployments.scale_deployment(name="mnist", project_id="p1", replicas=2)
            >>> deployments.wait_for_deployment(scaled["id"], spec_id=scaled["specId"])["readyReplicas"]
            2
        """
        from copy import deepcopy
        from inspect import isawaitable

        self = self._with_one_session()
        status = seen = None
        watched = self.watch_deployment(id, name=name, project_id=project_id, spec_id=spec_id, timeout=timeout)
        async with aclosing(watched) as events:
            async for event in events:
                if event["status"] is not seen:  # one for all events of a poll; the callback may change it
                    seen, status = event["status"], deepcopy(event["status"])
                if on_event is not None and isawaitable(result := on_event(event)):
                    await result
        assert status is not None  # noqa: S101  # a watch ends with an event or an error
        if failure := await self._failure(status):
            raise failure
        return status

    async def _failure(self, status: DeploymentStatus) -> DeploymentFailedError | None:
        """Return the error for the last status of a watch. None: the deployment did not fail."""
        return await _wait_errors.deployment_failed(self._session(), status) if status["state"] == "failed" else None

    async def _wait_after_change(self, id: str, spec_id: str | None, change: str, *, timeout: float) -> None:
        """Wait until a changed deployment is ready. An error or interrupt of the wait says what was changed."""
        note_for_interrupt(f"deployment {id} was {change}; only the wait for it was interrupted")
        try:
            await self.wait_for_deployment(id, spec_id=spec_id, timeout=timeout)
        except (APIError, ClientClosedError) as error:
            message = f"deployment {id} was {change}, but the wait for it failed: {error.args[0]}"
            facts = {"may_have_executed": "yes"} if isinstance(error, APIError) else {}
            raise _errors.rebuilt(error, message, **facts) from error
