"""The state of a gateway, read without a server and without a change of anything."""

from __future__ import annotations

from typing import TYPE_CHECKING

from paperspace.gradient.server.controller.gateway import GatewayState
from paperspace.gradient.server.gateway import process as processes
from paperspace.gradient.server.gateway.envoy import PID
from paperspace.gradient.server.gateway.files import Files
from paperspace.gradient.server.gateway.listener import read_address
from paperspace.gradient.server.gateway.resources import BOOTSTRAP, LISTENERS

if TYPE_CHECKING:
    from pathlib import Path


async def inspect(folder: Path) -> GatewayState:
    """Return whether the gateway of a folder runs."""
    process = await processes.find(folder / PID, folder / BOOTSTRAP)
    if process:
        process.close()
    return GatewayState(process is not None, Files(folder).read(LISTENERS, read_address))
