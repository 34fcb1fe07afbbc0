"""Checkpoints: copy what is committed from the WAL into the database file, beside the changes.

SQLite would do this at the end of a change, which then waits for the disk. The larger the database, the longer it takes.
"""

from __future__ import annotations

import asyncio
import sqlite3
from contextlib import suppress
from functools import partial
from pathlib import Path

from paperspace.gradient.server.errors import StoppedError
from paperspace.gradient.server.lanes import Lane
from paperspace.gradient.server.storage.budget import UNLIMITED, Budget
from paperspace.gradient.server.storage.files import connect

INTERVAL = 1.0  # seconds from a change to the checkpoint


class Checkpoints:
    """Make a checkpoint soon after each change. All methods belong to one event loop."""

    def __init__(self, database: str | Path) -> None:
        self._lane = Lane("checkpoints", partial(connect, Path(database)))
        self._task: asyncio.Task[None] | None = None

    async def open(self) -> None:
        """Open a connection to the database."""
        await self._lane.open()

    async def close(self) -> None:
        """Close the connection."""
        if self._task:
            self._task.cancel()
        await self._lane.close()

    def changed(self) -> None:
        """Make a checkpoint soon: something was committed."""
        if self._task is None or self._task.done():
            self._task = asyncio.get_running_loop().create_task(self._make_later())

    async def _make_later(self) -> None:
        await asyncio.sleep(INTERVAL)
        with suppress(StoppedError, sqlite3.Error):  # on a full disk; the next one copies it
            await self._lane.run(_make_checkpoint, Budget(UNLIMITED))


def _make_checkpoint(connection: sqlite3.Connection) -> None:
    connection.execute("PRAGMA wal_checkpoint").fetchall()  # waits for no other connection, and none waits for it
