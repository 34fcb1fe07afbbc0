"""Loops that never end: a failure is logged once, and the loop runs again after a pause."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING

from paperspace.gradient.server.controller.engine import EngineUnavailableError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

_log = logging.getLogger(__name__)

MIN_PAUSE, MAX_PAUSE = 0.25, 5.0  # seconds; doubles with each failure in a row


def pause(failures: int) -> float:
    """Return the seconds to wait after this many failures in a row."""
    return min(MIN_PAUSE * float(1 << min(failures, 10)), MAX_PAUSE)


async def run_forever(function: Callable[[], Awaitable[None]]) -> None:
    """Run a function again and again. A failure is logged once, until the function has worked for a while or succeeded."""
    loop = asyncio.get_running_loop()
    failures, known = 0, ""
    while True:
        start = loop.time()
        try:
            await function()
        except Exception as error:  # noqa: BLE001  # whatever it is, deployments must go on
            if loop.time() - start > MAX_PAUSE:
                failures, known = 0, ""  # it has worked for a while
            if repr(error) != known and isinstance(error, EngineUnavailableError):
                _log.warning("%s", error)
            elif repr(error) != known:
                _log.exception("a loop of the controller failed; it runs again")
            failures, known = failures + 1, repr(error)
            await asyncio.sleep(pause(failures))
        else:
            failures, known = 0, ""
