"""Links to the console of a server, from a server that may respond anything."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from paperspace.gradient.config import Settings
from paperspace.gradient.console.links import link_of_server

pytestmark = pytest.mark.anyio

MIB = 1024 * 1024


class Responder:
    """A server with one response."""

    def __init__(self) -> None:
        self.response = web.Response()
        self.settings = Settings(api_key="k", api_url="")
        self.sent = 0

    async def handle(self, request: web.Request) -> web.StreamResponse:
        if request.headers.get("Authorization") != "Bearer k":
            raise web.HTTPUnauthorized
        return self.response

    async def endless(self, request: web.Request) -> web.StreamResponse:
        """Write spaces until the client closes the connection, or nobody has done so for long."""
        response = web.StreamResponse()
        response.content_type = "application/json"
        await response.prepare(request)
        while self.sent < 64 * MIB:
            await response.write(b" " * 65536)
            self.sent += 65536
            await asyncio.sleep(0.001)
        return response


@pytest.fixture
async def responder() -> AsyncIterator[Responder]:
    responder = Responder()
    app = web.Application()
    app.router.add_post("/console/link", responder.handle)
    app.router.add_post("/endless/console/link", responder.endless)
    async with TestServer(app) as server:
        responder.settings = Settings(api_key="k", api_url=str(server.make_url("/graphql")))
        yield responder


@pytest.mark.parametrize(
    ("text", "content_type", "found"),
    [
        ('{"fragment": "#token=x"}', "application/json", True),
        ('{"fragment": "#token=x"}', "application/json; charset=punycode", True),
        ('{"fragment": 1}', "application/json", False),
        ("[]", "application/json", False),
        ("[" * 60_000, "application/json", False),
        ("<html>", "text/html", False),
    ],
)
async def test_only_json_with_a_fragment_is_a_link(
    responder: Responder, text: str, content_type: str, found: bool
) -> None:
    """JSON is UTF-8, whatever charset the response names; any other response is no link."""
    responder.response = web.Response(body=text.encode(), headers={"Content-Type": content_type})
    link = await link_of_server(responder.settings)
    assert link == (responder.settings.api_url.replace("graphql", "#token=x") if found else None)


async def test_the_key_is_not_sent_to_a_proxy(responder: Responder, monkeypatch: pytest.MonkeyPatch) -> None:
    """A loopback address is reached without the proxy of the environment, as by all calls."""
    responder.response = web.json_response({"fragment": "#token=x"})
    monkeypatch.delenv("no_proxy", raising=False)
    monkeypatch.delenv("NO_PROXY", raising=False)
    async with TestServer(web.Application()) as proxy:
        monkeypatch.setenv("http_proxy", str(proxy.make_url("/")))
        assert await link_of_server(responder.settings) == responder.settings.api_url.replace("graphql", "#token=x")


async def test_a_proxy_that_cannot_be_used(monkeypatch: pytest.MonkeyPatch) -> None:
    """There is no link, and no error: the page of the command's own console says what is wrong."""
    monkeypatch.delenv("no_proxy", raising=False)
    monkeypatch.delenv("NO_PROXY", raising=False)
    monkeypatch.setenv("https_proxy", "socks5://127.0.0.1:1")
    assert await link_of_server(Settings(api_key="k", api_url="https://api.example/graphql")) is None


async def test_an_endless_response_is_no_link(responder: Responder) -> None:
    """Only the first bytes of a response are read."""
    settings = Settings(api_key="k", api_url=responder.settings.api_url.replace("/graphql", "/endless/graphql"))
    assert await link_of_server(settings) is None
    assert responder.sent < 32 * MIB  # most of it in the buffers of the connection
