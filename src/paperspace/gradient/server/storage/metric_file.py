"""The file of metrics, next to the database: a day of figures of each deployment, one row for each ten seconds."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from paperspace.gradient._shared.server_files import METRICS
from paperspace.gradient.server.storage.side_file import Kind, SideFile, SideReader
from paperspace.gradient.server.usage import BOUNDS, Traffic

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterator, Mapping, Sequence

    from paperspace.gradient.server.storage.budget import Budget
    from paperspace.gradient.server.storage.side_file import Location

INTERVAL = 10
"""Seconds between two rows of a deployment. The number of a row is how many of these intervals have passed since 1970."""

KEPT = 86_400 // INTERVAL
"""How many rows of a deployment are kept."""

_ROWS = 1 << 32  # the number of a row in the table is the number of its deployment times this, plus its number
_TRIM_INTERVAL = 60  # rows that are too old are removed when so many newer ones were added

# Integers take as few bytes as they need, and zero and null none: a row takes about 35 bytes.
_SCHEMA = (
    "CREATE TABLE deployments (number INTEGER PRIMARY KEY AUTOINCREMENT, deployment_id TEXT NOT NULL UNIQUE) STRICT",
    """
    CREATE TABLE points (
        seq INTEGER PRIMARY KEY,
        replicas INTEGER NOT NULL,
        ready_replicas INTEGER NOT NULL,
        millicpus INTEGER,
        millicpus_limit INTEGER,
        memory_kib INTEGER,
        memory_limit_kib INTEGER,
        active_requests INTEGER,
        requests INTEGER,
        errors INTEGER,
        milliseconds INTEGER,
        durations TEXT
    ) STRICT
    """,
)
KIND = Kind(METRICS, 0x47724D74, _SCHEMA)


class Point(NamedTuple):
    """The figures of a deployment in one interval. None: unknown."""

    replicas: int
    """How many its newest spec asks for."""
    ready_replicas: int
    cpus: float | None = None
    """How many CPUs all its replicas used together."""
    cpu_limit: float | None = None
    """How many they may use together."""
    memory: int | None = None
    """The bytes that all its replicas used together."""
    memory_limit: int | None = None
    active_requests: int | None = None
    traffic: Traffic | None = None
    """The requests that ended in the interval."""


class MetricFile:
    """The connection that changes the file."""

    def __init__(self, location: Location) -> None:
        self._file = SideFile(KIND, location)
        self._trimmed = 0

    def append(self, number: int, points: Mapping[str, Point]) -> None:
        """Store the figures of all deployments. Those of other deployments and of earlier days are removed.

        Those of the future too: they were stored while the clock was wrong.

        Args:
            number: The number of the interval.
            points: The figures of each deployment, by its id.

        Raises:
            SideFileError: nothing was stored.
        """
        with self._file.transaction() as connection:
            numbers = dict(connection.execute("SELECT deployment_id, number FROM deployments").fetchall())
            dropped = [numbers.pop(id_) for id_ in numbers.keys() - points.keys()]
            for deployment in dropped:
                _delete(connection, deployment, 0, _ROWS - 1)
                connection.execute("DELETE FROM deployments WHERE number = ?", [deployment])
            for id_ in points.keys() - numbers.keys():
                numbers[id_] = connection.execute("INSERT INTO deployments (deployment_id) VALUES (?)", [id_]).lastrowid
            connection.executemany(
                "INSERT OR REPLACE INTO points VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                ((numbers[id_] * _ROWS + number, *_row(point)) for id_, point in points.items()),
            )
            if number - self._trimmed >= _TRIM_INTERVAL:
                for deployment in numbers.values():
                    _delete(connection, deployment, 0, max(number - KEPT, 0))
                    _delete(connection, deployment, number + 1, _ROWS - 1)
                self._trimmed = number
        self._file.free()

    def close(self) -> None:
        """Close the connection."""
        self._file.close()


class MetricReader:
    """A connection that reads the file."""

    def __init__(self, location: Location) -> None:
        self._reader = SideReader(KIND, location)

    def points(
        self, deployment_ids: Sequence[str], first: int, last: int, budget: Budget
    ) -> dict[str, list[tuple[int, Point]]]:
        """Return the figures of deployments with their numbers, oldest first, by id. A file that cannot be read has none.

        Args:
            deployment_ids: The ids of the deployments.
            first: The number of the first interval.
            last: The number of the last one.
            budget: Counts the rows.
        """
        found: dict[str, list[tuple[int, Point]]] = {id_: [] for id_ in deployment_ids}
        with self._reader.reading() as connection:
            if connection:
                found |= {id_: list(_points(connection, id_, first, last, budget)) for id_ in deployment_ids}
        return found

    def close(self) -> None:
        """Close the connection."""
        self._reader.close()


def _delete(connection: sqlite3.Connection, deployment: int, first: int, last: int) -> None:
    """Delete the rows of a deployment from a number to another one."""
    connection.execute(
        "DELETE FROM points WHERE seq BETWEEN ? AND ?", [deployment * _ROWS + first, deployment * _ROWS + last]
    )


def _points(
    connection: sqlite3.Connection, deployment_id: str, first: int, last: int, budget: Budget
) -> Iterator[tuple[int, Point]]:
    rows = connection.execute(
        "SELECT points.* FROM deployments JOIN points"
        " ON seq BETWEEN number * :rows + :first AND number * :rows + :last WHERE deployment_id = :id ORDER BY seq",
        {"rows": _ROWS, "first": first, "last": last, "id": deployment_id},
    )
    for seq, *values in rows:
        budget.count_row(0)
        yield seq % _ROWS, _point(*values)


def _row(point: Point) -> tuple[int | str | None, ...]:
    """Return the columns of a row, without its number."""
    traffic = point.traffic
    counted = (traffic.requests, traffic.errors, round(traffic.seconds * 1000)) if traffic else (None, None, None)
    durations = traffic and ",".join(f"{index}:{number}" for index, number in enumerate(traffic.durations) if number)
    return (
        point.replicas,
        point.ready_replicas,
        None if point.cpus is None else round(point.cpus * 1000),
        None if point.cpu_limit is None else round(point.cpu_limit * 1000),
        None if point.memory is None else point.memory // 1024,
        None if point.memory_limit is None else point.memory_limit // 1024,
        point.active_requests,
        *counted,
        durations or None,
    )


def _point(
    replicas: int,
    ready_replicas: int,
    millicpus: int | None,
    millicpus_limit: int | None,
    memory: int | None,
    memory_limit: int | None,
    active_requests: int | None,
    requests: int | None,
    errors: int | None,
    milliseconds: int | None,
    durations: str | None,
) -> Point:
    """Return the figures of a row."""
    traffic = None
    if requests is not None and errors is not None and milliseconds is not None:
        counts = dict.fromkeys(range(len(BOUNDS) + 1), 0)
        for entry in durations.split(",") if durations else ():
            index, _, number = entry.partition(":")
            counts[int(index)] = int(number)
        traffic = Traffic(requests, errors, milliseconds / 1000, tuple(counts.values()))
    return Point(
        replicas,
        ready_replicas,
        None if millicpus is None else millicpus / 1000,
        None if millicpus_limit is None else millicpus_limit / 1000,
        None if memory is None else memory * 1024,
        None if memory_limit is None else memory_limit * 1024,
        active_requests,
        traffic,
    )
