"""The console on a port of its own, for `gradient console`."""

from __future__ import annotations

import errno
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Self

from aiohttp import web

from paperspace.gradient.client import AsyncClient
from paperspace.gradient.console.access import Tokens
from paperspace.gradient.console.application import Console

if TYPE_CHECKING:
    from types import TracebackType

    from paperspace.gradient.config import Settings


class Site:
    """A console that listens, until the end of an `async with` block."""

    def __init__(self, console: Console, url: str, stack: AsyncExitStack) -> None:
        self._console = console
        self._url = url
        self._stack = stack

    def link(self) -> str:
        """Return a new link, which works once."""
        return f"{self._url}/{self._console.new_link()}"

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._stack.aclose()


async def serve_console(settings: Settings, host: str, port: int, *, or_free: bool = False) -> Site:
    """Serve the console.

    Args:
        settings: The settings of its client.
        host: The host to listen on.
        port: The port to listen on; 0 selects a free one.
        or_free: Whether to select a free port if this one is in use.

    Raises:
        OSError: it cannot listen on this address.
    """
    async with AsyncExitStack() as stack:
        client = AsyncClient._from_settings(settings)  # noqa: SLF001  # inside the package
        console = Console(client, settings.api_key, host, Tokens())
        application = web.Application()
        application.router.add_route("*", "/{path:.*}", console.handle)
        runner = web.AppRunner(application, access_log=None, handler_cancellation=True, shutdown_timeout=1.0)
        stack.push_async_callback(runner.cleanup)
        stack.push_async_callback(console.close)  # its streams end before the connections are closed
        await runner.setup()
        try:
            await web.TCPSite(runner, host, port).start()
        except OSError as error:
            if error.errno != errno.EADDRINUSE or not or_free:
                raise
            await web.TCPSite(runner, host, 0).start()
        return Site(console, f"http://{host}:{runner.addresses[0][1]}", stack.pop_all())
