"""Paths of Unix sockets, whose length is limited."""

from __future__ import annotations

import errno
import hashlib
import os
import stat
from contextlib import suppress
from typing import TYPE_CHECKING

from paperspace.gradient.server.defaults import SHARED_FOLDER

if TYPE_CHECKING:
    from pathlib import Path

_MAX_PATH = 100  # bytes; the limit is 107 on Linux, and 103 on macOS
_NAME = "socket"


def socket_path(path: Path) -> Path:
    """Return the path of a socket: this one, or one in a private folder with a short path. Nothing is created.

    Raises:
        OSError: the folder with a short path cannot be used.
    """
    short = _short_path(path)
    if short is None:
        return path
    with suppress(FileNotFoundError):
        status = short.parent.lstat()
        if not stat.S_ISDIR(status.st_mode) or status.st_uid != os.getuid() or status.st_mode & 0o077:
            reason = "it belongs to another user or is open to others; remove it"
            raise OSError(errno.EPERM, reason, str(short.parent))
    return short


def new_socket_path(path: Path) -> Path:
    """Return the path of a socket that this process creates. A folder with a short path is created.

    Raises:
        OSError: the folder with a short path cannot be used.
    """
    if short := _short_path(path):
        short.parent.mkdir(mode=0o700, exist_ok=True)
    return socket_path(path)


def remove_socket(path: Path) -> None:
    """Remove a socket for which `new_socket_path` returned a path, and its folder with a short path."""
    short = _short_path(path)
    (short or path).unlink(missing_ok=True)
    if short:
        with suppress(OSError):
            short.parent.rmdir()


def _short_path(path: Path) -> Path | None:
    """Return a short path that replaces this one. None: it is short."""
    if len(os.fsencode(path)) <= _MAX_PATH:
        return None
    return SHARED_FOLDER / f"gradient-{hashlib.sha256(os.fsencode(path)).hexdigest()[:16]}" / _NAME
