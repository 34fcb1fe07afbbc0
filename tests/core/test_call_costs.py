"""What a call costs, counted: requests, connections, documents, modules. Counts do not flake, as times do."""

from __future__ import annotations

import asyncio
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
def opened(monkeypatch: pytest.MonkeyPatch) -> list[object]:
    """Every connection that is opened from now on."""
    sockets: list[object] = []
    create = Connector._create_socket

    def noted(self: Connector, address: Any) -> Any:
        sockets.append(address)
        return create(self, address)

    monkeypatch.setattr(Connector, "_create_socket", noted)
    return sockets


def test_one_connection(client: Client, opened: list[object]) -> None:
    """Calls one after another go over one connection, whatever they are, and those of another thread too."""
    created = client.deployments.create_deployment("n", "p", SPEC)
    for _ in range(20):
        client.deployments.get_deployment(created["id"])
        client.with_options(timeout=5.0).deployments.list_deployments()
    client.deployments.delete_deployment(created["id"])
    assert len(opened) == 1


@pytest.mark.anyio
async def test_connections_of_many(aclient: AsyncClient, opened: list[object]) -> None:
    """Calls at once open a connection each at most, and later ones take those."""
    for _ in range(3):
        await asyncio.gather(*(aclient.deployments.list_deployments() for _ in range(10)))
    assert len(opened) <= 10


def test_documents_are_read_once(client: Client) -> None:
    """An operation is read, parsed and printed once, however often it runs."""
    _documents.load_document.cache_clear()
    for _ in range(5):
        client.deployments.list_deployments()
        client.deployments.list_deployments("n", "p")
    assert _documents.load_document.cache_info().misses == 1


def test_a_call_loads_what_it_needs(environment: dict[str, str]) -> None:
    """A list loads nothing of the command, of spec files or of what the other functions need."""
    code = (
        "from paperspace.gradient import deployments\ndeployments.list_deployments()\n"
        "import sys, json\nprint(json.dumps(list(sys.modules)))"
    )
    loaded = set(json.loads(subprocess.check_output([sys.executable, "-c", code], text=True, env=environment)))
    assert {"gql", "aiohttp", "pydantic"} <= loaded
    foreign = {"click", "rich", "yaml", "tomllib", "sqlite3"}
    ours = {f"paperspace.gradient.{name}" for name in ("_spec_diff", "_revisions", "_status", "_logs", "server", "cli")}
    assert loaded.isdisjoint(foreign | ours)


def test_a_new_client_connects_anew(server: LocalServer, opened: list[object]) -> None:
    """A client keeps its connections to itself: the next one opens its own."""
    for _ in range(2):
        with Client(server.api_key, server.url) as client:
            client.deployments.list_deployments()
    assert len(opened) == 2
