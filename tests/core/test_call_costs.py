"""The cost of calls, as numbers of connections, documents and modules: unlike times, they do not vary."""

from __future__ import annotations

import asyncio
import importlib.util
import json
import subprocess
import sys
from typing import Any

import pytest
from tests.samples import SPEC

from paperspace.gradient import AsyncClient, Client
from paperspace.gradient._core import documents as _documents
from paperspace.gradient._core.transport import Connector
from paperspace.gradient.server import LocalServer


@pytest.fixture
def opened_connections(monkeypatch: pytest.MonkeyPatch) -> list[object]:
    """Collect the address of each connection that is opened."""
    sockets: list[object] = []
    create = Connector._create_socket

    def record(self: Connector, address: Any) -> Any:
        sockets.append(address)
        return create(self, address)

    monkeypatch.setattr(Connector, "_create_socket", record)
    return sockets


def test_one_connection(client: Client, opened_connections: list[object]) -> None:
    """Successive calls use one connection, whatever their operation and options."""
    created = client.deployments.create_deployment("n", "p", SPEC)
    for _ in range(20):
        client.deployments.get_deployment(created["id"])
        client.with_options(timeout=5.0).deployments.list_deployments()
    client.deployments.delete_deployment(created["id"])
    assert len(opened_connections) == 1


@pytest.mark.anyio
async def test_connections_of_many(aclient: AsyncClient, opened_connections: list[object]) -> None:
    """Simultaneous calls open at most one connection each, and later calls reuse them."""
    for _ in range(3):
        await asyncio.gather(*(aclient.deployments.list_deployments() for _ in range(10)))
    assert len(opened_connections) <= 10


def test_documents_are_read_once(client: Client) -> None:
    """An operation is read, parsed and printed once, even if it runs several times."""
    _documents.load_document.cache_clear()
    for _ in range(5):
        client.deployments.list_deployments()
        client.deployments.list_deployments("n", "p")
    assert _documents.load_document.cache_info().misses == 1


def test_a_call_loads_what_it_needs(environment: dict[str, str]) -> None:
    """A list imports nothing of the command, of spec files, or of other functions."""
    code = (
        "from paperspace.gradient import deployments\ndeployments.list_deployments()\n"
        "import sys, json\nprint(json.dumps(list(sys.modules)))"
    )
    loaded = set(json.loads(subprocess.check_output([sys.executable, "-c", code], text=True, env=environment)))
    assert {"gql", "aiohttp", "pydantic"} <= loaded
    foreign = {"click", "rich", "yaml", "tomllib", "sqlite3"}
    names = ("_spec.diff", "deployments._revisions", "deployments._status", "deployments._logs", "server", "cli")
    ours = {f"paperspace.gradient.{name}" for name in names}
    assert all(importlib.util.find_spec(name) for name in ours | foreign)
    assert loaded.isdisjoint(foreign | ours)


def test_a_new_client_connects_anew(server: LocalServer, opened_connections: list[object]) -> None:
    """Clients do not share connections."""
    for _ in range(2):
        with Client(server.api_key, server.url) as client:
            client.deployments.list_deployments()
    assert len(opened_connections) == 2
