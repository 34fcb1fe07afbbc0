"""Functions that read the whole spec, and change single fields of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from paperspace.gradient._core.defaults import DEFAULT_WAIT
from paperspace.gradient._shared.lazy import lazy_modules
from paperspace.gradient.deployments._monitoring_api import MonitoringAPI
from paperspace.gradient.errors import InvalidArgumentError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from paperspace.gradient._spec import patch
    from paperspace.gradient.deployments import _arguments, _changes, _queries
    from paperspace.gradient.types import DeploymentSpecInput, RevisedDeployment
else:
    [patch] = lazy_modules("paperspace.gradient._spec", "patch")
    _arguments, _changes, _queries = lazy_modules(
        "paperspace.gradient.deployments", "_arguments", "_changes", "_queries"
    )


class PatchAPI(MonitoringAPI):
    """Part of `AsyncDeployments`: the functions that read the whole spec, and change single fields of it."""

    async def get_deployment_spec(
        self, id: str | None = None, *, name: str | None = None, project_id: str | None = None
    ) -> DeploymentSpecInput:
        """Get the whole newest spec of a deployment, ready to be changed and sent back.

        `update_deployment`, `create_deployment`, `apply_deployment` and `diff_deployment` accept it unchanged. Applied
        without a change, it makes no difference.

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
        wait_timeout: float = DEFAULT_WAIT,
    ) -> RevisedDeployment:
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
            wait: Whether to return only when the new spec is running; see `wait_for_deployment`.
            wait_timeout: The maximum number of seconds to wait (only with `wait`).

        Returns:
            A dict with the `id` of the deployment and `specId`, the id of the new spec, or of the newest one if nothing had to
            change.

        Raises:
            InvalidArgumentError: An argument is invalid, or no change is passed. Nothing was sent.
            InvalidSpecError: A change does not fit the rest of the spec, such as its autoscaling. Nothing was changed.
            NotFoundError: No deployment has this id or name, or it is deleted.
            ConflictError: Several deployments have the name; the message lists them. Or another client changed the spec
                at the same time. The change of this call was applied, and it replaced the change of the other client.
                The message has the ids of both specs. Or the spec was replaced during the wait (only with `wait`).
            OutcomeUnknownError: The response was lost; the change may have been applied.
            DeploymentFailedError: The deployment failed (only with `wait`).
            WaitTimeoutError: The deployment was not ready in time (only with `wait`).

        Example:
            >>> [mnist] = deployments.list_deployments(name="mnist")
            >>> patched = deployments.patch_deployment(mnist["id"], env={"MODE": "fast"}, replicas=2)
            >>> newest, first = deployments.get_deployment_history(mnist["id"])
            >>> patched == {"id": mnist["id"], "specId": newest["id"]}
            True
            >>> print(newest["difference"]["text"])
            ~ resources.replicas: 1 -> 2
            + env.MODE: (hidden)
        """
        self = self._with_one_session()
        changes = patch.Patch(image, env, unset_env, replicas, instance_type, command).copied()
        if changes.is_empty():
            raise InvalidArgumentError("patch_deployment: nothing to change; pass image, env or another field")
        patched = await self._patch(id, changes, name=name, project_id=project_id, wait_timeout=wait_timeout)
        if wait:
            await self._wait_after_change(patched["id"], patched["specId"], "changed", timeout=wait_timeout)
        return patched

    async def _patch(
        self,
        id: str | None,
        changes: patch.Patch,
        others: dict[str, Any] | None = None,
        *,
        name: str | None = None,
        project_id: str | None = None,
        wait_timeout: float = DEFAULT_WAIT,
    ) -> RevisedDeployment:
        """Patch a deployment. `others` are its other fields to change, as in the input of an update."""
        _arguments.require(
            _arguments.check_target(id, name, project_id),
            changes.problems(),
            _arguments.check_timeout(wait_timeout, "wait_timeout"),
        )
        return await self._revise(id, name, project_id, changes.change, others)

    async def _revise(
        self,
        id: str | None,
        name: str | None,
        project_id: str | None,
        change: Callable[[dict[str, Any]], None],
        others: dict[str, Any] | None = None,
    ) -> RevisedDeployment:
        """Change the newest spec of a deployment in place, and send it if it differs. `others` are its other fields."""
        session = self._session()
        call = session.start()
        found = await _queries.id_of(session, call, id, name, project_id)
        return await _changes.revise(session, call, found, change, others)
