"""A lock of this machine for the containers of one database, so that a copy of the database does not control them too."""

from __future__ import annotations

import asyncio
import os
from contextlib import contextmanager
from typing import TYPE_CHECKING

from paperspace.gradient.server.defaults import SHARED_FOLDER
from paperspace.gradient.server.locks import lock_file, unlock_and_remove
from paperspace.gradient.server.storage.files import UnusableDatabaseError

if TYPE_CHECKING:
    from collections.abc import Generator

TOUCH_INTERVAL = 3600.0  # seconds; the shortest age of such programs is three days


async def keep_young(lock: int) -> None:
    """Touch the file of the lock every hour, until cancelled: programs that clean /tmp remove old files.

    Many of them do not check for locks, such as systemd-tmpfiles before version 254. Without the file, another server could
    lock a new one.
    """
    while True:
        os.utime(lock)
        await asyncio.sleep(TOUCH_INTERVAL)


@contextmanager
def locked_containers(server_id: str) -> Generator[int]:
    """Hold the lock. It is released when the process ends, however it ends. Return the descriptor of its file.

    A server that is killed leaves an empty file, which the next server of the same database uses and removes. It cannot be
    beside the database, where a copy would have its own.

    Raises:
        UnusableDatabaseError: another server has the lock, or the file cannot be used.
    """
    file = SHARED_FOLDER / f"gradient-server-{server_id}.lock"
    try:
        descriptor = lock_file(file)
    except OSError as error:
        message = f"cannot lock the containers of this database: {file}: {error.strerror}"
        raise UnusableDatabaseError(message) from error
    if descriptor is None:
        raise UnusableDatabaseError(
            "another server on this machine uses a copy of this database, and controls its containers. Stop that server, "
            "or pass --engine simulated to use this copy without containers"
        )
    try:
        yield descriptor
    finally:
        unlock_and_remove(file, descriptor)
