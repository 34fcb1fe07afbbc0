"""The socket of a running server, next to its database: a small HTTP API for the commands."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import socket
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from aiohttp import web

from paperspace.gradient.server.control.report import describe_deployments, describe_estate, unknown_containers
from paperspace.gradient.server.controller.down import Drain, remove_unknown
from paperspace.gradient.server.controller.engine import EngineUnavailableError
from paperspace.gradient.server.controller.gateway import GatewayUnavailableError
from paperspace.gradient.server.defaults import beside
from paperspace.gradient.server.sockets import new_socket_path, remove_socket

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from paperspace.gradient.server.controller.down import Estate
    from paperspace.gradient.server.local import LocalServer

Line = dict[str, Any]

_log = logging.getLogger(__name__)

_NO_CONTAINERS = "Deployments are simulated; there are no containers."


def control_path(database: str | Path) -> Path:
    """Return where the socket of a database is, unless this path is too long for a socket. Each name of the file leads to the same one."""
    return beside(Path(os.path.realpath(database)), "control")


class ControlListener:
    """Listens on the socket in an `async with` block, inside that of the server. Only the owner of the process can connect.

    Args:
        database: The database. The server has its lock.
        server: The running server.
        facts: What identifies the server, for its status.
        drain_seconds: How long active requests may take.
        stop: Called when the deployments were taken down, to stop the server.
    """

    def __init__(
        self,
        database: Path,
        server: LocalServer,
        facts: dict[str, Any],
        drain_seconds: float,
        stop: Callable[[], None],
    ) -> None:
        self._path = control_path(database)
        self._server = server
        self._facts = facts
        self._drain = Drain(drain_seconds)  # of the last attempt to take the deployments down
        self._stop = stop
        self.took_down = False
        """Whether the deployments were taken down."""
        self._listening: list[asyncio.Queue[Line]] = []
        self._taking_down: asyncio.Task[Line] | None = None
        application = web.Application(middlewares=[_errors])
        application.add_routes(
            [
                web.get("/status", self._status),
                web.get("/unknown", self._unknown),
                web.post("/remove", self._remove),
                web.post("/down", self._down),
            ]
        )
        self._runner = web.AppRunner(application, access_log=None, shutdown_timeout=1.0)

    async def __aenter__(self) -> Self:
        path = new_socket_path(self._path)
        path.unlink(missing_ok=True)  # of a server that was killed
        listener = socket.socket(socket.AF_UNIX)
        with suppress(OSError):  # on other systems than Linux, only afterwards
            os.fchmod(listener.fileno(), 0o600)
        listener.bind(str(path))
        path.chmod(0o600)
        await self._runner.setup()
        await web.SockSite(self._runner, listener).start()
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._taking_down:
            await asyncio.gather(self._taking_down, return_exceptions=True)
        await self._runner.cleanup()
        remove_socket(self._path)

    async def _status(self, _: web.Request) -> web.Response:
        estate = self._estate
        gateway = await estate.gateway.state() if estate and estate.gateway else None
        report = await describe_estate(estate, gateway)
        deployments = describe_deployments(await self._server._summarize())  # noqa: SLF001  # inside the package
        return web.json_response({"server": self._facts, **report, "deployments": deployments})

    async def _unknown(self, _: web.Request) -> web.Response:
        return web.json_response(await unknown_containers(self._required_estate()))

    async def _remove(self, request: web.Request) -> web.Response:
        return web.json_response(await remove_unknown(self._required_estate(), await request.json()))

    async def _down(self, request: web.Request) -> web.StreamResponse:
        """Take the deployments down, and send a line for each step. A second request joins the first one."""
        now = (await request.json())["now"]
        task = self._taking_down
        if task is None or (task.done() and "error" in task.result()):
            self._drain = Drain(self._drain.seconds)  # `--now` of a command that failed does not count for this one
            task = self._taking_down = asyncio.create_task(self._take_down())
        if now:
            self._drain.end()
        lines: asyncio.Queue[Line] = asyncio.Queue()
        self._listening.append(lines)  # not earlier: it would get the lines of an attempt that ends meanwhile
        if task.done():
            lines.put_nowait(task.result())
        response = web.StreamResponse()
        with suppress(ConnectionError):  # the command was interrupted
            await response.prepare(request)
            while True:
                line = await lines.get()
                await response.write(f"{json.dumps(line)}\n".encode())
                if "message" not in line:
                    break
        return response

    async def _take_down(self) -> Line:
        """Take the deployments down, and return the last line."""
        try:
            line: Line = {"result": {"deployments": 0, "unknown": 0}}
            if controlled := self._server.controlled:
                down = await controlled.take_down(self._drain, lambda message: self._send({"message": message}))
                line = {"result": down._asdict()}
        except Exception as error:  # noqa: BLE001  # whatever it is, the command must not wait forever
            line = {"error": _describe(error)}
        else:
            self.took_down = True
            self._stop()
        self._send(line)
        self._listening.clear()
        return line

    def _send(self, line: Line) -> None:
        for lines in self._listening:
            lines.put_nowait(line)

    @property
    def _estate(self) -> Estate | None:
        controlled = self._server.controlled
        return controlled.estate if controlled else None

    def _required_estate(self) -> Estate:
        if self._estate is None:
            raise EngineUnavailableError(_NO_CONTAINERS)
        return self._estate


@web.middleware
async def _errors(
    request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
) -> web.StreamResponse:
    try:
        return await handler(request)
    except web.HTTPException:
        raise
    except Exception as error:  # noqa: BLE001  # whatever it is, the command says it
        return web.json_response({"error": _describe(error)}, status=503)


def _describe(error: Exception) -> str:
    """Return what the command says about a failure. If it is unexpected, the log gets its traceback."""
    if isinstance(error, EngineUnavailableError | GatewayUnavailableError):
        return str(error)
    _log.error("a command failed", exc_info=error)
    return f"The server failed: {type(error).__name__}: {error}. Its log says more."
