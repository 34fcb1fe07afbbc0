"""Event loops, created where there are enough file descriptors for one; their clock; and a coroutine that needs no loop."""

from __future__ import annotations

import asyncio
import os
import selectors
import socket
import time
from contextlib import ExitStack, suppress
from functools import partial
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

# The clock of all waits and timeouts. Libraries that freeze the time in tests replace the functions of `time`, also where a
# module has imported one, and a wait would never end. They leave this one alone. Windows does not have `clock_gettime`.
monotonic: Callable[[], float] = (
    partial(time.clock_gettime, time.CLOCK_MONOTONIC) if hasattr(time, "clock_gettime") else partial(time.monotonic)
)


def new_event_loop() -> asyncio.AbstractEventLoop:
    """Create an event loop that follows `monotonic`.

    Raises:
        OSError: There are too few file descriptors.
    """
    # asyncio leaves a loop that it cannot complete, and prints a traceback when that is garbage-collected. So this opens
    # what a loop needs first; and one file more, as the first call imports modules.
    with ExitStack() as stack:
        stack.callback(selectors.DefaultSelector().close)
        for end in socket.socketpair():
            stack.callback(end.close)
        stack.enter_context(open(os.devnull, "rb"))  # noqa: PTH123  # pathlib would be one more import
    loop = asyncio.new_event_loop()
    loop.time = monotonic  # type: ignore[method-assign]
    return loop


def run_to_end(coroutine: Coroutine[None, None, None]) -> None:
    """Run a coroutine to its end, without an event loop. It waits for nothing, although it may yield."""
    with suppress(StopIteration):
        while coroutine.send(None) is None:
            pass
