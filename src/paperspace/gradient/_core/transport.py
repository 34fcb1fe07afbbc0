"""The HTTP transport: one POST, one whole answer, and nothing that nobody asked for.

gql's own transport loses status and headers, follows redirects and reads answers of any size, so this one does the
POST itself. No redirects, no cookies, no `.netrc`; proxies and certificates from the environment.
"""

from __future__ import annotations

import asyncio
import os
import socket
import ssl
from contextlib import AsyncExitStack, contextmanager, suppress
from contextvars import ContextVar
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass
from weakref import WeakSet

import aiohttp
from gql.transport.async_transport import AsyncTransport
from pydantic_core import PydanticSerializationError, to_json

from paperspace.gradient._core.failures import AttemptFailed, from_exception, presentable
from paperspace.gradient._core.responses import Reply, read_reply
from paperspace.gradient._core.retry import FailureKind
from paperspace.gradient._sync.fork import leak
from paperspace.gradient.config import is_loopback
from paperspace.gradient.errors import ConfigurationError, InvalidArgumentError, ResponseTooLargeError

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Generator, Mapping

    from aiohttp.client_proto import ResponseHandler
    from aiohttp.tracing import Trace
    from gql import GraphQLRequest
    from graphql import ExecutionResult

# Seconds for one try to open a connection, so that a host that swallows packets does not take the whole deadline.
CONNECT_TIMEOUT = 10.0

# Connections at once. aiohttp's own limit; calls beyond it wait for their turn.
MAX_CONNECTIONS = 100


class Progress:
    """How far a request has come.

    Attributes:
        sent: Whether it has a connection: from then on, bytes of it may be out.
        reused: Whether that connection was kept from an earlier request.
    """

    __slots__ = ("reused", "sent")

    def __init__(self) -> None:
        self.sent = self.reused = False


_progress: ContextVar[Progress] = ContextVar("progress")


class Connector(aiohttp.TCPConnector):
    """Notes on the progress of a request when it has its connection. aiohttp's tracing does it at thrice the price."""

    def __init__(self, *, certificates: ssl.SSLContext | bool, keep: bool) -> None:
        self.sockets: WeakSet[socket.socket] = WeakSet()
        self._known: WeakSet[ResponseHandler] = WeakSet()
        super().__init__(limit=MAX_CONNECTIONS, ssl=certificates, force_close=not keep, socket_factory=self._opened)

    def _opened(self, address: aiohttp.AddrInfoType) -> socket.socket:
        made = socket.socket(*address[:3])
        self.sockets.add(made)
        return made

    async def connect(
        self, req: aiohttp.ClientRequest, traces: list[Trace], timeout: aiohttp.ClientTimeout
    ) -> aiohttp.connector.Connection:
        """A connection, kept or new."""
        connection = await super().connect(req, traces, timeout)
        progress = _progress.get()
        progress.sent = True
        if (protocol := connection.protocol) is not None:
            progress.reused = protocol in self._known
            if not progress.reused:
                self._known.add(protocol)
        return connection


