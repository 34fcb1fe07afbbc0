"""One Envoy: its files, its process and its admin interface, put together."""

from __future__ import annotations

import asyncio
import json
import os
from typing import TYPE_CHECKING

from paperspace.gradient._shared.daemon_threads import in_daemon_thread
from paperspace.gradient.server.controller.gateway import GatewayUnavailableError
from paperspace.gradient.server.gateway import process as processes
from paperspace.gradient.server.gateway.admin import Admin, AdminError
from paperspace.gradient.server.gateway.files import Files, replace
from paperspace.gradient.server.gateway.folder import socket_path
from paperspace.gradient.server.gateway.resources import BOOTSTRAP, bootstrap, concurrency, connection_limits

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from paperspace.gradient.server.gateway.process import Process

PID, LOG = "envoy.pid", "envoy.log"
_ENDED = "The gateway ended right after it was started"

START_TIMEOUT = 30.0  # seconds
_INTERVAL = 0.01  # seconds between two looks at what is in effect
_FIND_INTERVAL = 0.2  # seconds between two searches for a process that something else starts


class Envoy:
    """Envoy, with the files of one folder. Create it in the event loop that uses it.

    Args:
        folder: The folder, as an absolute path.
        program: The program. None: another process starts it.
        named: Whether the user has named the program. Then a process of another one is not used.

    Raises:
        GatewayUnavailableError: the socket cannot be in this folder, nor in another one.
    """

    def __init__(self, folder: Path, program: Path | None = None, *, named: bool = False) -> None:
        self.files = Files(folder)
        self._program = program
        self._pid_file = folder / PID
        self._log = folder / LOG
        self._bootstrap_file = folder / BOOTSTRAP
        self.socket = socket_path(folder)
        self._bootstrap = bootstrap(folder, self.socket, program if named else None)
        self.admin = Admin(self.socket)

    async def close(self) -> None:
        """Disconnect."""
        await self.admin.close()

    async def find(self) -> Process | None:
        """Return the process that runs, whatever its settings are. None: there is none."""
        return await processes.find(self._pid_file, self._bootstrap_file)

    async def running(self) -> Process | None:
        """Return the process that runs. One with other settings, or of another version than its program, is stopped."""
        found = await self.find()
        if found is None or (self._started_as_configured() and not await self._upgraded(found)):
            return found
        self.configure()
        await found.stop()
        found.close()
        return None

    def configure(self) -> None:
        """Write what a process starts with.

        Raises:
            GatewayUnavailableError: the file cannot be written.
        """
        replace(self._bootstrap_file, self._bootstrap)

    async def start(self) -> Process:
        """Start a process, or wait until another process starts one. It may not serve yet.

        Raises:
            GatewayUnavailableError: it ended right after the start, or a file cannot be written.
        """
        self.configure()
        if self._program is None:
            return await self._started_by_others()
        command = envoy_command(self._program, self._bootstrap_file)
        try:
            started = await processes.start(command, self._pid_file, self._bootstrap_file, self._log)
        except OSError as error:
            reason = (error.strerror or str(error)).rstrip(".")
            raise GatewayUnavailableError(f"The gateway cannot be started: {reason}.") from error
        if started is None:
            raise self._failed(_ENDED)
        return started

    async def _started_by_others(self) -> Process:
        while True:
            if found := await self.find():
                return found
            await asyncio.sleep(_FIND_INTERVAL)

    async def ready(self, process: Process, *, fresh: bool) -> None:
        """Return when a process has applied all files.

        Args:
            process: The process.
            fresh: Whether it was just started. What another one has refused does not count.

        Raises:
            GatewayUnavailableError: it has ended, refuses a file, or does not respond in time.
        """
        try:
            async with asyncio.timeout(START_TIMEOUT):
                while not await self.in_effect():
                    if not process.alive:
                        raise self._failed(_ENDED if fresh else "The gateway ended")
                    if fresh and await self._refuses():
                        raise self._failed("The gateway refuses its configuration")
                    await asyncio.sleep(_INTERVAL)
        except TimeoutError:
            raise self._failed("The gateway does not respond in time") from None

    async def in_effect(self, names: Iterable[str] | None = None) -> bool:
        """Return whether Envoy has applied files, in all its threads. False too if it does not respond.

        Args:
            names: The names of the files; by default all.
        """
        try:
            if not await self.admin.in_effect(self.files.versions(names)):
                return False
            await self.admin.settle()
        except AdminError:
            return False
        return True

    def explained(self, what: str) -> str:
        """Return a sentence about what happened, with the last message of the log, if there is one."""
        words = processes.last_words(self._log)
        return f"{what}: {words}." if words else f"{what}."

    def limit_log(self) -> None:
        """Keep only the end of the log, if it has become too large."""
        processes.limit_log(self._log)

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

    async def _upgraded(self, running: Process) -> bool:
        """Whether the program of a process has another version now. False: it has not, or that is unknown."""
        try:
            version = await self.admin.version()
        except AdminError:
            return False
        return await in_daemon_thread(processes.program_version, running.pid) not in (version, None)

    def _failed(self, what: str) -> GatewayUnavailableError:
        return GatewayUnavailableError(self.explained(what))


def envoy_command(program: Path, bootstrap_file: Path) -> list[str]:
    """Return the command line of Envoy, which has the same limits as this process."""
    import resource  # not on Windows, where no engine runs

    threads = concurrency(len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1)
    options = ["--disable-hot-restart", "--log-level", "warning", "--concurrency", str(threads)]
    _soft, files = resource.getrlimit(resource.RLIMIT_NOFILE)  # Envoy raises its limit to the hard one
    if files != resource.RLIM_INFINITY:
        options += ["--config-yaml", json.dumps(connection_limits(files))]
    return [str(program), "-c", str(bootstrap_file), *options]


async def stop_envoy(folder: Path) -> None:
    """Stop the process that uses a folder, if there is one."""
    if found := await processes.find(folder / PID, folder / BOOTSTRAP):
        await found.stop()
        found.close()
