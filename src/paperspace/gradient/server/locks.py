"""Locks on files, which end with the process that has them, however it ends."""

from __future__ import annotations

import os
from contextlib import suppress
from typing import TYPE_CHECKING

from paperspace.gradient._shared.fork import at_fork

if TYPE_CHECKING:
    from pathlib import Path


# The descriptors of the locks of this process.
_locked: set[int] = set()


def _close_inherited() -> None:
    """In a forked child: close the locks of the parent. Otherwise they would stay if the parent is killed.

    The descriptors remain, and lead to the null device, as other code may close them one day.
    """
    if _locked:
        null = os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)
        for descriptor in _locked:
            os.dup2(null, descriptor, inheritable=False)
        os.close(null)
        _locked.clear()


at_fork(after_in_child=_close_inherited)


def lock_file(file: Path) -> int | None:
    """Create a file, and lock it. Return its descriptor, which has the lock until `unlock`.

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
                _locked.add(descriptor)
                return descriptor
        os.close(descriptor)  # its owner has removed it since it was opened


def unlock(descriptor: int) -> None:
    """End a lock. In a forked child, which does not have it, the lock of the parent remains."""
    _locked.discard(descriptor)
    os.close(descriptor)


def unlock_and_remove(file: Path, descriptor: int) -> None:
    """Remove a locked file, and end its lock. Whoever has opened it meanwhile sees that it is removed."""
    if descriptor in _locked:  # not in a forked child
        file.unlink(missing_ok=True)
    unlock(descriptor)
