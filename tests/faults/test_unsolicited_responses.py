"""A response that nobody requested, on a kept connection, never becomes the response to a later request."""

from __future__ import annotations

import asyncio
import json
from typing import Any

from tests.faults.server import ID, OTHER_ID, Exchange, FaultServer

from paperspace.gradient import Client

SPEC: Any = {"image": "nginx"}


def created(id: str) -> bytes:
    """A complete response to a create."""
    body = json.dumps({"data": {"createDeployment": {"deployment": {"id": id}}}}).encode()
    head = f"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    return head.encode() + body


def test_unsolicited_response() -> None:
    """A connection with an extra response is closed instead of reused."""

    async def behaviour(exchange: Exchange) -> None:
        await exchange.write(created(ID))
        await asyncio.sleep(0.05)  # in the same segment it would be read with the response, which closes the connection
        await exchange.write(created(OTHER_ID))

    with FaultServer(then=behaviour) as server, Client("k" * 20, server.url) as client:
        for number in range(3):
            assert client.deployments.create_deployment(f"n{number}", "p", SPEC) == {"id": ID}
            asyncio.run(asyncio.sleep(0.2))
        assert server.connections == 3
