"""The file of the logs of containers, next to the database: what is stored in it, and its bounds.

It is a file of its own so that lines never make changes of the database wait. One thread writes it. If it is removed or
damaged, only logs are lost.
"""

from __future__ import annotations

import sqlite3
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple
from uuid import uuid4

from paperspace.gradient.server.defaults import beside
from paperspace.gradient.server.storage.files import IN_MEMORY, create_private, identities

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

LOGS = "logs"
"""The file is `gradient.db.logs`, for the database `gradient.db`."""

MAX_LOG = 20_000_000  # bytes of the lines of one instance

LINES_OF_LOG = 1 << 32
"""The number of a line in the table is the number of its log times this, plus its number in the log."""

_LINE_OVERHEAD = 24  # bytes that a line takes in addition to its text, so that empty lines count too
_TRIMMED = 0.05  # how much of a full log is removed at once
_KEPT_READINGS = 10  # of containers of the same instance; more than one or two never exist at the same time
_FREED_PAGES = 10_000  # that are returned to the disk at once
_TIMEOUT = 5.0  # seconds
_MAX_WAL_SIZE = 4 * 1024 * 1024
_APPLICATION_ID = 0x47724C6C

_SCHEMA = (
    """
    CREATE TABLE logs (
        number INTEGER PRIMARY KEY AUTOINCREMENT,
        instance_id TEXT NOT NULL UNIQUE,
        deployment_id TEXT NOT NULL,
        last_line INTEGER NOT NULL DEFAULT 0,
        size INTEGER NOT NULL DEFAULT 0
    ) STRICT
    """,
    "CREATE TABLE lines (seq INTEGER PRIMARY KEY, at INTEGER NOT NULL, message TEXT NOT NULL) STRICT",
    """
    CREATE TABLE readings (
        seq INTEGER PRIMARY KEY,
        container_id TEXT NOT NULL UNIQUE,
        log INTEGER NOT NULL REFERENCES logs (number),
        progress TEXT NOT NULL
    ) STRICT
    """,
    "CREATE INDEX readings_by_log ON readings (log, seq)",
    f"PRAGMA application_id = {_APPLICATION_ID}",
    "PRAGMA user_version = 1",
)


class Location(NamedTuple):
    """Where the logs are."""

    uri: str
    file: Path | None
    """None: in memory."""

    @property
    def identities(self) -> list[tuple[int, int] | None]:
        """What changes if a file is removed or replaced."""
        return identities(self.file or IN_MEMORY)


def location_of(database: str | Path) -> Location:
    """Return where the logs of a database are."""
    if str(database) == IN_MEMORY:
        return Location(f"file:/gradient-{uuid4()}?vfs=memdb", None)  # shared by the connections of this process
    file = beside(Path(database).absolute(), LOGS)
    return Location(file.as_uri(), file)


class Output(NamedTuple):
    """Lines of a container to store, and how far its output was read then."""

    deployment_id: str
    instance_id: str
    container_id: str
    lines: Sequence[tuple[int, str]]
    """Each with the time when it was written: nanoseconds since 1970."""
    progress: str


class LogFileError(Exception):
    """The logs cannot be stored, or read. The message says why."""


