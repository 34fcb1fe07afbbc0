"""The engine that a database was used with, read before the server opens it."""

from __future__ import annotations

import sqlite3
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from paperspace.gradient.server.storage.files import IN_MEMORY, check_origin, open_unchanged, unusable
from paperspace.gradient.server.storage.identity import SIMULATED

if TYPE_CHECKING:
    from collections.abc import Iterator


def remembered_engine(database: str | Path) -> str | None:
    """Return the name of the engine of a database; None if it is new.

    Raises:
        UnusableDatabaseError: the file is not ours, or cannot be read: it is not known whether it has containers.
    """
    rows: list[tuple[str | None]] = []
    with _opened(database) as connection:
        tables = _tables(connection)
        if "server" in tables:
            rows = connection.execute("SELECT engine FROM server").fetchall()
        elif "deployments" in tables:  # from before there were engines
            rows = connection.execute(f"SELECT '{SIMULATED}' FROM deployments LIMIT 1").fetchall()  # noqa: S608
    return rows[0][0] if rows else None


def label_of_containers(database: str | Path) -> str | None:
    """Return the id of a database, which marks its containers, also if it is simulated now; None if it never had any.

    Raises:
        UnusableDatabaseError: the file is not ours, or cannot be read.
    """
    rows: list[tuple[str]] = []
    with _opened(database) as connection:
        if "server" in _tables(connection):  # each container has a port, also one that has ended
            query = "SELECT id FROM server WHERE EXISTS (SELECT 1 FROM instances WHERE port IS NOT NULL)"
            rows = connection.execute(query).fetchall()
    return rows[0][0] if rows else None


@contextmanager
def _opened(database: str | Path) -> Iterator[sqlite3.Connection]:
    """Open a database as it is; an empty one if there is no such file.

    Raises:
        UnusableDatabaseError: the file is not ours, or the block cannot read it.
    """
    file = Path(database)
    try:
        with _empty() if str(database) == IN_MEMORY or not file.is_file() else open_unchanged(file) as connection:
            check_origin(connection, file)
            yield connection
    except (OSError, sqlite3.Error) as error:
        raise unusable(database, error) from error


def _empty() -> closing[sqlite3.Connection]:
    return closing(sqlite3.connect(IN_MEMORY))


def _tables(connection: sqlite3.Connection) -> set[str]:
    return {name for (name,) in connection.execute("SELECT name FROM sqlite_schema")}
