"""The engine that a database was used with, read before the server opens it."""

from __future__ import annotations

import sqlite3
from pathlib import Path

from paperspace.gradient.server.storage.files import IN_MEMORY, open_unchanged
from paperspace.gradient.server.storage.identity import SIMULATED


def remembered_engine(database: str | Path) -> str | None:
    """Return the name of the engine of a database; None if it is new.

    A file that cannot be read counts as new: the error is reported when the server opens it.
    """
    if str(database) == IN_MEMORY or not Path(database).is_file():
        return None
    try:
        with open_unchanged(Path(database)) as connection:
            try:
                rows = connection.execute("SELECT engine FROM server").fetchall()
            except sqlite3.OperationalError:  # from before there were engines
                rows = connection.execute(f"SELECT '{SIMULATED}' FROM deployments LIMIT 1").fetchall()  # noqa: S608
    except sqlite3.Error:
        return None
    return rows[0][0] if rows else None
