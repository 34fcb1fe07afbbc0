"""SQLite as the server uses it: transactions, and how rows and pages of rows are fetched.

A database belongs to one thread. Table names and conditions are written in the modules that call this one; values are
always parameters.
"""

from __future__ import annotations

import json
import sqlite3
from collections import defaultdict
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from paperspace.gradient._shared.error_codes import Code
from paperspace.gradient.server.clock import iso
from paperspace.gradient.server.errors import Refusal
from paperspace.gradient.server.storage.batching import Batch, Row
from paperspace.gradient.server.storage.migrations import IN_MEMORY, open_database
from paperspace.gradient.server.storage.views import VIEWS

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
    from datetime import datetime

    from paperspace.gradient.server.graphql.pagination import Page, Window


MOST_ROWS = 50_000  # of all pages of one request together: a few seconds' work


class TooManyRowsError(BaseException):
    """A request asks for too many rows. No `Exception`, which GraphQL would take for the fault of one field."""


class Nested(NamedTuple):
    """The rows of a table that belong to a parent: `column` holds the parent's id."""

    table: str
    column: str
    newest_first: bool


class Database:
    """One connection. All that a transaction does happens at one moment: that of its beginning."""

    def __init__(self, place: str | Path, now: Callable[[], datetime]) -> None:
        self._connection = open_database(place)
        self._file = None if str(place) == IN_MEMORY else Path(place)
        self._identity = self._file and _identity(self._file)
        self._now = now
        self.moment = now()
        self._rows_left = 0
        # What the views take for the present. It changes between statements only, so SQLite may ask once for each.
        self._connection.create_function("moment", 0, lambda: iso(self.moment), deterministic=True)
        for view in VIEWS:
            self._connection.execute(view)

    def close(self) -> None:
        """Lets go of the file."""
        self._connection.close()

    @contextmanager
    def reading(self) -> Generator[None]:
        """A transaction that sees one state of the database, whatever happens meanwhile."""
        with self._connection:
            self._connection.execute("BEGIN")
            self._begin()
            yield

    @contextmanager
    def writing(self) -> Generator[None]:
        """A transaction that is committed at its end, or undone by an exception or by `undo`.

        Raises:
            Refusal: The file is not there any more, so nothing would be kept.
        """
        if self._file and _identity(self._file) != self._identity:
            message = "The database was removed or replaced, so nothing can be changed. Start the server again."
            raise Refusal(Code.SERVICE_UNAVAILABLE, message)
        try:
            with self._connection:
                # The lock is taken at once: one that is taken at the first change may be refused halfway.
                self._connection.execute("BEGIN IMMEDIATE")
                self._begin()
                yield
        except sqlite3.Error:
            self._connection.rollback()  # where it was the end that failed
            raise

    def _begin(self) -> None:
        self.moment = self._now()
        self._rows_left = MOST_ROWS

    def undo(self) -> None:
        """Takes back all changes of the transaction."""
        self._connection.rollback()

    def execute(self, sql: str, *values: object) -> None:
        """Carries out a change."""
        self._connection.execute(sql, values)

    def insert(self, table: str, rows: Iterable[Mapping[str, object]]) -> None:
        """Adds rows, all of the same columns."""
        for row in rows:
            columns, places = ", ".join(row), ", ".join("?" * len(row))
            self.execute(f"INSERT INTO {table} ({columns}) VALUES ({places})", *row.values())  # noqa: S608

    def rows(self, sql: str, *values: object, **named: object) -> list[Row]:
        """What a query finds."""
        cursor = self._connection.execute(sql, named or values)
        return Batch([column[0] for column in cursor.description], cursor).rows

    def by_id(self, select: str, ids: Sequence[str]) -> dict[str, Row]:
        """What a query that ends in the name of an id column finds for these ids."""
        # Not by json_each, which ends a text at a NUL: whatever the caller says is the id of a cluster.
        return {row["id"]: row for row in self.rows(f"{select} IN ({', '.join('?' * len(ids))})", *ids)}

    def page(self, table: str, conditions: str, window: Window, **values: object) -> Page:
        """A page of a list that has no parent: of the one list there is."""
        return self._pages(table, conditions, window, parents=[""], values=values)[""]

    def nested(
        self, nested: Nested, parents: Sequence[str], window: Window, conditions: str = "TRUE", **values: object
    ) -> dict[str, Page]:
        """For each parent, the page of its rows that meet the conditions."""
        conditions = f"{nested.column} = parent.value AND {conditions}"
        return self._pages(nested.table, conditions, window, parents=parents, values=values)

    def _pages(
        self,
        table: str,
        conditions: str,
        window: Window,
        *,
        parents: Sequence[str],
        values: dict[str, object],
    ) -> dict[str, Page]:
        """For each parent, the page of the rows that meet the conditions.

        It takes one statement whatever the number of parents, and a second one if the window starts at a cursor.
        For each parent SQLite reads as many rows as the page has, however long the list is.
        """
        values |= {
            "parents": json.dumps(parents),
            "low": window.low,
            "high": window.high,
            "start": window.start,
            "limit": window.limit + 1,
        }
        direction = "DESC" if window.descending else "ASC"
        rows = self.rows(
            "SELECT item.*, parent.value AS parent FROM json_each(:parents) AS parent"  # noqa: S608
            f" JOIN {table} AS item ON item.seq IN ("
            f"SELECT seq FROM {table} WHERE {conditions} AND seq > :low AND seq < :high"
            f" ORDER BY seq {direction} LIMIT :limit) ORDER BY item.seq {direction}",
            **values,
        )
        self._rows_left -= len(rows)
        if self._rows_left < 0:
            raise TooManyRowsError
        fetched: defaultdict[str, list[Row]] = defaultdict(list)
        for row in rows:
            fetched[row["parent"]].append(row)
        behind: set[str] = set()
        if window.start is not None:
            beyond = ">=" if window.descending else "<="
            found = self.rows(
                f"SELECT parent.value FROM json_each(:parents) AS parent WHERE EXISTS ("  # noqa: S608
                f"SELECT 1 FROM {table} WHERE {conditions} AND seq {beyond} :start)",
                **values,
            )
            behind = {row["value"] for row in found}
        return {parent: window.page(fetched[parent], more_behind_start=parent in behind) for parent in parents}


def storage_refusal(error: BaseException | None) -> Refusal | None:
    """What SQLite could not do, in words, if it is for lack of space or of the right to write."""
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF  # what is above says more than callers need
    if code in (sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR):
        return Refusal(Code.INSUFFICIENT_STORAGE, "There is no room to keep the change; nothing was changed.")
    if code in (sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN):
        return Refusal(Code.SERVICE_UNAVAILABLE, "The database cannot be written; nothing was changed.")
    return None


def _identity(file: Path) -> tuple[int, int] | None:
    try:
        found = file.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino
