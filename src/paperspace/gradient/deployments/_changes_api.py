"""Functions that bring a deployment to a state: apply, diff, scale, stop, start, history, rollback."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from paperspace.gradient.errors import InvalidArgumentError

if TYPE_CHECKING:
    from collections.abc import Callable

    from paperspace.gradient._core.session import Session
    from paperspace.gradient.types import (
        AppliedDeployment,
        DeploymentRef,
        DeploymentRevision,
        DeploymentSpecInput,
        SpecDifference,
    )


class ChangesAPI:
    """The functions, to be awaited; a part of `AsyncDeployments`."""

    def __init__(self, session: Callable[[], Session]) -> None:
        self._session = session

    async def apply_deployment(
        self,
        name: str,
        project_id: str,
        spec: DeploymentSpecInput,
        cluster_id: str | None = None,
        *,
        dry_run: bool = False,
    ) -> AppliedDeployment:
        """Creates the deployment, updates it, or does nothing, whichever brings it to the spec.

        It is the one with exactly this name in this project; a rename is never guessed. What the spec leaves out is
        left out, or takes its default. Several callers at once end up with one deployment.

        Args:
            name: The name, 1 to 255 printable characters.
            project_id: The id of the project that it belongs to.
            spec: What to run, whole.
            cluster_id: The id of the cluster to deploy onto. None: wherever it is, or the server's default.
            dry_run: Whether only to say what would be done.

        Returns:
            `action` (`created`, `updated` or `unchanged`), `id` (None where it is yet to be created), and
            `difference`: the `changes`, each with `path`, `before` and `after`, and the same as `text`.

        Raises:
            InvalidSpecError: The spec cannot be right; every bad place is listed. Nothing was sent.
            InvalidArgumentError: Another argument cannot be right. Nothing was sent.
            OutcomeUnknownError: It may have been done, or not; apply it again.

        Example:
            >>> spec = {"image": "tensorflow/serving", "port": 8501, "resources": {"replicas": 3}}
            >>> applied = deployments.apply_deployment("mnist", "p1", spec)
            >>> print(applied["action"], applied["difference"]["text"], sep=": ")
            updated: - resources.instanceType: 'A100'
            ~ resources.replicas: 1 -> 3
            >>> deployments.apply_deployment("mnist", "p1", spec)["action"]
            'unchanged'
        """
        from paperspace.gradient.deployments._arguments import create_input
        from paperspace.gradient.deployments._changes import apply

        wanted = create_input(name, project_id, spec, cluster_id)
        return await apply(self._session(), wanted, dry_run=dry_run)

    async def diff_deployment(
        self, name: str, project_id: str, spec: DeploymentSpecInput, cluster_id: str | None = None
    ) -> SpecDifference:
        """What `apply_deployment` would change. Nothing is changed.

        Both sides are compared by what they mean: defaults, nulls and the order of environment variables make no
        difference. Passwords are compared, but not shown.

        Args:
            name: The name.
            project_id: The id of the project.
            spec: What is to run.
            cluster_id: The id of the cluster that it is to run on. None: wherever it is.

        Returns:
            `changes`, each with `path`, `before` and `after` (None where nothing is said), and the same as `text`. Both
            are empty where nothing differs. Where there is no such deployment, everything is new.

        Raises:
            InvalidSpecError: The spec cannot be right; every bad place is listed. Nothing was sent.

        Example:
            >>> spec = {"image": "tensorflow/serving", "port": 8501, "env": [{"name": "MODE", "value": "fast"}]}
            >>> print(deployments.diff_deployment("mnist", "p1", spec)["text"])
            - resources.instanceType: 'A100'
            + env.MODE: 'fast'
        """
        applied = await self.apply_deployment(name, project_id, spec, cluster_id, dry_run=True)
        return applied["difference"]

    async def scale_deployment(self, id: str, replicas: int) -> DeploymentRef:
        """Changes the number of replicas, and nothing else of the newest spec.

        Args:
            id: The id of the deployment.
            replicas: How many replicas to run; 0 stops it.

        Returns:
            A dict with the `id` of the deployment.

        Raises:
            InvalidArgumentError: An argument cannot be right. Nothing was sent.
            NotFoundError: There is no such deployment.
            ConflictError: Somebody else changed it between our reading and our writing; both specs are named.

        Example:
            >>> [mnist] = deployments.list_deployments(name="mnist")
            >>> deployments.scale_deployment(mnist["id"], 4) == {"id": mnist["id"]}
            True
            >>> deployments.get_deployment(mnist["id"])["deploymentSpecs"]["nodes"][0]["data"]["resources"]
            {'instanceType': 'A100', 'replicas': 4}
        """
        from paperspace.gradient.deployments._arguments import count, identifier, require
        from paperspace.gradient.deployments._changes import revise

        def scaled(spec: dict[str, Any]) -> None:
            spec["resources"] = {**spec.get("resources", {}), "replicas": replicas}

        require(identifier(id), count(replicas, "replicas"))
        return await revise(self._session(), id, scaled)

    async def stop_deployment(self, id: str) -> DeploymentRef:
        """Stops a deployment: none of its replicas runs until it is started again. Its spec stays as it is otherwise.

        Args:
            id: The id of the deployment.

        Returns:
            A dict with the `id` of the deployment.

        Raises:
            NotFoundError: There is no such deployment.
            ConflictError: Somebody else changed it between our reading and our writing; both specs are named.

        Example:
            >>> [mnist] = deployments.list_deployments(name="mnist")
            >>> deployments.stop_deployment(mnist["id"]) == {"id": mnist["id"]}
            True
        """
        from paperspace.gradient.deployments._arguments import identifier, require
        from paperspace.gradient.deployments._changes import revise

        require(identifier(id))
        return await revise(self._session(), id, lambda spec: spec.update(enabled=False))

    async def start_deployment(self, id: str) -> DeploymentRef:
        """Starts a deployment that was stopped, with as many replicas as its spec says.

        Args:
            id: The id of the deployment.

        Returns:
            A dict with the `id` of the deployment.

        Raises:
            InvalidArgumentError: Its spec says 0 replicas, so that there is nothing to start.
            NotFoundError: There is no such deployment.
            ConflictError: Somebody else changed it between our reading and our writing; both specs are named.

        Example:
            >>> [mnist] = deployments.list_deployments(name="mnist")
            >>> deployments.start_deployment(mnist["id"]) == {"id": mnist["id"]}
            True
        """
        from paperspace.gradient.deployments._arguments import identifier, require
        from paperspace.gradient.deployments._changes import revise

        def started(spec: dict[str, Any]) -> None:
            if spec.get("resources", {}).get("replicas") == 0:
                raise InvalidArgumentError(f"the deployment {id} has 0 replicas: scale it first, then start it")
            spec["enabled"] = True

        require(identifier(id))
        return await revise(self._session(), id, started)

    async def get_deployment_history(self, id: str) -> list[DeploymentRevision]:
        """The specs of a deployment, the newest first: who made each, when, and what it changed.

        Args:
            id: The id of the deployment.

        Returns:
            For each spec its `id`, `dtCreated`, `actor`, `cluster`, the whole `data`, and `difference` to the one before.
            Passwords are in `data`, as it can be sent again; `difference` hides them.

        Raises:
            NotFoundError: There is no such deployment.

        Example:
            >>> [mnist] = deployments.list_deployments(name="mnist")
            >>> deployments.scale_deployment(mnist["id"], 4) == {"id": mnist["id"]}
            True
            >>> newest, first = deployments.get_deployment_history(mnist["id"])
            >>> newest["difference"]["text"]
            '~ resources.replicas: 1 -> 4'
        """
        from paperspace.gradient.deployments._arguments import identifier, require
        from paperspace.gradient.deployments._changes import history

        require(identifier(id))
        return await history(self._session(), id)

    async def rollback_deployment(self, id: str, to: str) -> DeploymentRef:
        """Puts an earlier spec back into force, as a new one with the same data, on the same cluster.

        Where that makes no difference to the newest spec, nothing is sent.

        Args:
            id: The id of the deployment.
            to: The id of the spec, from `get_deployment_history`.

        Returns:
            A dict with the `id` of the deployment.

        Raises:
            NotFoundError: There is no such deployment, or it has no such spec; `resource` says which of the two.
            ConflictError: Somebody else changed it between our reading and our writing; both specs are named.

        Example:
            >>> [mnist] = deployments.list_deployments(name="mnist")
            >>> deployments.scale_deployment(mnist["id"], 4) == {"id": mnist["id"]}
            True
            >>> newest, first = deployments.get_deployment_history(mnist["id"])
            >>> deployments.rollback_deployment(mnist["id"], to=first["id"]) == {"id": mnist["id"]}
            True
        """
        from paperspace.gradient.deployments._arguments import identifier, require
        from paperspace.gradient.deployments._changes import rollback

        require(identifier(id), identifier(to, "to"))
        return await rollback(self._session(), id, to)
