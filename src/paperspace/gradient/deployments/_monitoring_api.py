"""Functions that watch a deployment: its status, waiting for it, its logs."""

from __future__ import annotations

from contextlib import aclosing
from typing import TYPE_CHECKING

from paperspace.gradient._core.defaults import DEFAULT_WAIT
from paperspace.gradient.errors import InvalidArgumentError

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable
    from datetime import datetime

    from paperspace.gradient._core.session import Session
    from paperspace.gradient.types import DeploymentEvent, DeploymentStatus, LogLine


class MonitoringAPI:
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
        from paperspace.gradient.deployments._arguments import identifier, require
        from paperspace.gradient.deployments._watch import deployment_status

        require(identifier(id))
        return await deployment_status(self._session(), id)

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
        from paperspace.gradient.deployments._arguments import filters, require
        from paperspace.gradient.deployments._watch import deployment_statuses

        require(filters(name, project_id, cluster_id, first))
        return await deployment_statuses(self._session(), name, project_id, cluster_id, first)

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
        from paperspace.gradient.deployments._arguments import identifier, require
        from paperspace.gradient.deployments._watch import watch

        require(identifier(id))
        if not isinstance(timeout, int | float) or not timeout > 0:
            raise InvalidArgumentError(f"timeout: a number of seconds above 0 expected, {timeout!r} given")
        return watch(self._session(), id, timeout)

    async def wait_for_deployment(
        self, id: str, *, timeout: float = DEFAULT_WAIT, on_event: Callable[[DeploymentEvent], object] | None = None
    ) -> DeploymentStatus:
        """Waits until the newest spec of a deployment is at work with all its replicas, or is stopped for good.

        An earlier spec that still serves does not count. A spec that asks for no replicas, or is disabled, counts as
        done when no run remains.

        Args:
            id: The id of the deployment.
            timeout: Seconds to wait at most.
            on_event: Called with each event, and awaited where it can be; see `watch_deployment`.

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
        from inspect import isawaitable

        status: DeploymentStatus | None = None
        async with aclosing(self.watch_deployment(id, timeout=timeout)) as events:
            async for event in events:
                status = event["status"]
                if on_event is not None and isawaitable(answer := on_event(event)):
                    await answer
        return await self._settled(status)

    async def _settled(self, status: DeploymentStatus | None) -> DeploymentStatus:
        """The status that a watch ended with, where that is a good end; a part of `wait_for_deployment`."""
        from paperspace.gradient.deployments._watch import failure

        assert status is not None  # noqa: S101  # there is an event at the end at least
        if status["state"] == "failed":
            raise await failure(self._session(), status)
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
        from datetime import datetime

        from paperspace.gradient.deployments._arguments import count, identifier, optional_text, require
        from paperspace.gradient.deployments._watch import log_lines

        require(
            identifier(id),
            optional_text(instance, "instance"),
            () if tail is None else count(tail, "tail"),
        )
        if since is not None and not isinstance(since, datetime):
            raise InvalidArgumentError(f"since: a datetime expected, {since!r} given")
        return log_lines(self._session(), id, instance, tail, since, follow=follow)
