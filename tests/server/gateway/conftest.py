"""Gateways in temporary folders. The folders are short: the path of a socket is limited."""

from __future__ import annotations

import socket
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest
from tests.server.gateway.site import Replica, Visitor, visiting

from paperspace.gradient.server.gateway.gateway import EnvoyGateway
from paperspace.gradient.server.gateway.options import Options


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder for the files of a gateway."""
    with tempfile.TemporaryDirectory(prefix="gw") as parent:
        yield Path(parent) / "gateway"


@pytest.fixture
async def new_gateway(folder: Path) -> AsyncIterator[Callable[..., EnvoyGateway]]:
    """Create gateways, each like that of another server. Their processes are stopped at the end."""
    created: list[EnvoyGateway] = []

    def create(**options: Any) -> EnvoyGateway:
        created.append(EnvoyGateway(Options(**{"folder": folder, "port": 0, **options})))
        return created[-1]

    try:
        yield create
    finally:
        for gateway in created:
            await gateway.close()
        for gateway in created:
            await gateway.stop()


@pytest.fixture
async def gateway(new_gateway: Callable[..., EnvoyGateway]) -> EnvoyGateway:
    """An open gateway on a free port."""
    gateway = new_gateway()
    await gateway.open()
    return gateway


@pytest.fixture
async def visitor(gateway: EnvoyGateway) -> AsyncIterator[Visitor]:
    """A client of the gateway."""
    async with visiting(gateway) as visitor:
        yield visitor


@pytest.fixture
async def replicas() -> AsyncIterator[list[Replica]]:
    """Three replicas that run: a, b and c."""
    async with AsyncExitStack() as stack:
        yield [await stack.enter_async_context(Replica(name).running()) for name in "abc"]


@pytest.fixture
def unused_port() -> int:
    """A port on which nothing listens."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])
