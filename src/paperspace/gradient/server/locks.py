"""Locks on files, which end with the process that has them, however it ends."""

from __future__ import annotations

import os
from contextlib import suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


def lock_file(file: Path) -> int | None:
    """Create a file, and lock it. Return its descriptor, which has the lock until it is closed.

    None: another process, or another lock of this one, has the lock.

    Raises:
        OSError: the file cannot be used.
    """
    import fcntl  # not on Windows, where no engine runs

    while True:
        descriptor = os.open(file, os.O_CREAT | os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            return None
        with suppress(FileNotFoundError):
            if os.path.samestat(file.stat(), os.fstat(descriptor)):
                return descriptor
        os.close(descriptor)  # its owner has removed it since it was opened


def unlock_and_remove(file: Path, descriptor: int) -> None:
    """Remove a locked file, and end its lock. Whoever has opened it meanwhile sees that it is removed."""
    file.unlink(missing_ok=True)
    os.close(descriptor)
