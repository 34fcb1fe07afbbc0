"""The folder of the gateway: only for its owner, for one server and one process of Envoy at a time."""

from __future__ import annotations

import shutil
from contextlib import contextmanager
from typing import TYPE_CHECKING

from paperspace.gradient.server import sockets
from paperspace.gradient.server.controller.gateway import GatewayUnavailableError
from paperspace.gradient.server.locks import lock_file, unlock

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

SERVER = "lock"
"""The lock of the server, which writes the files."""
RUNNER = "runner.lock"
"""The lock of what starts Envoy: the server, or `gradient server gateway`."""
SOCKET = "admin.sock"

_IN_USE = {
    SERVER: "Another server uses the gateway's folder {folder}; stop that server.",
    RUNNER: "Another process, `gradient server gateway` or another server, runs the gateway in {folder}. Stop that "
    "process. If it is `gradient server gateway`, you can also start this server with --external-gateway.",
}


@contextmanager
def locked_folder(folder: Path, lock: str = SERVER) -> Iterator[int]:
    """Create the folder if it is missing, and take one of its locks. It is released when the process ends, however it ends.

    Yields:
        The descriptor of the lock.

    Raises:
        GatewayUnavailableError: another process has the lock, or the folder cannot be used.
    """
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        folder.chmod(0o700)
        descriptor = lock_file(folder / lock)
    except OSError as error:
        reason = (error.strerror or str(error)).rstrip(".")
        raise GatewayUnavailableError(f"The gateway's folder {folder} cannot be used: {reason}.") from error
    if descriptor is None:
        raise GatewayUnavailableError(_IN_USE[lock].format(folder=folder))
    try:
        yield descriptor
    finally:
        unlock(descriptor)


def socket_path(folder: Path) -> Path:
    """Return the path of the admin socket: in the folder, or in a folder with a short path, which is created.

    Raises:
        GatewayUnavailableError: the folder with a short path cannot be used.
    """
    try:
        return sockets.new_socket_path(folder / SOCKET)
    except OSError as error:
        reason = (error.strerror or str(error)).rstrip(".")
        raise GatewayUnavailableError(
            f"The folder {error.filename} for the gateway's socket cannot be used: {reason}."
        ) from error


def remove_folder(folder: Path) -> None:
    """Remove the folder and the admin socket."""
    sockets.remove_socket(folder / SOCKET)
    shutil.rmtree(folder, ignore_errors=True)
