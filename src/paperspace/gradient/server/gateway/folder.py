"""The folder of the gateway: only for its owner, for one server at a time, with a short path to the socket."""

from __future__ import annotations

import hashlib
import os
import stat
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from paperspace.gradient.server.controller.gateway import GatewayUnavailableError

if TYPE_CHECKING:
    from collections.abc import Iterator

_LOCK = "lock"
_SOCKET = "admin.sock"
_MAX_SOCKET_PATH = 100  # bytes; the limit is 107 on Linux, and 103 on macOS


@contextmanager
def locked_folder(folder: Path) -> Iterator[None]:
    """Create the folder if it is missing, and lock it. The lock is released when the process ends, however it ends.

    Raises:
        GatewayUnavailableError: another server uses it, or it cannot be used.
    """
    import fcntl  # not on Windows, where no engine runs

    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        folder.chmod(0o700)
        descriptor = os.open(folder / _LOCK, os.O_CREAT | os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    except OSError as error:
        reason = (error.strerror or str(error)).rstrip(".")
        raise GatewayUnavailableError(f"The gateway's folder {folder} cannot be used: {reason}.") from error
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise GatewayUnavailableError(
                f"Another server uses the gateway's folder {folder}; stop that server."
            ) from None
        yield
    finally:
        os.close(descriptor)


def socket_path(folder: Path) -> Path:
    """Return the path of the admin socket: in the folder, or in a folder with a short path, which is created.

    Raises:
        GatewayUnavailableError: the folder with a short path cannot be used.
    """
    if len(os.fsencode(folder / _SOCKET)) <= _MAX_SOCKET_PATH:
        return folder / _SOCKET
    name = f"gradient-{hashlib.sha256(os.fsencode(folder)).hexdigest()[:16]}"
    parents = [Path(tempfile.gettempdir()), Path("/tmp")]  # noqa: S108  # private below
    short = next(parent / name for parent in parents if len(os.fsencode(parent / name / _SOCKET)) <= _MAX_SOCKET_PATH)
    try:
        short.mkdir(mode=0o700, exist_ok=True)
        status = short.lstat()
    except OSError as error:
        reason = (error.strerror or str(error)).rstrip(".")
        raise GatewayUnavailableError(
            f"The folder {short} for the gateway's socket cannot be used: {reason}."
        ) from error
    if not stat.S_ISDIR(status.st_mode) or status.st_uid != os.getuid() or status.st_mode & 0o077:
        raise GatewayUnavailableError(f"The folder {short} belongs to another user or is open to others; remove it.")
    return short / _SOCKET
