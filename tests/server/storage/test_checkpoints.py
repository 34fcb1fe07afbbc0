"""Checkpoints: beside the changes, and soon after them."""

from __future__ import annotations

import sqlite3
import time
from contextlib import closing
from typing import TYPE_CHECKING

import pytest

from paperspace.gradient import Client
from paperspace.gradient.server import LocalServer
from paperspace.gradient.server.storage import checkpoints

if TYPE_CHECKING:
    from pathlib import Path

SPEC = {"image": "nginx", "env": [{"name": "TEXT", "value": "x" * 200_000}]}


def names_without_wal(database: Path) -> list[str]:
    """Return the names of the deployments in the database file alone."""
    with closing(sqlite3.connect(f"{database.as_uri()}?mode=ro&immutable=1", uri=True)) as connection:
        try:
            return [name for (name,) in connection.execute("SELECT name FROM deployments")]
        except sqlite3.DatabaseError:  # the tables are only in the WAL, or are being copied
            return []


def test_soon_after_a_change(tmp_path: Path) -> None:
    """A change is in the database file soon after it was committed, though nothing else happens."""
    database = tmp_path / "gradient.db"
    with LocalServer(database=database) as server, Client(server.api_key, server.url) as client:
        client.deployments.create_deployment("mnist", "p", SPEC)
        deadline = time.monotonic() + 60
        while names_without_wal(database) != ["mnist"]:
            assert time.monotonic() < deadline
            time.sleep(0.05)


def test_beside_changes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Changes never wait for the disk: they leave megabytes in the WAL to the checkpoint beside them."""
    monkeypatch.setattr(checkpoints, "INTERVAL", 3600)
    database = tmp_path / "gradient.db"
    wal = tmp_path / "gradient.db-wal"
    with LocalServer(database=database) as server, Client(server.api_key, server.url) as client:
        count = 0
        while wal.stat().st_size < 6_000_000 and count < 30:  # SQLite would make a checkpoint at 4 MB
            client.deployments.create_deployment(f"d{count}", "p", SPEC)
            count += 1
        assert wal.stat().st_size > 6_000_000
        assert names_without_wal(database) == []
    assert len(names_without_wal(database)) == count
