"""Event loops, created where there are enough file descriptors for one."""

from __future__ import annotations

import asyncio
import selectors
import socket


def new_event_loop() -> asyncio.AbstractEventLoop:
    """Create an event loop.

    Raises:
        OSError: There are too few file descriptors.
    """
    # asyncio leaves a loop that it cannot complete, and prints a traceback when that is garbage-collected. So this opens
    # what a loop needs first.
    selector = selectors.DefaultSelector()
    try:
        for end in socket.socketpair():
            end.close()
    finally:
        selector.close()
    return asyncio.new_event_loop()
