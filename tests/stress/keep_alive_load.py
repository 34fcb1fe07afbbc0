"""Clients that send requests all the time over connections that they keep, and never retry."""

from __future__ import annotations

import asyncio
import threading
import time
from collections import Counter
from typing import NamedTuple, Self
from urllib.parse import urlsplit

from tests.server.gateway.site import read_response

BODY = b"x" * 1000


class Lost(NamedTuple):
    """A request without a response with status 200."""

    started: float
    """Of `time.monotonic`, in seconds."""
    ended: float
    method: str
    reason: str


class Load:
    """A load on one endpoint, from a thread, in a `with` block.

    Args:
        url: The endpoint.
        clients: The number of connections. Half of them send POST requests.
        seconds: How long the application needs for each request.
        pause: Seconds between two requests of a client.
    """

    def __init__(self, url: str, clients: int = 16, seconds: float = 0.05, pause: float = 0.01) -> None:
        self.lost: list[Lost] = []
        self.versions: Counter[str] = Counter()
        self.responded_at: list[float] = []
        self._url = urlsplit(url)
        self._clients = clients
        self._seconds = seconds
        self._pause = pause
        self._stop = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._run()))

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    @property
    def responses(self) -> int:
        """The number of responses with status 200."""
        return self.versions.total()

    def summary(self) -> str:
        """Return how many requests were lost, and why."""
        reasons = Counter(f"{lost.method}: {lost.reason}" for lost in self.lost)
        return f"{len(self.lost)} of {self.responses + len(self.lost)} requests lost {dict(reasons) or ''}".strip()

    async def _run(self) -> None:
        await asyncio.gather(*(self._client("POST" if number % 2 else "GET") for number in range(self._clients)))

    async def _client(self, method: str) -> None:
        connection = None
        while not self._stop.is_set():
            started = time.monotonic()
            try:
                # A connection that the server has closed while it was idle is replaced, as every client does.
                if connection is None or connection[0].at_eof():
                    if connection:
                        connection[1].close()
                    connection = await asyncio.open_connection(self._url.hostname, self._url.port)
                await self._request(method, *connection)
            except (OSError, ValueError, asyncio.IncompleteReadError) as error:
                self.lost.append(Lost(started, time.monotonic(), method, f"{type(error).__name__} {error}"))
                if connection:
                    connection[1].close()
                    connection = None
            await asyncio.sleep(self._pause)
        if connection:
            connection[1].close()

    async def _request(self, method: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        body = BODY if method == "POST" else b""
        target = f"{self._url.path}/slow?s={self._seconds}"
        writer.write(f"{method} {target} HTTP/1.1\r\nHost: {self._url.netloc}\r\n".encode())
        writer.write(f"Content-Length: {len(body)}\r\n\r\n".encode() + body)
        status, content = await read_response(reader)
        if status != 200:
            raise ValueError(f"status {status}: {content.decode()[:100]}")
        self.versions[content.decode().partition('"version": "')[2].partition('"')[0]] += 1
        self.responded_at.append(time.monotonic())
