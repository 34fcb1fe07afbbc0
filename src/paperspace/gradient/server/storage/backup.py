"""Backups: a copy of the files of a database, also while a server changes them."""

from __future__ import annotations

import errno
import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING, NamedTuple

from paperspace.gradient._shared import server_files
from paperspace.gradient._shared.private_files import read_private, write_private
from paperspace.gradient.server.defaults import beside, gateway_folder
from paperspace.gradient.server.storage.files import UnusableDatabaseError, check_origin, create_new, unusable

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

_SUFFIXES = ("-wal", "-shm", "-journal", "-lock")  # of the files that SQLite and the server create for a database

_TIMEOUT = 10.0  # seconds to wait for a lock of the source

# Only copies are written, so these are errors of their disk.
_WRITE_ERRORS = (sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR_WRITE, sqlite3.SQLITE_IOERR_FSYNC)


class Backup(NamedTuple):
    """What was copied."""

    copies: list[Path]
    left_out: list[UnusableDatabaseError]
    """Why the logs, or the metrics, have no copy: their file is damaged, or locked. The rest is copied without it."""


def back_up(database: Path, target: Path) -> Backup:
    """Copy a database and the files that belong to it. The names of the copies start like the target.

    Each copy has the state of one moment, with all changes that were acknowledged before.

    Raises:
        UnusableDatabaseError: the database cannot be used.
        FileExistsError: the target, or a file next to it, exists, or the server would use it. Nothing is overwritten.
        OSError: a copy cannot be written. None is left.
    """
    if not database.is_file():
        raise unusable(database, "there is no such file")
    if target.resolve() in _own_files(database.resolve()):
        raise FileExistsError(errno.EEXIST, "the server of the database uses this name", str(target))
    copies: list[Path] = []
    left_out: list[UnusableDatabaseError] = []
    try:
        # The logs first: each of their lines then belongs to an instance that is in the copy of the database.
        for name in server_files.DATABASES:
            if (file := beside(database, name)).is_file():
                copy = _created(beside(target, name), copies)
                try:
                    _copy_database(file, copy)
                except UnusableDatabaseError as error:
                    left_out.append(error)
                    copies.remove(copy)
                    copy.unlink()
        _copy_database(database, _created(target, copies), check=check_origin)
        for name in server_files.SETTINGS:
            if (file := beside(database, name)).is_file():
                write_private(_created(beside(target, name), copies), read_private(file))
    except BaseException:
        for copy in copies:
            copy.unlink(missing_ok=True)
        raise
    return Backup(copies, left_out)


def _own_files(database: Path) -> set[Path]:
    """Return the files that belong to a database, also those that do not exist yet."""
    names = (*server_files.DATABASES, *server_files.SETTINGS, server_files.REPOSITORIES)
    databases = [database, *(beside(database, name) for name in server_files.DATABASES)]
    companions = {file.with_name(f"{file.name}{suffix}") for file in databases for suffix in _SUFFIXES}
    return companions | {beside(database, name) for name in names} | {gateway_folder(database)}


def _created(file: Path, copies: list[Path]) -> Path:
    """Create an empty file that only its owner can read."""
    try:
        create_new(file)
    except FileExistsError:
        raise FileExistsError(errno.EEXIST, "it exists already", str(file)) from None
    copies.append(file)
    return file


def _copy_database(
    source: Path, target: Path, check: Callable[[sqlite3.Connection, Path], None] = lambda _connection, _file: None
) -> None:
    """Copy a database in one transaction, so that changes do not restart the copy. Changes do not wait for it either.

    Raises:
        UnusableDatabaseError: the source cannot be used.
        OSError: the target cannot be written.
    """
    uri = f"{source.absolute().as_uri()}?mode=rw"
    try:
        with closing(sqlite3.connect(uri, uri=True, timeout=_TIMEOUT)) as connection:
            # The transaction begins here, within the timeout. `backup` would wait for a lock for ever.
            connection.execute("BEGIN")
            connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()
            check(connection, source)
            with closing(sqlite3.connect(target)) as copy:
                connection.backup(copy)
    except sqlite3.DatabaseError as error:
        if getattr(error, "sqlite_errorcode", 0) in _WRITE_ERRORS:
            raise OSError(errno.ENOSPC, "the disk is full or failing", str(target)) from error
        raise unusable(source, error) from error
