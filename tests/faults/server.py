"""A server on raw sockets that responds as scripted, well or badly, and records the requests that it received."""

from __future__ import annotations

import asyncio
import atexit
import functools
import json
import socket
import ssl
import struct
import threading
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Self, TypeVar

R = TypeVar("R")

ID = "3f0c1c1e-5f0a-4b0e-9b7e-2f6f2a2d9c11"
OTHER_ID = "00000000-5f0a-4b0e-9b7e-2f6f2a2d9c11"
SPEC: Any = {"image": "tensorflow/serving", "port": 8501, "env": [{"name": "SECRET", "value": "spec-value-of-mine"}]}


@dataclass
class Received:
    """A request that arrived complete."""

    line: str
    headers: dict[str, str]
    payload: dict[str, Any]

    @property
    def operation(self) -> str:
        return str(self.payload.get("operationName"))


class Exchange:
    """One connection, as a behaviour sees it."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer
        self.request = Received("", {}, {})

    async def receive(self) -> None:
        """Read a complete request."""
        head = (await self.reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        line, *fields = head.rstrip("\r\n").split("\r\n")
        headers = {name.lower(): value.strip() for name, _, value in (field.partition(":") for field in fields)}
        body = await self.reader.readexactly(int(headers.get("content-length", 0)))
        self.request = Received(line, headers, json.loads(body) if body else {})

    async def write(self, data: bytes) -> None:
        self.writer.write(data)
        await self.writer.drain()

    async def respond(self, status: int = 200, body: Any = None, **headers: str) -> None:
        """Send a well-formed response. A body other than bytes is sent as JSON."""
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        fields = {"Content-Type": "application/json", "Content-Length": str(len(content))}
        fields |= {name.replace("_", "-"): value for name, value in headers.items()}
        head = "".join(f"{name}: {value}\r\n" for name, value in fields.items() if value)
        await self.write(f"HTTP/1.1 {status} Whatever\r\n{head}\r\n".encode() + content)

    async def hang_up(self) -> None:
        """Wait until the client closes the connection."""
        await self.reader.read()
        self.writer.close()

    def close(self) -> None:
        """Close the connection properly (FIN)."""
        self.writer.close()

    def reset(self) -> None:
        """Abort the connection (RST)."""
        linger = struct.pack("ii", 1, 0)
        self.writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        self.writer.transport.abort()


Behaviour = Callable[[Exchange], Awaitable[None]]


def early(behaviour: Behaviour) -> Behaviour:
    """Mark a behaviour that does not wait for the request."""

    @functools.wraps(behaviour)
    async def marked(exchange: Exchange) -> None:
        await behaviour(exchange)

    marked.early = True  # type: ignore[attr-defined]
    return marked


def good_data(request: Received) -> dict[str, Any]:
    """Return the correct `data` for a request."""
    variables = request.payload["variables"]
    page = {"hasNextPage": False, "endCursor": None}
    match request.operation:
        case "DeploymentCreate":
            return {"createDeployment": {"deployment": {"id": ID}}}
        case "DeploymentUpdate":
            return {"updateDeployment": {"deployment": {"id": variables["input"]["id"]}}}
        case "DeploymentDelete":
            return {"deleteDeployment": {"deployment": {"id": variables["input"]["id"]}}}
        case "Deployment":
            specs = {"nodes": [], "pageInfo": page}
            return {"deployment": {"id": variables["id"], "name": "mine", "deploymentSpecs": specs}}
        case "Deployments":
            specs = {"nodes": [], "pageInfo": page}
            nodes = [{"id": node_id, "name": "mine", "deploymentSpecs": specs} for node_id in (ID, OTHER_ID)]
            return {"deployments": {"nodes": nodes, "pageInfo": page}}
        case _:
            return {"deployments": {"nodes": [], "pageInfo": page}}


async def good(exchange: Exchange) -> None:
    """Send the correct response."""
    await exchange.respond(body={"data": good_data(exchange.request)})


class FaultServer:
    """A server on a free port that follows the script, one behaviour a request, and then repeats `then`.

    Attributes:
        connections: How many it has accepted.
        open: How many of these are open.
        requests: The complete requests, in order.
    """

    def __init__(self, *script: Behaviour, then: Behaviour = good, tls: ssl.SSLContext | None = None) -> None:
        self._script = list(script)
        self._then = then
        self._tls = tls
        self._tasks: set[asyncio.Task[None]] = set()
        self.connections = 0
        self.open = 0
        self.requests: list[Received] = []
        self.port = 0

    @property
    def host(self) -> str:
        return "localhost" if self._tls else "127.0.0.1"

    @property
    def last_attempts(self) -> int:
        """How many times the last request was received."""
        return sum(request.payload == self.requests[-1].payload for request in self.requests)

    @property
    def url(self) -> str:
        return f"{'https' if self._tls else 'http'}://{self.host}:{self.port}/graphql"

    def __enter__(self) -> Self:
        on_server_loop(self._start())
        return self

    def __exit__(self, *_: object) -> None:
        on_server_loop(self._stop())

    async def _start(self) -> None:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", self.port, ssl=self._tls, limit=2**24)
        self.port = self._server.sockets[0].getsockname()[1]

    async def _stop(self) -> None:
        # Stop accepting, and let connections that were just accepted get their transports before the server closes:
        # asyncio below Python 3.12 does not close them otherwise.
        for listener in self._server.sockets:
            asyncio.get_running_loop().remove_reader(listener.fileno())
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        task = asyncio.get_running_loop().create_task(self._serve(Exchange(reader, writer)))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _serve(self, exchange: Exchange) -> None:
        self.open += 1
        try:
            with suppress(ConnectionError, asyncio.IncompleteReadError, TimeoutError, ssl.SSLError):
                while not exchange.writer.is_closing():
                    if getattr(self._script[0] if self._script else self._then, "early", False):
                        await self._next()(exchange)
                        return
                    await exchange.receive()
                    self.requests.append(exchange.request)
                    await self._next()(exchange)
        finally:
            self.open -= 1
            exchange.writer.close()

    def _next(self) -> Behaviour:
        return self._script.pop(0) if self._script else self._then


# The loop of all servers, in a separate thread, so that sync tests can use them too.


@functools.cache
def _server_loop() -> asyncio.AbstractEventLoop:
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, name="fault servers", daemon=True)
    thread.start()

    def stop() -> None:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()

    atexit.register(stop)
    return loop


_first_use = threading.Lock()  # `functools.cache` calls a function twice if two threads are the first to call it


def on_server_loop(coroutine: Coroutine[Any, Any, R]) -> R:
    """Run a coroutine on the loop of the servers and wait for its result."""
    with _first_use:
        loop = _server_loop()
    return asyncio.run_coroutine_threadsafe(coroutine, loop).result(10)
