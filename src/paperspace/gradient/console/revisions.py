"""The revisions of a deployment, as the page shows them: pure functions over its history."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from paperspace.gradient.errors import InvalidArgumentError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from paperspace.gradient.types import DeploymentRevision, SpecChange


def shown_revisions(history: Sequence[DeploymentRevision]) -> list[dict[str, Any]]:
    """Return the revisions, newest first, with their numbers. The specs themselves stay here: they contain secrets."""
    return [
        {
            "id": revision["id"],
            "number": len(history) - index,
            "dtCreated": revision["dtCreated"],
            "actor": revision["actor"] and revision["actor"]["fullName"],
            "image": revision["data"]["image"],
            "summary": _summary(revision, is_first=index == len(history) - 1),
            "changes": revision["difference"]["changes"],
        }
        for index, revision in enumerate(history)
    ]


_SHOWN_PATHS = 3


def _summary(revision: DeploymentRevision, *, is_first: bool) -> str:
    """Say in a few words what a revision has changed."""
    paths = [change["path"] for change in revision["difference"]["changes"]]
    if is_first:
        return "created"
    if not paths:
        return "restarted"
    more = f" and {len(paths) - _SHOWN_PATHS} more" if len(paths) > _SHOWN_PATHS else ""
    return ", ".join(paths[:_SHOWN_PATHS]) + more


def changes_between(
    hidden: Sequence[DeploymentRevision], shown: Sequence[DeploymentRevision], to: str
) -> list[SpecChange]:
    """Return the changes from the newest revision back to an earlier one.

    Args:
        hidden: The history, newest first, with secrets hidden. Its values are returned.
        shown: The same history with secrets. Values are compared by it. It may have newer revisions.
        to: The id of the earlier revision.

    Raises:
        InvalidArgumentError: The history has no such revision.
    """
    ids = [revision["id"] for revision in hidden]
    if to not in ids:
        raise InvalidArgumentError(f"the deployment has no revision {to}")
    newer = ids[: ids.index(to)]
    secrets = [_entries(revision) for revision in shown if revision["id"] in newer]
    values = [_entries(revision) for revision in hidden if revision["id"] in newer]
    differing = {path for path, (now, then) in _combine(secrets).items() if now != then}
    combined = _combine(values)
    return [
        {"path": path, "before": combined[path][0], "after": combined[path][1]}
        for path in sorted(differing & set(combined))
    ]


def _entries(revision: DeploymentRevision) -> dict[str, tuple[object, object]]:
    return {change["path"]: (change["before"], change["after"]) for change in revision["difference"]["changes"]}


def _combine(revisions: Sequence[dict[str, tuple[object, object]]]) -> dict[str, tuple[object, object]]:
    """Return the value after the newest change of each path, and the one before its oldest change."""
    combined: dict[str, tuple[object, object]] = {}
    for changes in revisions:  # newest first
        for path, (before, after) in changes.items():
            now = combined[path][0] if path in combined else after
            combined[path] = now, before
    return combined
