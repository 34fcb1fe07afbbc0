"""Functions that change a deployment depending on its current state: apply, diff and rollback."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, overload

from paperspace.gradient._core.defaults import DEFAULT_WAIT
from paperspace.gradient._shared.lazy import lazy_modules
from paperspace.gradient.deployments._lifecycle_api import LifecycleAPI
from paperspace.gradient.errors import InvalidArgumentError

if TYPE_CHECKING:
    from paperspace.gradient.deployments import _arguments, _changes, _queries
    from paperspace.gradient.types import (
        AppliedDeployment,
        DeploymentSpecInput,
        PlannedDeployment,
        RevisedDeployment,
        SpecDifference,
    )
else:
    _arguments, _changes, _queries = lazy_modules(
        "paperspace.gradient.deployments", "_arguments", "_changes", "_queries"
    )


class ChangesAPI(LifecycleAPI):
    """Part of `AsyncDeployments`: the functions that change a deployment depending on its current state."""

    @overload
    async def apply_deployment(
        self,
        name: str,
        project_id: str,
        spec: DeploymentSpecInput | dict[str, Any],
        cluster_id: str | None = None,
        *,
        dry_run: Literal[False] = False,
        show_secrets: bool = False,
        wait: bool = False,
        wait_timeout: float = DEFAULT_WAIT,
    ) -> AppliedDeployment: ...

    @overload
    async def apply_deployment(
        self,
        name: str,
        project_id: str,
        spec: DeploymentSpecInput | dict[str, Any],
        cluster_id: str | None = None,
        *,
        dry_run: Literal[True],
        show_secrets: bool = False,
        wait: bool = False,
        wait_timeout: float = DEFAULT_WAIT,
    ) -> PlannedDeployment: ...

    @overload
    async def apply_deployment(
        self,
        name: str,
        project_id: str,
        spec: DeploymentSpecInput | dict[str, Any],
        cluster_id: str | None = None,
        *,
        dry_run: bool,
        show_secrets: bool = False,
        wait: bool = False,
        wait_timeout: float = DEFAULT_WAIT,
    ) -> AppliedDeployment | PlannedDeployment: ...

    async def apply_deployment(
        self,
        name: str,
        project_id: str,
        spec: DeploymentSpecInput | dict[str, Any],
        cluster_id: str | None = None,
        *,
        dry_run: bool = False,
        show_secrets: bool = False,
        wait: bool = False,
        wait_timeout: float = DEFAULT_WAIT,
    ) -> AppliedDeployment | PlannedDeployment:
        """Create a deployment, or update it if it differs from the spec.

        The deployment is the one with exactly this name in this project. Applying the same spec again changes nothing, also
        if it has failed: then use `restart_deployment`. Several clients that apply at the same time end up with one
        deployment.

        Args:
            name: The name, 1 to 255 printable characters.
            project_id: The id of the project.
            spec: The whole desired spec. Fields that it leaves out get their defaults.
            cluster_id: The id of the cluster to deploy to. None: the current cluster; for a new deployment, the
                server's default.
            dry_run: Whether to compute the result without changing anything.
            show_secrets: Whether `difference` shows secrets; see `diff_deployment`.
            wait: Whether to return only when the spec is running; see `wait_for_deployment`. A dry run does not wait.
            wait_timeout: The maximum number of seconds to wait (only with `wait`).

        Returns:
            A dict with `action` (`created`, `updated` or `unchanged`), `id`, `specId` (the id of the new spec, or of the newest
            one if nothing was changed) and `difference`, as `diff_deployment` returns it. `id` and `specId` are None in a
            dry run that would create the deployment; so the type of a dry run is `PlannedDeployment`, and otherwise
            `AppliedDeployment`.

        Raises:
            InvalidSpecError: The spec is invalid; the message lists every problem. Nothing was sent.
            InvalidArgumentError: Another argument is invalid. Nothing was sent.
            ConflictError: Other clients kept creating and deleting the deployment, or the server reports another
                conflict. Or the spec was replaced during the wait (only with `wait`).
            NotFoundError: Other clients kept deleting the deployment before it could be updated.
            OutcomeUnknownError: The response was lost; the change may have been applied. Apply the spec again.
            DeploymentFailedError: The deployment failed (only with `wait`).
            WaitTimeoutError: The deployment was not ready in time (only with `wait`).

        Example:
            >>> spec = {"image": "tensorflow/serving", "port": 8501, "resources": {"replicas": 3}}
            >>> applied = deployments.apply_deployment("mnist", "p1", spec)
            >>> print(applied["action"], applied["difference"]["text"], sep=": ")
            updated: - resources.instanceType: 'A100'
            ~ resources.replicas: 1 -> 3
            >>> deployments.apply_deployment("mnist", "p1", spec)["action"]
            'unchanged'
        """
        self = self._with_one_session()
        others = _arguments.check_timeout(wait_timeout, "wait_timeout")
        desired = _arguments.create_input(name, project_id, spec, cluster_id, others)
        applied = await _changes.apply(self._session(), desired, dry_run=dry_run, show_secrets=show_secrets)
        if wait and not dry_run and applied["id"] is not None:
            await self._wait_after_change(applied["id"], applied["specId"], "applied", timeout=wait_timeout)
        return applied

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
        difference. Secrets are compared too, but not shown: `(hidden)` replaces the values of environment variables and
        of headers of health checks and, for repositories, user names, passwords and credentials that are part of the URL.

        Args:
            name: The name of the deployment.
            project_id: The id of the project.
            spec: The whole desired spec.
            cluster_id: The id of the desired cluster. None: do not compare the cluster.
            show_secrets: Whether to show the values of environment variables and headers, and user names. Passwords, and
                credentials that are part of a URL, stay hidden.

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

    @overload
    async def rollback_deployment(
        self, id: str, to: str, *, wait: bool = False, wait_timeout: float = DEFAULT_WAIT
    ) -> RevisedDeployment: ...

    @overload
    async def rollback_deployment(
        self, id: str, *, previous: Literal[True], wait: bool = False, wait_timeout: float = DEFAULT_WAIT
    ) -> RevisedDeployment: ...

    @overload
    async def rollback_deployment(
        self,
        *,
        to: str,
        name: str,
        project_id: str | None = None,
        wait: bool = False,
        wait_timeout: float = DEFAULT_WAIT,
    ) -> RevisedDeployment: ...

    @overload
    async def rollback_deployment(
        self,
        *,
        name: str,
        project_id: str | None = None,
        previous: Literal[True],
        wait: bool = False,
        wait_timeout: float = DEFAULT_WAIT,
    ) -> RevisedDeployment: ...

    async def rollback_deployment(
        self,
        id: str | None = None,
        to: str | None = None,
        *,
        name: str | None = None,
        project_id: str | None = None,
        previous: bool = False,
        wait: bool = False,
        wait_timeout: float = DEFAULT_WAIT,
    ) -> RevisedDeployment:
        """Restore an earlier spec and its cluster, as a new revision. Pass either `to` or `previous=True`.

        Nothing is changed if the newest spec already means the same and has this cluster.

        Args:
            id: The id of the deployment.
            to: The id of the spec to restore, from `get_deployment_history`.
            name: Its exact name, instead of its id.
            project_id: The project in which to look for the name. None: any project.
            previous: Whether to undo the last change: to restore the most recent spec that differs from the current one in
                meaning or cluster. A second call undoes the first one.
            wait: Whether to return only when the new spec is running; see `wait_for_deployment`.
            wait_timeout: The maximum number of seconds to wait (only with `wait`).

        Returns:
            A dict with the `id` of the deployment and `specId`, the id of the new spec, or of the newest one if nothing had to
            change.

        Raises:
            InvalidArgumentError: An argument is invalid. Nothing was sent.
            NotFoundError: The deployment or the spec does not exist; `resource` is `deployment` or `spec`. Also
                with `previous`, if all specs are equal.
            ConflictError: Several deployments have the name; the message lists them. Or another client changed the spec
                at the same time. The change of this call was applied, and it replaced the change of the other client.
                The message has the ids of both specs. Or the spec was replaced during the wait (only with `wait`).
            OutcomeUnknownError: The response was lost; the change may have been applied.
            DeploymentFailedError: The deployment failed (only with `wait`).
            WaitTimeoutError: The deployment was not ready in time (only with `wait`).

        Example:
            >>> [mnist] = deployments.list_deployments(name="mnist")
            >>> scaled = deployments.scale_deployment(mnist["id"], 4)
            >>> newest, first = deployments.get_deployment_history(mnist["id"])
            >>> restored = deployments.rollback_deployment(mnist["id"], to=first["id"])
            >>> restored = deployments.rollback_deployment(mnist["id"], previous=True)
            >>> deployments.get_deployment_spec(mnist["id"])["resources"]["replicas"]
            4
        """
        self = self._with_one_session()
        if (to is None) is not previous:
            raise InvalidArgumentError("rollback_deployment: pass either to= or previous=True")
        _arguments.require(
            _arguments.check_target(id, name, project_id),
            () if to is None else _arguments.check_id(to, "to"),
            _arguments.check_timeout(wait_timeout, "wait_timeout"),
        )
        session = self._session()
        call = session.start()
        found = await _queries.id_of(session, call, id, name, project_id)
        restored = await _changes.rollback(session, call, found, to)
        if wait:
            await self._wait_after_change(restored["id"], restored["specId"], "rolled back", timeout=wait_timeout)
        return restored
