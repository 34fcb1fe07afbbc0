"""Functions that bring a deployment to a state: apply, diff, scale, stop, start, history, rollback."""

from __future__ import annotations

from contextlib import aclosing
from typing import TYPE_CHECKING, Any, cast

from paperspace.gradient import _checks
from paperspace.gradient._generated.deployment_history import DEPLOYMENT_HISTORY
from paperspace.gradient._inputs import create_input
from paperspace.gradient._reconcile import create, update
from paperspace.gradient._revisions import current_revision, data_of, put_revision, revision_page, revision_pages
from paperspace.gradient._spec_diff import difference
from paperspace.gradient.errors import ConflictError, InvalidArgumentError, NotFoundError

if TYPE_CHECKING:
    from collections.abc import Callable

    from paperspace.gradient._generated.deployment_revision_fields import DeploymentSpec as Revision
    from paperspace.gradient._generated.deployments_current import Deployment as Current
    from paperspace.gradient._generated.inputs import CreateDeploymentInput, UpdateDeploymentInput
    from paperspace.gradient._session import Session
    from paperspace.gradient.types import (
        AppliedDeployment,
        DeploymentRef,
        DeploymentRevision,
        DeploymentSpecInput,
        SpecDifference,
    )

# How often apply begins again when somebody else created or deleted the deployment under its hands.
_ROUNDS = 5


class Desired:
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
        wanted = create_input(name, project_id, spec, cluster_id)
        session = self._session()
        call = session.start()
        rounds = 0
        while True:
            rounds += 1
            current = await current_revision(session, call, name, project_id)
            applied = _plan(current, wanted)
            if dry_run or applied["action"] == "unchanged":
                return applied
            try:
                if current is None:
                    done = await create(session, call, wanted)
                else:
                    done = await update(session, call, _update(current["id"], wanted))
            except (ConflictError, NotFoundError):
                # Somebody else was faster: created it before us, or deleted it.
                if rounds == _ROUNDS:
                    raise
            else:
                return {**applied, "id": done["id"]}

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

        def scaled(spec: dict[str, Any]) -> None:
            spec["resources"] = {**spec.get("resources", {}), "replicas": replicas}

        _checks.require(_checks.identifier(id), _checks.count(replicas, "replicas"))
        return await self._revise(id, scaled)

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
        return await self._revise(id, lambda spec: spec.update(enabled=False))

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

        def started(spec: dict[str, Any]) -> None:
            if spec.get("resources", {}).get("replicas") == 0:
                raise InvalidArgumentError(f"the deployment {id} has 0 replicas: scale it first, then start it")
            spec["enabled"] = True

        return await self._revise(id, started)

    async def get_deployment_history(self, id: str) -> list[DeploymentRevision]:
        """The specs of a deployment, the newest first: who made each, when, and what it changed.

        Args:
            id: The id of the deployment.

        Returns:
            For each spec its `id`, `dtCreated`, `actor`, `cluster`, the whole `data`, and `difference` to the one before.

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
        _checks.require(_checks.identifier(id))
        session = self._session()
        revisions = [revision async for page in revision_pages(session, id) for revision in page]
        before: list[Revision | None] = [*revisions[1:], None]
        return [
            cast(
                "DeploymentRevision", revision | {"difference": difference(older and data_of(older), data_of(revision))}
            )
            for revision, older in zip(revisions, before, strict=True)
        ]

    async def rollback_deployment(self, id: str, to: str) -> DeploymentRef:
        """Puts an earlier spec back into force, as a new one with the same data, on the same cluster.

        Args:
            id: The id of the deployment.
            to: The id of the spec, from `get_deployment_history`.

        Returns:
            A dict with the `id` of the deployment.

        Raises:
            NotFoundError: There is no such deployment, or it has no such spec.
            ConflictError: Somebody else changed it between our reading and our writing; both specs are named.

        Example:
            >>> [mnist] = deployments.list_deployments(name="mnist")
            >>> deployments.scale_deployment(mnist["id"], 4) == {"id": mnist["id"]}
            True
            >>> newest, first = deployments.get_deployment_history(mnist["id"])
            >>> deployments.rollback_deployment(mnist["id"], to=first["id"]) == {"id": mnist["id"]}
            True
        """
        _checks.require(_checks.identifier(id), _checks.identifier(to, "to"))
        session = self._session()
        newest = None
        async with aclosing(revision_pages(session, id)) as pages:
            async for page in pages:
                for revision in page:
                    newest = newest or revision
                    if revision["id"] == to:
                        cluster = revision["cluster"]
                        values = {"spec": data_of(revision), **({"clusterId": cluster["id"]} if cluster else {})}
                        return await put_revision(session, session.start(), id, newest, values)
        raise NotFoundError(f"the deployment {id} has no spec {to}", operation=DEPLOYMENT_HISTORY.name)

    async def _revise(self, id: str, change: Callable[[dict[str, Any]], None]) -> DeploymentRef:
        """Changes the newest spec, where that makes a difference."""
        _checks.require(_checks.identifier(id))
        session = self._session()
        call = session.start()
        [newest], _ = await revision_page(session, id, first=1, call=call)
        spec = data_of(newest)
        change(spec)
        if not difference(data_of(newest), spec)["changes"]:
            return {"id": id}
        return await put_revision(session, call, id, newest, {"spec": spec})


def _plan(current: Current | None, wanted: CreateDeploymentInput) -> AppliedDeployment:
    """What is to be done."""
    if current is None:
        return {"id": None, "action": "created", "difference": difference(None, wanted["spec"])}
    newest = current["deploymentSpecs"]["nodes"][0]
    before, after = data_of(newest), dict(wanted["spec"])
    if "clusterId" in wanted:
        before["cluster"], after["cluster"] = newest["cluster"] and newest["cluster"]["id"], wanted["clusterId"]
    changes = difference(before, after)
    return {"id": current["id"], "action": "updated" if changes["changes"] else "unchanged", "difference": changes}


def _update(id: str, wanted: CreateDeploymentInput) -> UpdateDeploymentInput:
    """What makes a deployment the one that is wanted."""
    values: UpdateDeploymentInput = {"id": id, "spec": wanted["spec"]}
    if "clusterId" in wanted:
        values["clusterId"] = wanted["clusterId"]
    return values
