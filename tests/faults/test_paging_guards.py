"""Lists with inconsistent pages: a clear error or the right result, never a hang, a duplicate or a silent cut."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from tests.faults.harness import CANARY, check_pickle
from tests.faults.server import Exchange, FaultServer

from paperspace.gradient import Client, PaginationError, ServerError
from paperspace.gradient._core import retry as _retry
from paperspace.gradient._core.pagination import MAX_EMPTY_PAGES

Pages = Callable[[str | None, int], tuple[list[int], bool, str | None]]


def server_of(pages: Pages) -> FaultServer:
    """Create a server whose pages are a function of the cursor and the number of the request."""
    served = 0

    async def behaviour(exchange: Exchange) -> None:
        nonlocal served
        served += 1
        numbers, more, cursor = pages(exchange.request.payload["variables"].get("after"), served)
        info = {"hasNextPage": more, "endCursor": cursor}
        specs = {"nodes": [], "pageInfo": {"hasNextPage": False, "endCursor": None}}
        nodes = [{"id": str(number), "name": "mine", "deploymentSpecs": specs} for number in numbers]
        await exchange.respond(body={"data": {"deployments": {"nodes": nodes, "pageInfo": info}}})

    return FaultServer(then=behaviour)


def list_ids(server: FaultServer) -> list[str]:
    with Client(CANARY, server.url) as client:
        return [deployment["id"] for deployment in client.deployments.list_deployments(first=None)]


INCONSISTENT: dict[str, tuple[Pages, int]] = {
    "the same cursor": (lambda _, served: ([served], True, "a"), 2),
    "a cycle of cursors": (lambda _, served: ([served], True, "abc"[served % 3]), 4),
    "no cursor": (lambda _, served: ([served], True, None), 1),
    "the same page": (lambda _, served: ([1, 2], True, str(served)), 2),
    "empty pages without end": (lambda _, served: ([], True, str(served)), MAX_EMPTY_PAGES + 1),
}


@pytest.mark.parametrize("name", INCONSISTENT)
def test_inconsistent_pages(name: str) -> None:
    """Inconsistent pages raise an error at the first sign, with the attempts and the operation."""
    pages, requests = INCONSISTENT[name]
    with server_of(pages) as server:
        with pytest.raises(PaginationError) as caught:
            list_ids(server)
        assert len(server.requests) == requests
    assert caught.value.attempts == requests
    assert caught.value.operation == "Deployments"
    assert caught.value.elapsed > 0
    check_pickle(caught.value)


CONSISTENT: dict[str, tuple[Pages, list[str]]] = {
    "an empty page in the middle": (
        lambda after, _: {None: ([1], True, "a"), "a": ([], True, "b"), "b": ([2], False, None)}[after],
        ["1", "2"],
    ),
    "an item on two pages": (
        lambda after, _: {None: ([1, 2], True, "a"), "a": ([2, 3], False, None)}[after],
        ["1", "2", "3"],
    ),
    "an item twice on a page": (lambda *_: ([1, 1, 2], False, None), ["1", "2"]),
    "a thousand pages": (
        lambda after, _: ([int(after or 0)], int(after or 0) < 999, str(int(after or 0) + 1)),
        [str(number) for number in range(1000)],
    ),
    "a cursor on the last page": (lambda *_: ([1], False, "a"), ["1"]),
}


@pytest.mark.parametrize("name", CONSISTENT)
def test_consistent_pages(name: str) -> None:
    """Each item comes once, in order, whatever the sizes of the pages."""
    pages, expected = CONSISTENT[name]
    with server_of(pages) as server:
        assert list_ids(server) == expected


def test_page_that_fails_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only the failed page is retried; no item is lost or duplicated."""
    monkeypatch.setattr(_retry, "FIRST_BACKOFF", 0.001)
    with server_of(lambda after, _: ([int(after or 0)], int(after or 0) < 9, str(int(after or 0) + 1))) as server:
        good = server._then
        served = 0

        async def every_third(exchange: Exchange) -> None:
            nonlocal served
            served += 1
            await (exchange.respond(503, b"") if served % 3 == 0 else good(exchange))

        server._then = every_third
        assert list_ids(server) == [str(number) for number in range(10)]
        assert len(server.requests) == 14


def test_page_that_always_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    """The items before the failed page arrive, then the error: a list never ends early without an error."""
    monkeypatch.setattr(_retry, "FIRST_BACKOFF", 0.001)
    seen: list[Any] = []
    with server_of(lambda after, _: ([int(after or 0)], True, str(int(after or 0) + 1))) as server:
        good = server._then

        async def three(exchange: Exchange) -> None:
            await (
                good(exchange)
                if exchange.request.payload["variables"].get("after") != "3"
                else exchange.respond(503, b"")
            )

        server._then = three
        with Client(CANARY, server.url) as client, pytest.raises(ServerError):
            seen.extend(deployment["id"] for deployment in client.deployments.iter_deployments())
    assert seen == ["0", "1", "2"]
