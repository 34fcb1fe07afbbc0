"""Pages of the lines in the file of logs."""

from __future__ import annotations

import logging
import sqlite3
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from paperspace.gradient.server.clock import iso
from paperspace.gradient.server.storage.log_file import LINES_OF_LOG
from paperspace.gradient.server.storage.rows import Row

if TYPE_CHECKING:
    from collections.abc import Sequence

    from paperspace.gradient.server.storage.budget import Budget
    from paperspace.gradient.server.storage.log_file import Location
    from paperspace.gradient.server.storage.window import Page, Window

_log = logging.getLogger(__name__)

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_TIMEOUT = 1.0  # seconds


class LogPages:
    """A connection that reads the file. It is opened when it is first needed, and again after an error."""

    def __init__(self, location: Location) -> None:
        self._location = location
        self._connection: sqlite3.Connection | None = None
        self._identities: list[tuple[int, int] | None] = []

    def pages(self, logs: Sequence[Row], window: Window, budget: Budget) -> dict[str, Page]:
        """Return, for each log that is in the file, a page of its lines, by the id of its instance.

        A file that cannot be read has no logs.

        Args:
            logs: Rows of `logs_now`.
            window: Which lines.
            budget: Counts the lines.
        """
        logs = [log for log in logs if log["template"] is not None]  # the simulation has no templates
        file = self._location.file
        if not logs or (file and not file.exists()):
            return {}
        try:
            connection = self._opened()
            if not connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()[0]:
                return {}  # nothing is stored yet
            found = {log["id"]: _page(connection, log, window, budget) for log in logs}
        except (OSError, sqlite3.Error) as error:
            _log.warning("The logs in %s cannot be read: %s.", file or "memory", error)
            self.close()
            return {}
        return {id_: page for id_, page in found.items() if page is not None}

    def close(self) -> None:
        """Close the connection."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()

    def _opened(self) -> sqlite3.Connection:
        """Return the connection. Open it if it is closed, or if the file was removed or replaced."""
        location = self._location
        if self._connection is None or location.identities != self._identities:
            self.close()
            uri = f"{location.uri}?mode=rw" if location.file else location.uri  # create nothing
            self._connection = sqlite3.connect(uri, uri=True, isolation_level=None, timeout=_TIMEOUT)
            self._connection.execute("PRAGMA query_only = ON")
            self._connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()  # creates the files of the WAL
            self._identities = location.identities
        return self._connection


def _page(connection: sqlite3.Connection, log: Row, window: Window, budget: Budget) -> Page | None:
    """Return a page of the lines of a log. None: it is not in the file."""
    numbers = connection.execute("SELECT number FROM logs WHERE instance_id = ?", [log["id"]]).fetchall()
    if not numbers:
        return None
    first = numbers[0][0] * LINES_OF_LOG
    last = first + LINES_OF_LOG - 1
    direction = "DESC" if window.descending else "ASC"
    rows = []
    for seq, at, message in connection.execute(
        f"SELECT seq, at, message FROM lines WHERE seq > ? AND seq < ? ORDER BY seq {direction} LIMIT ?",  # noqa: S608
        [max(window.low, first), min(window.high, last), window.limit + 1],
    ):
        budget.count_row(len(message))
        rows.append(_row(log, seq, seq - first, at, message))
    behind = False
    if window.start is not None:
        comparison = ">=" if window.descending else "<="
        sql = f"SELECT 1 FROM lines WHERE seq BETWEEN ? AND ? AND seq {comparison} ? LIMIT 1"  # noqa: S608
        behind = connection.execute(sql, [first, last, window.start]).fetchone() is not None
    return window.page(rows, rows_behind_start=behind)


def _row(log: Row, seq: int, line: int, at: int, message: str) -> Row:
    """Return a line, with the columns of `lines_now`."""
    return Row(
        seq=seq,
        line=line,
        message=message,
        dtCreated=iso(_EPOCH + timedelta(milliseconds=at // 1_000_000)),
        deploymentId=log["deploymentId"],
        deploymentSpecId=log["specId"],
        instanceName=log["instanceName"],
    )
