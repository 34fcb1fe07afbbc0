"""Delete a database, so that its server starts without deployments."""

from __future__ import annotations

import os
import shutil
import sqlite3
from pathlib import Path

from paperspace.gradient._shared import server_files
from paperspace.gradient.server.defaults import beside
from paperspace.gradient.server.storage.files import check_file, locked, unusable
from paperspace.gradient.server.storage.side_file import damaged


def delete(database: Path) -> None:
    """Delete a database, and what its deployments left next to it. The settings next to it stay, such as the API key.

    Raises:
        UnusableDatabaseError: a server uses it, or it is not ours. Nothing was deleted.
        OSError: a file cannot be deleted. The database was deleted last, so a repetition deletes the rest.
    """
    file = Path(os.path.realpath(database))
    try:
        with locked(file):
            check_file(file, has_lock=True)
            for side_file in (beside(database, name) for name in server_files.DATABASES):
                _delete_sqlite(side_file)
                damaged(side_file).unlink(missing_ok=True)
            if (clones := beside(database, server_files.REPOSITORIES)).is_dir():
                shutil.rmtree(clones)
            _delete_sqlite(file)
    except sqlite3.Error as error:
        raise unusable(database, error) from error


def _delete_sqlite(file: Path) -> None:
    """Delete a file of SQLite. The WAL first: next to a new file, SQLite would apply it."""
    for suffix in ("-wal", "-shm", ""):
        file.with_name(f"{file.name}{suffix}").unlink(missing_ok=True)
