"""The templates of revisions: revisions with one template have equal containers, so that none is replaced."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from paperspace.gradient.server.controller.workload import template_of
from paperspace.gradient.server.engines.effective_spec import effective

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from paperspace.gradient.server.storage.database import Database
    from paperspace.gradient.server.storage.rows import Row


def add_templates(database: Database, deployment_id: str) -> None:
    """Store the templates of the new revisions of a deployment.

    If none has a template, nothing has run yet: only the newest one gets one.
    """
    specs = database.rows(
        "SELECT * FROM deployment_specs WHERE deployment_id = :id AND external_applied IS NOT NULL AND seq >= coalesce("
        " (SELECT max(seq) FROM deployment_specs WHERE deployment_id = :id AND template IS NOT NULL),"
        " (SELECT max(seq) FROM deployment_specs WHERE deployment_id = :id AND external_applied IS NOT NULL)"
        ") ORDER BY seq",
        id=deployment_id,
    )
    for applied, spec in zip([None, *specs], specs, strict=False):
        if spec["template"] is None:
            before, latest = _revision_before(database, spec), _latest_template(database, spec)
            spec["template"] = _next_template(spec, before, applied, latest)
            database.execute("UPDATE deployment_specs SET template = ? WHERE id = ?", spec["template"], spec["id"])


def _revision_before(database: Database, spec: Row) -> Row | None:
    """Return the revision before another one, which may have been rejected. None: it is the first one."""
    rows = database.rows(
        "SELECT * FROM deployment_specs WHERE deployment_id = ? AND seq < ? ORDER BY seq DESC LIMIT 1",
        spec["deploymentId"],
        spec["seq"],
    )
    return rows[0] if rows else None


def _latest_template(database: Database, spec: Row) -> str | None:
    """Return the latest template of the same spec, perhaps that of a restart. Revisions that failed do not count."""
    template = template_of(json.loads(spec["data"]))
    # That of a restart has a suffix after a hyphen, which sorts before a dot. The plus sign: SQLite is to use the index on
    # templates.
    rows = database.rows(
        "SELECT template FROM deployment_specs WHERE deployment_id = ? AND template >= ? AND template < ?"
        " AND error IS NULL ORDER BY +seq DESC LIMIT 1",
        spec["deploymentId"],
        template,
        f"{template}.",
    )
    return rows[0]["template"] if rows else None


def _next_template(
    spec: Mapping[str, Any],
    before: Mapping[str, Any] | None,
    applied: Mapping[str, Any] | None,
    latest: str | None,
) -> str:
    """Return the template of a new revision.

    A revision that means the same as the one before is a restart, so it gets a template of its own. One that differs from what
    was applied only in other fields keeps that template, which may be that of a restart. One that goes back to an earlier spec gets
    the latest template of this spec, for the same reason; so does one after a restart that has failed.

    Args:
        spec: The row of the new revision.
        before: The row of the revision before, which may have been rejected. None: there is none.
        applied: The row of the last revision that was applied. None: none has a template.
        latest: The latest template of the same spec, perhaps that of a restart. None: there is none.
    """
    template = template_of(json.loads(spec["data"]))
    if applied is None:
        return template
    if before and _meaning(spec) == _meaning(before):
        return f"{template}-{spec['id']}"
    if template == template_of(json.loads(applied["data"])) and not (applied["error"] and latest):
        same_template: str = applied["template"]
        return same_template
    return latest or template


def _meaning(spec: Mapping[str, Any]) -> object:
    return effective(json.loads(spec["data"])), spec["clusterId"]
