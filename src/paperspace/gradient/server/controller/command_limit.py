"""The limit of commands of health checks: each starts a process, and many that start at once slow each other down."""

from __future__ import annotations

import asyncio
from contextlib import ExitStack, asynccontextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

MAX_COMMANDS = 16  # of all deployments
MAX_OWN_COMMANDS = 4  # of each deployment, so that those of the others do not wait for all of them

# Seconds that a command counts. One that takes longer usually waits for something, and must not make others wait too.
COUNTED = 1.0


@asynccontextmanager
async def limited(own: asyncio.Semaphore, shared: asyncio.Semaphore) -> AsyncIterator[None]:
    """Wait until a command of a deployment can start.

    Args:
        own: The limit of the deployment.
        shared: The limit of all deployments.
    """
    with ExitStack() as places:
        for limit in (own, shared):
            await limit.acquire()
            places.callback(limit.release)
        timer = asyncio.get_running_loop().call_later(COUNTED, places.close)
        try:
            yield
        finally:
            timer.cancel()
