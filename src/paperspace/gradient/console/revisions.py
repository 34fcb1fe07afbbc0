"""The revisions of a deployment, as the page shows them. The specs themselves stay in Python: they contain secrets."""

from __future__ import annotations

from contextlib import aclosing
from typing import TYPE_CHECKING, Any

from paperspace.gradient._spec.diff import difference
from paperspace.gradient.deployments._revisions import spec_and_cluster_of

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from paperspace.gradient.types import DeploymentRevision, SpecChange

ShownRevision = dict[str, Any]


async def read_newer(history: AsyncGenerator[DeploymentRevision], known: list[ShownRevision]) -> list[ShownRevision]:
    """Return the revisions, newest first, with their numbers. The history is read only up to the newest known one.

    Args:
        history: The history, newest first. It is closed.
        known: What an earlier call returned, or an empty list.
    """
    newer: list[ShownRevision] = []
    async with aclosing(history):
        async for revision in history:
            if known and revision["id"] == known[0]["id"]:
                break
            newer.append(_shown(revision))
        else:
            known = []
    if newer and not known:
        newer[-1]["summary"] = "created"
    count = len(newer) + len(known)
    return [{**revision, "number": count - index} for index, revision in enumerate(newer)] + known


def _shown(revision: DeploymentRevision) -> ShownRevision:
    """Return what the page shows of a revision, without its number."""
    changes = revision["difference"]["changes"]
    return {
        "id": revision["id"],
        "dtCreated": revision["dtCreated"],
        "actor": revision["actor"] and revision["actor"]["fullName"],
        "image": revision["data"]["image"],
        "summary": _summary(changes),
        "changes": changes,
    }


_SHOWN_PATHS = 3


def _summary(changes: list[SpecChange]) -> str:
    """Say in a few words what a revision has changed."""
    paths = [change["path"] for change in changes]
    if not paths:
        return "restarted"
    more = f" and {len(paths) - _SHOWN_PATHS} more" if len(paths) > _SHOWN_PATHS else ""
    return f"changed {', '.join(paths[:_SHOWN_PATHS])}{more}"


def changes_between(now: DeploymentRevision, then: DeploymentRevision) -> list[SpecChange]:
    """Return the changes from one revision to another, with secrets hidden."""
    return difference(spec_and_cluster_of(now), spec_and_cluster_of(then))["changes"]
