"""Functions in daemon threads, such as lookups of host names, which the exit of the process does not wait for.

The interpreter joins the threads of asyncio's executor when it exits: a name server that does not respond would delay the
exit. And it does so before the functions of `atexit` run, which would find no thread.
"""

from __future__ import annotations

import asyncio
import socket
from concurrent.futures import Future
from threading import Thread
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

P = ParamSpec("P")
R = TypeVar("R")


async def in_daemon_thread(function: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
    """Run a function in a daemon thread of its own, and return what it returns."""
    return await asyncio.wrap_future(daemon_future(function, *args, **kwargs))


def daemon_future(function: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> Future[R]:
    """Run a function in a daemon thread of its own. Where no thread can be started, run it in this one."""
    future: Future[R] = Future()
    future.set_running_or_notify_cancel()  # from now on, a caller that is cancelled does not cancel it

    def run() -> None:
        try:
            future.set_result(function(*args, **kwargs))
        except BaseException as error:  # noqa: BLE001  # raised where the caller waits
            future.set_exception(error)

    try:
        Thread(target=run, name="paperspace.gradient", daemon=True).start()
    except RuntimeError:
        run()
    return future


class Lookups:
    """The methods of an event loop that look up host names: those of asyncio use threads that are joined."""

    async def getaddrinfo(self, *args: Any, **options: Any) -> Any:
        """Return what `socket.getaddrinfo` returns."""
        return await in_daemon_thread(socket.getaddrinfo, *args, **options)

    async def getnameinfo(self, *args: Any) -> Any:
        """Return what `socket.getnameinfo` returns."""
        return await in_daemon_thread(socket.getnameinfo, *args)
