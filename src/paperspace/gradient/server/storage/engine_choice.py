"""The engine that a database was used with, read before the server opens it."""

from __future__ import annotations

import sqlite3
from pathlib import Path

from paperspace.gradient.server.storage.files import IN_MEMORY, check_origin, open_unchanged, unusable
from paperspace.gradient.server.storage.identity import SIMULATED


def remembered_engine(database: str | Path) -> str | None:
    """Return the name of the engine of a database; None if it is new.

    Raises:
        UnusableDatabaseError: the file is not ours, or cannot be read: it is not known whether it has containers.
    """
    file = Path(database)
    if str(database) == IN_MEMORY or not file.is_file():
        return None
    try:
        with open_unchanged(file) as connection:
            check_origin(connection, file)
            tables = {name for (name,) in connection.execute("SELECT name FROM sqlite_schema")}
            rows: list[tuple[str | None]] = []
            if "server" in tables:
                rows = connection.execute("SELECT engine FROM server").fetchall()
            elif "deployments" in tables:  # from before there were engines
                rows = connection.execute(f"SELECT '{SIMULATED}' FROM deployments LIMIT 1").fetchall()  # noqa: S608
    except (OSError, sqlite3.Error) as error:
        raise unusable(database, error) from error
    return rows[0][0] if rows else None
