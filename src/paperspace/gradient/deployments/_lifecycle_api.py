"""Functions that scale, stop, start and restart a deployment."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, overload

from paperspace.gradient._core.defaults import DEFAULT_WAIT
from paperspace.gradient._shared.lazy import lazy_modules
from paperspace.gradient.deployments._patch_api import PatchAPI
from paperspace.gradient.errors import InvalidArgumentError

if TYPE_CHECKING:
    from paperspace.gradient.deployments import _arguments, _changes, _queries
    from paperspace.gradient.types import RevisedDeployment
else:
    _arguments, _changes, _queries = lazy_modules(
        "paperspace.gradient.deployments", "_arguments", "_changes", "_queries"
    )


class LifecycleAPI(PatchAPI):
    """Part of `AsyncDeployments`: the functions that scale, stop, start and restart a deployment."""

    async def restart_deployment(
        self,
        id: str | None = None,
        *,
        name: str | None = None,
        project_id: str | None = None,
        wait: bool = False,
        wait_timeout: float = DEFAULT_WAIT,
    ) -> RevisedDeployment:
        """Start new replicas with the same spec, as a new revision.

        Use it when the image of the tag `latest` has changed. A deployment that is stopped stays stopped.

        Args:
            id: The id of the deployment.
            name: Its exact name, instead of its id.
            project_id: The project in which to look for the name. None: any project.
            wait: Whether to return only when the new spec is running; see `wait_for_deployment`.
            wait_timeout: The maximum number of seconds to wait (only with `wait`).

        Returns:
            A dict with the `id` of the deployment and `specId`, the id of the new spec.

        Raises:
            InvalidArgumentError: An argument is invalid. Nothing was sent.
            NotFoundError: No deployment has this id or name, or it is deleted.
            ConflictError: Several deployments have the name; the message lists them. Or another client changed the spec
                in the meantime. The message has the ids of both specs; the restart replaced the change of the other
                client. Or the spec was replaced during the wait (only with `wait`).
            OutcomeUnknownError: The response was lost; the deployment may have been restarted.
            DeploymentFailedError: The deployment failed (only with `wait`).
            WaitTimeoutError: The deployment was not ready in time (only with `wait`).

        Example:
            >>> [mnist] = deployments.list_deployments(name="mnist")
            >>> deployments.restart_deployment(mnist["id"])["id"] == mnist["id"]
            True
            >>> len(deployments.get_deployment_history(mnist["id"]))
            2
        """
        self = self._with_one_session()
        _arguments.require(
            _arguments.check_target(id, name, project_id), _arguments.check_timeout(wait_timeout, "wait_timeout")
        )
        session = self._session()
        call = session.start()
        found = await _queries.id_of(session, call, id, name, project_id)
        restarted = await _changes.restart(session, call, found)
        if wait:
            await self._wait_after_change(restarted["id"], restarted["specId"], "restarted", timeout=wait_timeout)
        return restarted

    @overload
    async def scale_deployment(
        self, id: str, replicas: int, *, wait: bool = False, wait_timeout: float = DEFAULT_WAIT
    ) -> RevisedDeployment: ...

    @overload
    async def scale_deployment(
        self,
        *,
        replicas: int,
        name: str,
        project_id: str | None = None,
        wait: bool = False,
        wait_timeout: float = DEFAULT_WAIT,
    ) -> RevisedDeployment: ...

    async def scale_deployment(
        self,
        id: str | None = None,
        replicas: int | None = None,
        *,
        name: str | None = None,
        project_id: str | None = None,
        wait: bool = False,
        wait_timeout: float = DEFAULT_WAIT,
    ) -> RevisedDeployment:
        """Change the number of replicas. Everything else in the newest spec stays the same.

        Nothing is changed if the spec already has this number.

        Args:
            id: The id of the deployment.
            replicas: The number of replicas to run. 0: stop the deployment.
            name: Its exact name, instead of its id.
            project_id: The project in which to look for the name. None: any project.
            wait: Whether to return only when the new spec is running; see `wait_for_deployment`.
            wait_timeout: The maximum number of seconds to wait (only with `wait`).

        Returns:
            A dict with the `id` of the deployment and `specId`, the id of the new spec, or of the newest one if nothing had to
            change.

        Raises:
            InvalidArgumentError: An argument is invalid. Nothing was sent.
            InvalidSpecError: The spec has autoscaling with fewer `maxReplicas`. Nothing was changed.
            NotFoundError: No deployment has this id or name, or it is deleted.
            ConflictError: Several deployments have the name; the message lists them. Or another client changed the spec
                at the same time. The change of this call was applied, and it replaced the change of the other client.
                The message has the ids of both specs. Or the spec was replaced during the wait (only with `wait`).
            OutcomeUnknownError: The response was lost; the change may have been applied.
            DeploymentFailedError: The deployment failed (only with `wait`).
            WaitTimeoutError: The deployment was not ready in time (only with `wait`).

        Example:
            >>> [mnist] = deployments.list_deployments(name="mnist")
            >>> deployments.scale_deployment(mnist["id"], 4)["id"] == mnist["id"]
            True
            >>> deployments.get_deployment(mnist["id"])["deploymentSpecs"]["nodes"][0]["data"]["resources"]
            {'instanceType': 'A100', 'replicas': 4}
        """
        self = self._with_one_session()

        def set_replicas(spec: dict[str, Any]) -> None:
            spec["resources"] = {**spec.get("resources", {}), "replicas": replicas}

        _arguments.require(
            _arguments.check_target(id, name, project_id),
            _arguments.check_count(replicas, "replicas"),
            _arguments.check_timeout(wait_timeout, "wait_timeout"),
        )
        scaled = await self._revise(id, name, project_id, set_replicas)
        if wait:
            await self._wait_after_change(scaled["id"], scaled["specId"], "scaled", timeout=wait_timeout)
        return scaled

    async def stop_deployment(
        self,
        id: str | None = None,
        *,
        name: str | None = None,
        project_id: str | None = None,
        wait: bool = False,
        wait_timeout: float = DEFAULT_WAIT,
    ) -> RevisedDeployment:
        """Stop a deployment: it runs no replicas until it is started again. The rest of its spec stays the same.

        Nothing is changed if it is already stopped.

        Args:
            id: The id of the deployment.
            name: Its exact name, instead of its id.
            project_id: The project in which to look for the name. None: any project.
            wait: Whether to return only when all replicas have stopped; see `wait_for_deployment`.
            wait_timeout: The maximum number of seconds to wait (only with `wait`).

        Returns:
            A dict with the `id` of the deployment and `specId`, the id of the new spec, or of the newest one if nothing had to
            change.

        Raises:
            InvalidArgumentError: An argument is invalid. Nothing was sent.
            NotFoundError: No deployment has this id or name, or it is deleted.
            ConflictError: Several deployments have the name; the message lists them. Or another client changed the spec
                at the same time. The change of this call was applied, and it replaced the change of the other client.
                The message has the ids of both specs. Or the spec was replaced during the wait (only with `wait`).
            OutcomeUnknownError: The response was lost; the change may have been applied.
            DeploymentFailedError: The deployment failed (only with `wait`).
            WaitTimeoutError: The deployment was not ready in time (only with `wait`).

        Example:
            >>> [mnist] = deployments.list_deployments(name="mnist")
            >>> deployments.stop_deployment(mnist["id"])["id"] == mnist["id"]
            True
        """
        self = self._with_one_session()
        _arguments.require(
            _arguments.check_target(id, name, project_id), _arguments.check_timeout(wait_timeout, "wait_timeout")
        )
        stopped = await self._revise(id, name, project_id, lambda spec: spec.update(enabled=False))
        if wait:
            await self._wait_after_change(stopped["id"], stopped["specId"], "stopped", timeout=wait_timeout)
        return stopped

    async def start_deployment(
        self,
        id: str | None = None,
        *,
        name: str | None = None,
        project_id: str | None = None,
        wait: bool = False,
        wait_timeout: float = DEFAULT_WAIT,
    ) -> RevisedDeployment:
        """Start a stopped deployment with the number of replicas in its spec.

        Nothing is changed if it is not stopped.

        Args:
            id: The id of the deployment.
            name: Its exact name, instead of its id.
            project_id: The project in which to look for the name. None: any project.
            wait: Whether to return only when the new spec is running; see `wait_for_deployment`.
            wait_timeout: The maximum number of seconds to wait (only with `wait`).

        Returns:
            A dict with the `id` of the deployment and `specId`, the id of the new spec, or of the newest one if nothing had to
            change.

        Raises:
            InvalidArgumentError: An argument is invalid, or the spec has 0 replicas: use `scale_deployment` first.
            NotFoundError: No deployment has this id or name, or it is deleted.
            ConflictError: Several deployments have the name; the message lists them. Or another client changed the spec
                at the same time. The change of this call was applied, and it replaced the change of the other client.
                The message has the ids of both specs. Or the spec was replaced during the wait (only with `wait`).
            OutcomeUnknownError: The response was lost; the change may have been applied.
            DeploymentFailedError: The deployment failed (only with `wait`).
            WaitTimeoutError: The deployment was not ready in time (only with `wait`).

        Example:
            >>> [mnist] = deployments.list_deployments(name="mnist")
            >>> deployments.start_deployment(mnist["id"])["id"] == mnist["id"]
            True
        """
        self = self._with_one_session()

        def enable(spec: dict[str, Any]) -> None:
            if spec.get("resources", {}).get("replicas") == 0:
                raise InvalidArgumentError(f"deployment {id or name} has 0 replicas; scale it first")
            spec["enabled"] = True

        _arguments.require(
            _arguments.check_target(id, name, project_id), _arguments.check_timeout(wait_timeout, "wait_timeout")
        )
        started = await self._revise(id, name, project_id, enable)
        if wait:
            await self._wait_after_change(started["id"], started["specId"], "started", timeout=wait_timeout)
        return started
