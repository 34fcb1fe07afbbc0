"""One Envoy: its files, its process and its admin interface, put together."""

from __future__ import annotations

import asyncio
import json
import os
from typing import TYPE_CHECKING

from paperspace.gradient.server.controller.gateway import GatewayUnavailableError
from paperspace.gradient.server.gateway import process
from paperspace.gradient.server.gateway.admin import Admin, AdminError
from paperspace.gradient.server.gateway.files import Files, replace
from paperspace.gradient.server.gateway.folder import socket_path
from paperspace.gradient.server.gateway.resources import BOOTSTRAP, bootstrap, concurrency

if TYPE_CHECKING:
    from pathlib import Path

    from paperspace.gradient.server.gateway.process import Process

START_TIMEOUT = 30.0  # seconds
_INTERVAL = 0.01  # seconds between two looks at what is in effect


class Envoy:
    """Envoy, with the files of one folder. Create it in the event loop that uses it.

    Args:
        folder: The folder, as an absolute path.
        program: The program.
        named: Whether the user has named the program. Then a process of another one is not used.

    Raises:
        GatewayUnavailableError: the socket cannot be in this folder, nor in another one.
    """

    def __init__(self, folder: Path, program: Path, *, named: bool) -> None:
        self.files = Files(folder)
        self._program = program
        self._pid_file = folder / "envoy.pid"
        self._log = folder / "envoy.log"
        self._bootstrap_file = folder / BOOTSTRAP
        self.socket = socket_path(folder)
        self._bootstrap = bootstrap(folder, self.socket, program if named else None)
        self.admin = Admin(self.socket)

    async def close(self) -> None:
        """Disconnect."""
        await self.admin.close()

    async def running(self) -> Process | None:
        """Return the process that runs. One with other settings is stopped."""
        found = await process.find(self._pid_file, self._bootstrap_file)
        if found and not self._started_as_configured():
            await found.stop()
            found.close()
            return None
        return found

    async def start(self) -> Process:
        """Start a process. It may not serve yet.

        Raises:
            GatewayUnavailableError: it has ended at once, or a file cannot be written.
        """
        replace(self._bootstrap_file, self._bootstrap)
        threads = concurrency(len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1)
        arguments = ["--disable-hot-restart", "--log-level", "warning", "--concurrency", str(threads)]
        try:
            started = await process.start(self._program, arguments, self._pid_file, self._bootstrap_file, self._log)
        except OSError as error:
            reason = (error.strerror or str(error)).rstrip(".")
            raise GatewayUnavailableError(
                f"The gateway cannot be started: {reason}. The server tries again."
            ) from error
        if started is None:
            raise self._failed("The gateway has ended at once")
        return started

    async def ready(self, started: Process) -> None:
        """Return when a process has applied all files.

        Raises:
            GatewayUnavailableError: it has ended, refuses a file, or does not respond in time.
        """
        try:
            async with asyncio.timeout(START_TIMEOUT):
                while not await self.in_effect():
                    if not started.alive:
                        raise self._failed("The gateway has ended at once")
                    if await self._refuses():
                        raise self._failed("The gateway refuses its configuration")
                    await asyncio.sleep(_INTERVAL)
        except TimeoutError:
            raise self._failed("The gateway does not respond in time") from None

    async def in_effect(self) -> bool:
        """Return whether Envoy has applied all files, in all its threads. False too if it does not respond."""
        try:
            if not await self.admin.in_effect(self.files.versions()):
                return False
            await self.admin.settle()
        except AdminError:
            return False
        return True

    def last_words(self) -> str:
        """Return the last message of the log, without a period. Empty: there is none."""
        return process.last_words(self._log)

    def limit_log(self) -> None:
        """Keep only the end of the log, if it has become too large."""
        process.limit_log(self._log)

    async def _refuses(self) -> bool:
        try:
            return await self.admin.refuses()
        except AdminError:
            return False

    def _started_as_configured(self) -> bool:
        try:
            return bool(json.loads(self._bootstrap_file.read_bytes()) == self._bootstrap)
        except (OSError, ValueError, RecursionError):
            return False

    def _failed(self, what: str) -> GatewayUnavailableError:
        words = self.last_words()
        return GatewayUnavailableError(f"{what}{f': {words}' if words else ''}. The server tries again.")
