"""Transactions, and queries for rows and pages of rows.

A database is used by one thread at a time. Callers write the table names and conditions; values are always parameters.
"""

from __future__ import annotations

import json
import os
import sqlite3
from collections import defaultdict
from contextlib import ExitStack, contextmanager, suppress
from operator import itemgetter
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from paperspace.gradient._shared.error_codes import Code
from paperspace.gradient.server.clock import iso
from paperspace.gradient.server.errors import ApplicationError
from paperspace.gradient.server.storage.budget import UNLIMITED, Budget
from paperspace.gradient.server.storage.files import IN_MEMORY, identities, open_reader, open_unchanged, open_writer
from paperspace.gradient.server.storage.rows import ResultSet, Row
from paperspace.gradient.server.storage.views import VIEWS

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
    from datetime import datetime

    from paperspace.gradient.server.storage.window import Page, Window


_INSTRUCTIONS = 10_000  # of SQLite between two checks of the budget: less than a millisecond


class ChildTable(NamedTuple):
    """A table or view whose rows belong to a parent: `column` has the parent's id."""

    table: str
    column: str
    newest_first: bool


class Database:
    """One connection. Everything in a transaction has the same time: the start of the transaction.

    Args:
        path: The file.
        now: Returns the current time.
        read_only: Whether another connection of this process has created or migrated the file.
        unchanged: Whether to read the file as it is, whatever else uses it.
        stopped: Says whether to stop the check of a large file.

    Attributes:
        transaction_time: The time of the current transaction.
        budget: The budget of the current transaction. Outside of a transaction, it is unlimited.
    """

    def __init__(
        self,
        path: str | Path,
        now: Callable[[], datetime],
        *,
        read_only: bool = False,
        unchanged: bool = False,
        stopped: Callable[[], bool] = lambda: False,
    ) -> None:
        self._path = path if str(path) == IN_MEMORY else Path(os.path.realpath(path))  # a link may be changed
        self._now = now
        self.transaction_time = now()
        self.budget = Budget(UNLIMITED)
        self._result_sets: list[ResultSet] = []  # of the transaction
        with ExitStack() as stack:
            if unchanged:
                self._connection = stack.enter_context(open_unchanged(Path(path)))
            else:
                self._connection = stack.enter_context(open_reader(path) if read_only else open_writer(path, stopped))
            self._prepare()
            if read_only or unchanged:
                self._connection.execute("PRAGMA query_only = ON")
            self._identities = identities(self._path)
            self._resources = stack.pop_all()

    def _prepare(self) -> None:
        # No temporary files: /tmp may be full or not writable. Little is temporary: rows are sorted in Python.
        self._connection.execute("PRAGMA temp_store = MEMORY")  # before the views, which it would drop
        self._connection.set_progress_handler(lambda: self.budget.is_over, _INSTRUCTIONS)
        # Deterministic: the time is constant within a statement, so SQLite may call this once per statement.
        self._connection.create_function("now", 0, lambda: iso(self.transaction_time), deterministic=True)
        for view in VIEWS:
            self._connection.execute(view)

    def close(self) -> None:
        """Close the connection."""
        self._resources.close()

    @contextmanager
    def reading(self, budget: Budget | None = None) -> Generator[None]:
        """Run a transaction that sees one state of the database; without a budget, it is unlimited."""
        with self._transaction("BEGIN", budget):
            yield

    @contextmanager
    def writing(self, budget: Budget | None = None) -> Generator[None]:
        """Run a transaction that is committed at the end, or rolled back by an exception or `roll_back`.

        Raises:
            ApplicationError: a file of the database was removed or replaced.
        """
        if identities(self._path) != self._identities:
            with suppress(sqlite3.Error):  # keep earlier changes if only the WAL was removed
                self._connection.execute("PRAGMA wal_checkpoint")
            message = "a file of the database was removed or replaced; restart the server"
            raise ApplicationError(Code.SERVICE_UNAVAILABLE, message, retryable=True)
        try:
            # IMMEDIATE takes the write lock now; taking it at the first change could fail halfway.
            with self._transaction("BEGIN IMMEDIATE", budget):
                yield
        except sqlite3.Error:
            self._connection.rollback()  # needed if the commit failed
            raise

    @contextmanager
    def writing_without_checks(self, budget: Budget | None = None) -> Generator[None]:
        """Run a transaction like `writing`. SQLite does not check the foreign keys: at the end, they must be right."""
        self._connection.execute("PRAGMA foreign_keys = OFF")  # within a transaction, it would do nothing
        try:
            with self.writing(budget):
                yield
        finally:
            self._connection.execute("PRAGMA foreign_keys = ON")

    @contextmanager
    def _transaction(self, begin: str, budget: Budget | None) -> Generator[None]:
        with self._connection:
            self._connection.execute(begin)
            self.transaction_time = self._now()
            self.budget = budget or Budget(UNLIMITED)
            try:
                yield
            finally:
                self.budget = Budget(UNLIMITED)  # this one may be over, and is not that of the commit or the next BEGIN
                for result_set in self._result_sets:
                    result_set.forget()
                self._result_sets.clear()

    def roll_back(self) -> None:
        """Undo all changes of the transaction."""
        self._connection.rollback()

    def execute(self, sql: str, *values: object, **named: object) -> None:
        """Execute a statement that changes rows. Its parameters are positional or named, not numbered: below 3.12.4, Python warns."""
        with self._budget_errors():
            self._connection.execute(sql, named or values)

    def insert(self, table: str, rows: Iterable[Mapping[str, object]]) -> None:
        """Insert rows that all have the same columns."""
        for row in rows:
            columns, placeholders = ", ".join(row), ", ".join("?" * len(row))
            self.execute(f"INSERT INTO {table} ({columns}) VALUES ({placeholders})", *row.values())  # noqa: S608

    def rows(self, sql: str, *values: object, **named: object) -> list[Row]:
        """Return the rows of a query."""
        with self._budget_errors():
            cursor = self._connection.execute(sql, named or values)
            result_set = ResultSet([column[0] for column in cursor.description], self._counted(cursor))
        self._result_sets.append(result_set)
        return result_set.rows

    def restored(self, row: Mapping[str, object]) -> Row:
        """Return a row that was stored as JSON, as a query would return it."""
        result_set = ResultSet(row, [row.values()])
        self._result_sets.append(result_set)
        return result_set.rows[0]

    def _counted(self, rows: Iterable[tuple[Any, ...]]) -> Iterator[tuple[Any, ...]]:
        for row in rows:
            self.budget.count_row(sum(len(value) for value in row if isinstance(value, str | bytes)))
            yield row

    @contextmanager
    def _budget_errors(self) -> Generator[None]:
        """Raise the error of the budget if it was the reason why SQLite stopped."""
        try:
            yield
        except sqlite3.OperationalError as error:
            if getattr(error, "sqlite_errorcode", None) == sqlite3.SQLITE_INTERRUPT:
                self.budget.check()
            raise

    def by_id(self, select: str, ids: Sequence[str]) -> dict[str, Row]:
        """Return the rows with these ids, by id; `select` is a query that ends with the name of the id column."""
        # Not with json_each, which truncates text at a NUL: cluster ids are arbitrary strings.
        return {row["id"]: row for row in self.rows(f"{select} IN ({', '.join('?' * len(ids))})", *ids)}

    def page(self, table: str, conditions: str, window: Window, *, source: str | None = None, **values: object) -> Page:
        """Return a page of the rows of a table; the source is what has the numbers of those that meet the conditions."""
        return self._pages(table, source or table, conditions, window, parents=[""], values=values)[""]

    def child_pages(
        self,
        child: ChildTable,
        parents: Sequence[str],
        window: Window,
        conditions: str = "TRUE",
        *,
        source: str | None = None,
        **values: object,
    ) -> dict[str, Page]:
        """Return, for each parent id, a page of its rows that meet the conditions; the source is as in `page`."""
        conditions = f"{child.column} = parent.value AND {conditions}"
        return self._pages(child.table, source or child.table, conditions, window, parents=parents, values=values)

    def _pages(
        self,
        table: str,
        source: str,
        conditions: str,
        window: Window,
        *,
        parents: Sequence[str],
        values: dict[str, object],
    ) -> dict[str, Page]:
        """Return, for each parent id, a page of the rows of a table whose numbers in the source meet the conditions.

        Runs one statement for any number of parents, and a second one if the window starts at a cursor. SQLite reads
        as many rows per parent as the page has, however long the list is.
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
            f"SELECT seq FROM {source} WHERE {conditions} AND seq > :low AND seq < :high"
            f" ORDER BY seq {direction} LIMIT :limit)",
            **values,
        )
        # Sorted here: SQLite would read and keep all rows, before the budget counts the first one.
        rows.sort(key=itemgetter("seq"), reverse=window.descending)
        rows_by_parent: defaultdict[str, list[Row]] = defaultdict(list)
        for row in rows:
            rows_by_parent[row["parent"]].append(row)
        rows_behind_start: set[str] = set()  # the parents that have rows on the other side of the window's start
        if window.start is not None:
            comparison = ">=" if window.descending else "<="
            parent_rows = self.rows(
                f"SELECT parent.value FROM json_each(:parents) AS parent WHERE EXISTS ("  # noqa: S608
                f"SELECT 1 FROM {source} WHERE {conditions} AND seq {comparison} :start)",
                **values,
            )
            rows_behind_start = {row["value"] for row in parent_rows}
        pages = {
            parent: window.page(rows_by_parent[parent], rows_behind_start=parent in rows_behind_start)
            for parent in parents
        }
        if rows:  # without those that only show that there is a next page: nothing is loaded for them
            rows[0].result_set.rows = [row for page in pages.values() for row in page.rows]
        return pages


def storage_error(error: BaseException | None) -> ApplicationError | None:
    """Convert an SQLite error to one for the caller, if the cause is the disk or the file."""
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF  # without the extended part
    if code in (sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR):
        return ApplicationError(Code.INSUFFICIENT_STORAGE, "the disk is full or failing; nothing was changed")
    if code in (sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN):
        message = "the database is not writable; nothing was changed"
        return ApplicationError(Code.SERVICE_UNAVAILABLE, message, retryable=True)
    if code in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB):
        return ApplicationError(Code.SERVICE_UNAVAILABLE, "the database is damaged; restore it from a copy")
    if code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_PROTOCOL):  # the second if a read has waited ten seconds
        message = "another program uses the database; nothing was changed"
        return ApplicationError(Code.SERVICE_UNAVAILABLE, message, retryable=True)
    return None
