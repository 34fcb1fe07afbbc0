"""Times in the future: with an engine, nothing is dated in advance, so the clock was wrong when they were stored."""

from __future__ import annotations

from typing import TYPE_CHECKING

from paperspace.gradient.server.clock import iso

if TYPE_CHECKING:
    from paperspace.gradient.server.storage.database import Database

_TIMES = (
    ("deployments", "dt_deleted"),
    ("instances", "dt_created"),
    ("instances", "dt_deleted"),
    ("instance_states", "timestamp"),
    ("deployment_events", "dt_created"),
    ("deployment_events", "dt_last"),
    ("scales", "dt_created"),
)
_NEWEST = (("instances", "dt_created"), ("instance_states", "timestamp"), ("deployment_events", "dt_last"))


def end_future(database: Database) -> None:
    """Replace times in the future by the time of the transaction. Otherwise, what exists would be hidden until then.

    All rows are read only if one of the newest is in the future: a start takes as long with a large database.
    """
    now = iso(database.transaction_time)
    if any(_newest(database, table, column) > now for table, column in _NEWEST):
        for table, column in _TIMES:
            database.execute(f"UPDATE {table} SET {column} = ?1 WHERE {column} > ?1", now)  # noqa: S608


def _newest(database: Database, table: str, column: str) -> str:
    rows = database.rows(f"SELECT {column} AS time FROM {table} ORDER BY seq DESC LIMIT 1")  # noqa: S608
    return str(rows[0]["time"]) if rows else ""
