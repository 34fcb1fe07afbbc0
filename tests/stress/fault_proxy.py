"""A proxy in front of the local server that injects faults into chosen exchanges."""

from __future__ import annotations

import asyncio
import json
import socket
import struct
import threading
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from enum import Enum, auto
from typing import Self
from urllib.parse import urlsplit


class ProxyFault(Enum):
    """What the proxy does to an exchange."""

    NONE = auto()
    # The server does not receive the request.
    CLOSED_UNREAD = auto()
    RESET_UNREAD = auto()
    UNAVAILABLE = auto()  # 503
    # The server handles the request, but the client does not receive the response.
    RESPONSE_LOST = auto()
    RESPONSE_RESET = auto()
    RESPONSE_CUT = auto()
    BAD_GATEWAY = auto()  # 502
    NOT_JSON = auto()
    # The client receives the response, then the connection is closed.
    CLOSED_AFTER_RESPONSE = auto()


FAULTS = [fault for fault in ProxyFault if fault is not ProxyFault.NONE]


class Proxy:
    """Forwards requests to `url`, and injects faults.

    Args:
        url: The API URL of the server.
        decide: Gets the name of an operation, and returns the fault for this exchange.
        keys: Whether the server sees the idempotency keys. If not, it acts like one that does not know them.
    """

    def __init__(self, url: str, decide: Callable[[str], ProxyFault], *, keys: bool = True) -> None:
        self._target = urlsplit(url)
        self._decide = decide
        self._keys = keys
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._tasks: set[asyncio.Task[None]] = set()
        self.seen: Counter[ProxyFault] = Counter()

    def __enter__(self) -> Self:
        self._thread.start()
        self._server = asyncio.run_coroutine_threadsafe(self._start(), self._loop).result()
        self.url = f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}{self._target.path}"
        return self

    def __exit__(self, *_: object) -> None:
        asyncio.run_coroutine_threadsafe(self._stop(), self._loop).result()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    async def _start(self) -> asyncio.Server:
        return await asyncio.start_server(self._accept, "127.0.0.1", 0, backlog=500)

    async def _stop(self) -> None:
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = self._loop.create_task(self._serve(reader, writer))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        upstream, sink = await asyncio.open_connection(self._target.hostname, self._target.port)
        try:
            with suppress(ConnectionError, asyncio.IncompleteReadError):
                while await self._exchange(reader, writer, upstream, sink):
                    pass
        finally:
            writer.close()
            sink.close()

    async def _exchange(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        upstream: asyncio.StreamReader,
        sink: asyncio.StreamWriter,
    ) -> bool:
        """Forward one request, or inject a fault; return whether the connection stays open."""
        head, body = await _message(reader)
        fault = self._decide(json.loads(body)["operationName"])
        self.seen[fault] += 1
        if fault is ProxyFault.CLOSED_UNREAD:
            return False
        if fault is ProxyFault.RESET_UNREAD:
            _reset(writer)
            return False
        if fault is ProxyFault.UNAVAILABLE:
            writer.write(b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n")
            return True
        if not self._keys:
            head = head.replace(b"Idempotency-Key:", b"X-Not-The-Key:")
        sink.write(head + body)
        response = b"".join(await _message(upstream))
        if fault is ProxyFault.RESPONSE_RESET:
            _reset(writer)
        elif fault is ProxyFault.RESPONSE_CUT:
            writer.write(response[: len(response) * 3 // 4])
        elif fault is ProxyFault.BAD_GATEWAY:
            writer.write(b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 3\r\n\r\nno!")
        elif fault is ProxyFault.NOT_JSON:
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 6\r\n\r\n<html>")
        elif fault in {ProxyFault.NONE, ProxyFault.CLOSED_AFTER_RESPONSE}:
            writer.write(response)
        return fault in {ProxyFault.NONE, ProxyFault.BAD_GATEWAY, ProxyFault.NOT_JSON}


async def _message(reader: asyncio.StreamReader) -> tuple[bytes, bytes]:
    head = await reader.readuntil(b"\r\n\r\n")
    fields = (line.partition(b":") for line in head.lower().split(b"\r\n"))
    length = next((int(value) for name, _, value in fields if name == b"content-length"), 0)
    return head, await reader.readexactly(length)


def _reset(writer: asyncio.StreamWriter) -> None:
    writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()
