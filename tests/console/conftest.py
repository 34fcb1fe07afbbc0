"""A console for a real server, and a caller that sends what its page would send."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from typing import Any

import aiohttp
import pytest

from paperspace.gradient.config import Settings
from paperspace.gradient.console.site import Site, serve_console
from paperspace.gradient.server import LocalServer


class Page:
    """Sends requests as the page of a console does, or with other headers."""

    def __init__(self, session: aiohttp.ClientSession, link: str) -> None:
        self.base, _, self.link_token = link.partition("/#token=")
        self._session = session
        self.token = ""

    async def request(
        self, method: str, path: str, body: object = None, **headers: str
    ) -> tuple[int, Mapping[str, str], bytes]:
        """Send a request, and return status, headers and body. `Content_Type="..."` sets the header Content-Type."""
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        if method == "POST":
            sent = {"Origin": self.base, "X-Console-Token": self.token, **sent}
        sent = {name: value for name, value in sent.items() if value}
        async with self._session.request(method, f"{self.base}{path}", json=body, headers=sent) as response:
            return response.status, response.headers, await response.read()

    async def post(self, path: str, body: object = None, **headers: str) -> tuple[int, Any]:
        """Send a POST request, and return status and content."""
        status, _, content = await self.request("POST", path, body, **headers)
        return status, json.loads(content) if content else None

    async def open_session(self) -> None:
        """Exchange the token of the link for that of a session."""
        status, content = await self.post("/console/session", X_Console_Token=self.link_token)
        assert status == 200
        self.token = content["token"]

    async def lines(self, name: str, arguments: dict[str, Any]) -> AsyncGenerator[dict[str, Any]]:
        """Yield the lines of a stream."""
        headers = {"Origin": self.base, "X-Console-Token": self.token}
        url = f"{self.base}/console/stream/{name}"
        async with self._session.post(url, json=arguments, headers=headers) as response:
            assert response.status == 200, await response.text()
            async for line in response.content:
                yield json.loads(line)


@pytest.fixture
async def site(server: LocalServer) -> AsyncIterator[Site]:
    """A console for the server."""
    settings = Settings(api_key=server.api_key, api_url=server.url)
    async with await serve_console(settings, "127.0.0.1", 0) as site:
        yield site


@pytest.fixture
async def stranger(site: Site) -> AsyncIterator[Page]:
    """A page with a link that was not used yet."""
    async with aiohttp.ClientSession(cookie_jar=aiohttp.CookieJar(unsafe=True)) as session:
        yield Page(session, site.link())


@pytest.fixture
async def page(stranger: Page) -> Page:
    """A page with a session."""
    await stranger.open_session()
    return stranger
