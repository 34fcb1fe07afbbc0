"""Pagination as Relay specifies it: arguments to a window, and pages to the fields of a connection. Pure functions.

A cursor is the encoded database, table and number (`seq`) of a row, so it remains valid when rows are added or removed,
its row included. It is a position among all rows of the table, whatever their parents. In another database, the same number
is another position: a caller that continued there would miss items.
"""

from __future__ import annotations

from base64 import urlsafe_b64decode, urlsafe_b64encode
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from paperspace.gradient._shared.problems import Problem
from paperspace.gradient.server.errors import raise_for_problems
from paperspace.gradient.server.storage.window import MAX_SEQ, Page, Window

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

MAX_PAGE_SIZE = 100

_ID_LENGTH = 8  # of the id of the database, in cursors


def window_from_arguments(arguments: Mapping[str, Any], table: str, *, database_id: str, newest_first: bool) -> Window:
    """Convert the arguments of a connection to a window of the rows of a table; `newest_first` is the default order.

    Raises:
        ApplicationError: the arguments are invalid.
    """
    if (order := arguments.get("orderBy")) is not None:
        newest_first = order.get("direction") != "ASC"
    list_id = f"{database_id[:_ID_LENGTH]}:{table}"
    return _window(list_id, newest_first, *map(arguments.get, ("first", "last", "after", "before")))


@lru_cache  # the items of a list have the same window
def _window(
    list_id: str, newest_first: bool, first: int | None, last: int | None, after: str | None, before: str | None
) -> Window:
    raise_for_problems(_problems(list_id, first, last, {"after": after, "before": before}))
    limit = first if last is None else last
    return Window(
        list_id=list_id,
        limit=MAX_PAGE_SIZE if limit is None else limit,
        from_end=last is not None,
        after=_decode_cursor(list_id, after),
        before=_decode_cursor(list_id, before),
        newest_first=newest_first,
    )


def page_size_problems(name: str, size: int | None) -> Iterator[Problem]:
    """Check the value of `first` or `last`."""
    if size is not None and not 0 <= size <= MAX_PAGE_SIZE:
        yield Problem((name,), size, f"an integer from 0 to {MAX_PAGE_SIZE}")


def edges(page: Page) -> list[dict[str, object]]:
    """Return the items of a page with their cursors."""
    return [{"cursor": _encode_cursor(page.list_id, row["seq"]), "node": row} for row in page.rows]


def page_info(page: Page) -> dict[str, object]:
    """Return the fields of PageInfo for a page."""
    return {
        "hasNextPage": page.has_next,
        "hasPreviousPage": page.has_previous,
        "startCursor": _encode_cursor(page.list_id, page.rows[0]["seq"]) if page.rows else None,
        "endCursor": _encode_cursor(page.list_id, page.rows[-1]["seq"]) if page.rows else None,
    }


def _problems(
    list_id: str, first: int | None, last: int | None, cursors: Mapping[str, str | None]
) -> Iterator[Problem]:
    yield from page_size_problems("first", first)
    yield from page_size_problems("last", last)
    if first is not None and last is not None:
        yield Problem(("last",), last, "null, because first is set")
    for name, cursor in cursors.items():
        try:
            _decode_cursor(list_id, cursor)
        except ValueError:
            yield Problem((name,), cursor, "a cursor of this list, in this database")


def _encode_cursor(list_id: str, seq: int) -> str:
    return urlsafe_b64encode(f"{list_id}:{seq}".encode()).decode().rstrip("=")


def _decode_cursor(list_id: str, cursor: str | None) -> int | None:
    """Return the row number in a cursor of the list.

    Raises:
        ValueError: this is not one.
    """
    if cursor is None:
        return None
    _, _, number = urlsafe_b64decode(cursor.encode("ascii") + b"==").rpartition(b":")
    seq = int(number)
    if not 0 < seq <= MAX_SEQ or _encode_cursor(list_id, seq) != cursor:
        raise ValueError(cursor)
    return seq
