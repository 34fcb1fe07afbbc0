"""Files beside the database, for what may be lost: the logs of containers, and metrics.

Each is a file of its own so that what is written to it never makes changes of the database wait. One thread writes it. If
it is removed or damaged, nothing else is lost.
"""

from __future__ import annotations

import logging
import sqlite3
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from paperspace.gradient._shared.random_uuid import random_uuid
from paperspace.gradient.server.defaults import beside
from paperspace.gradient.server.storage.files import IN_MEMORY, create_private, identities

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

_log = logging.getLogger(__name__)

_WRITE_TIMEOUT, _READ_TIMEOUT = 5.0, 1.0  # seconds
_MAX_WAL_SIZE = 4 * 1024 * 1024
_FREED_PAGES = 10_000  # that are returned to the disk at once: 40 MB
_KEPT_PAGES = 500  # that are not returned: new rows will use them


class Kind(NamedTuple):
    """What a file is for."""

    name: str
    """The file is `gradient.db.NAME`, for the database `gradient.db`. The name is also what messages call the content."""
    application_id: int
    schema: Sequence[str]


class Location(NamedTuple):
    """Where a file is."""

    uri: str
    file: Path | None
    """None: in memory."""

    @property
    def identities(self) -> list[tuple[int, int] | None]:
        """What changes if a file is removed or replaced."""
        return identities(self.file or IN_MEMORY)


def location_beside(database: str | Path, name: str) -> Location:
    """Return where a file of a database is."""
    if str(database) == IN_MEMORY:
        return Location(f"file:/gradient-{random_uuid()}?vfs=memdb", None)  # shared by the connections of this process
    file = beside(Path(database).absolute(), name)
    return Location(file.as_uri(), file)


def damaged(file: Path) -> Path:
    """Return where a file is moved to if it is damaged."""
    return beside(file, "damaged")


class SideFileError(Exception):
    """The file cannot be used. The message says why."""


class SideFile:
    """The connection that changes a file. It is opened when it is first needed, and again after an error."""

    def __init__(self, kind: Kind, location: Location) -> None:
        self._kind = kind
        self._location = location
        self._connection: sqlite3.Connection | None = None
        self._identities = location.identities

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """Run a transaction, all or nothing.

        Raises:
            SideFileError: nothing was changed.
        """
        with self._usable() as connection, connection:
            connection.execute("BEGIN IMMEDIATE")
            yield connection

    def free(self) -> None:
        """Return space of deleted rows to the disk, if there is much. What is left is returned by later calls.

        Raises:
            SideFileError: it cannot be done.
        """
        with self._usable() as connection:
            if connection.execute("PRAGMA freelist_count").fetchone()[0] > _KEPT_PAGES:
                # As a script, because `execute` frees only one page.
                connection.executescript(f"PRAGMA incremental_vacuum({_FREED_PAGES})")

    def close(self) -> None:
        """Close the connection."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()

    @contextmanager
    def _usable(self) -> Iterator[sqlite3.Connection]:
        try:
            yield self._opened()
        except (OSError, sqlite3.Error) as error:
            if self._location.file:  # what is in memory would be lost
                self.close()
            moved = self._move_away() if _is_damaged(error) else ""
            raise SideFileError(
                f"The {self._kind.name} in {self._location.file or 'memory'} cannot be used: {error}.{moved}"
            ) from error

    def _opened(self) -> sqlite3.Connection:
        """Return the connection; open it if it is closed."""
        if self._connection is None:
            if self._location.file:
                create_private(self._location.file)
            self._connection = _open(self._kind, self._location)
            self._identities = self._location.identities
        elif self._location.identities != self._identities:
            raise _DamagedError("a file was removed or replaced")
        return self._connection

    def _move_away(self) -> str:
        """Move a damaged file away, so that the next call creates a new one; return what was done.

        Readers may still use it, and SQLite lets all connections of a process to a file share what they know of its WAL.
        """
        file = self._location.file
        if file is None or not file.exists():
            return ""
        away = damaged(file)
        try:
            for suffix in ("-wal", "-shm"):
                file.with_name(f"{file.name}{suffix}").unlink(missing_ok=True)
            file.replace(away)
        except OSError as error:
            return f" It cannot be moved to {away}: {error.strerror}."
        return f" It was moved to {away}."


class SideReader:
    """A connection that reads a file. It is opened when it is first needed, and again after an error."""

    def __init__(self, kind: Kind, location: Location) -> None:
        self._kind = kind
        self._location = location
        self._connection: sqlite3.Connection | None = None
        self._identities: list[tuple[int, int] | None] = []
        self._reported = ""

    @contextmanager
    def reading(self) -> Iterator[sqlite3.Connection | None]:
        """Yield the connection, or None if nothing can be read. A failure in the block ends it.

        A failure is logged once, until the file can be read again.
        """
        connection = None
        try:
            connection = self._opened()
        except (OSError, sqlite3.Error) as error:
            self._report(error)
        try:
            yield connection
        except (OSError, sqlite3.Error) as error:
            self._report(error)
        else:
            if connection is not None:
                self._reported = ""

    def close(self) -> None:
        """Close the connection."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()

    def _opened(self) -> sqlite3.Connection | None:
        """Return the connection; None if nothing is stored yet. Open it if the file was removed or replaced."""
        location = self._location
        if location.file and not location.file.exists():
            return None
        if self._connection is None or location.identities != self._identities:
            self.close()
            uri = f"{location.uri}?mode=rw" if location.file else location.uri  # create nothing
            self._connection = sqlite3.connect(uri, uri=True, isolation_level=None, timeout=_READ_TIMEOUT)
            self._connection.execute("PRAGMA query_only = ON")
            self._connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()  # creates the files of the WAL
            self._identities = location.identities
        is_new = not self._connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()[0]
        return None if is_new else self._connection

    def _report(self, error: OSError | sqlite3.Error) -> None:
        if str(error) != self._reported:
            _log.warning("The %s in %s cannot be read: %s.", self._kind.name, self._location.file or "memory", error)
        self._reported = str(error)
        self.close()


class _DamagedError(OSError):
    """Changes of the open file would be lost."""


def _is_damaged(error: OSError | sqlite3.Error) -> bool:
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF  # without the extended part
    return isinstance(error, _DamagedError) or code in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)


def _open(kind: Kind, location: Location) -> sqlite3.Connection:
    connection = sqlite3.connect(location.uri, uri=True, isolation_level=None, timeout=_WRITE_TIMEOUT)
    try:
        is_new = _check(kind, connection)
        connection.execute("PRAGMA auto_vacuum = INCREMENTAL")
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = NORMAL")  # what a power failure loses may be lost
        connection.execute(f"PRAGMA journal_size_limit = {_MAX_WAL_SIZE}")
        if is_new:
            with connection:
                connection.execute("BEGIN IMMEDIATE")
                for statement in (
                    *kind.schema,
                    f"PRAGMA application_id = {kind.application_id}",
                    "PRAGMA user_version = 1",
                ):
                    connection.execute(statement)
    except BaseException:
        connection.close()
        raise
    return connection


def _check(kind: Kind, connection: sqlite3.Connection) -> bool:
    """Check that the file is ours, and return whether it is empty."""
    tables, application_id, version = (
        connection.execute(sql).fetchone()[0]
        for sql in ("SELECT count(*) FROM sqlite_schema", "PRAGMA application_id", "PRAGMA user_version")
    )
    if tables and application_id != kind.application_id:
        raise OSError("it belongs to another program")
    if version > 1:
        raise OSError("a newer version of paperspace-gradient created it")
    return not tables
