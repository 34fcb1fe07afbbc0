"""The revisions of a deployment: read them completely, and add a new one."""

from __future__ import annotations

from contextlib import aclosing
from typing import TYPE_CHECKING, Any, cast

from paperspace.gradient._core.documents import load_document
from paperspace.gradient._core.pagination import MAX_PAGE, iter_pages
from paperspace.gradient._generated.deployment_history import DEPLOYMENT_HISTORY, DeploymentHistoryVariables
from paperspace.gradient._generated.deployment_update import DEPLOYMENT_UPDATE
from paperspace.gradient._shared.nulls import without_nulls
from paperspace.gradient.deployments._mutations import update
from paperspace.gradient.deployments._queries import fetch_by_id, same_id
from paperspace.gradient.errors import ConflictError, GradientError

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Mapping

    from paperspace.gradient._core.pagination import Page
    from paperspace.gradient._core.session import Call, Session
    from paperspace.gradient._generated.deployment_revision_fields import DeploymentSpec as Revision
    from paperspace.gradient._generated.inputs import UpdateDeploymentInput
    from paperspace.gradient._shared.operation import Operation
    from paperspace.gradient.types import DeploymentRevision, RevisedDeployment


def iter_revision_pages(
    session: Session, id: str, call: Call | None = None, *, limit: int | None = None, first_size: int = MAX_PAGE
) -> AsyncGenerator[list[Revision]]:
    """Iterate over pages of the revisions of a deployment, newest first; `limit` and `first_size` as in `iter_pages`."""
    return iter_pages(
        lambda size, after: fetch_revision_page(session, id, first=size, after=after, call=call),
        operation=DEPLOYMENT_HISTORY.name,
        limit=limit,
        first_size=first_size,
    )


async def fetch_revision_page(
    session: Session, id: str, *, first: int = MAX_PAGE, after: str | None = None, call: Call | None = None
) -> Page[Revision]:
    """Fetch one page of the revisions of a deployment, newest first.

    Raises:
        NotFoundError: No deployment has this id.
    """
    variables = DeploymentHistoryVariables(id=id, first=first, after=after)
    deployment = await fetch_by_id(session, DEPLOYMENT_HISTORY, variables, call=call, require_spec=after is None)
    specs = deployment["deploymentSpecs"]
    return specs["nodes"], specs["pageInfo"]


async def add_revision(
    session: Session, call: Call, id: str, expected: Revision, values: dict[str, Any]
) -> RevisedDeployment:
    """Add a revision to a deployment, and check that it replaced the expected one.

    The API has no conditional update, but it keeps every spec: the spec before the new one has to be the expected one.
    If it is another one, the new spec has replaced a change that this call never read.

    Args:
        session: The session to send it with.
        call: The call that it is part of.
        id: The id of the deployment.
        expected: The revision that `values` were made from.
        values: The new spec, and its cluster if that changes.

    Raises:
        ConflictError: Another client added a different revision in the meantime. The update has been applied.
    """
    changed = await update(session, call, cast("UpdateDeploymentInput", {"id": id, **values}), with_specs=True)
    created, *before = changed.spec_ids
    if before and not same_id(before[0], expected["id"]):
        await _check_replaced(session, call, id, created, before[0], expected)
    return {"id": id, "specId": created}


async def _check_replaced(session: Session, call: Call, id: str, created: str, before: str, expected: Revision) -> None:
    """Check the revisions between the created and the expected one, which are read only now: they may be large.

    Args:
        session: The session to read them with.
        call: The call that it is part of.
        id: The id of the deployment.
        created: The id of the new spec.
        before: The id of the spec before it.
        expected: The revision that the new one was to replace.

    Raises:
        ConflictError: One of them is a change of another client, or they cannot be read.
    """
    replaced: str | None = before
    attempts, cause = call.attempts, None  # of the change
    try:
        replaced = await _other_change(session, call, id, created, expected)
    except GradientError as error:
        cause = error
    if replaced:
        raise ConflictError(
            "the change was applied, but another client changed the deployment at the same time: "
            f"spec {created} of this call replaced spec {replaced} of the other client; "
            "compare the two specs, and apply the lost parts of the other change again",
            operation=DEPLOYMENT_UPDATE.name,
            attempts=attempts,
            elapsed=call.elapsed,
            may_have_executed="yes",
        ) from cause


async def _other_change(session: Session, call: Call, id: str, created: str, expected: Revision) -> str | None:
    """Return the id of the newest revision between two others that differs from the created one. None: all are equal.

    An equal one is from an attempt whose response was lost, or another client wanted the same.
    """
    new: Revision | None = None
    async with aclosing(iter_revision_pages(session, id, call)) as pages:
        async for page in pages:
            for revision in page:
                if same_id(revision["id"], created):
                    new = revision
                elif same_id(revision["id"], expected["id"]):
                    return None
                elif new and not _same_content(revision, new):
                    return revision["id"]
    return None


def set_fields(operation: Operation[Any, Any], data: Mapping[str, Any]) -> dict[str, Any]:
    """Return the data of a spec that an operation read as results have it: an added field only if the spec has it."""
    additions = load_document(operation.name).additions
    return {field: value for field, value in data.items() if value is not None or field not in additions}


def spec_of(revision: Revision | DeploymentRevision) -> dict[str, Any]:
    """Return the spec of a revision in the form of an input: without fields that are null."""
    return cast("dict[str, Any]", without_nulls(revision["data"]))


def spec_and_cluster_of(revision: Revision | DeploymentRevision) -> dict[str, Any]:
    """Return the spec of a revision, with the id of its cluster as a further field."""
    return {**spec_of(revision), "cluster": revision["cluster"] and revision["cluster"]["id"]}


def _same_content(one: Revision, other: Revision) -> bool:
    return spec_and_cluster_of(one) == spec_and_cluster_of(other)
