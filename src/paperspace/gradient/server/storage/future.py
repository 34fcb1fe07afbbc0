"""Times in the future that were stored while the clock was wrong: what they date has happened, and would be hidden."""

from __future__ import annotations

from typing import TYPE_CHECKING

from paperspace.gradient.server.clock import iso

if TYPE_CHECKING:
    from datetime import datetime

    from paperspace.gradient.server.storage.database import Database

_TIMES = (
    ("clusters", "dt_created"),
    ("clusters", "dt_modified"),
    ("deployments", "dt_created"),
    ("deployments", "dt_modified"),
    ("deployments", "dt_deleted"),
    ("deployment_specs", "dt_created"),
    ("deployment_specs", "dt_invalid"),
    ("deployment_specs", "external_applied"),
    ("rollouts", "dt_created"),
    ("runs", "dt_created"),
    ("instances", "dt_created"),
    ("instances", "dt_deleted"),
    ("instance_states", "timestamp"),
    ("deployment_events", "dt_created"),
    ("deployment_events", "dt_last"),
    ("scales", "dt_created"),
    ("log_lines", "dt_created"),
    ("replies", "dt_created"),
    ("server", "last_removal"),
)
_NEWEST = (("instances", "dt_created"), ("instance_states", "timestamp"), ("deployment_events", "dt_last"))


def end_future(database: Database, *, wrong: bool) -> None:
    """Replace times in the future by the time of the transaction. With an engine, nothing is dated in advance.

    All rows are read only if the last change was in the future (`wrong`), or what the engine did: a start takes as long
    with a large database.
    """
    now = iso(database.transaction_time)
    if wrong or any(_newest(database, table, column) > now for table, column in _NEWEST):
        for table, column in _TIMES:
            database.execute(f"UPDATE {table} SET {column} = :now WHERE {column} > :now", now=now)  # noqa: S608


def move_future(database: Database, moment: datetime) -> None:
    """Let time continue from the time of the transaction instead of a moment in the future.

    What the simulation dates after the moment comes as much later as before. What is dated before it has happened.
    """
    now = database.transaction_time
    for table, column in _TIMES:
        database.execute(
            f"UPDATE {table} SET {column} = CASE WHEN {column} <= :moment THEN :now"  # noqa: S608
            f" ELSE strftime('%Y-%m-%dT%H:%M:%fZ', {column}, :change) END WHERE {column} > :now",
            now=iso(now),
            moment=iso(moment),
            change=f"-{(moment - now).total_seconds():.3f} seconds",
        )


def _newest(database: Database, table: str, column: str) -> str:
    rows = database.rows(f"SELECT {column} AS time FROM {table} ORDER BY seq DESC LIMIT 1")  # noqa: S608
    return str(rows[0]["time"]) if rows else ""
