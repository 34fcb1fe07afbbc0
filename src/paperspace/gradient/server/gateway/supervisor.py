"""Keep Envoy running: start it again whenever it ends, or wait until `gradient server gateway` does."""

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

NOT_RUNNING = "The gateway does not run. Start it with `gradient server gateway`."


class Supervisor:
    """Has the process of Envoy, and knows why it does not serve.

    Args:
        envoy: Starts processes.
        on_change: Called whenever the problem changes.
        external: Whether `gradient server gateway` starts the process.
    """

    def __init__(self, envoy: Envoy, on_change: Callable[[], None], *, external: bool = False) -> None:
        self.problem: str | None = None
        """A sentence that says why Envoy does not serve. None: it does."""
        self._envoy = envoy
        self._on_change = on_change
        self._external = external
        self._process: Process | None = None
        self._starting = False

    @property
    def pid(self) -> int | None:
        """The id of the process. None: none runs."""
        return None if self._process is None else self._process.pid

    @property
    def alive(self) -> bool:
        """Whether a process runs or is being started. It may not serve yet."""
        return self._starting or (self._process is not None and self._process.alive)

    async def open(self) -> None:
        """Use the process that is attached, or start one. Return when it serves. Do not wait for one that something else starts.

        Raises:
            GatewayUnavailableError: it does not serve; no process is left.
        """
        if self._process:
            try:
                await self._use(self._process, fresh=False)
            except GatewayUnavailableError as error:
                _log.warning("%s The gateway is started again.", error)
            else:
                return
        if self._external:
            self._report(NOT_RUNNING)
        else:
            await self._start()

    def attach(self, running: Process | None) -> None:
        """Use the process that runs, whether it serves or not. None: start none."""
        self._process = running

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
                self._report(self._end())
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

    def _end(self) -> str:
        """Return why the process does not run any more, and who starts it again."""
        remedy = "Start it with `gradient server gateway`." if self._external else "The server starts it again."
        return f"{self._envoy.explained('The gateway ended')} {remedy}"

    async def _start(self) -> None:
        self._starting = not self._external
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
