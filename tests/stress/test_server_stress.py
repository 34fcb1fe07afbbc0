"""Short runs of the tests of `scripts/chaos server`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from tests.stress.heavy_requests import HEAVY, heavy_requests
from tests.stress.server_stress import kills, mutations, races

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.anyio
async def test_racing_creates() -> None:
    """64 clients create the same name at once, in several rounds: each time one succeeds and 63 get a conflict."""
    await races(5)


def test_kills_while_writing(tmp_path: Path) -> None:
    """After SIGKILLs while it writes, no acknowledged change is lost, and none is stored in part."""
    assert kills(5, tmp_path / "gradient.db") > 10


@pytest.mark.anyio
async def test_mutated_requests(tmp_path: Path) -> None:
    """No response to a mutated request is an internal server error."""
    statuses, _, _ = await mutations(1000, tmp_path / "gradient.db")
    assert statuses[200] > 50
    assert statuses[400] > 50


@pytest.mark.anyio
async def test_heavy_requests(tmp_path: Path) -> None:
    """Tiny requests are executed while heavy ones are, and the server stops beside ten heavy ones."""
    latencies, _ = await heavy_requests(1, tmp_path / "gradient.db", deployments=10, specs=10)
    assert latencies.keys() == HEAVY.keys()
    assert all(measured.number > 1 for measured in latencies.values())
