"""Containers that are not containers, and clients that never retry."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any
from urllib.parse import urlsplit

from aiohttp import ClientSession, ClientTimeout, TCPConnector, web

from paperspace.gradient.server.controller.gateway import Target
from paperspace.gradient.server.gateway.gateway import EnvoyGateway

LONG = 30.0  # seconds; only a failed test waits so long


async def until(condition: Callable[[], bool]) -> None:
    """Return when a condition holds."""
    async with asyncio.timeout(LONG):
        while not condition():  # noqa: ASYNC110  # it may depend on other processes
            await asyncio.sleep(0.005)


@asynccontextmanager
async def asking(ask: Callable[[], Awaitable[str]]) -> AsyncIterator[set[str]]:
    """Ask again and again during the block, four times at once. Yield the set of the responses so far."""
    found: set[str] = set()
    stopping = asyncio.Event()

    async def repeat() -> None:
        while not stopping.is_set():
            found.add(await ask())

    async with asyncio.TaskGroup() as group:
        for _ in range(4):
            group.create_task(repeat())
        yield found
        stopping.set()


class Replica:
    """An HTTP server that describes the requests that it receives.

    With `?seconds=N` it responds after N seconds. `/ws` is a WebSocket that sends back what it receives. `/sse` sends the
    time, again and again. `/download?mb=N` sends so many megabytes.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self.received = 0
        self.active = 0
        self.ports: list[int] = []

    @property
    def port(self) -> int:
        return self.ports[0]

    @property
    def target(self) -> Target:
        return Target(self.port, "http")

    @asynccontextmanager
    async def running(self, ports: int = 1) -> AsyncIterator[Replica]:
        """Run it on so many ports of 127.0.0.1."""
        application = web.Application()
        application.router.add_get("/ws", self._echo)
        application.router.add_get("/sse", self._send_times)
        application.router.add_get("/download", self._download)
        application.router.add_route("*", "/{path:.*}", self._describe)
        runner = web.AppRunner(application, access_log=None, shutdown_timeout=0.1)
        await runner.setup()
        try:
            for _ in range(ports):
                await web.TCPSite(runner, "127.0.0.1", 0).start()
            self.ports = [address[1] for address in runner.addresses]
            yield self
        finally:
            await runner.cleanup()

    async def _describe(self, request: web.Request) -> web.Response:
        self.received += 1
        self.active += 1
        size = 0
        try:
            async for chunk in request.content.iter_any():
                size += len(chunk)
            await asyncio.sleep(float(request.query.get("seconds", 0)))
        finally:
            self.active -= 1
        status = int(request.query.get("status", 200))
        description = {"name": self.name, "path": request.raw_path, "headers": dict(request.headers), "size": size}
        return web.json_response(description, status=status)

    async def _echo(self, request: web.Request) -> web.WebSocketResponse:
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        async for message in socket:
            await socket.send_str(f"{self.name} {message.data}")
        return socket

    async def _send_times(self, request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        with suppress(ConnectionError):
            while True:
                await response.write(f"data: {time.time()}\n\n".encode())
                await asyncio.sleep(0.02)
        return response

    async def _download(self, request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        megabytes = int(request.query["mb"])
        response.content_length = megabytes * 1_000_000
        await response.prepare(request)
        for _ in range(megabytes):
            await response.write(bytes(1_000_000))
        return response


class Visitor:
    """A client of endpoints. Each request has a connection of its own, so aiohttp never retries it."""

    def __init__(self, gateway: EnvoyGateway, session: ClientSession) -> None:
        self.gateway = gateway
        self.session = session

    def url(self, path: str) -> str:
        return self.gateway.endpoint_url("x").removesuffix("/endpoints/x") + path

    async def send(self, path: str, method: str = "GET", **options: Any) -> tuple[int, Any]:
        """Send a request to the gateway; return the status and the JSON of the response."""
        async with self.session.request(method, self.url(path), **options) as response:
            return response.status, await response.json()

    async def name(self, deployment_id: str = "x", query: str = "", **options: Any) -> str:
        """Return the name of the replica that responds for a deployment, or the status of another response."""
        status, body = await self.send(f"/endpoints/{deployment_id}/{query}", **options)
        return str(body["name"]) if status == 200 else str(status)


@asynccontextmanager
async def visiting(gateway: EnvoyGateway) -> AsyncIterator[Visitor]:
    """Open a client of a gateway."""
    connector = TCPConnector(force_close=True, limit=0)
    async with ClientSession(connector=connector, timeout=ClientTimeout(total=LONG)) as session:
        yield Visitor(gateway, session)


class Load:
    """Clients that send one request after the other on connections that they keep, and never retry."""

    def __init__(self, gateway: EnvoyGateway, path: str = "/endpoints/x/") -> None:
        self.gateway = gateway
        self.path = path
        self.done = 0
        self.lost: list[str] = []
        self._stopping = False

    @asynccontextmanager
    async def running(self, clients: int = 8) -> AsyncIterator[Load]:
        """Send requests during the block; half of the clients send POST."""
        tasks = [asyncio.create_task(self._client("POST" if number % 2 else "GET")) for number in range(clients)]
        try:
            yield self
        finally:
            self._stopping = True
            await asyncio.gather(*tasks)

    async def more(self, count: int) -> None:
        """Return when so many more requests were sent."""
        target = self.done + count
        await until(lambda: self.done + len(self.lost) >= target)

    async def _client(self, method: str) -> None:
        host, port = urlsplit(self.gateway.endpoint_url("x")).netloc.split(":")
        body = b"x" * 1000 if method == "POST" else b""
        head = f"{method} {self.path} HTTP/1.1\r\nHost: g\r\nContent-Length: {len(body)}\r\n\r\n".encode()
        reader, writer = await asyncio.open_connection(host, int(port))
        while not self._stopping:
            try:
                writer.write(head + body)
                status, _ = await read_response(reader)
                if status == 200:
                    self.done += 1
                else:
                    self.lost.append(f"{method} {status}")
            except (OSError, EOFError) as error:
                self.lost.append(f"{method} {error!r}")
                writer.close()
                reader, writer = await asyncio.open_connection(host, int(port))
        writer.close()


async def read_response(reader: asyncio.StreamReader) -> tuple[int, bytes]:
    """Read a response; return its status and its body."""
    head = await reader.readuntil(b"\r\n\r\n")
    lines = head.decode().lower().split("\r\n")
    length = next(int(line.partition(":")[2]) for line in lines if line.startswith("content-length:"))
    return int(lines[0].split()[1]), await reader.readexactly(length)
