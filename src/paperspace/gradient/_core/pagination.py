"""Walks a Relay connection page by page, and makes sure that the pages fit together."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import aclosing
from time import monotonic
from typing import TYPE_CHECKING, TypeVar

from paperspace.gradient.errors import PaginationError

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence

    from paperspace.gradient._generated.page_info_fields import PageInfo

# The largest page that every server gives; some refuse more.
MAX_PAGE = 100

# A server may give an empty page in the middle of a list, where it filters late. It may not do so for ever.
MAX_EMPTY_PAGES = 100

N = TypeVar("N", bound=Mapping[str, object])
T = TypeVar("T")

if TYPE_CHECKING:
    Page = tuple[Sequence[N], PageInfo]


async def walk(
    fetch: Callable[[int, str | None], Awaitable[Page[N]]],
    *,
    operation: str,
    limit: int | None = None,
    head: Page[N] | None = None,
) -> AsyncGenerator[list[N]]:
    """The nodes of a connection, a page at a time, none twice.

    Args:
        fetch: Gets the page of so many nodes behind a cursor; None: the first one.
        operation: What `fetch` runs, for errors.
        limit: How many nodes at most. None: all.
        head: The first page, where it is there already.

    Raises:
        PaginationError: The pages do not fit together.
    """
    seen: set[object] = set()
    cursors: set[str | None] = {None}
    empty_pages = fetched = 0
    page = head
    cursor = None
    started = monotonic()

    def misfit(message: str) -> PaginationError:
        return PaginationError(message, operation=operation, attempts=fetched, elapsed=monotonic() - started)

    while True:
        wanted = MAX_PAGE if limit is None else min(limit - len(seen), MAX_PAGE)
        if page is None:
            page = await fetch(wanted, cursor)
            fetched += 1
        nodes, info = page
        page = None
        fresh = list({node["id"]: node for node in nodes if node["id"] not in seen}.values())
        if nodes and not fresh:
            raise misfit("the server gives the same page of a list twice")
        if limit is not None:
            fresh = fresh[: limit - len(seen)]
        seen.update(node["id"] for node in fresh)
        yield fresh
        if not info["hasNextPage"] or len(seen) == limit:
            return
        empty_pages = 0 if fresh else empty_pages + 1
        cursor = info["endCursor"]
        if cursor in cursors or empty_pages > MAX_EMPTY_PAGES:
            raise misfit("the server says that a list goes on, but does not get on with it")
        cursors.add(cursor)


async def one_by_one(pages: AsyncGenerator[list[T]]) -> AsyncGenerator[T]:
    """What the pages hold, one at a time."""
    async with aclosing(pages):
        async for page in pages:
            for node in page:
                yield node
