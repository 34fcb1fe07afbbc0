"""Pagination: read a Relay connection page by page, and check that the pages fit together."""

from __future__ import annotations

from contextlib import aclosing
from typing import TYPE_CHECKING, Any, TypedDict, TypeVar

from paperspace.gradient._shared.error_codes import Code
from paperspace.gradient._shared.event_loops import monotonic
from paperspace.gradient.errors import APIError, PaginationError, ResponseTooLargeError

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable, Hashable, Sequence

    from paperspace.gradient._generated.page_info_fields import PageInfo

# The largest page that every server returns; some reject larger sizes.
MAX_PAGE = 100

# A server that filters late may return empty pages in the middle of a list, but not without end.
MAX_EMPTY_PAGES = 100

# How many times smaller the pages become that a server cannot return, or that are too large for the client.
SMALLER = 4

# The first page for a caller that often needs a few nodes only, and how many times larger each of the next pages is.
SMALL_PAGE = 10
LARGER = 4

N = TypeVar("N")
T = TypeVar("T")

if TYPE_CHECKING:
    Page = tuple[Sequence[N], PageInfo]
    # Fetches at most so many nodes after a cursor. None: from the start.
    FetchPage = Callable[[int, str | None], Awaitable[Page[N]]]


def _id_of(node: Any) -> Any:
    return node["id"]


class BackwardPageInfo(TypedDict):
    """Page info of a page that was requested with `last` and `before`."""

    hasPreviousPage: bool
    startCursor: str | None


async def iter_pages(
    fetch: FetchPage[N],
    *,
    operation: str,
    key: Callable[[N], Hashable] = _id_of,
    limit: int | None = None,
    first_page: Page[N] | None = None,
    after: str | None = None,
    first_size: int = MAX_PAGE,
) -> AsyncGenerator[list[N]]:
    """Iterate over the pages of a connection; each node comes once.

    If a page is too large, it is requested again as a smaller one, and all further pages have that size at most.

    Args:
        fetch: Fetches one page: the size to ask for, and the cursor to continue after.
        operation: The name of the operation that `fetch` runs, for errors.
        key: What tells two nodes apart.
        limit: The maximum number of nodes. None: all.
        first_page: The first page, if the caller has it already.
        after: The cursor to start after. None: the start of the list.
        first_size: The size of the first page. The next pages are larger, up to the largest page.

    Raises:
        PaginationError: The server repeats a cursor or a page, or sends too many empty pages.
    """
    seen: set[Hashable] = set()
    cursors = {None, after}
    cursor = after
    empty_pages = requests = 0
    size, max_size = first_size, MAX_PAGE
    page = first_page
    started = monotonic()

    def stuck(reason: str) -> PaginationError:
        message = f"the next page cannot be read: {reason}"
        return PaginationError(message, operation=operation, attempts=requests, elapsed=monotonic() - started)

    while True:
        if page is None:
            wanted = size if limit is None else min(limit - len(seen), size)
            fetched, fitting = await fetch_fitting(fetch, wanted, cursor)
            page = fetched
            max_size = fitting if fitting < wanted else max_size
            size = min(size * LARGER, max_size)
            requests += 1
        nodes, info = page
        page = None
        new_nodes = {key(node): node for node in nodes if key(node) not in seen}
        if nodes and not new_nodes:
            raise stuck("the server repeated a page")
        new_keys = list(new_nodes)[: None if limit is None else limit - len(seen)]
        seen.update(new_keys)
        yield [new_nodes[new_key] for new_key in new_keys]
        if not info["hasNextPage"] or len(seen) == limit:
            return
        empty_pages = 0 if new_keys else empty_pages + 1
        cursor = info["endCursor"]
        if cursor is None:
            raise stuck("the server sent no cursor for the next page")
        if cursor in cursors:
            raise stuck("the server repeated a cursor")
        if empty_pages > MAX_EMPTY_PAGES:
            raise stuck(f"the server sent {empty_pages} empty pages in a row")
        cursors.add(cursor)


async def fetch_fitting(
    fetch: Callable[[int, str | None], Awaitable[T]], size: int, cursor: str | None
) -> tuple[T, int]:
    """Fetch a page of at most this size, or of a smaller one if it is too large. Return the page and its size."""
    while True:
        try:
            return await fetch(size, cursor), size
        except APIError as error:
            if size == 1 or not is_page_too_large(error):
                raise
        size = max(size // SMALLER, 1)


def is_page_too_large(error: APIError) -> bool:
    """Whether a smaller page may succeed: this one is too large for the client, or too much work for the server."""
    return isinstance(error, ResponseTooLargeError) or error.code == Code.BUDGET_EXCEEDED


async def iter_nodes(pages: AsyncGenerator[list[N]]) -> AsyncGenerator[N]:
    """Iterate over the nodes of pages."""
    async with aclosing(pages):
        async for page in pages:
            for node in page:
                yield node


def empty_page() -> Page[N]:
    """Return a page that ends a list without further nodes."""
    return [], {"hasNextPage": False, "endCursor": None}


def reverse_page(nodes: Sequence[N], info: BackwardPageInfo) -> Page[N]:
    """Turn a page that was requested with `last` and `before` around, so that `iter_pages` reads from the end."""
    return nodes[::-1], {"hasNextPage": info["hasPreviousPage"], "endCursor": info["startCursor"]}
