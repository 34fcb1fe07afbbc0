"""Pages that are too large, for the server or for the client: the client asks for smaller ones."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from tests.faults.harness import CANARY
from tests.faults.server import Exchange, FaultServer

from paperspace.gradient import BadRequestError, Client, ResponseTooLargeError
from paperspace.gradient._core import retry
from paperspace.gradient._core.pagination import MAX_PAGE
from paperspace.gradient.deployments import Deployments
from paperspace.gradient.server import LocalServer, dispatcher
from paperspace.gradient.server.storage.budget import LIGHT, MAXIMUM

REVISIONS = 12
VALUE = "x" * 10_000
SPEC: Any = {"image": "first", "env": [{"name": "CONFIG", "value": VALUE}]}

READS: dict[str, Callable[[Deployments, str], int]] = {
    "get_deployment": lambda api, id_: len(api.get_deployment(id_)["deploymentSpecs"]["nodes"]),
    "get_deployment_history": lambda api, id_: len(api.get_deployment_history(id_)),
    "list_deployments": lambda api, _: sum(len(one["deploymentSpecs"]["nodes"]) for one in api.list_deployments()) // 3,
    "list_deployments on a cluster": lambda api, _: (
        sum(len(one["deploymentSpecs"]["nodes"]) for one in api.list_deployments(cluster_id="c")) // 3
    ),
}


@pytest.fixture
def large() -> Iterator[tuple[LocalServer, str]]:
    """A server with three deployments of 12 large revisions each, and the id of one. All revisions have the same spec."""
    with LocalServer() as server, Client(server.api_key, server.url) as client:
        for number in range(3):
            id_ = client.deployments.create_deployment(f"d{number}", "p", SPEC, "c")["id"]
            for _ in range(REVISIONS - 1):
                client.deployments.restart_deployment(id_)
        yield server, id_


@pytest.mark.parametrize(
    ("read", "limit"), [("get_deployment_history", "result_bytes"), *((read, "read_bytes") for read in READS)]
)
def test_more_than_the_budget_of_a_request(
    large: tuple[LocalServer, str], monkeypatch: pytest.MonkeyPatch, read: str, limit: str
) -> None:
    """A list is complete, although the specs of a single deployment are over the budget of the server."""
    server, id_ = large
    budget = len(VALUE) * (REVISIONS + 2) // 2
    for name, limits in (("MAXIMUM", MAXIMUM), ("LIGHT", LIGHT)):
        monkeypatch.setattr(dispatcher, name, limits._replace(**{limit: budget}))
    with Client(server.api_key, server.url) as client:
        assert READS[read](client.deployments, id_) == REVISIONS


def test_rollback_over_many_large_revisions(large: tuple[LocalServer, str], monkeypatch: pytest.MonkeyPatch) -> None:
    """`previous=True` finds the last different spec, although a page of all specs is over the budget of the server."""
    server, id_ = large
    with Client(server.api_key, server.url) as client:
        client.deployments.patch_deployment(id_, image="second")
        client.deployments.restart_deployment(id_)
        monkeypatch.setattr(dispatcher, "MAXIMUM", MAXIMUM._replace(result_bytes=len(VALUE) * REVISIONS))
        client.deployments.rollback_deployment(id_, previous=True)
        assert client.deployments.get_deployment_spec(id_)["image"] == "first"


@pytest.mark.parametrize("read", READS)
def test_larger_than_the_client_accepts(
    large: tuple[LocalServer, str], monkeypatch: pytest.MonkeyPatch, read: str
) -> None:
    """A list is complete, although the specs of a single deployment have more than `max_response_bytes`."""
    monkeypatch.setattr(retry, "FIRST_BACKOFF", 0.001)
    server, id_ = large
    limit = len(VALUE) * REVISIONS // 2 if "history" in read else 1_500
    with Client(server.api_key, server.url, max_response_bytes=limit) as client:
        assert READS[read](client.deployments, id_) == REVISIONS


def test_status_in_small_pages(server: LocalServer, client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    """A status is read and waited for, although its instances have more than `max_response_bytes`; so is a list of statuses."""
    monkeypatch.setattr(retry, "FIRST_BACKOFF", 0.001)
    spec: Any = {"image": "i", "resources": {"replicas": 50}}
    created = client.deployments.create_deployment("n", "p", spec, "c", wait=True)
    status = client.deployments.get_deployment_status(created["id"])
    assert len(status["instances"]) == 50
    with Client(server.api_key, server.url, max_response_bytes=2_500) as other:
        assert other.deployments.get_deployment_status(created["id"]) == status
        assert other.deployments.wait_for_deployment(created["id"]) == status
        assert other.deployments.list_deployment_statuses() == [status]
        assert other.deployments.list_deployment_statuses(cluster_id="c") == [status]


def test_many_events_in_small_pages(server: LocalServer, client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    """More than a page of events are read, although a page has more than `max_response_bytes`."""
    monkeypatch.setattr(retry, "FIRST_BACKOFF", 0.001)
    created = client.deployments.create_deployment("n", "p", {"image": "i"})
    for _ in range(MAX_PAGE):
        client.deployments.restart_deployment(created["id"])
    events = client.deployments.get_deployment_events(created["id"], first=MAX_PAGE + 1)
    with Client(server.api_key, server.url, max_response_bytes=20_000) as other:
        assert other.deployments.get_deployment_events(created["id"], first=MAX_PAGE + 1) == events


def server_with_budget(budget: int, served: int) -> tuple[FaultServer, list[int]]:
    """Return a server of `served` deployments that refuses pages above a size, and the sizes that it is asked for."""
    sizes: list[int] = []
    specs = {"nodes": [], "pageInfo": {"hasNextPage": False, "endCursor": None}}

    async def respond(exchange: Exchange) -> None:
        variables = exchange.request.payload["variables"]
        size, start = variables["first"], int(variables.get("after") or 0)
        sizes.append(size)
        if size > budget:
            error = {"message": "too much", "extensions": {"code": "BUDGET_EXCEEDED"}}
            await exchange.respond(400, {"errors": [error]})
            return
        end = min(start + size, served)
        nodes = [{"id": str(number), "name": "mine", "deploymentSpecs": specs} for number in range(start, end)]
        info = {"hasNextPage": end < served, "endCursor": str(end)}
        await exchange.respond(body={"data": {"deployments": {"nodes": nodes, "pageInfo": info}}})

    return FaultServer(then=respond), sizes


@pytest.mark.parametrize(
    ("budget", "first", "expected"),
    [
        (100, None, [100, 100]),
        (30, None, [100, 25, 25, 25, 25, 25]),
        (24, None, [100, 25, *[6] * 21]),
        (20, 27, [27, 6, 6, 6, 6, 3]),
    ],
)
def test_sizes_of_pages(budget: int, first: int | None, expected: list[int]) -> None:
    """The first page has the largest size. After one that is refused, all are four times smaller, up to the limit."""
    assert MAX_PAGE == 100
    server, sizes = server_with_budget(budget, 125)
    with server, Client(CANARY, server.url) as client:
        ids = [deployment["id"] for deployment in client.deployments.list_deployments(first=first)]
    assert ids == [str(number) for number in range(first or 125)]
    assert sizes == expected


def test_one_item_is_too_large(large: tuple[LocalServer, str], monkeypatch: pytest.MonkeyPatch) -> None:
    """If even a page of one item with one spec is too large, the error of that page ends the call."""
    server, sizes = server_with_budget(0, 125)
    with server, Client(CANARY, server.url) as client, pytest.raises(BadRequestError, match="too much"):
        client.deployments.list_deployments()
    assert sizes == [100, 25, 6, 1, 1]
    monkeypatch.setattr(retry, "FIRST_BACKOFF", 0.001)
    with (
        Client(large[0].api_key, large[0].url, max_response_bytes=len(VALUE)) as client,
        pytest.raises(ResponseTooLargeError),
    ):
        client.deployments.get_deployment_history(large[1])
