"""A server that differs from ours: a proxy on a real socket that changes requests and responses on the way."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import aiohttp
from aiohttp import web
from anyio.from_thread import start_blocking_portal

from paperspace.gradient.server import LocalServer

Change = Callable[[dict[str, Any]], None]


@contextmanager
def altered(
    server: LocalServer,
    *,
    request: Change | None = None,
    response: Change | None = None,
    clock: timedelta = timedelta(0),
) -> Iterator[str]:
    """Yield the API URL of a server that behaves like this one, except for some changes.

    Args:
        server: This server.
        request: Edits the JSON of a request in place.
        response: Edits the JSON of a response in place.
        clock: How much later the Date header is than our clock.
    """
    with (
        start_blocking_portal() as portal,
        portal.wrap_async_context_manager(_proxy(server, request, response, clock)) as url,
    ):
        yield url


@asynccontextmanager
async def _proxy(
    server: LocalServer, request: Change | None, response: Change | None, clock: timedelta
) -> AsyncIterator[str]:
    async with aiohttp.ClientSession() as session:

        async def forward(incoming: web.Request) -> web.Response:
            content = await incoming.json()
            if request:
                request(content)
            headers = {"Authorization": incoming.headers["Authorization"], "Accept": incoming.headers["Accept"]}
            async with session.post(server.url, json=content, headers=headers) as outgoing:
                result = await outgoing.json(content_type=None)
                if response:
                    response(result)
                date = format_datetime(datetime.now(UTC) + clock, usegmt=True)
                return web.json_response(result, status=outgoing.status, headers={"Date": date})

        app = web.Application()
        app.router.add_post("/graphql", forward)
        runner = web.AppRunner(app)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        host, port = runner.addresses[0][:2]
        try:
            yield f"http://{host}:{port}/graphql"
        finally:
            await runner.cleanup()


def conflict_to_bad_user_input(response: dict[str, Any]) -> None:
    """Report a conflict as an invalid value, without saying which value, as Apollo servers do."""
    for error in response.get("errors") or ():
        if error["extensions"]["code"] == "CONFLICT":
            error.update(
                message="One or more invalid values were supplied.", extensions={"code": "BAD_USER_INPUT"}, path=None
            )
