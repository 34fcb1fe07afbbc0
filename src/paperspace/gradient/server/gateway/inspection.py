"""The state of a gateway, read without a server and without a change of anything."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from paperspace.gradient.server.controller.gateway import GatewayState
from paperspace.gradient.server.gateway import process as processes
from paperspace.gradient.server.gateway.admin import Admin, AdminError
from paperspace.gradient.server.gateway.envoy import PID
from paperspace.gradient.server.gateway.files import Files
from paperspace.gradient.server.gateway.folder import SOCKET
from paperspace.gradient.server.gateway.listener import read_address
from paperspace.gradient.server.gateway.resources import BOOTSTRAP, LISTENERS
from paperspace.gradient.server.sockets import socket_path

if TYPE_CHECKING:
    from pathlib import Path


async def inspect(folder: Path) -> GatewayState:
    """Return whether the gateway of a folder runs and responds."""
    problem = None
    process = await processes.find(folder / PID, folder / BOOTSTRAP)
    if process:
        process.close()
        with suppress(OSError):
            admin = Admin(socket_path(folder / SOCKET))
            try:
                problem = await problem_of(admin, process.pid)
            finally:
                await admin.close()
    return GatewayState(process is not None, Files(folder).read(LISTENERS, read_address), problem)


async def problem_of(admin: Admin, pid: int) -> str | None:
    """Return a sentence that says that a process does not respond, and what to do. None: it responds."""
    try:
        await admin.version()
    except AdminError:
        return (
            "The gateway does not respond. Stop its process, for example with "
            f"`kill -KILL {pid}`, so that it is started again."
        )
    return None
