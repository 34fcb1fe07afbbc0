"""Resolver of host names. It waits in daemon threads: a name server that does not respond does not delay the exit."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING, Any, cast

from aiohttp import ThreadedResolver

from paperspace.gradient._shared.daemon_threads import in_daemon_thread

if TYPE_CHECKING:
    import asyncio


class _Lookups:
    """The two methods of an event loop that aiohttp's resolver calls. Those of asyncio use threads that are joined."""

    async def getaddrinfo(self, *args: Any, **options: Any) -> Any:
        return await in_daemon_thread(socket.getaddrinfo, *args, **options)

    async def getnameinfo(self, *args: Any) -> Any:
        return await in_daemon_thread(socket.getnameinfo, *args)


def daemon_resolver() -> ThreadedResolver:
    """Return a resolver that asks the operating system, in daemon threads."""
    return ThreadedResolver(cast("asyncio.AbstractEventLoop", _Lookups()))
