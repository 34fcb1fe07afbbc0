"""Short runs of the tests of `scripts/chaos gateway`."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.server.gateway.conftest import folder as folder  # noqa: PLC0414  # a fixture
from tests.stress.gateway_stress import bodies, deployments, kills

pytestmark = pytest.mark.anyio


async def test_kills(folder: Path) -> None:
    """SIGKILLs of the server while it changes routes lose no request; after those of Envoy it serves again."""
    assert await kills(folder, 3) == []


async def test_deployments(folder: Path) -> None:
    """Deployments that come and go neither lose requests of another one, nor its WebSocket and stream of events."""
    assert await deployments(folder, 10) == []


async def test_bodies(folder: Path) -> None:
    """Large bodies pass through Envoy without filling its memory."""
    assert await bodies(folder, 50) == []
