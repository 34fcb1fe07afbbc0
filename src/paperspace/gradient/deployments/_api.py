"""The documented functions, and `AsyncDeployments`, the class with all functions."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, overload

from paperspace.gradient._core.defaults import DEFAULT_WAIT
from paperspace.gradient._shared.lazy import lazy_modules
from paperspace.gradient.deployments._changes_api import ChangesAPI

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from paperspace.gradient._core import pagination
    from paperspace.gradient._generated.deployment_fields import Deployment as DeploymentPage
    from paperspace.gradient.deployments import _arguments, _details, _mutations, _queries
    from paperspace.gradient.deployments._mutations import Changed
    from paperspace.gradient.types import Deployment, DeploymentRef, DeploymentSpecInput
else:
    [pagination] = lazy_modules("paperspace.gradient._core", "pagination")
    _arguments, _details, _mutations, _queries = lazy_modules(
        "paperspace.gradient.deployments", "_arguments", "_details", "_mutations", "_queries"
    )


class AsyncDeployments(ChangesAPI):
    """The async version of the functions, created by a client: `AsyncClient(...).deployments`."""

    async def create_deployment(
        self,
        name: str,
        project_id: str,
        spec: DeploymentSpecInput | dict[str, Any],
        cluster_id: str | None = None,
        *,
        wait: bool = False,
        wait_timeout: float = DEFAULT_WAIT,
    ) -> DeploymentRef:
        """Create a deployment and start it.

        Args:
            name: The name, 1 to 255 printable characters. It must be unique among the deployments of the project that
                are not deleted.
            project_id: The id of the project.
            spec: What to run: `image` and, as needed, `port`, `resources`, `env` and other fields.
            cluster_id: The id of the cluster to deploy to. None: the server's default cluster.
            wait: Whether to return only when the deployment is ready; see `wait_for_deployment`.
            wait_timeout: The maximum number of seconds to wait (only with `wait`).

        Returns:
            A dict with the `id` of the new deployment.

        Raises:
            InvalidSpecError: The spec is invalid; the message lists every problem. Nothing was sent.
            InvalidArgumentError: Another argument is invalid. Nothing was sent.
            ConflictError: The name is already in use. Or the spec was replaced during the wait (only with `wait`).
            OutcomeUnknownError: The response was lost; the deployment may have been created.
            DeploymentFailedError: The deployment failed (only with `wait`).
            WaitTimeoutError: The deployment was not ready in time (only with `wait`).

        Example:
            >>> spec = {"image": "tensorflow/serving", "port": 8501}
            >>> deployments.create_deployment(name="fashion", project_id="p1", spec=spec)  # doctest: +ELLIPSIS
            {'id': '...'}
        """
        self = self._with_one_session()
        created = await self._create(name, project_id, spec, cluster_id, wait_timeout, with_specs=wait)
        if wait:
            await self._wait_after_change(created.id, created.spec_id, "created", timeout=wait_timeout)
        return {"id": created.id}

    async def _create(
        self,
        name: str,
        project_id: str,
        spec: DeploymentSpecInput | dict[str, Any],
        cluster_id: str | None,
        wait_timeout: float = DEFAULT_WAIT,
        *,
        with_specs: bool,
    ) -> Changed:
        """Create a deployment, and return its id; `with_specs`, also that of its spec."""
        others = _arguments.check_timeout(wait_timeout, "wait_timeout")
        values = _arguments.create_input(name, project_id, spec, cluster_id, others)
        session = self._session()
        return await _mutations.create(session, session.start(), values, with_specs=with_specs)

    @overload
    async def update_deployment(
        self,
        name: str,
        project_id: str,
        spec: DeploymentSpecInput | dict[str, Any],
        cluster_id: str | None = None,
        *,
        wait: bool = False,
        wait_timeout: float = DEFAULT_WAIT,
    ) -> DeploymentRef: ...

    @overload
    async def update_deployment(
        self,
        name: str | None = None,
        project_id: str | None = None,
        spec: DeploymentSpecInput | dict[str, Any] | None = None,
        cluster_id: str | None = None,
        *,
        id: str,
        wait: bool = False,
        wait_timeout: float = DEFAULT_WAIT,
    ) -> DeploymentRef: ...

    async def update_deployment(
        self,
        name: str | None = None,
        project_id: str | None = None,
        spec: DeploymentSpecInput | dict[str, Any] | None = None,
        cluster_id: str | None = None,
        *,
        id: str | None = None,
        wait: bool = False,
        wait_timeout: float = DEFAULT_WAIT,
    ) -> DeploymentRef:
        """Update a deployment: replace its spec, rename it, or move it.

        If `id` is not passed, `name` and `project_id` identify the deployment: pass `spec`, `cluster_id` or both to change it.
        If `id` is passed, `name` and `project_id` are new values: pass one or more of `name`, `project_id`, `spec` and
        `cluster_id`. Arguments that are not passed change nothing. A new spec or cluster adds a revision; earlier revisions
        remain in the history.

        Args:
            name: The exact name of the deployment; with `id`, its new name.
            project_id: The id of its project; with `id`, of the project to move it to.
            spec: The new spec. It replaces the whole earlier spec: fields that are not in it get their
                defaults. To change single fields, start from `get_deployment_spec`, or use `patch_deployment`.
            cluster_id: The id of the cluster to move it to. None: no change.
            id: The id of the deployment.
            wait: Whether to return only when the new spec is running; see `wait_for_deployment`.
            wait_timeout: The maximum number of seconds to wait (only with `wait`).

        Returns:
            A dict with the `id` of the deployment.

        Raises:
            InvalidSpecError: The spec is invalid; the message lists every problem. Nothing was sent.
            InvalidArgumentError: Another argument is invalid, or no change is passed. Nothing was sent.
            NotFoundError: No such deployment exists.
            ConflictError: The new name is already in use, or several deployments have the name. Or the spec
                was replaced during the wait (only with `wait`).
            OutcomeUnknownError: The response was lost; the update may have been applied.
            DeploymentFailedError: The deployment failed (only with `wait`).
            WaitTimeoutError: The deployment was not ready in time (only with `wait`).

        Example:
            >>> spec = {"image": "tensorflow/serving", "resources": {"replicas": 2}}
            >>> deployments.update_deployment(name="mnist", project_id="p1", spec=spec)  # doctest: +ELLIPSIS
            {'id': '...'}
        """
        self = self._with_one_session()
        updated = await self._update(name, project_id, spec, cluster_id, id, wait_timeout, with_specs=wait)
        if wait:
            await self._wait_after_change(updated.id, updated.spec_id, "updated", timeout=wait_timeout)
        return {"id": updated.id}

    async def _update(
        self,
        name: str | None,
        project_id: str | None,
        spec: DeploymentSpecInput | dict[str, Any] | None,
        cluster_id: str | None,
        id: str | None,
        wait_timeout: float = DEFAULT_WAIT,
        *,
        with_specs: bool,
    ) -> Changed:
        """Update a deployment, and return its id; `with_specs`, also those of its two newest specs."""
        others = _arguments.check_timeout(wait_timeout, "wait_timeout")
        values = _arguments.update_input(name, project_id, spec, cluster_id, id, others)
        session = self._session()
        call = session.start()
        if "id" not in values:
            values["id"] = await _queries.find_id(session, call, name or "", project_id or "")
        return await _mutations.update(session, call, values, with_specs=with_specs)

    async def delete_deployment(
        self, id: str | None = None, *, name: str | None = None, project_id: str | None = None
    ) -> DeploymentRef:
        """Delete a deployment. It stops serving, is not listed any more, and its name can be used again.

        Args:
            id: The id of the deployment.
            name: Its exact name, instead of its id.
            project_id: The project in which to look for the name. None: any project.

        Returns:
            A dict with the `id` of the deleted deployment.

        Raises:
            InvalidArgumentError: An argument is invalid. Nothing was sent.
            NotFoundError: No deployment has this id or name, or it is already deleted.
            ConflictError: Several deployments have the name; the message lists them.
            OutcomeUnknownError: The response was lost; the deployment may have been deleted.

        Example:
            >>> [mnist] = deployments.list_deployments(name="mnist", project_id="p1")
            >>> deployments.delete_deployment(id=mnist["id"]) == {"id": mnist["id"]}
            True
        """
        _arguments.require(_arguments.check_target(id, name, project_id))
        session = self._session()
        call = session.start()
        return await _mutations.delete(session, call, await _queries.id_of(session, call, id, name, project_id))

    async def list_deployments(
        self,
        name: str | None = None,
        project_id: str | None = None,
        cluster_id: str | None = None,
        first: int | None = 100,
    ) -> list[Deployment]:
        """List deployments, newest first, each with all its specs.

        Args:
            name: Only the deployments with exactly this name. None: any name.
            project_id: Only deployments of this project. None: any project.
            cluster_id: Only deployments with a spec on this cluster, and only those specs. None: any cluster.
            first: The maximum number of deployments. None: no limit.

        Returns:
            A list of dicts as `get_deployment` returns them.

        Raises:
            InvalidArgumentError: An argument is invalid. Nothing was sent.

        Example:
            >>> [deployment["name"] for deployment in deployments.list_deployments(project_id="p1", first=10)]
            ['mnist']
        """
        _arguments.require(_arguments.check_filters(name, project_id, cluster_id, first))
        pages = _queries.iter_deployment_pages(self._session(), name, project_id, cluster_id, first)
        return [deployment async for page in pages for deployment in page]

    def iter_deployments(
        self,
        name: str | None = None,
        project_id: str | None = None,
        cluster_id: str | None = None,
        first: int | None = None,
    ) -> AsyncGenerator[Deployment]:
        """Iterate over deployments, newest first, fetching one page at a time.

        Args:
            name: Only the deployments with exactly this name. None: any name.
            project_id: Only deployments of this project. None: any project.
            cluster_id: Only deployments with a spec on this cluster, and only those specs. None: any cluster.
            first: The maximum number of deployments. None: no limit.

        Yields:
            Dicts as `get_deployment` returns them.

        Raises:
            InvalidArgumentError: An argument is invalid. Raised when the function is called, not at
                the first iteration. Nothing was sent.

        Example:
            >>> for deployment in deployments.iter_deployments(project_id="p1"):
            ...     print(deployment["name"])
            mnist
        """
        _arguments.require(_arguments.check_filters(name, project_id, cluster_id, first))
        pages = _queries.iter_deployment_pages(self._session(), name, project_id, cluster_id, first)
        return pagination.iter_nodes(pages)

    async def get_deployment(
        self, id: str | None = None, *, name: str | None = None, project_id: str | None = None
    ) -> Deployment:
        """Get a deployment with all its specs, newest first.

        Warning: `data` has `image`, `port` and `resources` only. Do not send it back by `update_deployment`, which would
        drop the other fields, such as `env`. `get_deployment_spec` returns the whole spec.

        Args:
            id: The id of the deployment.
            name: Its exact name, instead of its id.
            project_id: The project in which to look for the name. None: any project.

        Returns:
            A dict with `id`, `name` and `deploymentSpecs`. Each of `deploymentSpecs["nodes"]` has `id`, `data`
            (`image`, `port`, `resources`), `endpointUrl` and `actor`. Fields that a spec leaves out are None.

        Raises:
            InvalidArgumentError: An argument is invalid. Nothing was sent.
            NotFoundError: No deployment has this id or name, or it is deleted.
            ConflictError: Several deployments have the name; the message lists them.

        Example:
            >>> [mnist] = deployments.list_deployments(name="mnist")
            >>> deployment = deployments.get_deployment(id=mnist["id"])
            >>> deployment["deploymentSpecs"]["nodes"][0]["data"]["image"]
            'tensorflow/serving'
            >>> deployments.get_deployment(name="mnist", project_id="p1") == deployment
            True
        """
        _arguments.require(_arguments.check_target(id, name, project_id))
        session = self._session()
        call = session.start()
        return await _queries.fetch_deployment(session, call, await _queries.id_of(session, call, id, name, project_id))

    async def _find_deployments(self, name: str, project_id: str | None) -> list[DeploymentPage]:
        """Return the deployments with exactly this name, in one project or in all. Raise NotFoundError if none has it."""
        _arguments.require(
            _arguments.check_text(name, "name"), _arguments.check_optional_text(project_id, "project_id")
        )
        session = self._session()
        return await _queries.find_by_name(session, session.start(), name, project_id)

    async def _get_deployment_details(self, id: str) -> dict[str, Any]:
        """Return a deployment as the retired client printed it: each revision complete, with its cluster and runs."""
        _arguments.require(_arguments.check_id(id))
        return await _details.fetch_details(self._session(), id)
