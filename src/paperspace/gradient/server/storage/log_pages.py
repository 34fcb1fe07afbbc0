"""Pages of the lines in the file of logs.

The position of a line, in a cursor, is its time: each line of a log is later than the one before. If the file is replaced,
what the engine still has is stored again, with the same times, but perhaps with other numbers. A cursor remains valid.
"""

from __future__ import annotations

from bisect import bisect_left
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from paperspace.gradient.server.clock import iso
from paperspace.gradient.server.storage.log_file import KIND, LINES_OF_LOG
from paperspace.gradient.server.storage.rows import Row
from paperspace.gradient.server.storage.side_file import SideReader
from paperspace.gradient.server.storage.window import MAX_SEQ

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Sequence

    from paperspace.gradient.server.storage.budget import Budget
    from paperspace.gradient.server.storage.side_file import Location
    from paperspace.gradient.server.storage.window import Page, Window

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class LogPages:
    """A connection that reads the file."""

    def __init__(self, location: Location) -> None:
        self._reader = SideReader(KIND, location)

    def pages(self, logs: Sequence[Row], window: Window, budget: Budget) -> dict[str, Page]:
        """Return, for each log that is in the file, a page of its lines, by the id of its instance.

        A file that cannot be read has no logs.

        Args:
            logs: Rows of `logs_now`.
            window: Which lines.
            budget: Counts the lines.
        """
        logs = [log for log in logs if log["template"] is not None]  # the simulation has no templates
        if not logs:
            return {}
        found: dict[str, Page | None] = {}
        with self._reader.reading() as connection:
            if connection:
                found = {log["id"]: _page(connection, log, window, budget) for log in logs}
        return {id_: page for id_, page in found.items() if page is not None}

    def close(self) -> None:
        """Close the connection."""
        self._reader.close()


def _page(connection: sqlite3.Connection, log: Row, window: Window, budget: Budget) -> Page | None:
    """Return a page of the lines of a log. None: it is not in the file."""
    numbers = connection.execute("SELECT number FROM logs WHERE instance_id = ?", [log["id"]]).fetchall()
    if not numbers:
        return None
    zero = numbers[0][0] * LINES_OF_LOG
    first = _first_since(connection, zero, window.low + 1) if window.low else zero
    end = _first_since(connection, zero, window.high) if window.high < MAX_SEQ else zero + LINES_OF_LOG
    direction = "DESC" if window.descending else "ASC"
    rows = []
    for seq, at, message in connection.execute(
        f"SELECT seq, at, message FROM lines WHERE seq >= ? AND seq < ? ORDER BY seq {direction} LIMIT ?",  # noqa: S608
        [first, end, window.limit + 1],
    ):
        budget.count_row(len(message))
        rows.append(_row(log, seq - zero, at, message))
    behind = False
    if window.start is not None:
        others = (end, zero + LINES_OF_LOG) if window.descending else (zero, first)
        sql = "SELECT 1 FROM lines WHERE seq >= ? AND seq < ? LIMIT 1"
        behind = connection.execute(sql, others).fetchone() is not None
    return window.page(rows, rows_behind_start=behind)


def _first_since(connection: sqlite3.Connection, zero: int, time: int) -> int:
    """Return the number in the table of the first line of a log since a time; without one, the end of the log."""

    def time_at(seq: int) -> int:
        sql = "SELECT at FROM lines WHERE seq >= ? AND seq < ? ORDER BY seq LIMIT 1"
        rows = connection.execute(sql, [seq, zero + LINES_OF_LOG]).fetchall()
        return rows[0][0] if rows else MAX_SEQ

    return zero + bisect_left(range(LINES_OF_LOG), time, key=lambda line: time_at(zero + line))


def _row(log: Row, line: int, at: int, message: str) -> Row:
    """Return a line, with the columns of `lines_now`."""
    return Row(
        seq=at,
        line=line,
        message=message,
        dtCreated=iso(_EPOCH + timedelta(milliseconds=at // 1_000_000)),
        deploymentId=log["deploymentId"],
        deploymentSpecId=log["specId"],
        instanceName=log["instanceName"],
    )
