"""A lock of this machine for the containers of one database, so that a copy of the database does not control them too."""

from __future__ import annotations

import os
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from paperspace.gradient.server.storage.files import UnusableDatabaseError

if TYPE_CHECKING:
    from collections.abc import Generator


@contextmanager
def locked_containers(server_id: str) -> Generator[None]:
    """Hold the lock. It is released when the process ends, however it ends.

    A server that is killed leaves an empty file, which the next server of the same database uses and removes. It cannot be
    beside the database, where a copy would have its own.

    Raises:
        UnusableDatabaseError: another server has the lock, or the file cannot be used.
    """
    import fcntl  # not on Windows, where no engine runs

    file = Path(tempfile.gettempdir()) / f"gradient-server-{server_id}.lock"
    while True:
        try:
            descriptor = os.open(file, os.O_CREAT | os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        except OSError as error:
            message = f"cannot lock the containers of this database: {file}: {error.strerror}"
            raise UnusableDatabaseError(message) from error
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            message = "another server on this machine uses a copy of this database, and controls its containers; stop that server"
            raise UnusableDatabaseError(message) from None
        if _is_open_file(file, descriptor):
            break
        os.close(descriptor)  # its owner has removed it since it was opened
    try:
        yield
    finally:
        file.unlink(missing_ok=True)  # while it is locked: another server that opened it sees that it is removed
        os.close(descriptor)


def _is_open_file(file: Path, descriptor: int) -> bool:
    try:
        return os.path.samestat(file.stat(), os.fstat(descriptor))
    except FileNotFoundError:
        return False
