"""Functions that change a deployment depending on its current state: apply, diff, rollback; and its history."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, overload

from paperspace.gradient._shared.lazy import lazy_modules
from paperspace.gradient.errors import InvalidArgumentError

if TYPE_CHECKING:
    from collections.abc import Callable

    from paperspace.gradient._core.session import Session
    from paperspace.gradient.deployments import _arguments, _changes, _queries
    from paperspace.gradient.types import (
        AppliedDeployment,
        DeploymentRef,
        DeploymentRevision,
        DeploymentSpecInput,
        SpecDifference,
    )
else:
    _arguments, _changes, _queries = lazy_modules(
        "paperspace.gradient.deployments", "_arguments", "_changes", "_queries"
    )


class ChangesAPI:
    """Part of `AsyncDeployments`: the functions that change a deployment depending on its current state."""

    def __init__(self, session: Callable[[], Session]) -> None:
        self._session = session

    async def apply_deployment(
        self,
        name: str,
        project_id: str,
        spec: DeploymentSpecInput | dict[str, Any],
        cluster_id: str | None = None,
        *,
        dry_run: bool = False,
        show_secrets: bool = False,
    ) -> AppliedDeployment:
        """Create a deployment, or update it if it differs from the spec.

        The deployment is the one with exactly this name in this project. Applying the same spec again changes nothing,
        and several clients that apply at the same time end up with one deployment.

        Args:
            name: The name, 1 to 255 printable characters.
            project_id: The id of the project.
            spec: The whole desired spec. Fields that it leaves out get their defaults.
            cluster_id: The id of the cluster to deploy to. None: the current cluster; for a new deployment, the
                server's default.
            dry_run: Whether to compute the result without changing anything.
            show_secrets: Whether `difference` shows the values of environment variables; see `diff_deployment`.

        Returns:
            A dict with `action` (`created`, `updated` or `unchanged`), `id` (None in a dry run that would create it),
            and `difference`, as `diff_deployment` returns it.

        Raises:
            InvalidSpecError: The spec is invalid; the message lists every problem. Nothing was sent.
            InvalidArgumentError: Another argument is invalid. Nothing was sent.
            ConflictError: Other clients kept creating and deleting the deployment, or the server reports another
                conflict.
            NotFoundError: Other clients kept deleting the deployment before it could be updated.
            OutcomeUnknownError: The response was lost; the change may have been applied. Apply the spec again.

        Example:
            >>> spec = {"image": "tensorflow/serving", "port": 8501, "resources": {"replicas": 3}}
            >>> applied = deployments.apply_deployment("mnist", "p1", spec)
            >>> print(applied["action"], applied["difference"]["text"], sep=": ")
            updated: - resources.instanceType: 'A100'
            ~ resources.replicas: 1 -> 3
            >>> deployments.apply_deployment("mnist", "p1", spec)["action"]
            'unchanged'
        """
        desired = _arguments.create_input(name, project_id, spec, cluster_id)
        return await _changes.apply(self._session(), desired, dry_run=dry_run, show_secrets=show_secrets)

    async def diff_deployment(
        self,
        name: str,
        project_id: str,
        spec: DeploymentSpecInput | dict[str, Any],
        cluster_id: str | None = None,
        *,
        show_secrets: bool = False,
    ) -> SpecDifference:
        """Return what `apply_deployment` would change, without changing anything.

        The specs are compared by their meaning: defaults, nulls and the order of environment variables make no
        difference. Secrets are compared too, but not shown: `(hidden)` replaces the values of environment variables, and
        the user names, passwords and credentials in URLs of repositories.

        Args:
            name: The name of the deployment.
            project_id: The id of the project.
            spec: The whole desired spec.
            cluster_id: The id of the desired cluster. None: do not compare the cluster.
            show_secrets: Whether to show the values of environment variables, and user names. Passwords and
                credentials in URLs stay hidden.

        Returns:
            A dict with `changes`, a list of dicts with `path`, `before` and `after` (None: not set), and `text`, the
            same changes as one line each. Both are empty if nothing differs. If the deployment does not exist, every
            field of the spec is a change.

        Raises:
            InvalidSpecError: The spec is invalid; the message lists every problem. Nothing was sent.
            InvalidArgumentError: Another argument is invalid. Nothing was sent.

        Example:
            >>> spec = {"image": "tensorflow/serving", "port": 8501, "env": [{"name": "MODE", "value": "fast"}]}
            >>> print(deployments.diff_deployment("mnist", "p1", spec)["text"])
            - resources.instanceType: 'A100'
            + env.MODE: (hidden)
            >>> print(deployments.diff_deployment("mnist", "p1", spec, show_secrets=True)["text"])
            - resources.instanceType: 'A100'
            + env.MODE: 'fast'
        """
        applied = await self.apply_deployment(
            name, project_id, spec, cluster_id, dry_run=True, show_secrets=show_secrets
        )
        return applied["difference"]

    async def get_deployment_history(
        self,
        id: str | None = None,
        *,
        name: str | None = None,
        project_id: str | None = None,
        show_secrets: bool = False,
    ) -> list[DeploymentRevision]:
        """Get all specs of a deployment, newest first: who created each, when, and what it changed.

        Args:
            id: The id of the deployment.
            name: Its exact name, instead of its id.
            project_id: The project in which to look for the name. None: any project.
            show_secrets: Whether `difference` shows the values of environment variables; see `diff_deployment`.

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
            >>> deployments.scale_deployment(mnist["id"], 4) == {"id": mnist["id"]}
            True
            >>> newest, first = deployments.get_deployment_history(mnist["id"])
            >>> newest["difference"]["text"]
            '~ resources.replicas: 1 -> 4'
        """
        _arguments.require(_arguments.check_target(id, name, project_id))
        session = self._session()
        found = await _queries.id_of(session, session.start(), id, name, project_id)
        return await _changes.history(session, found, show_secrets=show_secrets)

    @overload
    async def rollback_deployment(self, id: str, to: str) -> DeploymentRef: ...

    @overload
    async def rollback_deployment(self, id: str, *, previous: Literal[True]) -> DeploymentRef: ...

    @overload
    async def rollback_deployment(self, *, to: str, name: str, project_id: str | None = None) -> DeploymentRef: ...

    @overload
    async def rollback_deployment(
        self, *, name: str, project_id: str | None = None, previous: Literal[True]
    ) -> DeploymentRef: ...

    async def rollback_deployment(
        self,
        id: str | None = None,
        to: str | None = None,
        *,
        name: str | None = None,
        project_id: str | None = None,
        previous: bool = False,
    ) -> DeploymentRef:
        """Restore an earlier spec and its cluster, as a new revision. Pass either `to` or `previous=True`.

        Nothing is changed if the newest spec means the same and is on the same cluster.

        Args:
            id: The id of the deployment.
            to: The id of the spec to restore, from `get_deployment_history`.
            name: Its exact name, instead of its id.
            project_id: The project in which to look for the name. None: any project.
            previous: Whether to undo the last change: to restore the most recent spec that differs from the current one in
                meaning or cluster. A second call undoes the first one.

        Returns:
            A dict with the `id` of the deployment.

        Raises:
            InvalidArgumentError: An argument is invalid. Nothing was sent.
            NotFoundError: The deployment or the spec does not exist; `resource` is `deployment` or `spec`. Also
                with `previous`, if all specs are equal.
            ConflictError: Several deployments have the name; the message lists them. Or another client changed the spec
                at the same time. The change of this call was applied, and it replaced the change of the other client.
                The message has the ids of both specs.
            OutcomeUnknownError: The response was lost; the change may have been applied.

        Example:
            >>> [mnist] = deployments.list_deployments(name="mnist")
            >>> deployments.scale_deployment(mnist["id"], 4) == {"id": mnist["id"]}
            True
            >>> newest, first = deployments.get_deployment_history(mnist["id"])
            >>> deployments.rollback_deployment(mnist["id"], to=first["id"]) == {"id": mnist["id"]}
            True
            >>> deployments.rollback_deployment(mnist["id"], previous=True) == {"id": mnist["id"]}
            True
            >>> deployments.get_deployment_spec(mnist["id"])["resources"]["replicas"]
            4
        """
        if (to is None) is not previous:
            raise InvalidArgumentError("rollback_deployment: pass either to= or previous=True")
        _arguments.require(
            _arguments.check_target(id, name, project_id), () if to is None else _arguments.check_id(to, "to")
        )
        session = self._session()
        found = await _queries.id_of(session, session.start(), id, name, project_id)
        return await _changes.rollback(session, found, to)
