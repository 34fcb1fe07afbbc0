"""The console of `gradient server`. It is imported when a browser first asks for it, so that the server starts as fast."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from paperspace.gradient._shared.daemon_threads import in_daemon_thread
from paperspace.gradient.console.access import Tokens
from paperspace.gradient.server.errors import StoppedError

if TYPE_CHECKING:
    from aiohttp import web

    from paperspace.gradient.console.application import Console


class ServerConsole:
    """The console of a server.

    Args:
        host: The host that the server listens on.
    """

    def __init__(self, host: str) -> None:
        self._host = host
        self._tokens = Tokens()
        self._console: Console | None = None
        self._api_url = self._api_key = ""
        self._closed = False

    def start(self, api_url: str, api_key: str) -> None:
        """Use this API. The server calls it when it has its address."""
        self._api_url, self._api_key = api_url, api_key
        self._console = None  # that of an earlier start belongs to another event loop
        self._closed = False

    def link(self) -> str:
        """Return a new link, which works once."""
        return f"{self._api_url.removesuffix('/graphql')}/{self._tokens.new_link()}"

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """Respond to a request.

        Raises:
            StoppedError: the server stopped first.
        """
        if self._console is None:
            await in_daemon_thread(_import)
            if self._closed:
                raise StoppedError  # nothing would close a console that is created now
            self._console = self._console or self._create()
        return await self._console.handle(request)

    async def close(self) -> None:
        """End all streams."""
        self._closed = True
        if self._console:
            await self._console.close()

    def _create(self) -> Console:
        from paperspace.gradient.client import AsyncClient
        from paperspace.gradient.config import Settings
        from paperspace.gradient.console.application import Console

        client = AsyncClient._from_settings(Settings(api_key=self._api_key, api_url=self._api_url))  # noqa: SLF001
        return Console(client, self._api_key, self._host, self._tokens)


def _import() -> None:
    """Import what is slow, in a thread: the server responds to other requests in the meantime."""
    for module in ("_core.session", "console.application"):
        import_module(f"paperspace.gradient.{module}")
