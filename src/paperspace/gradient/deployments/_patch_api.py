"""Functions that read the whole spec, and change parts of it: patch, scale, stop, start, restart."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, overload

from paperspace.gradient._shared.lazy import lazy_modules
from paperspace.gradient.deployments._monitoring_api import MonitoringAPI
from paperspace.gradient.errors import InvalidArgumentError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from paperspace.gradient._spec import patch
    from paperspace.gradient.deployments import _arguments, _changes, _queries
    from paperspace.gradient.types import DeploymentRef, DeploymentSpecInput
else:
    [patch] = lazy_modules("paperspace.gradient._spec", "patch")
    _arguments, _changes, _queries = lazy_modules(
        "paperspace.gradient.deployments", "_arguments", "_changes", "_queries"
    )


class PatchAPI(MonitoringAPI):
    """Part of `AsyncDeployments`: the functions that read the whole spec, and change parts of it."""

    async def get_deployment_spec(
        self, id: str | None = None, *, name: str | None = None, project_id: str | None = None
    ) -> DeploymentSpecInput:
        """Get the whole newest spec of a deployment, ready to be changed and sent back.

        `update_deployment`, `create_deployment`, `apply_deployment` and `diff_deployment` accept it unchanged. Sent
        back without a change, it makes no difference.

        Args:
            id: The id of the deployment.
            name: Its exact name, instead of its id.
            project_id: The project in which to look for the name. None: any project.

        Returns:
            A dict with the fields that the spec sets, and the defaults that the API fills in, such as
            `resources.replicas`. It contains the values of environment variables and the passwords of repositories.

        Raises:
            InvalidArgumentError: An argument is invalid. Nothing was sent.
            NotFoundError: No deployment has this id or name, or it is deleted.
            ConflictError: Several deployments have the name; the message lists them.

        Example:
            >>> [mnist] = deployments.list_deployments(name="mnist")
            >>> spec = deployments.get_deployment_spec(mnist["id"])
            >>> spec
            {'image': 'tensorflow/serving', 'port': 8501, 'resources': {'instanceType': 'A100', 'replicas': 1}}
            >>> spec["port"] = 8500
            >>> deployments.update_deployment(id=mnist["id"], spec=spec) == {"id": mnist["id"]}
            True
        """
        _arguments.require(_arguments.check_target(id, name, project_id))
        session = self._session()
        call = session.start()
        return await _changes.newest_spec(session, call, await _queries.id_of(session, call, id, name, project_id))

    async def patch_deployment(
        self,
        id: str | None = None,
        *,
        name: str | None = None,
        project_id: str | None = None,
        image: str | None = None,
        env: Mapping[str, str] | None = None,
        unset_env: Iterable[str] | None = None,
        replicas: int | None = None,
        instance_type: str | None = None,
        command: Sequence[str] | None = None,
        wait: bool = False,
    ) -> DeploymentRef:
        """Change some fields of the newest spec. Everything else in it stays the same.

        Nothing is changed if the spec has these values already.

        Args:
            id: The id of the deployment.
            name: Its exact name, instead of its id.
            project_id: The project in which to look for the name. None: any project.
            image: The new image. None: no change.
            env: Environment variables to set, by name. The others stay, in their order. None: no change.
            unset_env: The names of environment variables to remove, if they are set. None: no change.
            replicas: The new number of replicas. 0: stop the deployment. None: no change.
            instance_type: The new machine type. None: no change.
            command: The new command. An empty list: the command of the image. None: no change.
            wait: Whether to return only when the newest spec is running; see `wait_for_deployment`.

        Returns:
            A dict with the `id` of the deployment.

        Raises:
            InvalidArgumentError: An argument is invalid, or there is nothing to change. Nothing was sent.
            NotFoundError: No deployment has this id or name, or it is deleted.
            ConflictError: Several deployments have the name; the message lists them. Or another client changed the spec
                at the same time. The change of this call was applied, and it replaced the change of the other client.
                The message has the ids of both specs.
            OutcomeUnknownError: The response was lost; the change may have been applied.
            DeploymentFailedError: The deployment failed (only with `wait`).
            WaitTimeoutError: The deployment was not ready in time (only with `wait`).

        Example:
            >>> [mnist] = deployments.list_deployments(name="mnist")
            >>> deployments.patch_deployment(mnist["id"], env={"MODE": "fast"}, replicas=2) == {"id": mnist["id"]}
            True
            >>> print(deployments.get_deployment_history(mnist["id"])[0]["difference"]["text"])
            ~ resources.replicas: 1 -> 2
            + env.MODE: (hidden)
        """
        changes = patch.Patch(image, env, unset_env, replicas, instance_type, command)
        if changes.is_empty():
            raise InvalidArgumentError("patch_deployment: nothing to change; pass image, env or another field")
        patched = await self._patch(id, changes, name=name, project_id=project_id)
        if wait:
            await self._wait_after_change(patched, "changed")
        return patched

    async def _patch(
        self,
        id: str | None,
        changes: patch.Patch,
        others: dict[str, Any] | None = None,
        *,
        name: str | None = None,
        project_id: str | None = None,
    ) -> DeploymentRef:
        """Patch a deployment. `others` are its other fields to change, as in the input of an update."""
        _arguments.require(_arguments.check_target(id, name, project_id), changes.problems())
        return await self._revise(id, name, project_id, changes.change, others)

    async def restart_deployment(
        self,
        id: str | None = None,
        *,
        name: str | None = None,
        project_id: str | None = None,
        wait: bool = False,
    ) -> DeploymentRef:
        """Start new replicas with the same spec, as a new revision.

        Use it when the image behind a tag such as `:latest` has changed. A deployment that is stopped stays stopped.

        Args:
            id: The id of the deployment.
            name: Its exact name, instead of its id.
            project_id: The project in which to look for the name. None: any project.
            wait: Whether to return only when the new revision is running; see `wait_for_deployment`.

        Returns:
            A dict with the `id` of the deployment.

        Raises:
            InvalidArgumentError: An argument is invalid. Nothing was sent.
            NotFoundError: No deployment has this id or name, or it is deleted.
            ConflictError: Several deployments have the name; the message lists them. Or another client changed the spec
                in the meantime. The message has the ids of both specs; the restart replaced the change of the other
                client.
            OutcomeUnknownError: The response was lost; the deployment may have been restarted.
            DeploymentFailedError: The deployment failed (only with `wait`).
            WaitTimeoutError: The deployment was not ready in time (only with `wait`).

        Example:
            >>> [mnist] = deployments.list_deployments(name="mnist")
            >>> deployments.restart_deployment(mnist["id"]) == {"id": mnist["id"]}
            True
            >>> len(deployments.get_deployment_history(mnist["id"]))
            2
        """
        _arguments.require(_arguments.check_target(id, name, project_id))
        session = self._session()
        call = session.start()
        found = await _queries.id_of(session, call, id, name, project_id)
        restarted = await _changes.restart(session, call, found)
        if wait:
            await self._wait_after_change(restarted, "restarted")
        return restarted

    @overload
    async def scale_deployment(self, id: str, replicas: int) -> DeploymentRef: ...

    @overload
    async def scale_deployment(self, *, replicas: int, name: str, project_id: str | None = None) -> DeploymentRef: ...

    async def scale_deployment(
        self,
        id: str | None = None,
        replicas: int | None = None,
        *,
        name: str | None = None,
        project_id: str | None = None,
    ) -> DeploymentRef:
        """Change the number of replicas. Everything else in the newest spec stays the same.

        Nothing is changed if the spec already has this number.

        Args:
            id: The id of the deployment.
            replicas: The number of replicas to run. 0: stop the deployment.
            name: Its exact name, instead of its id.
            project_id: The project in which to look for the name. None: any project.

        Returns:
            A dict with the `id` of the deployment.

        Raises:
            InvalidArgumentError: An argument is invalid. Nothing was sent.
            NotFoundError: No deployment has this id or name, or it is deleted.
            ConflictError: Several deployments have the name; the message lists them. Or another client changed the spec
                at the same time. The change of this call was applied, and it replaced the change of the other client.
                The message has the ids of both specs.
            OutcomeUnknownError: The response was lost; the change may have been applied.

        Example:
            >>> [mnist] = deployments.list_deployments(name="mnist")
            >>> deployments.scale_deployment(mnist["id"], 4) == {"id": mnist["id"]}
            True
            >>> deployments.get_deployment(mnist["id"])["deploymentSpecs"]["nodes"][0]["data"]["resources"]
            {'instanceType': 'A100', 'replicas': 4}
        """

        def set_replicas(spec: dict[str, Any]) -> None:
            spec["resources"] = {**spec.get("resources", {}), "replicas": replicas}

        _arguments.require(_arguments.check_target(id, name, project_id), _arguments.check_count(replicas, "replicas"))
        return await self._revise(id, name, project_id, set_replicas)

    async def stop_deployment(
        self, id: str | None = None, *, name: str | None = None, project_id: str | None = None
    ) -> DeploymentRef:
        """Stop a deployment: it runs no replicas until it is started again. The rest of its spec stays the same.

        Nothing is changed if it is already stopped.

        Args:
            id: The id of the deployment.
            name: Its exact name, instead of its id.
            project_id: The project in which to look for the name. None: any project.

        Returns:
            A dict with the `id` of the deployment.

        Raises:
            InvalidArgumentError: An argument is invalid. Nothing was sent.
            NotFoundError: No deployment has this id or name, or it is deleted.
            ConflictError: Several deployments have the name; the message lists them. Or another client changed the spec
                at the same time. The change of this call was applied, and it replaced the change of the other client.
                The message has the ids of both specs.
            OutcomeUnknownError: The response was lost; the change may have been applied.

        Example:
            >>> [mnist] = deployments.list_deployments(name="mnist")
            >>> deployments.stop_deployment(mnist["id"]) == {"id": mnist["id"]}
            True
        """
        _arguments.require(_arguments.check_target(id, name, project_id))
        return await self._revise(id, name, project_id, lambda spec: spec.update(enabled=False))

    async def start_deployment(
        self, id: str | None = None, *, name: str | None = None, project_id: str | None = None
    ) -> DeploymentRef:
        """Start a stopped deployment with the number of replicas in its spec.

        Nothing is changed if it is not stopped.

        Args:
            id: The id of the deployment.
            name: Its exact name, instead of its id.
            project_id: The project in which to look for the name. None: any project.

        Returns:
            A dict with the `id` of the deployment.

        Raises:
            InvalidArgumentError: An argument is invalid, or the spec has 0 replicas: use `scale_deployment` first.
            NotFoundError: No deployment has this id or name, or it is deleted.
            ConflictError: Several deployments have the name; the message lists them. Or another client changed the spec
                at the same time. The change of this call was applied, and it replaced the change of the other client.
                The message has the ids of both specs.
            OutcomeUnknownError: The response was lost; the change may have been applied.

        Example:
            >>> [mnist] = deployments.list_deployments(name="mnist")
            >>> deployments.start_deployment(mnist["id"]) == {"id": mnist["id"]}
            True
        """

        def enable(spec: dict[str, Any]) -> None:
            if spec.get("resources", {}).get("replicas") == 0:
                raise InvalidArgumentError(f"deployment {id or name} has 0 replicas; scale it first")
            spec["enabled"] = True

        _arguments.require(_arguments.check_target(id, name, project_id))
        return await self._revise(id, name, project_id, enable)

    async def _revise(
        self,
        id: str | None,
        name: str | None,
        project_id: str | None,
        change: Callable[[dict[str, Any]], None],
        others: dict[str, Any] | None = None,
    ) -> DeploymentRef:
        """Change the newest spec of a deployment in place, and send it if it differs. `others` are its other fields."""
        session = self._session()
        call = session.start()
        found = await _queries.id_of(session, call, id, name, project_id)
        return await _changes.revise(session, call, found, change, others)
