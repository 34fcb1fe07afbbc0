"""The file of the logs of containers, next to the database: what is stored in it, and its bounds."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING, NamedTuple

from paperspace.gradient._shared.server_files import LOGS
from paperspace.gradient.server.storage.side_file import Kind, SideFile

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterable, Iterator, Sequence

    from paperspace.gradient.server.storage.side_file import Location

MAX_LOG = 20_000_000  # bytes of the lines of one instance
MAX_LINE = 2**31 - 1  # the largest number of a line, which is an Int in the API

LINES_OF_LOG = 1 << 32
"""The number of a line in the table: this, multiplied by the number of its log, plus its number in the log."""

_LINE_OVERHEAD = 24  # bytes that a line takes in addition to its text, so that empty lines count too
_TRIMMED = 0.05  # how much of a full log is removed at once
_KEPT_READINGS = 10  # of containers of the same instance; more than one or two never exist at the same time

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
)

KIND = Kind(LOGS, 0x47724C6C, _SCHEMA)


class Output(NamedTuple):
    """Lines of a container to store, and how far its output was read before and after them."""

    deployment_id: str
    instance_id: str
    container_id: str
    lines: Sequence[tuple[int, str]]
    """Each with the time when it was written: nanoseconds since 1970."""
    before: str | None
    """None: it was not read."""
    progress: str


class LogFile:
    """The connection that changes the file."""

    def __init__(self, location: Location) -> None:
        self._file = SideFile(KIND, location)

    def append(self, outputs: Iterable[Output]) -> list[Output]:
        """Store lines and progress, all or nothing. The oldest lines of a log that is too large are removed.

        Return the outputs that were left out: they do not continue what is stored, because the file was replaced.

        Raises:
            SideFileError: nothing was stored.
        """
        left_out = []
        with self._file.transaction() as connection:
            for output in outputs:
                if _progress(connection, output.container_id) == output.before:
                    _append(connection, output)
                else:
                    left_out.append(output)
        return left_out

    def progress(self, container_id: str) -> str | None:
        """Return what was last stored about the output of a container.

        Raises:
            SideFileError: it is unknown.
        """
        with self._file.transaction() as connection:
            return _progress(connection, container_id)

    def logs(self) -> list[tuple[str, str]]:
        """Return the ids of the deployment and the instance of each log, newest first.

        Raises:
            SideFileError: they are unknown.
        """
        with self._file.transaction() as connection:
            return connection.execute("SELECT deployment_id, instance_id FROM logs ORDER BY number DESC").fetchall()

    def drop(self, instance_ids: Iterable[str]) -> None:
        """Remove the logs of instances, and return space of removed ones to the disk.

        Raises:
            SideFileError: nothing was removed.
        """
        with self._file.transaction() as connection:
            for id_ in instance_ids:
                _drop(connection, id_)
        self._file.free()

    def close(self) -> None:
        """Close the connection."""
        self._file.close()


def _progress(connection: sqlite3.Connection, container_id: str) -> str | None:
    rows = connection.execute("SELECT progress FROM readings WHERE container_id = ?", [container_id]).fetchall()
    return rows[0][0] if rows else None


def _drop(connection: sqlite3.Connection, instance_id: str) -> None:
    for (number,) in connection.execute("SELECT number FROM logs WHERE instance_id = ?", [instance_id]).fetchall():
        first = number * LINES_OF_LOG
        connection.execute("DELETE FROM lines WHERE seq BETWEEN ? AND ?", [first, first + LINES_OF_LOG - 1])
        connection.execute("DELETE FROM readings WHERE log = ?", [number])
        connection.execute("DELETE FROM logs WHERE number = ?", [number])


def _append(connection: sqlite3.Connection, output: Output) -> None:
    number, last_line, size = _log_of(connection, output)
    newest = _time_of(connection, number * LINES_OF_LOG + last_line)
    if last_line + len(output.lines) > MAX_LINE:
        _drop(connection, output.instance_id)
        number, last_line, size = _log_of(connection, output)
    first = number * LINES_OF_LOG + last_line + 1
    times = increasing((at for at, _ in output.lines), newest)
    connection.executemany(
        "INSERT INTO lines (seq, at, message) VALUES (?, ?, ?)",
        ((seq, at, text) for seq, (at, (_, text)) in enumerate(zip(times, output.lines, strict=True), start=first)),
    )
    size += sum(len(text.encode()) + _LINE_OVERHEAD for _, text in output.lines)
    if size > MAX_LOG:
        size -= _trim(connection, number, size - MAX_LOG * (1 - _TRIMMED))
    connection.execute(
        "UPDATE logs SET last_line = ?, size = ? WHERE number = ?", [last_line + len(output.lines), size, number]
    )
    _store_progress(connection, number, output)


def increasing(times: Iterable[int], newest: int) -> Iterator[int]:
    """Let each time be later than the one before, by a nanosecond if it is not. Cursors are such times: see `LogPages`."""
    for at in times:
        newest = max(at, newest + 1)
        yield newest


def _time_of(connection: sqlite3.Connection, seq: int) -> int:
    """Return the time of a line, 0 if it does not exist."""
    rows = connection.execute("SELECT at FROM lines WHERE seq = ?", [seq]).fetchall()
    return rows[0][0] if rows else 0


def _log_of(connection: sqlite3.Connection, output: Output) -> tuple[int, int, int]:
    """Return the number, the last line and the size of the log of an instance, which is created if it does not exist."""
    connection.execute(
        "INSERT INTO logs (instance_id, deployment_id) VALUES (?, ?) ON CONFLICT DO NOTHING",
        [output.instance_id, output.deployment_id],
    )
    row: tuple[int, int, int] = connection.execute(
        "SELECT number, last_line, size FROM logs WHERE instance_id = ?", [output.instance_id]
    ).fetchone()
    return row


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
