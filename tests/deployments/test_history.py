"""`get_deployment_history` and `iter_deployment_history`: how much of a long history is read."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from tests.samples import SPEC

from paperspace.gradient import AsyncClient, Client, InvalidArgumentError, NotFoundError
from paperspace.gradient.server import LocalServer

REVISIONS = 160

Wire = list[dict[str, Any]]


@pytest.fixture(scope="module")
def history_server() -> Iterator[LocalServer]:
    """A server with a deployment `long` that has 160 revisions: one for each number of replicas."""
    with LocalServer() as server, Client(server.api_key, server.url) as client:
        id_ = client.deployments.create_deployment("long", "p", SPEC)["id"]
        for replicas in range(2, REVISIONS + 1):
            client.deployments.update_deployment(id=id_, spec={**SPEC, "resources": {"replicas": replicas}})
        yield server


@pytest.fixture
def client(history_server: LocalServer) -> Iterator[Client]:
    """A client of that server."""
    with Client(history_server.api_key, history_server.url) as client:
        yield client


@pytest.fixture
def id_(client: Client) -> str:
    """The id of the deployment."""
    return client.deployments.list_deployments(name="long")[0]["id"]


def sizes(wire: Wire) -> list[int]:
    """The sizes of the pages that were requested."""
    return [request["variables"]["first"] for request in wire]


def test_the_iterator_yields_the_same_revisions(client: Client, id_: str) -> None:
    """Both functions return the same, also if the maximum ends within a page, at its end or at the first revision."""
    history = client.deployments.get_deployment_history(id_)
    assert [revision["data"]["resources"]["replicas"] for revision in history[:-1]] == [*range(REVISIONS, 1, -1)]  # type: ignore[index]
    assert history[-2]["difference"]["text"].endswith("-> 2")
    assert history[-1]["difference"]["text"].startswith("+ image")
    for first in (None, 0, 1, 9, 10, 11, 99, 100, 101, REVISIONS - 1, REVISIONS, REVISIONS + 1):
        assert list(client.deployments.iter_deployment_history(id_, first)) == history[:first]
        assert client.deployments.get_deployment_history(id_, first) == history[:first]


def test_a_part_of_the_history_is_read(client: Client, id_: str, wire: Wire) -> None:
    """With a maximum, one more revision is read: that before the last one, for its difference."""
    for first, expected in ((0, []), (1, [2]), (99, [100]), (100, [100, 1])):
        wire.clear()
        assert len(client.deployments.get_deployment_history(id_, first)) == first
        assert sizes(wire) == expected


def test_the_iterator_reads_as_it_goes(client: Client, id_: str, wire: Wire) -> None:
    """The first page is small, the next ones are larger, and each is read only after the one before is used up."""
    revisions = client.deployments.iter_deployment_history(id_)
    wire.clear()
    for _ in range(9):
        next(revisions)
    assert sizes(wire) == [10]
    next(revisions)
    assert sizes(wire) == [10, 40]
    assert len(list(revisions)) == REVISIONS - 10
    assert sizes(wire) == [10, 40, 100, 100]
    wire.clear()
    client.deployments.get_deployment_history(id_)
    assert sizes(wire) == [100, 100]


def test_a_rollback_reads_what_it_needs(client: Client, wire: Wire) -> None:
    """The undoing of the last change reads a small page of a history, however large the specs are."""
    id_ = client.deployments.create_deployment("undone", "p", SPEC)["id"]
    client.deployments.scale_deployment(id_, 2)
    wire.clear()
    client.deployments.rollback_deployment(id_, previous=True)
    assert sizes(wire[:1]) == [10]
    assert [request["operationName"] for request in wire] == ["DeploymentHistory", "DeploymentUpdate"]


def test_secrets_are_hidden(client: Client) -> None:
    """The differences show no secrets, unless the caller asks for them."""
    spec: Any = {"image": "nginx", "env": [{"name": "KEY", "value": "secret"}]}
    id_ = client.deployments.create_deployment("secret", "p", spec)["id"]
    [hidden] = client.deployments.iter_deployment_history(id_)
    [shown] = client.deployments.iter_deployment_history(id_, show_secrets=True)
    assert "secret" not in hidden["difference"]["text"]
    assert "secret" in shown["difference"]["text"]


def test_invalid_arguments(client: Client) -> None:
    """They raise when the function is called; an unknown deployment does at the first iteration."""
    for arguments in ({"id": "i", "first": -1}, {"id": "i", "first": True}, {}):
        with pytest.raises(InvalidArgumentError):
            client.deployments.iter_deployment_history(**arguments)  # type: ignore[arg-type]
        with pytest.raises(InvalidArgumentError):
            client.deployments.get_deployment_history(**arguments)  # type: ignore[arg-type]
    for unknown in ({"id": "00000000-0000-0000-0000-0000000000ff"}, {"name": "unknown"}):
        revisions = client.deployments.iter_deployment_history(**unknown)  # type: ignore[arg-type]
        with pytest.raises(NotFoundError):
            next(revisions)


@pytest.mark.anyio
async def test_async(history_server: LocalServer) -> None:
    """The async version does the same."""
    async with AsyncClient(history_server.api_key, history_server.url) as client:
        revisions = [revision async for revision in client.deployments.iter_deployment_history(name="long", first=3)]
        assert revisions == await client.deployments.get_deployment_history(name="long", first=3)
        assert len(revisions) == 3
