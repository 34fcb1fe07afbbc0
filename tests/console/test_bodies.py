"""Bodies and headers of requests to the console, both of `gradient server` and on a port of its own."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager, suppress

import pytest
from tests.console.conftest import Page

from paperspace.gradient.cli import _server_console
from paperspace.gradient.cli._server_console import ServerConsole
from paperspace.gradient.console import bodies
from paperspace.gradient.server import LocalServer

pytestmark = pytest.mark.anyio

JSON = b"Content-Type: application/json\r\n"
HALF = JSON + b"Content-Length: 100\r\n\r\n{"


@pytest.fixture(params=["server", "own port"])
async def any_page(request: pytest.FixtureRequest, page: Page) -> AsyncIterator[Page]:
    """A page with a session, of both kinds of consoles."""
    if request.param == "own port":
        yield page
        return
    console = ServerConsole("127.0.0.1")
    async with LocalServer(console=console):
        page = Page(page._session, console.link())
        await page.open_session()
        yield page


@asynccontextmanager
async def sent(page: Page, head: bytes, path: str = "/console/api/check-spec") -> AsyncGenerator[asyncio.StreamReader]:
    """Send the rest of a head and of a body as they are, and yield the stream of the response."""
    address = page.base.removeprefix("http://")
    reader, writer = await asyncio.open_connection(*address.split(":"))
    first = f"POST {path} HTTP/1.1\r\nHost: {address}\r\nOrigin: {page.base}\r\n"
    writer.write(first.encode() + head)
    try:
        yield reader
    finally:
        writer.close()
        with suppress(ConnectionError):
            await writer.wait_closed()


def token(page: Page) -> bytes:
    return f"X-Console-Token: {page.token}\r\n".encode()


async def test_a_body_that_never_ends(any_page: Page, monkeypatch: pytest.MonkeyPatch) -> None:
    """After the timeout, a request whose body is incomplete gets 408, and its connection is closed. It may be sent again."""
    monkeypatch.setattr(bodies, "TIMEOUT", 0.3)
    for path in ("/console/api/check-spec", "/console/stream/deployments"):
        async with sent(any_page, token(any_page) + HALF, path) as reader:
            response = await reader.read()
        assert response.startswith(b"HTTP/1.1 408 ")
        assert b"did not arrive within 0.3 seconds" in response
        assert response.endswith(b'"retryable": true}}')


async def test_the_end_does_not_wait_for_a_body(page: Page) -> None:
    """A server that stops responds to a request whose body is incomplete: it was not executed."""
    console = ServerConsole("127.0.0.1")
    server = LocalServer(console=console)
    server.start()
    page = Page(page._session, console.link())
    await page.open_session()
    async with sent(page, token(page) + HALF) as reader:
        with suppress(TimeoutError):  # until the server has read the head, and waits for the body
            await asyncio.wait_for(reader.read(1), 0.3)
        await asyncio.to_thread(server.stop)
        response = await reader.read()
    assert response.startswith(b"HTTP/1.1 503 ")
    assert response.endswith(b'"retryable": true}}')


async def test_the_end_while_the_console_is_imported(page: Page, monkeypatch: pytest.MonkeyPatch) -> None:
    """A request that waits for the console while the server stops gets 503. No console is created that nothing would close."""
    console, importing, ended = ServerConsole("127.0.0.1"), threading.Event(), threading.Event()

    def slow_import() -> None:
        importing.set()
        ended.wait()

    monkeypatch.setattr(_server_console, "_import", slow_import)
    server = LocalServer(console=console)
    server.start()
    page = Page(page._session, console.link())
    request = asyncio.create_task(page.post("/console/session"))
    await asyncio.to_thread(importing.wait)
    stopping = asyncio.create_task(asyncio.to_thread(server.stop))
    await asyncio.wait([stopping], timeout=0.3)  # until the console is closed
    ended.set()
    status, _ = await request
    await stopping
    assert (status, console._console) == (503, None)


async def test_malformed_bodies(any_page: Page) -> None:
    """Malformed chunks get 400."""
    head = token(any_page) + JSON + b"Transfer-Encoding: chunked\r\n\r\nno chunk\r\n"
    async with sent(any_page, head) as reader:
        assert b" 400 " in await reader.readline()


@pytest.mark.filterwarnings("ignore:Sending a large body")
async def test_a_spec_of_a_megabyte_is_checked(any_page: Page) -> None:
    """A spec that a file may have fits into a request, also if JSON makes it longer. What is larger gets 413."""
    status, content = await any_page.post("/console/api/check-spec", {"text": "image: i\n" + '# "comment"\n' * 81_000})
    assert (status, content["problems"]) == (200, [])
    status, content = await any_page.post("/console/api/check-spec", {"text": "#" * bodies.MAX_BODY})
    assert (status, content["error"]["kind"]) == (413, "HTTP")


@pytest.mark.parametrize(
    ("path", "header", "status"),
    [
        ("/console/api/check-spec", b"X-Console-Token: \xff\xfe", 401),
        ("/console/session", b"X-Console-Token: \xc3\xbc", 401),
        ("/console/link", b"Authorization: Bearer \xff\xfe", 404),
    ],
)
async def test_a_token_that_is_not_text(any_page: Page, path: str, header: bytes, status: int) -> None:
    """A token or key with any bytes gets the response of a wrong one."""
    rest = header + b"\r\n" + JSON + b"Content-Length: 2\r\nConnection: close\r\n\r\n{}"
    async with sent(any_page, rest, path) as reader:
        head, _, body = (await reader.read()).partition(b"\r\n\r\n")
    assert head.startswith(f"HTTP/1.1 {status} ".encode())
    assert json.loads(body)["error"]["kind"] in ("NoSession", "NotFound")
