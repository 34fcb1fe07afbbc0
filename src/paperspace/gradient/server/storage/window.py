"""Parts of a list: which rows to fetch, and the page that they make. Pure functions.

A list is ordered by `seq`, the number that its table assigned to each row on insert. Times do not order a list: two rows
may be inserted in the same millisecond.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Sequence

    from paperspace.gradient.server.storage.rows import Row

MAX_SEQ = 2**63 - 1  # the largest row number in SQLite


class Window(NamedTuple):
    """The part of a list to fetch: `limit` rows from the start or the end, between two row numbers.

    `list_id` tells the list from others, in cursors.
    """

    list_id: str
    limit: int
    from_end: bool
    after: int | None
    before: int | None
    newest_first: bool

    @property
    def descending(self) -> bool:
        """Whether to fetch rows by descending number; a page at the end of the list is fetched backwards."""
        return self.newest_first != self.from_end

    @property
    def low(self) -> int:
        """The exclusive lower bound of the row numbers."""
        bound = self.before if self.newest_first else self.after
        return 0 if bound is None else bound

    @property
    def high(self) -> int:
        """The exclusive upper bound of the row numbers."""
        bound = self.after if self.newest_first else self.before
        return MAX_SEQ if bound is None else bound

    @property
    def start(self) -> int | None:
        """The row number where fetching starts, if any: only then can there be items on the other side of it."""
        return self.before if self.from_end else self.after

    def page(self, fetched: Sequence[Row], *, rows_behind_start: bool) -> Page:
        """Return the page made of the first `limit + 1` rows of the window, in the order of fetching."""
        rows = list(fetched[: self.limit])
        rows_left = len(fetched) > self.limit
        if self.from_end:
            return Page(self.list_id, rows[::-1], has_next=rows_behind_start, has_previous=rows_left)
        return Page(self.list_id, rows, has_next=rows_left, has_previous=rows_behind_start)


class Page(NamedTuple):
    """A part of a list, in the order of the list, and whether the list has more items before and after it."""

    list_id: str
    rows: Sequence[Row]
    has_next: bool
    has_previous: bool
