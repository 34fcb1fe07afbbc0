"""Clients that want more than the file descriptors of Envoy."""

from __future__ import annotations

import asyncio
import json
import resource
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest
from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.events import DataReceived, ResponseReceived
from tests.server.gateway.site import LONG, Replica, read_response

from paperspace.gradient.server.gateway.binary import find_envoy
from paperspace.gradient.server.gateway.gateway import EnvoyGateway

pytestmark = pytest.mark.anyio

FILES = 200


@pytest.fixture
async def gateway(
    new_gateway: Callable[..., EnvoyGateway], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> EnvoyGateway:
    """An open gateway whose Envoy has few file descriptors."""
    # A process cannot raise its hard limit again, so this one only seems to have it.
    monkeypatch.setattr(resource, "getrlimit", lambda _: (FILES, FILES))
    program = tmp_path / "envoy"
    program.write_text(f'#!/bin/sh\nulimit -n {FILES}\nexec "{find_envoy(None)}" "$@"\n')
    program.chmod(0o755)
    gateway = new_gateway(envoy=program)
    await gateway.open()
    return gateway


async def test_many_connections(gateway: EnvoyGateway, replicas: list[Replica]) -> None:
    """Further connections are closed. The others work, and routes change."""
    a, b, _ = replicas
    await gateway.route("x", "a", a.target)
    connections = [await asyncio.open_connection("127.0.0.1", gateway._port) for _ in range(FILES)]
    try:
        async with asyncio.timeout(LONG):
            last, _ = connections[-1]
            with suppress(ConnectionError):
                assert await last.read() == b""
            await gateway.route("x", "b", b.target)
            await gateway.unroute("x", "a")
            reader, writer = connections[0]
            writer.write(b"GET /endpoints/x/ HTTP/1.1\r\nHost: g\r\n\r\n")
            status, body = await read_response(reader)
        assert (status, json.loads(body)["name"]) == (200, b.name)
    finally:
        for _, writer in connections:
            writer.close()


async def test_many_requests(gateway: EnvoyGateway, replicas: list[Replica]) -> None:
    """Many requests on one connection of HTTP/2 wait for connections to the container, and none is lost."""
    await gateway.route("x", "a", replicas[0].target)
    reader, writer = await asyncio.open_connection("127.0.0.1", gateway._port)
    connection = H2Connection(H2Configuration(client_side=True))
    connection.initiate_connection()
    start = {":method": "POST", ":scheme": "http", ":authority": "g", ":path": "/endpoints/x/?seconds=0.2"}
    for _ in range(FILES):
        connection.send_headers(connection.get_next_available_stream_id(), list(start.items()), end_stream=True)
    statuses: Counter[bytes] = Counter()
    async with asyncio.timeout(LONG):
        while statuses.total() < FILES:
            writer.write(connection.data_to_send())
            for event in connection.receive_data(await reader.read(65_536)):
                if isinstance(event, ResponseReceived):
                    statuses[dict(event.headers or [])[b":status"]] += 1
                elif isinstance(event, DataReceived):
                    connection.acknowledge_received_data(event.flow_controlled_length or 0, event.stream_id or 0)
    writer.close()
    assert statuses == {b"200": FILES}
