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

    Raises:
        UnusableDatabaseError: another server has the lock, or the file cannot be used.
    """
    import fcntl  # not on Windows, where no engine runs

    file = Path(tempfile.gettempdir()) / f"gradient-server-{server_id}.lock"
    try:
        descriptor = os.open(file, os.O_CREAT | os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise UnusableDatabaseError(f"cannot lock the containers of this database: {file}: {error.strerror}") from error
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        message = "another server on this machine, with a copy of this database, controls its containers"
        raise UnusableDatabaseError(message) from None
    try:
        yield
    finally:
        os.close(descriptor)
