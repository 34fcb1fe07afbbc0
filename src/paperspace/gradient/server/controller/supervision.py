"""Loops that never end: a failure is logged, and the loop runs again after a pause."""

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
    """Run a function again and again. That the engine does not respond is logged once, everything else each time."""
    loop = asyncio.get_running_loop()
    failures, known = 0, ""
    while True:
        start = loop.time()
        try:
            await function()
        except EngineUnavailableError as error:
            if str(error) != known:
                _log.warning("%s", error)
            known = str(error)
        except Exception:  # noqa: BLE001  # whatever it is, deployments must go on
            _log.exception("a loop of the controller failed; it runs again")
        else:
            failures, known = 0, ""
            continue
        failures = 0 if loop.time() - start > MAX_PAUSE else failures + 1
        await asyncio.sleep(pause(failures))
