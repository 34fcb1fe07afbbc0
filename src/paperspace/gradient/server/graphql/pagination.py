"""Pagination as Relay specifies it: arguments to a window, and pages to the fields of a connection. Pure functions.

A cursor is an encoded row number (`seq`), so it remains valid when rows are added or removed, its row included.
"""

from __future__ import annotations

from base64 import urlsafe_b64decode, urlsafe_b64encode
from typing import TYPE_CHECKING, Any

from paperspace.gradient._shared.problems import Problem
from paperspace.gradient.server.errors import raise_for_problems
from paperspace.gradient.server.storage.window import MAX_SEQ, Page, Window

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from paperspace.gradient.server.storage.rows import Row

MAX_PAGE_SIZE = 100


def window_from_arguments(arguments: Mapping[str, Any], *, newest_first: bool) -> Window:
    """Convert the arguments of a connection to a window; `newest_first` is the default order.

    Raises:
        ApplicationError: the arguments are invalid.
    """
    raise_for_problems(_problems(arguments))
    first, last, order = arguments.get("first"), arguments.get("last"), arguments.get("orderBy")
    limit = first if last is None else last
    return Window(
        limit=MAX_PAGE_SIZE if limit is None else limit,
        from_end=last is not None,
        after=_decode_cursor(arguments.get("after")),
        before=_decode_cursor(arguments.get("before")),
        newest_first=newest_first if order is None else order.get("direction") == "DESC",
    )


def page_size_problems(name: str, size: int | None) -> Iterator[Problem]:
    """Check the value of `first` or `last`."""
    if size is not None and not 0 <= size <= MAX_PAGE_SIZE:
        yield Problem((name,), size, f"an integer from 0 to {MAX_PAGE_SIZE}")


def edges(page: Page) -> list[dict[str, object]]:
    """Return the items of a page with their cursors."""
    return [{"cursor": _cursor(row), "node": row} for row in page.rows]


def page_info(page: Page) -> dict[str, object]:
    """Return the fields of PageInfo for a page."""
    return {
        "hasNextPage": page.has_next,
        "hasPreviousPage": page.has_previous,
        "startCursor": _cursor(page.rows[0]) if page.rows else None,
        "endCursor": _cursor(page.rows[-1]) if page.rows else None,
    }


def _problems(arguments: Mapping[str, Any]) -> Iterator[Problem]:
    for name in ("first", "last"):
        yield from page_size_problems(name, arguments.get(name))
    if arguments.get("first") is not None and arguments.get("last") is not None:
        yield Problem(("last",), arguments["last"], "null together with first")
    for name in ("after", "before"):
        try:
            _decode_cursor(arguments.get(name))
        except ValueError:
            yield Problem((name,), arguments[name], "a cursor of this list")


def _cursor(row: Row) -> str:
    return _encode_cursor(row["seq"])


def _encode_cursor(seq: int) -> str:
    return urlsafe_b64encode(str(seq).encode()).decode().rstrip("=")


def _decode_cursor(cursor: str | None) -> int | None:
    """Return the row number in a cursor.

    Raises:
        ValueError: this is not a cursor.
    """
    if cursor is None:
        return None
    seq = int(urlsafe_b64decode(cursor.encode("ascii") + b"=="))
    if not 0 < seq <= MAX_SEQ or _encode_cursor(seq) != cursor:
        raise ValueError(cursor)
    return seq
