"""Functions that read the whole spec, and change parts of it: get_deployment_spec, patch, restart."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from paperspace.gradient._shared.lazy import lazy_modules
from paperspace.gradient.deployments._monitoring_api import MonitoringAPI
from paperspace.gradient.errors import InvalidArgumentError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

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

    async def get_deployment_spec(self, id: str) -> DeploymentSpecInput:
        """Get the whole newest spec of a deployment, ready to be changed and sent back.

        `update_deployment`, `create_deployment`, `apply_deployment` and `diff_deployment` accept it unchanged. Sent
        back without a change, it makes no difference.

        Args:
            id: The id of the deployment.

        Returns:
            A dict with the fields that the spec sets, and the defaults that the API fills in, such as
            `resources.replicas`. It contains the values of environment variables and the passwords of repositories.

        Raises:
            InvalidArgumentError: `id` is not a UUID. Nothing was sent.
            NotFoundError: No deployment has this id, or it is deleted.

        Example:
            >>> [mnist] = deployments.list_deployments(name="mnist")
            >>> spec = deployments.get_deployment_spec(mnist["id"])
            >>> spec
            {'image': 'tensorflow/serving', 'port': 8501, 'resources': {'instanceType': 'A100', 'replicas': 1}}
            >>> spec["port"] = 8500
            >>> deployments.update_deployment(id=mnist["id"], spec=spec) == {"id": mnist["id"]}
            True
        """
        _arguments.require(_arguments.check_id(id))
        return await _changes.newest_spec(self._session(), id)

    async def patch_deployment(
        self,
        id: str,
        *,
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
            NotFoundError: No deployment has this id, or it is deleted.
            ConflictError: Another client changed the spec at the same time. The change of this call was applied, and it
                replaced the change of the other client. The message has the ids of both specs.
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
        patched = await self._patch(id, changes)
        if wait:
            await self._wait_after_change(patched, "changed")
        return patched

    async def _patch(self, id: str, changes: patch.Patch, others: dict[str, Any] | None = None) -> DeploymentRef:
        """Patch a deployment. `others` are its other fields to change, as in the input of an update."""
        _arguments.require(_arguments.check_id(id), changes.problems())
        return await _changes.revise(self._session(), id, changes.change, others)

    async def restart_deployment(self, id: str, *, wait: bool = False) -> DeploymentRef:
        """Start new replicas with the same spec, as a new revision.

        Use it when the image behind a tag such as `:latest` has changed. A deployment that is stopped stays stopped.

        Args:
            id: The id of the deployment.
            wait: Whether to return only when the new revision is running; see `wait_for_deployment`.

        Returns:
            A dict with the `id` of the deployment.

        Raises:
            InvalidArgumentError: `id` is not a UUID. Nothing was sent.
            NotFoundError: No deployment has this id, or it is deleted.
            ConflictError: Another client changed the spec in the meantime. The message has the ids of both specs; the
                restart replaced the change of the other client.
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
        _arguments.require(_arguments.check_id(id))
        restarted = await _changes.restart(self._session(), id)
        if wait:
            await self._wait_after_change(restarted, "restarted")
        return restarted
