"""Event loops, created where there are enough file descriptors for one."""

from __future__ import annotations

import asyncio
import os
import selectors
import socket
from contextlib import ExitStack


def new_event_loop() -> asyncio.AbstractEventLoop:
    """Create an event loop.

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
    return asyncio.new_event_loop()
