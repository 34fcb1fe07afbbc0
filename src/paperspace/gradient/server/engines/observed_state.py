"""Queries of the observed state: rollouts, runs, instances, their states and logs."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, NamedTuple

from paperspace.gradient.server.storage.database import ChildTable

if TYPE_CHECKING:
    from collections.abc import Sequence

    from paperspace.gradient.server.storage.database import Database
    from paperspace.gradient.server.storage.log_pages import LogPages
    from paperspace.gradient.server.storage.rows import Row
    from paperspace.gradient.server.storage.window import Page, Window

ROLLOUTS = ChildTable("rollouts", "deployment_id", newest_first=True)
RUNS_OF_ROLLOUT = ChildTable("runs_now", "rollout_id", newest_first=True)
RUNS_OF_SPEC = ChildTable("runs_now", "spec_id", newest_first=True)
INSTANCES = ChildTable("instances_now", "run_id", newest_first=False)
STATES = ChildTable("states_now", "deployment_run_instance_id", newest_first=False)
LOGS = ChildTable("logs_now", "deployment_id", newest_first=False)
LINES = ChildTable("lines_now", "deployment_run_instance_id", newest_first=False)

PRESENT = "deployment_id = ? AND removal > now()"  # the condition of instances_now that are not removed

# The condition of rollouts that have instances. Without an index, SQLite reads those instead of the history.
_HAS_INSTANCES = """seq IN (
    SELECT rollouts.seq FROM instances CROSS JOIN runs ON runs.id = run_id CROSS JOIN rollouts ON rollouts.id = rollout_id
    WHERE instances.deployment_id = parent.value AND coalesce(instances.dt_deleted, 'never') > now()
)"""


class Serving(NamedTuple):
    """What serves the endpoint of a deployment: the newest spec with ready instances, and all ready instances."""

    spec_id: str
    image: str
    ready_replicas: int


def rollouts(
    database: Database, deployment_ids: Sequence[str], window: Window, *, has_instances: bool
) -> dict[str, Page]:
    """Return, for each deployment, a page of its rollouts, or only of those with an instance that is not removed."""
    if not has_instances:
        return database.child_pages(ROLLOUTS, deployment_ids, window)
    return database.child_pages(ROLLOUTS, deployment_ids, window, _HAS_INSTANCES, source="rollouts NOT INDEXED")


def log(database: Database, deployment_ids: Sequence[str], instance_name: str) -> dict[str, Row]:
    """Return the log of the instance with this name, by deployment id."""
    rows = database.rows(
        "SELECT * FROM logs_now WHERE instance_name = ? AND deployment_id IN (SELECT value FROM json_each(?))",
        instance_name,
        json.dumps(deployment_ids),
    )
    return {row["deploymentId"]: row for row in rows}


def lines(database: Database, files: LogPages, logs: Sequence[Row], window: Window) -> dict[str, Page]:
    """Return, for each log, a page of its lines, by the id of its instance.

    The lines of containers are in a file of their own. Those of the simulation are in the database.
    """
    pages = files.pages(logs, window, database.budget)
    return pages | database.child_pages(LINES, [log["id"] for log in logs if log["id"] not in pages], window)


def serving_of(database: Database, deployment_id: str) -> Serving | None:
    """Return what serves the endpoint of a deployment. None: no instance is ready."""
    rows = database.rows(
        "SELECT spec_id, count(*) AS ready,"  # noqa: S608
        " (SELECT json_extract(data, '$.image') FROM deployment_specs WHERE id = spec_id) AS image"
        f" FROM instances_now WHERE {PRESENT} AND state = 'healthy' GROUP BY spec_id ORDER BY max(seq) DESC",
        deployment_id,
    )
    ready_replicas = sum(row["ready"] for row in rows)
    return Serving(rows[0]["specId"], rows[0]["image"], ready_replicas) if rows else None