class HTTPTransport(AsyncTransport):
    """Sends GraphQL requests to one address, over connections that are kept between them.

    It belongs to the event loop that it is first used on.
    """

    def __init__(self, url: str, headers: Mapping[str, str], *, max_response_bytes: int) -> None:
        self.url = url
        self.headers = headers
        self.max_response_bytes = max_response_bytes
        self._sessions: list[aiohttp.ClientSession] = []
        self._connectors: list[Connector] = []
        self._limits: set[asyncio.Timeout] = set()

    async def connect(self) -> None:
        """Makes the transport ready. Opens no connection yet.

        Raises:
            ConfigurationError: The certificates that the environment names cannot be read.
        """
        # Not trust_env, which would read .netrc too, and fail where it names the host.
        proxy = proxy_for(self.url)
        encrypted = any(address.startswith("https:") for address in (self.url, proxy or ""))
        certificates = (encrypted and _certificates()) or True
        # Two, since aiohttp cannot be told to leave the connections aside that it keeps.
        self._connectors = [Connector(certificates=certificates, keep=keep) for keep in (True, False)]
        self._sessions = [
            aiohttp.ClientSession(
                connector=connector,
                cookie_jar=aiohttp.DummyCookieJar(),
                # The deadline spans the whole call and is kept by the session; None: there is no other limit here.
                timeout=aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_TIMEOUT),
                proxy=proxy,
            )
            for connector in self._connectors
        ]

    async def close(self) -> None:
        """Closes every connection; what waits here waits no longer."""
        for limit in self._limits:
            if not limit.expired():
                limit.reschedule(0)
        async with AsyncExitStack() as stack:  # all of them, also where the loop ends and cancels this
            for session in self._sessions:
                stack.push_async_callback(session.close)

    def abandon(self) -> None:
        """Closes every connection where the loop runs no more, so that nothing can be closed as it should be."""
        if not all(session.closed for session in self._sessions):
            leak(self)  # the parts of asyncio and aiohttp would warn about it, and cannot be told that it is in order
            for connector in self._connectors:
                for opened in connector.sockets:
                    opened.close()

    async def pause(self, seconds: float) -> None:
        """Waits, but not beyond the close of the transport."""
        limit = asyncio.timeout_at(None)
        with suppress(TimeoutError), self._ended_by_close(limit):
            async with limit:
                await asyncio.sleep(seconds)

    @contextmanager
    def _ended_by_close(self, limit: asyncio.Timeout) -> Generator[None]:
        """Lets the timeout end too when the transport is closed."""
        self._limits.add(limit)
        try:
            yield
        finally:
            self._limits.discard(limit)

    async def execute(
        self,
        request: GraphQLRequest,
        *,
        headers: Mapping[str, str] | None = None,
        deadline: float | None = None,
        fresh: bool = False,
        read: Callable[[int, Mapping[str, str], bytes], Reply] = read_reply,
    ) -> Reply:
        """Sends the request once.

        Args:
            request: What to send.
            headers: Headers of this request, beside those of all.
            deadline: The time of the loop's clock by which the whole answer has to be there. None: no limit.
            fresh: Whether to open a connection for it, rather than to take one that was kept.
            read: Makes the reply of status, headers and body.

        Raises:
            AttemptFailed: There is no GraphQL result; it knows why, and what became of the request.
            InvalidArgumentError: The request cannot be written as JSON.
        """
        if not self._sessions:
            await self.connect()
        try:
            body = to_json(request.payload)
        except (PydanticSerializationError, ValueError, RecursionError):
            message = "an argument cannot be written as JSON: it holds half a character, or what is no plain value"
            raise InvalidArgumentError(message) from None
        progress = Progress()
        _progress.set(progress)
        limit = asyncio.timeout_at(deadline)
        try:
            with self._ended_by_close(limit):
                async with (
                    limit,
                    self._sessions[fresh].post(
                        self.url,
                        data=body,
                        # Not the session's own headers: aiohttp sends those to a proxy as well, the key included.
                        headers={**self.headers, **(headers or {})},
                        allow_redirects=False,
                    ) as response,
                ):
                    answer = await self._read(response)
        except (aiohttp.ClientError, OSError, ValueError) as error:
            failure = from_exception(error, self.url, sent=progress.sent, reused=progress.reused)
            raise failure from presentable(error)
        return read(response.status, response.headers, answer)

    async def _read(self, response: aiohttp.ClientResponse) -> bytes:
        """The body, decompressed, up to the limit."""
        chunks = []
        size = 0
        while chunk := await response.content.readany():
            size += len(chunk)
            if size > self.max_response_bytes:
                response.close()
                message = f"the answer is larger than {self.max_response_bytes} bytes (max_response_bytes)"
                raise AttemptFailed(ResponseTooLargeError(message, status=response.status), FailureKind.BROKEN)
            chunks.append(chunk)
        return chunks[0] if len(chunks) == 1 else b"".join(chunks)

    def subscribe(self, request: GraphQLRequest) -> AsyncGenerator[ExecutionResult, None]:
        """Not to be had: the API has no subscriptions."""
        raise NotImplementedError("the Gradient API has no subscriptions")


def _certificates() -> ssl.SSLContext | None:
    """The certificates that the environment names; SSL_CERT_FILE and SSL_CERT_DIR are heeded by OpenSSL itself."""
    name = next((name for name in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE") if os.environ.get(name)), None)
    if name is None:
        return None
    place = os.environ[name]
    try:
        folder = Path(place).is_dir()
        return ssl.create_default_context(cafile=None if folder else place, capath=place if folder else None)
    except OSError:
        raise ConfigurationError(f"{name} names no certificates that can be read: {place}") from None


def proxy_for(url: str) -> str | None:
    """The proxy that the environment names for an address, if any. To this machine itself there is no detour."""
    parts = urlsplit(url)
    if is_loopback(parts.hostname or ""):
        return None
    proxies = getproxies()
    proxy = proxies.get(parts.scheme) or proxies.get("all")
    return None if proxy is None or proxy_bypass(parts.netloc) else proxy
