"""Keep Envoy running: start it again whenever it ends."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING

from paperspace.gradient.server.controller.gateway import GatewayUnavailableError

if TYPE_CHECKING:
    from collections.abc import Callable

    from paperspace.gradient.server.gateway.envoy import Envoy
    from paperspace.gradient.server.gateway.process import Process

_log = logging.getLogger(__name__)

_MIN_PAUSE, _MAX_PAUSE = 0.1, 5.0  # seconds; doubles with each failure in a row
_STABLE = 1.0  # seconds after which an end counts as the first one


class Supervisor:
    """Has the process of Envoy, and knows why it does not serve.

    Args:
        envoy: Starts processes.
        on_change: Called whenever the problem changes.
    """

    def __init__(self, envoy: Envoy, on_change: Callable[[], None]) -> None:
        self.problem: str | None = None
        """A sentence that says why Envoy does not serve. None: it does."""
        self._envoy = envoy
        self._on_change = on_change
        self._process: Process | None = None
        self._starting = False

    @property
    def alive(self) -> bool:
        """Whether a process runs or is being started. It may not serve yet."""
        return self._starting or (self._process is not None and self._process.alive)

    async def open(self, running: Process | None) -> None:
        """Use the process that runs, or start one. Return when it serves.

        Raises:
            GatewayUnavailableError: it does not serve; no process is left.
        """
        if running:
            try:
                await self._use(running, fresh=False)
            except GatewayUnavailableError as error:
                _log.warning("%s The server starts another gateway.", error)
            else:
                return
        await self._start()

    async def run(self) -> None:
        """Start Envoy again whenever it ends, until this is cancelled."""
        failures = 0
        loop = asyncio.get_running_loop()
        while True:
            if self._process:
                start = loop.time()
                await self._process.wait()
                self.close()
                failures = 0 if loop.time() - start > _STABLE else failures + 1
                words = self._envoy.last_words()
                self._report(f"The gateway ended{f': {words}' if words else ''}. The server starts it again.")
            if failures:
                await asyncio.sleep(min(_MIN_PAUSE * float(1 << min(failures - 1, 10)), _MAX_PAUSE))
            try:
                await self._start()
            except GatewayUnavailableError as error:
                failures += 1
                self._report(f"{error} The server tries again.")
            except Exception as error:  # noqa: BLE001  # whatever it is, the gateway must be started again
                _log.exception("the start of the gateway failed; it is repeated")
                failures += 1
                self._report(f"The gateway cannot be started: {error}. The server tries again.")
            else:
                self._report(None)

    def close(self) -> None:
        """Forget the process. It continues to run."""
        if self._process:
            self._process.close()
            self._process = None

    async def _start(self) -> None:
        self._starting = True
        try:
            process = await self._envoy.start()
        finally:
            self._starting = False
        await self._use(process, fresh=True)

    async def _use(self, process: Process, *, fresh: bool) -> None:
        self._process = process
        try:
            await self._envoy.ready(process, fresh=fresh)
        except GatewayUnavailableError:
            await process.stop()
            self.close()
            raise

    def _report(self, problem: str | None) -> None:
        if problem != self.problem:
            if problem:
                _log.warning("%s", problem)
            self.problem = problem
            self._on_change()
