"""The documented functions, and the class that has all functions: `AsyncDeployments`."""

from __future__ import annotations

from typing import TYPE_CHECKING, overload

from paperspace.gradient.deployments._changes_api import ChangesAPI
from paperspace.gradient.deployments._monitoring_api import MonitoringAPI
from paperspace.gradient.errors import APIError

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from paperspace.gradient.types import Deployment, DeploymentRef, DeploymentSpecInput


class AsyncDeployments(ChangesAPI, MonitoringAPI):
    """The functions, to be awaited. Made by a client: `AsyncClient(...).deployments`."""

    async def create_deployment(
        self,
        name: str,
        project_id: str,
        spec: DeploymentSpecInput,
        cluster_id: str | None = None,
        *,
        wait: bool = False,
    ) -> DeploymentRef:
        """Creates a deployment and starts it.

        Args:
            name: The human-readable name, 1 to 255 printable characters. Unique in its project among the deployments
                that are not deleted.
            project_id: The id of the project that it belongs to.
            spec: What to run: `image` and, as needed, `port`, `resources`, `env`, and so on.
            cluster_id: The id of the cluster to deploy onto. None: the server's default.
            wait: Whether to return only when it is ready; see `wait_for_deployment`.

        Returns:
            A dict with the `id` of the deployment that was created.

        Raises:
            InvalidSpecError: The spec cannot be right; every bad place is listed. Nothing was sent.
            InvalidArgumentError: Another argument cannot be right. Nothing was sent.
            ConflictError: The name is taken.
            OutcomeUnknownError: The deployment may have been created, or not.
            DeploymentFailedError: It was waited for, and failed.
            WaitTimeoutError: It was waited for, and was not ready in time.

        Example:
            >>> spec = {"image": "tensorflow/serving", "port": 8501}
            >>> deployments.create_deployment(name="fashion", project_id="p1", spec=spec)  # doctest: +ELLIPSIS
            {'id': '...'}
        """
        from paperspace.gradient.deployments._arguments import create_input
        from paperspace.gradient.deployments._mutations import create

        values = create_input(name, project_id, spec, cluster_id)
        session = self._session()
        created = await create(session, session.start(), values)
        if wait:
            await self._settle(created)
        return created

    @overload
    async def update_deployment(
        self,
        name: str,
        project_id: str,
        spec: DeploymentSpecInput,
        cluster_id: str | None = None,
        *,
        wait: bool = False,
    ) -> DeploymentRef: ...

    @overload
    async def update_deployment(
        self,
        name: str | None = None,
        project_id: str | None = None,
        spec: DeploymentSpecInput | None = None,
        cluster_id: str | None = None,
        *,
        id: str,
        wait: bool = False,
    ) -> DeploymentRef: ...

    async def update_deployment(
        self,
        name: str | None = None,
        project_id: str | None = None,
        spec: DeploymentSpecInput | None = None,
        cluster_id: str | None = None,
        *,
        id: str | None = None,
        wait: bool = False,
    ) -> DeploymentRef:
        """Changes a deployment: its spec above all. What is not given stays as it is.

        Without `id`, the deployment is the one with exactly this name in this project. With `id` it is that one,
        everything else is optional, and another `name` or `project_id` renames or moves it. A change of the spec or
        the cluster makes a new spec; the earlier ones stay as the history.

        Args:
            name: The name to look for; with `id`, the new name.
            project_id: The project to look in; with `id`, the project to move it to.
            spec: What to run from now on, whole: what it leaves out is not taken from the earlier spec.
            cluster_id: The id of the cluster to deploy onto from now on. None: no change.
            id: The id of the deployment.
            wait: Whether to return only when the newest spec is at work; see `wait_for_deployment`.

        Returns:
            A dict with the `id` of the deployment that was updated.

        Raises:
            InvalidSpecError: The spec cannot be right; every bad place is listed. Nothing was sent.
            InvalidArgumentError: Another argument cannot be right, or there is nothing to change. Nothing was sent.
            NotFoundError: There is no such deployment.
            ConflictError: The new name is taken.
            DeploymentFailedError: It was waited for, and failed.
            WaitTimeoutError: It was waited for, and was not ready in time.

        Example:
            >>> spec = {"image": "tensorflow/serving", "resources": {"replicas": 2}}
            >>> deployments.update_deployment(name="mnist", project_id="p1", spec=spec)  # doctest: +ELLIPSIS
            {'id': '...'}
        """
        from paperspace.gradient.deployments._arguments import update_input
        from paperspace.gradient.deployments._mutations import update
        from paperspace.gradient.deployments._queries import find_id

        values = update_input(name, project_id, spec, cluster_id, id)
        session = self._session()
        call = session.start()
        if "id" not in values:
            values["id"] = await find_id(name or "", project_id or "", session, call)
        updated = await update(session, call, values)
        if wait:
            await self._settle(updated)
        return updated

    async def _settle(self, changed: DeploymentRef) -> None:
        """Waits for what was changed; an error on the way says that the change has been made."""
        try:
            await self.wait_for_deployment(changed["id"])
        except APIError as error:
            done = f"the deployment {changed['id']} is created or updated, but was not seen to be ready"
            error.args = (f"{done}: {error.args[0]}",)
            error.may_have_executed = "yes"
            raise

    async def delete_deployment(self, id: str) -> DeploymentRef:
        """Deletes a deployment: it stops serving, is listed no more, and its name is free again.

        Args:
            id: The id of the deployment.

        Returns:
            A dict with the `id` of the deployment that was deleted.

        Raises:
            NotFoundError: There is no such deployment, or it is deleted already.

        Example:
            >>> [mnist] = deployments.list_deployments(name="mnist", project_id="p1")
            >>> deployments.delete_deployment(id=mnist["id"]) == {"id": mnist["id"]}
            True
        """
        from paperspace.gradient.deployments._arguments import identifier, require
        from paperspace.gradient.deployments._mutations import delete

        require(identifier(id))
        session = self._session()
        return await delete(session, session.start(), id)

    async def list_deployments(
        self,
        name: str | None = None,
        project_id: str | None = None,
        cluster_id: str | None = None,
        first: int | None = 100,
    ) -> list[Deployment]:
        """Lists deployments, the newest first, each with all its specs.

        Args:
            name: Only the deployment with exactly this name. None: any name.
            project_id: Only deployments of this project. None: any project.
            cluster_id: Only deployments that have a spec on this cluster, with those specs. None: any cluster.
            first: How many deployments at most. None: all of them, over as many pages as it takes.

        Returns:
            A list of dicts like that of `get_deployment`.

        Raises:
            InvalidArgumentError: An argument cannot be right. Nothing was sent.

        Example:
            >>> [deployment["name"] for deployment in deployments.list_deployments(project_id="p1", first=10)]
            ['mnist']
        """
        from paperspace.gradient.deployments._arguments import filters, require
        from paperspace.gradient.deployments._queries import matching

        require(filters(name, project_id, cluster_id, first))
        pages = matching(self._session(), name, project_id, cluster_id, first)
        return [deployment async for page in pages for deployment in page]

    def iter_deployments(
        self,
        name: str | None = None,
        project_id: str | None = None,
        cluster_id: str | None = None,
        first: int | None = None,
    ) -> AsyncGenerator[Deployment]:
        """Goes through deployments, the newest first, and holds no more than a page of them in memory.

        Args:
            name: Only the deployment with exactly this name. None: any name.
            project_id: Only deployments of this project. None: any project.
            cluster_id: Only deployments that have a spec on this cluster, with those specs. None: any cluster.
            first: How many deployments at most. None: all of them.

        Yields:
            Dicts like that of `get_deployment`.

        Raises:
            InvalidArgumentError: An argument cannot be right. Nothing was sent.

        Example:
            >>> for deployment in deployments.iter_deployments(project_id="p1"):
            ...     print(deployment["name"])
            mnist
        """
        from paperspace.gradient._core.pagination import one_by_one
        from paperspace.gradient.deployments._arguments import filters, require
        from paperspace.gradient.deployments._queries import matching

        require(filters(name, project_id, cluster_id, first))
        return one_by_one(matching(self._session(), name, project_id, cluster_id, first))

    async def get_deployment(self, id: str) -> Deployment:
        """Gets a deployment with all its specs, the newest first.

        Args:
            id: The id of the deployment.

        Returns:
            A dict with `id`, `name` and `deploymentSpecs`; each of the latter's `nodes` has `id`, `data` (`image`,
            `port`, `resources`), `endpointUrl` and `actor`. What a spec left out is None there.

        Raises:
            NotFoundError: There is no such deployment, or it is deleted.

        Example:
            >>> [mnist] = deployments.list_deployments(name="mnist")
            >>> deployment = deployments.get_deployment(id=mnist["id"])
            >>> deployment["deploymentSpecs"]["nodes"][0]["data"]["image"]
            'tensorflow/serving'
        """
        from paperspace.gradient.deployments._arguments import identifier, require
        from paperspace.gradient.deployments._queries import get_complete

        require(identifier(id))
        return await get_complete(self._session(), id)
