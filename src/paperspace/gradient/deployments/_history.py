"""The history of a deployment: its revisions, each with its difference to the one before."""

from __future__ import annotations

from contextlib import aclosing
from typing import TYPE_CHECKING, cast

from paperspace.gradient._core.pagination import MAX_PAGE, SMALL_PAGE, iter_nodes
from paperspace.gradient._generated.deployment_history import DEPLOYMENT_HISTORY
from paperspace.gradient._spec.diff import difference
from paperspace.gradient.deployments._revisions import iter_revision_pages, set_fields, spec_and_cluster_of, spec_of

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from paperspace.gradient._core.session import Session
    from paperspace.gradient._generated.deployment_revision_fields import DeploymentSpec as Revision
    from paperspace.gradient.types import DeploymentRevision


async def list_history(session: Session, id: str, first: int | None, *, show_secrets: bool) -> list[DeploymentRevision]:
    """Return the revisions of a deployment, newest first; `first` at most."""
    revisions = _iter_history(session, id, first, MAX_PAGE, show_secrets=show_secrets)
    return [revision async for revision in revisions]


def iter_history(
    session: Session, id: str, first: int | None, *, show_secrets: bool
) -> AsyncGenerator[DeploymentRevision]:
    """Iterate over the revisions of a deployment, newest first; `first` at most.

    Without a maximum, the first page is small, because the caller may stop early.
    """
    return _iter_history(session, id, first, SMALL_PAGE if first is None else MAX_PAGE, show_secrets=show_secrets)


async def _iter_history(
    session: Session, id: str, first: int | None, first_size: int, *, show_secrets: bool
) -> AsyncGenerator[DeploymentRevision]:
    if first == 0:
        return
    limit = None if first is None else first + 1  # the difference of the last one needs the one before it
    pages = iter_revision_pages(session, id, limit=limit, first_size=first_size)
    newer: Revision | None = None
    count = 0
    async with aclosing(iter_nodes(pages)) as revisions:
        async for revision in revisions:
            if newer:
                yield _with_difference(newer, revision, show_secrets=show_secrets)
            newer = revision
            count += 1
    if newer and count != limit:
        yield _with_difference(newer, None, show_secrets=show_secrets)


def _with_difference(revision: Revision, older: Revision | None, *, show_secrets: bool) -> DeploymentRevision:
    """Return a revision as results have it. None as `older`: it is the first one of the deployment."""
    if older is None:
        change = difference(None, spec_of(revision), show_secrets=show_secrets)
    else:
        change = difference(spec_and_cluster_of(older), spec_and_cluster_of(revision), show_secrets=show_secrets)
    data = set_fields(DEPLOYMENT_HISTORY, revision["data"])
    return cast("DeploymentRevision", {**revision, "data": data, "difference": change})
