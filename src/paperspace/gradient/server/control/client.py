"""The client of a running server's control socket."""

from __future__ import annotations

import asyncio
import json
import socket
from contextlib import asynccontextmanager, closing, suppress
from typing import TYPE_CHECKING, Any

import aiohttp

from paperspace.gradient.server.control.interface import ControlError
from paperspace.gradient.server.gateway.process import Process
from paperspace.gradient.server.sockets import socket_path

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterable
    from pathlib import Path

_TIMEOUT = aiohttp.ClientTimeout(total=60)
_UNLIMITED = aiohttp.ClientTimeout()  # `down` and `prune` wait for containers, and `down` also for requests
_EXIT_TIMEOUT = 30.0  # seconds


def listens(path: Path) -> bool:
    """Return whether a server listens on the control socket of this path.

    Raises:
        ControlError: this user may not use the socket, or the server does not accept connections.
    """
    if not hasattr(socket, "AF_UNIX"):  # on Windows
        return False
    try:
        with closing(socket.socket(socket.AF_UNIX)) as connection:
            connection.setblocking(False)
            connection.connect(str(socket_path(path)))
    except BlockingIOError:  # the queue of connections is full: without the line above, `connect` would wait for ever
        raise ControlError(f"The server does not respond on {path}: it does not accept connections.") from None
    except PermissionError:
        message = (
            f"The server belongs to another user: {path} is not accessible. Run the command as that user, or as root."
        )
        raise ControlError(message) from None
    except OSError:
        return False
    return True


class RemoteControl:
    """Controls a running server."""

    def __init__(self, path: Path, session: aiohttp.ClientSession) -> None:
        self._path = path
        self._session = session

    async def status(self) -> dict[str, Any]:
        """Return the state of everything."""
        report: dict[str, Any] = await self._call("GET", "status")
        return report

    async def unknown(self) -> list[dict[str, Any]]:
        """Return the containers that the database does not know."""
        containers: list[dict[str, Any]] = await self._call("GET", "unknown")
        return containers

    async def remove(self, container_ids: Iterable[str]) -> list[str]:
        """Remove those of the containers that the database does not know. Return their ids."""
        removed: list[str] = await self._call("POST", "remove", list(container_ids), _UNLIMITED)
        return removed

    async def take_down(self, *, now: bool, report: Callable[[str], None]) -> dict[str, Any]:
        """Stop the server, all deployments and the gateway. Return when the process of the server has ended."""
        pid = (await self.status())["server"]["pid"]
        last: dict[str, Any] = {"error": "The server ended before all deployments were stopped. Repeat the command."}
        try:
            async with self._session.post("http://server/down", json={"now": now}, timeout=_UNLIMITED) as response:
                async for line in response.content:
                    last = json.loads(line)
                    if "message" in last:
                        report(last["message"])
        except (aiohttp.ClientError, OSError) as error:
            raise ControlError(f"The connection to the server was lost: {error}. Repeat the command.") from error
        if "result" not in last:
            raise ControlError(str(last.get("error", last)))
        await _until_ended(pid)
        return dict(last["result"])

    async def _call(
        self, method: str, name: str, data: object = None, timeout: aiohttp.ClientTimeout | None = None
    ) -> Any:
        url = f"http://server/{name}"
        try:
            async with self._session.request(method, url, json=data, timeout=timeout or _TIMEOUT) as response:
                content = await response.json()
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
            raise ControlError(
                f"The server does not respond on {self._path}: {error or type(error).__name__}."
            ) from error
        if response.status != 200:  # noqa: PLR2004  # HTTP status "OK"
            raise ControlError(content["error"])
        return content


@asynccontextmanager
async def remote_control(path: Path) -> AsyncIterator[RemoteControl]:
    """Connect to a running server."""
    connector = aiohttp.UnixConnector(str(socket_path(path)))
    async with aiohttp.ClientSession(connector=connector) as session:
        yield RemoteControl(path, session)


async def _until_ended(pid: int) -> None:
    """Return when a process has ended, or when it takes too long: its deployments are stopped in any case."""
    with closing(Process(pid)) as process, suppress(TimeoutError):
        await asyncio.wait_for(process.wait(), _EXIT_TIMEOUT)
