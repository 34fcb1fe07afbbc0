"""Changes that depend on the current state: apply, revise, restart and rollback."""

from __future__ import annotations

from contextlib import aclosing
from typing import TYPE_CHECKING, Any, Literal, cast

from paperspace.gradient._core.pagination import SMALL_PAGE
from paperspace.gradient._generated.deployment_history import DEPLOYMENT_HISTORY
from paperspace.gradient._spec.checks import check_spec
from paperspace.gradient._spec.diff import difference
from paperspace.gradient.deployments._arguments import require
from paperspace.gradient.deployments._errors import part_not_found
from paperspace.gradient.deployments._mutations import create, require_known_fields, update
from paperspace.gradient.deployments._queries import find_current, same_id
from paperspace.gradient.deployments._revisions import (
    add_revision,
    fetch_revision_page,
    iter_revision_pages,
    spec_and_cluster_of,
    spec_of,
)
from paperspace.gradient.errors import ConflictError, NotFoundError

if TYPE_CHECKING:
    from collections.abc import Callable

    from paperspace.gradient._core.session import Call, Session
    from paperspace.gradient._generated.deployment_revision_fields import DeploymentSpec as Revision
    from paperspace.gradient._generated.deployments_current import Deployment as CurrentDeployment
    from paperspace.gradient._generated.inputs import CreateDeploymentInput, UpdateDeploymentInput
    from paperspace.gradient._shared.problems import Problem
    from paperspace.gradient.types import (
        AppliedDeployment,
        DeploymentSpecInput,
        PlannedDeployment,
        RevisedDeployment,
    )

# How often apply reads and writes, when other clients create or delete the deployment in between.
_MAX_ROUNDS = 5


async def apply(
    session: Session, desired: CreateDeploymentInput, *, dry_run: bool, show_secrets: bool
) -> AppliedDeployment | PlannedDeployment:
    """Create the deployment of this name, update it, or do nothing, so that it has the desired spec."""
    call = session.start()
    rounds = 0
    while True:
        rounds += 1
        current = await find_current(session, call, desired["name"], desired["projectId"])
        require_known_fields(session, desired["spec"])
        planned = _plan(current, desired, show_secrets=show_secrets)
        if dry_run or planned["action"] == "unchanged":
            return planned
        try:
            if current is None:
                changed = await create(session, call, desired, with_specs=True)
            else:
                changed = await update(session, call, _update_input(current["id"], desired), with_specs=True)
        except (ConflictError, NotFoundError):
            # Another client created or deleted it after it was read.
            if rounds == _MAX_ROUNDS:
                raise
        else:
            return {**planned, "id": changed.id, "specId": changed.spec_id}


async def newest_spec(session: Session, call: Call, id: str) -> DeploymentSpecInput:
    """Return the newest spec of a deployment, in the form of an input."""
    [newest, *_], _ = await fetch_revision_page(session, id, first=1, call=call)
    return cast("DeploymentSpecInput", spec_of(newest))


async def revise(
    session: Session,
    call: Call,
    id: str,
    change: Callable[[dict[str, Any]], None],
    others: dict[str, Any] | None = None,
) -> RevisedDeployment:
    """Change the newest spec of a deployment in place, and send it if it differs.

    Args:
        session: The session to send it with.
        call: The call that the requests belong to.
        id: The id of the deployment.
        change: Changes the spec.
        others: Other fields of the deployment to change, as in the input of an update. None: no others.

    Raises:
        InvalidSpecError: The change does not fit the rest of the spec.
    """
    [newest, *_], _ = await fetch_revision_page(session, id, first=1, call=call)
    before, spec = spec_of(newest), spec_of(newest)
    change(spec)
    if difference(before, spec)["changes"]:
        if problems := list(check_spec(spec)):
            # The server has accepted what was there before: it may have other rules.
            known = [_subject(problem) for problem in check_spec(before)]
            require(problem for problem in problems if _subject(problem) not in known)
        return await add_revision(session, call, id, newest, {"spec": spec, **(others or {})})
    if others:
        # Another cluster adds a revision.
        changed = await update(session, call, cast("UpdateDeploymentInput", {"id": id, **others}), with_specs=True)
        return {"id": id, "specId": changed.spec_ids[0]}
    return {"id": id, "specId": newest["id"]}


def _subject(problem: Problem) -> tuple[list[str | int], object]:
    """Return what a problem is about: the field, wherever it is in a list, and its value."""
    return [part for part in problem.path if not isinstance(part, int)], problem.value


async def restart(session: Session, call: Call, id: str) -> RevisedDeployment:
    """Add a revision with the spec of the newest one."""
    [newest, *_], _ = await fetch_revision_page(session, id, first=1, call=call)
    return await add_revision(session, call, id, newest, {"spec": spec_of(newest)})


async def rollback(session: Session, call: Call, id: str, to: str | None) -> RevisedDeployment:
    """Add a revision with the spec of an earlier one, if that differs from the newest.

    Args:
        session: The session to send it with.
        call: The call that the requests belong to.
        id: The id of the deployment.
        to: The id of the earlier revision. None: the latest one that differs from the newest.
    """
    newest = None
    async with aclosing(iter_revision_pages(session, id, call, first_size=SMALL_PAGE)) as pages:
        async for page in pages:
            for revision in page:
                newest = newest or revision
                differs = _differs(newest, revision)
                if differs if to is None else same_id(revision["id"], to):
                    if differs:
                        return await _restore(session, call, id, newest, revision)
                    return {"id": id, "specId": newest["id"]}
    missing = "no earlier spec that differs from the newest one" if to is None else f"no spec {to}"
    raise part_not_found("spec", f"deployment {id} has {missing}", DEPLOYMENT_HISTORY.name)


def _differs(newest: Revision, earlier: Revision) -> bool:
    """Whether restoring an earlier revision would change the spec or the cluster."""
    same_cluster = earlier["cluster"] is None or earlier["cluster"] == newest["cluster"]
    return not same_cluster or bool(difference(spec_of(newest), spec_of(earlier))["changes"])


async def _restore(session: Session, call: Call, id: str, newest: Revision, earlier: Revision) -> RevisedDeployment:
    cluster = earlier["cluster"]
    values = {"spec": spec_of(earlier), **({"clusterId": cluster["id"]} if cluster else {})}
    return await add_revision(session, call, id, newest, values)


def _plan(
    current: CurrentDeployment | None, desired: CreateDeploymentInput, *, show_secrets: bool
) -> PlannedDeployment:
    """Return what `apply` has to do, in the form of its result."""
    after = dict(desired["spec"])
    if "clusterId" in desired:
        after["cluster"] = desired["clusterId"]
    if current is None:
        created = difference(None, after, show_secrets=show_secrets)
        return {"id": None, "specId": None, "action": "created", "difference": created}
    newest = current["deploymentSpecs"]["nodes"][0]
    before = spec_and_cluster_of(newest) if "clusterId" in desired else spec_of(newest)
    changes = difference(before, after, show_secrets=show_secrets)
    action: Literal["updated", "unchanged"] = "updated" if changes["changes"] else "unchanged"
    return {"id": current["id"], "specId": newest["id"], "action": action, "difference": changes}


def _update_input(id: str, desired: CreateDeploymentInput) -> UpdateDeploymentInput:
    """Return the update that gives a deployment the desired spec and cluster."""
    values: UpdateDeploymentInput = {"id": id, "spec": desired["spec"]}
    if "clusterId" in desired:
        values["clusterId"] = desired["clusterId"]
    return values
