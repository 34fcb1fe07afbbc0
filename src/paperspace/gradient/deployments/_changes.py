"""Changes that look before they leap: apply, and a new spec on top of those that there are."""

from __future__ import annotations

from contextlib import aclosing
from itertools import pairwise
from typing import TYPE_CHECKING, Any, cast

from paperspace.gradient._generated.deployment_history import DEPLOYMENT_HISTORY
from paperspace.gradient._spec.diff import difference
from paperspace.gradient.deployments._mutations import create, update
from paperspace.gradient.deployments._queries import equal_ids, no_such
from paperspace.gradient.deployments._revisions import (
    current_revision,
    data_of,
    put_revision,
    revision_page,
    revision_pages,
    whole_of,
)
from paperspace.gradient.errors import ConflictError, NotFoundError

if TYPE_CHECKING:
    from collections.abc import Callable

    from paperspace.gradient._core.session import Session
    from paperspace.gradient._generated.deployment_revision_fields import DeploymentSpec as Revision
    from paperspace.gradient._generated.deployments_current import Deployment as Current
    from paperspace.gradient._generated.inputs import CreateDeploymentInput, UpdateDeploymentInput
    from paperspace.gradient.types import AppliedDeployment, DeploymentRef, DeploymentRevision

# How often apply begins again when somebody else created or deleted the deployment under its hands.
_ROUNDS = 5


async def apply(session: Session, wanted: CreateDeploymentInput, *, dry_run: bool) -> AppliedDeployment:
    """Creates the deployment of this name, updates it, or does nothing, whichever makes it the one that is wanted."""
    call = session.start()
    rounds = 0
    while True:
        rounds += 1
        current = await current_revision(session, call, wanted["name"], wanted["projectId"])
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


async def revise(session: Session, id: str, change: Callable[[dict[str, Any]], None]) -> DeploymentRef:
    """Changes the newest spec of a deployment, where that makes a difference."""
    call = session.start()
    [newest], _ = await revision_page(session, id, first=1, call=call)
    spec = data_of(newest)
    change(spec)
    if not difference(data_of(newest), spec)["changes"]:
        return {"id": id}
    return await put_revision(session, call, id, newest, {"spec": spec})


async def history(session: Session, id: str) -> list[DeploymentRevision]:
    """The specs of a deployment, the newest first, each with what it changed."""
    revisions = [revision async for page in revision_pages(session, id) for revision in page]
    changes = [difference(whole_of(older), whole_of(newer)) for newer, older in pairwise(revisions)]
    changes.append(difference(None, data_of(revisions[-1])))
    return [
        cast("DeploymentRevision", revision | {"difference": change})
        for revision, change in zip(revisions, changes, strict=True)
    ]


async def rollback(session: Session, id: str, to: str) -> DeploymentRef:
    """Puts an earlier spec on top of the newest one, where that makes a difference."""
    newest = None
    async with aclosing(revision_pages(session, id)) as pages:
        async for page in pages:
            for revision in page:
                newest = newest or revision
                if equal_ids(revision["id"], to):
                    return await _put_back(session, id, newest, revision)
    raise no_such("spec", f"the deployment {id} has no spec {to}", DEPLOYMENT_HISTORY.name)


async def _put_back(session: Session, id: str, newest: Revision, earlier: Revision) -> DeploymentRef:
    spec, cluster = data_of(earlier), earlier["cluster"]
    stays = cluster is None or cluster == newest["cluster"]
    if stays and not difference(data_of(newest), spec)["changes"]:
        return {"id": id}
    values = {"spec": spec, **({"clusterId": cluster["id"]} if cluster else {})}
    return await put_revision(session, session.start(), id, newest, values)


def _plan(current: Current | None, wanted: CreateDeploymentInput) -> AppliedDeployment:
    """What is to be done."""
    after = dict(wanted["spec"])
    if "clusterId" in wanted:
        after["cluster"] = wanted["clusterId"]
    if current is None:
        return {"id": None, "action": "created", "difference": difference(None, after)}
    newest = current["deploymentSpecs"]["nodes"][0]
    before = whole_of(newest) if "clusterId" in wanted else data_of(newest)
    changes = difference(before, after)
    return {"id": current["id"], "action": "updated" if changes["changes"] else "unchanged", "difference": changes}


def _update(id: str, wanted: CreateDeploymentInput) -> UpdateDeploymentInput:
    """What makes a deployment the one that is wanted."""
    values: UpdateDeploymentInput = {"id": id, "spec": wanted["spec"]}
    if "clusterId" in wanted:
        values["clusterId"] = wanted["clusterId"]
    return values
