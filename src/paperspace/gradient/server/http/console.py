"""Interface of the console, the page for browsers. The server does not know how it works."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from aiohttp import web


class ConsolePage(Protocol):
    """The console of a server, for `/` and all paths below `/console/`."""

    def start(self, api_url: str, api_key: str) -> None:
        """Use this API, before the first request."""
        ...

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """Respond to a request."""
        ...

    async def close(self) -> None:
        """End everything, when the server stops."""
        ...
