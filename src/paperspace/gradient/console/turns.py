"""Work on the text of a spec, which may take seconds: in a thread, and one of a kind after another.

The event loop is also that of the API and of the endpoints. Other threads go on too, as long as few of them compute.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, ParamSpec, TypeVar
from weakref import WeakKeyDictionary

from paperspace.gradient._shared.daemon_threads import in_daemon_thread

if TYPE_CHECKING:
    from collections.abc import Callable

P = ParamSpec("P")
R = TypeVar("R")


class Turns:
    """The turns of one kind of work."""

    def __init__(self) -> None:
        self._turns: WeakKeyDictionary[asyncio.AbstractEventLoop, asyncio.Lock] = WeakKeyDictionary()

    async def run(self, function: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
        """Run a function in a thread, after those of earlier calls.

        A caller that is cancelled does not stop its function, if that runs already; those of later calls wait for its end
        too.
        """
        turn = self._turns.setdefault(asyncio.get_running_loop(), asyncio.Lock())
        await turn.acquire()
        running = asyncio.create_task(in_daemon_thread(function, *args, **kwargs))
        running.add_done_callback(lambda _: turn.release())
        return await asyncio.shield(running)