class LogFile:
    """The connection that changes the file. It is opened when it is first needed, and again after an error."""

    def __init__(self, location: Location) -> None:
        self._location = location
        self._connection: sqlite3.Connection | None = None
        self._identities = location.identities

    def append(self, outputs: Iterable[Output]) -> None:
        """Store lines and progress, all or nothing. The oldest lines of a log that is too large are removed.

        Raises:
            LogFileError: nothing was stored.
        """
        with self._transaction() as connection:
            for output in outputs:
                _append(connection, output)

    def progress(self, container_id: str) -> str | None:
        """Return what was last stored about the output of a container.

        Raises:
            LogFileError: it is unknown.
        """
        with self._transaction() as connection:
            rows = connection.execute("SELECT progress FROM readings WHERE container_id = ?", [container_id]).fetchall()
        return rows[0][0] if rows else None

    def logs(self) -> list[tuple[str, str]]:
        """Return the ids of the deployment and the instance of each log, newest first.

        Raises:
            LogFileError: they are unknown.
        """
        with self._transaction() as connection:
            return connection.execute("SELECT deployment_id, instance_id FROM logs ORDER BY number DESC").fetchall()

    def drop(self, instance_ids: Iterable[str]) -> None:
        """Remove the logs of instances.

        Raises:
            LogFileError: nothing was removed.
        """
        with self._transaction() as connection:
            for id_ in instance_ids:
                for (number,) in connection.execute("SELECT number FROM logs WHERE instance_id = ?", [id_]).fetchall():
                    first = number * LINES_OF_LOG
                    connection.execute("DELETE FROM lines WHERE seq BETWEEN ? AND ?", [first, first + LINES_OF_LOG - 1])
                    connection.execute("DELETE FROM readings WHERE log = ?", [number])
                    connection.execute("DELETE FROM logs WHERE number = ?", [number])
        with self._usable() as connection:  # as a script, because `execute` frees only one page
            connection.executescript(f"PRAGMA incremental_vacuum({_FREED_PAGES})")

    def close(self) -> None:
        """Close the connection."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        with self._usable() as connection, connection:
            connection.execute("BEGIN IMMEDIATE")
            yield connection

    @contextmanager
    def _usable(self) -> Iterator[sqlite3.Connection]:
        try:
            yield self._opened()
        except (OSError, sqlite3.Error) as error:
            if self._location.file:  # what is in memory would be lost
                self.close()
            moved = self._move_away() if _is_damaged(error) else ""
            raise LogFileError(
                f"The logs in {self._location.file or 'memory'} cannot be used: {error}.{moved}"
            ) from error

    def _opened(self) -> sqlite3.Connection:
        """Return the connection; open it if it is closed."""
        if self._connection is None:
            if self._location.file:
                create_private(self._location.file)
            self._connection = _open(self._location)
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
        away = beside(file, "damaged")
        try:
            for suffix in ("-wal", "-shm"):
                file.with_name(f"{file.name}{suffix}").unlink(missing_ok=True)
            file.replace(away)
        except OSError as error:
            return f" It cannot be moved to {away}: {error.strerror}."
        return f" It was moved to {away}."


class _DamagedError(OSError):
    """Changes of the open file would be lost."""


def _is_damaged(error: OSError | sqlite3.Error) -> bool:
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF  # without the extended part
    return isinstance(error, _DamagedError) or code in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)


def _open(location: Location) -> sqlite3.Connection:
    connection = sqlite3.connect(location.uri, uri=True, isolation_level=None, timeout=_TIMEOUT)
    try:
        is_new = _check(connection)
        connection.execute("PRAGMA auto_vacuum = INCREMENTAL")
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = NORMAL")  # what a power failure loses is read again
        connection.execute(f"PRAGMA journal_size_limit = {_MAX_WAL_SIZE}")
        if is_new:
            with connection:
                connection.execute("BEGIN IMMEDIATE")
                for statement in _SCHEMA:
                    connection.execute(statement)
    except BaseException:
        connection.close()
        raise
    return connection


def _check(connection: sqlite3.Connection) -> bool:
    """Check that the file is ours, and return whether it is empty."""
    tables, application_id, version = (
        connection.execute(sql).fetchone()[0]
        for sql in ("SELECT count(*) FROM sqlite_schema", "PRAGMA application_id", "PRAGMA user_version")
    )
    if tables and application_id != _APPLICATION_ID:
        raise OSError("it belongs to another program")
    if version > 1:
        raise OSError("a newer version of paperspace-gradient created it")
    return not tables


def _append(connection: sqlite3.Connection, output: Output) -> None:
    connection.execute(
        "INSERT INTO logs (instance_id, deployment_id) VALUES (?, ?) ON CONFLICT DO NOTHING",
        [output.instance_id, output.deployment_id],
    )
    number, last_line, size = connection.execute(
        "SELECT number, last_line, size FROM logs WHERE instance_id = ?", [output.instance_id]
    ).fetchone()
    first = number * LINES_OF_LOG + last_line + 1
    connection.executemany(
        "INSERT INTO lines (seq, at, message) VALUES (?, ?, ?)",
        ((seq, at, text) for seq, (at, text) in enumerate(output.lines, start=first)),
    )
    size += sum(len(text.encode()) + _LINE_OVERHEAD for _, text in output.lines)
    if size > MAX_LOG:
        size -= _trim(connection, number, size - MAX_LOG * (1 - _TRIMMED))
    connection.execute(
        "UPDATE logs SET last_line = ?, size = ? WHERE number = ?", [last_line + len(output.lines), size, number]
    )
    _store_progress(connection, number, output)


def _trim(connection: sqlite3.Connection, number: int, excess: float) -> int:
    """Remove the oldest lines of a log, at least this many bytes; return how many."""
    first, removed, last = number * LINES_OF_LOG, 0, 0
    with closing(
        connection.execute(
            "SELECT seq, length(CAST(message AS BLOB)) FROM lines WHERE seq BETWEEN ? AND ? ORDER BY seq",
            [first, first + LINES_OF_LOG - 1],
        )
    ) as rows:
        for last, length in rows:  # noqa: B007  # used after the loop
            removed += length + _LINE_OVERHEAD
            if removed >= excess:
                break
    connection.execute("DELETE FROM lines WHERE seq BETWEEN ? AND ?", [first, last])
    return removed


def _store_progress(connection: sqlite3.Connection, number: int, output: Output) -> None:
    updated = connection.execute(
        "UPDATE readings SET progress = ? WHERE container_id = ?", [output.progress, output.container_id]
    )
    if not updated.rowcount:
        connection.execute(
            "INSERT INTO readings (container_id, log, progress) VALUES (?, ?, ?)",
            [output.container_id, number, output.progress],
        )
        connection.execute(
            "DELETE FROM readings WHERE log = ? AND seq NOT IN"
            " (SELECT seq FROM readings WHERE log = ? ORDER BY seq DESC LIMIT ?)",
            [number, number, _KEPT_READINGS],
        )
