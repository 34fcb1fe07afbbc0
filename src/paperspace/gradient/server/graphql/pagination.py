"""Relay's paging, for every connection: pure functions from arguments and rows to a page.

A list is ordered by `seq`, the number that its table gave to each row when it was made. A cursor is that number,
wrapped up, so it goes on working while rows come and go, its own row included. Times do not order
anything: two rows may be made in the same millisecond.
"""

from __future__ import annotations

from base64 import urlsafe_b64decode, urlsafe_b64encode
from typing import TYPE_CHECKING, Any, NamedTuple

from paperspace.gradient._shared.problems import Problem
from paperspace.gradient.server.errors import refuse

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from paperspace.gradient.server.storage.batching import Row

MOST = 100
_HIGHEST = 2**63 - 1  # the last number that SQLite can give to a row


class Window(NamedTuple):
    """Which part of a list is wanted."""

    limit: int
    from_end: bool
    after: int | None
    before: int | None
    newest_first: bool

    @classmethod
    def of(cls, arguments: Mapping[str, Any], *, newest_first: bool) -> Window:
        """The window that a field's arguments ask for; without an `orderBy`, in the given order.

        Raises:
            Refusal: The arguments make no sense.
        """
        refuse(_problems(arguments))
        first, last, order = arguments.get("first"), arguments.get("last"), arguments.get("orderBy")
        limit = first if last is None else last
        return cls(
            limit=MOST if limit is None else limit,
            from_end=last is not None,
            after=_position(arguments.get("after")),
            before=_position(arguments.get("before")),
            newest_first=newest_first if order is None else order.get("direction") == "DESC",
        )

    @property
    def descending(self) -> bool:
        """Whether rows are fetched from the highest number down: a page of the list's end is fetched backwards."""
        return self.newest_first != self.from_end

    @property
    def low(self) -> int:
        """Only numbers above this one are in the window."""
        edge = self.before if self.newest_first else self.after
        return 0 if edge is None else edge

    @property
    def high(self) -> int:
        """Only numbers below this one are in the window."""
        edge = self.after if self.newest_first else self.before
        return _HIGHEST if edge is None else edge

    @property
    def start(self) -> int | None:
        """The cursor at which fetching begins, if any: only then can there be items on the page's near side."""
        return self.before if self.from_end else self.after

    def page(self, fetched: Sequence[Row], *, more_behind_start: bool) -> Page:
        """The page made of the first `limit + 1` rows of the window, in the order of fetching."""
        rows = list(fetched[: self.limit])
        more_ahead = len(fetched) > self.limit
        if self.from_end:
            return Page(rows[::-1], has_next=more_behind_start, has_previous=more_ahead)
        return Page(rows, has_next=more_ahead, has_previous=more_behind_start)


class Page(NamedTuple):
    """A part of a list, in the order of the list, and whether the list goes on at either side."""

    rows: Sequence[Row]
    has_next: bool
    has_previous: bool

    def edges(self) -> list[dict[str, object]]:
        """The items with their cursors."""
        return [{"cursor": cursor(row), "node": row} for row in self.rows]

    def info(self) -> dict[str, object]:
        """The fields of PageInfo."""
        return {
            "hasNextPage": self.has_next,
            "hasPreviousPage": self.has_previous,
            "startCursor": cursor(self.rows[0]) if self.rows else None,
            "endCursor": cursor(self.rows[-1]) if self.rows else None,
        }


def cursor(row: Row) -> str:
    """The cursor of a row."""
    return _wrapped(row["seq"])


def _wrapped(number: int) -> str:
    return urlsafe_b64encode(str(number).encode()).decode().rstrip("=")


def _position(text: str | None) -> int | None:
    """The number in a cursor.

    Raises:
        ValueError: The text is no cursor of ours.
    """
    if text is None:
        return None
    number = int(urlsafe_b64decode(text.encode("ascii") + b"=="))
    if not 0 < number <= _HIGHEST or _wrapped(number) != text:
        raise ValueError(text)
    return number


def page_size_problems(name: str, size: int | None) -> Iterator[Problem]:
    """What is wrong with the number of items that a page is to have."""
    if size is not None and not 0 <= size <= MOST:
        yield Problem((name,), size, f"a number from 0 to {MOST}")


def _problems(arguments: Mapping[str, Any]) -> Iterator[Problem]:
    for name in ("first", "last"):
        yield from page_size_problems(name, arguments.get(name))
    if arguments.get("first") is not None and arguments.get("last") is not None:
        yield Problem(("last",), arguments["last"], "nothing beside first")
    for name in ("after", "before"):
        try:
            _position(arguments.get(name))
        except ValueError:
            yield Problem((name,), arguments[name], "a cursor of this list")
