"""A server that differs from ours: a proxy on a real socket that changes requests and replies on their way."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any

import aiohttp
from aiohttp import web
from anyio.from_thread import start_blocking_portal

from paperspace.gradient.server import LocalServer

Change = Callable[[dict[str, Any]], None]


@contextmanager
def altered(server: LocalServer, *, request: Change | None = None, reply: Change | None = None) -> Iterator[str]:
    """The address of a server that behaves like this one, but for the changes, made in place to the JSON."""
    with start_blocking_portal() as portal, portal.wrap_async_context_manager(_proxy(server, request, reply)) as url:
        yield url


@asynccontextmanager
async def _proxy(server: LocalServer, request: Change | None, reply: Change | None) -> AsyncIterator[str]:
    async with aiohttp.ClientSession() as session:

        async def pass_on(incoming: web.Request) -> web.Response:
            content = await incoming.json()
            if request:
                request(content)
            headers = {"Authorization": incoming.headers["Authorization"], "Accept": incoming.headers["Accept"]}
            async with session.post(server.url, json=content, headers=headers) as outgoing:
                answer = await outgoing.json(content_type=None)
                if reply:
                    reply(answer)
                return web.json_response(answer, status=outgoing.status)

        app = web.Application()
        app.router.add_post("/graphql", pass_on)
        runner = web.AppRunner(app)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        host, port = runner.addresses[0][:2]
        try:
            yield f"http://{host}:{port}/graphql"
        finally:
            await runner.cleanup()
