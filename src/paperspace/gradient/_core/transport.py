"""HTTP transport: one POST for each attempt, and one complete response.

gql's own transport loses status and headers, follows redirects and reads responses of any size, so this one sends
the request itself. No redirects, no cookies, no `.netrc`; proxies and certificates come from the environment.
"""

from __future__ import annotations

import asyncio
import platform
import socket
from contextlib import AsyncExitStack, contextmanager, suppress
from io import BytesIO
from typing import TYPE_CHECKING, Any, cast
from weakref import WeakSet

import aiohttp
from gql.transport.async_transport import AsyncTransport
from pydantic_core import PydanticSerializationError, to_json

from paperspace.gradient._core import certificates, proxies
from paperspace.gradient._core.failures import AttemptFailed, ResponseFacts, from_exception, without_secrets
from paperspace.gradient._core.responses import HTTPResponse, parse_result
from paperspace.gradient._core.retry import FailureKind
from paperspace.gradient._shared.daemon_threads import Lookups
from paperspace.gradient._shared.event_loops import run_to_end
from paperspace.gradient._shared.fork import never_finalize
from paperspace.gradient._version import __version__
from paperspace.gradient.errors import InvalidArgumentError, ResponseTooLargeError

if TYPE_CHECKING:
    import ssl
    from collections.abc import AsyncGenerator, Generator, Mapping

    from aiohttp.client_proto import ResponseHandler
    from aiohttp.tracing import Trace
    from gql import GraphQLRequest
    from graphql import ExecutionResult

    from paperspace.gradient.config import Settings

# Seconds to open a connection, so that a host that drops packets does not use up the whole deadline.
CONNECT_TIMEOUT = 10.0

# Connections at a time. This is aiohttp's own limit; further calls wait.
MAX_CONNECTIONS = 100

# How many separators of JSON a response may have: this many at least, or one for so many bytes of its limit. Nothing can
# interrupt the decoding: 15 MB of `{},`, with 10 million separators, took 4.7 s of processor time.
MIN_LIMIT_OF_SEPARATORS = 250_000
BYTES_PER_SEPARATOR = 16

# aiohttp warns of longer request bodies, unless they are files. Where warnings are errors, the call would fail.
MAX_BYTES_WITHOUT_WARNING = 2**20


class Progress:
    """How far an attempt has come.

    Attributes:
        sent: Whether it has a connection: from then on, a part of the request may have been sent.
        reused: Whether that connection was kept from an earlier request.
        connection: That connection, as the event loop knows it.
    """

    __slots__ = ("connection", "reused", "sent")

    def __init__(self) -> None:
        self.sent = self.reused = False
        self.connection: asyncio.Transport | None = None

    def abort_closing(self) -> None:
        """Close the connection at once, if aiohttp is closing it: it would wait until the whole request is sent."""
        if self.connection is not None and self.connection.is_closing():
            self.connection.abort()


# The progress of the attempt that each task makes. Not in a context variable: several tasks may share one context.
Attempts = dict["asyncio.Task[Any] | None", Progress]


class Connector(aiohttp.TCPConnector):
    """Records the progress of an attempt when it has its connection. aiohttp's tracing would cost three times as much."""

    def __init__(self, attempts: Attempts, *, certificates: ssl.SSLContext | bool, keep: bool) -> None:
        self._attempts = attempts
        self.sockets: WeakSet[socket.socket] = WeakSet()
        self.known: WeakSet[ResponseHandler] = WeakSet()
        super().__init__(
            limit=MAX_CONNECTIONS,
            ssl=certificates,
            force_close=not keep,
            socket_factory=self._create_socket,
            # A name server that does not respond does not delay the exit of the process.
            resolver=aiohttp.ThreadedResolver(cast("asyncio.AbstractEventLoop", Lookups())),
        )

    def _create_socket(self, address: aiohttp.AddrInfoType) -> socket.socket:
        created = socket.socket(*address[:3])
        self.sockets.add(created)
        return created

    async def connect(
        self, req: aiohttp.ClientRequest, traces: list[Trace], timeout: aiohttp.ClientTimeout
    ) -> aiohttp.connector.Connection:
        """Return a connection, kept or new."""
        connection = await self._next(req, traces, timeout)
        # A kept connection that has received something holds a response that nobody requested; aiohttp would take it
        # for the response to this request.
        while (kept := connection.protocol) is not None and kept in self.known and kept.should_close:
            connection.close()
            connection = await self._next(req, traces, timeout)
        progress = self._attempts[asyncio.current_task()]
        progress.sent = True
        if (protocol := connection.protocol) is not None:
            progress.connection = protocol.transport
            progress.reused = protocol in self.known
            if not progress.reused:
                self.known.add(protocol)
        return connection

    async def _next(
        self, req: aiohttp.ClientRequest, traces: list[Trace], timeout: aiohttp.ClientTimeout
    ) -> aiohttp.connector.Connection:
        """Return a connection, perhaps one that has received something."""
        try:
            return await super().connect(req, traces, timeout)
        except asyncio.CancelledError:
            # If it is cancelled in the step in which it gets its turn, aiohttp gives that to no other call, which would wait
            # although a connection is free.
            self._release_waiter()
            raise


class HTTPTransport(AsyncTransport):
    """Sends GraphQL requests to one URL, over connections that are kept between requests.

    A transport belongs to the event loop that it is first used on.
    """

    def __init__(self, settings: Settings) -> None:
        self.url = settings.api_url
        self.max_response_bytes = settings.max_response_bytes
        self.headers = {
            "Authorization": f"Bearer {settings.api_key}",
            "Accept": "application/graphql-response+json, application/json;q=0.9",
            "Content-Type": "application/json",
            "User-Agent": f"paperspace-gradient/{__version__} Python/{platform.python_version()}",
        }
        self._sessions: list[aiohttp.ClientSession] = []
        self._connectors: list[Connector] = []
        self._timeouts: set[asyncio.Timeout] = set()
        self._attempts: Attempts = {}  # in progress
        self._left = False
        self._loop: asyncio.AbstractEventLoop | None = None

    async def connect(self) -> None:
        """Prepare the transport. No connection is opened yet.

        Raises:
            ConfigurationError: The proxy or the certificates of the environment cannot be used.
        """
        self._loop = asyncio.get_running_loop()
        # trust_env would read .netrc too, and fail where it names the host.
        proxy = proxies.proxy_for(self.url)
        trusted = certificates.trusted_for(self.url, proxy)
        # Two connectors: aiohttp has no way to ignore the kept connections for one request.
        self._connectors = [Connector(self._attempts, certificates=trusted, keep=keep) for keep in (True, False)]
        self._sessions = [
            aiohttp.ClientSession(
                connector=connector,
                cookie_jar=aiohttp.DummyCookieJar(),
                # The deadline spans the whole call, and `send` applies it.
                timeout=aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_TIMEOUT),
                proxy=proxy,
            )
            for connector in self._connectors
        ]

    async def close(self) -> None:
        """Close all connections and end everything that waits here."""
        self.end_calls()
        sessions, self._sessions = self._sessions, []
        async with AsyncExitStack() as stack:  # closes all of them even if the loop ends and cancels this
            for session in sessions:
                stack.push_async_callback(session.close)

    async def leave(self) -> None:
        """Keep no connection from now on, as the loop is ending. Attempts in progress, and later ones, are not ended.

        They are made by the cleanup of async generators, which runs at the same time.
        """
        self._left = True
        if not self._attempts:
            await self.close()  # a later attempt connects again

    def end_calls(self) -> None:
        """End everything that waits here, soon."""
        for timeout in self._timeouts:
            if not timeout.expired():
                timeout.reschedule(0)

    def abort(self) -> None:
        """Abort all connections, without waiting."""
        for connector in self._connectors:
            for protocol in connector.known:
                if protocol.transport is not None:
                    protocol.transport.abort()

    def abandon(self) -> None:
        """Close all connections of a loop that does not run any more."""
        if all(session.closed for session in self._sessions):
            return
        for connector in self._connectors:
            for opened in connector.sockets:
                opened.close()
        if self._loop is None or not self._loop.is_closed():  # the process exits
            never_finalize(self)  # asyncio and aiohttp would warn about unclosed parts, which no running loop can close
            return
        for connector in self._connectors:
            for protocol in connector.known:
                if (connection := protocol.transport) is not None:
                    # asyncio would warn about it, as a closed loop cannot close it. Keep it, but nothing that belongs to it.
                    connection.set_protocol(asyncio.Protocol())
                    never_finalize(connection)
        for session in self._sessions:
            run_to_end(session.close())

    async def pause(self, seconds: float) -> None:
        """Wait, but not beyond the close of the transport."""
        timeout = asyncio.timeout_at(None)
        with suppress(TimeoutError), self._ended_by_close(timeout):
            async with timeout:
                await asyncio.sleep(seconds)

    @contextmanager
    def _ended_by_close(self, timeout: asyncio.Timeout) -> Generator[None]:
        """Let `close` end the timeout early."""
        self._timeouts.add(timeout)
        try:
            yield
        finally:
            self._timeouts.discard(timeout)

    async def execute(self, request: GraphQLRequest) -> ExecutionResult:
        """Send a request once and return its GraphQL result. This is gql's interface; the library calls `send`."""
        return parse_result(await self.send(request))

    async def send(
        self,
        request: GraphQLRequest,
        headers: Mapping[str, str] | None = None,
        *,
        deadline: float | None = None,
        force_new_connection: bool = False,
    ) -> HTTPResponse:
        """Send a request once.

        Args:
            request: The request.
            headers: Headers of this request, in addition to those of all.
            deadline: When the response must be complete, by the clock of the event loop. None: no deadline.
            force_new_connection: Whether to open a new connection instead of using a kept one.

        Raises:
            AttemptFailed: There is no complete response.
            InvalidArgumentError: The request cannot be encoded as JSON.
        """
        if not self._sessions:
            await self.connect()
        task = asyncio.current_task()
        progress = self._attempts[task] = Progress()
        try:
            return await self._send(
                request, headers or {}, deadline, progress, force_new_connection=force_new_connection
            )
        finally:
            del self._attempts[task]
            if self._left:
                await self.leave()

    async def _send(
        self,
        request: GraphQLRequest,
        headers: Mapping[str, str],
        deadline: float | None,
        progress: Progress,
        *,
        force_new_connection: bool,
    ) -> HTTPResponse:
        try:
            body = to_json(request.payload)
        except (PydanticSerializationError, ValueError, RecursionError):
            message = (
                "an argument cannot be encoded as JSON: it is not plain data, or has text that is not valid Unicode"
            )
            raise InvalidArgumentError(message) from None
        timeout = asyncio.timeout_at(deadline)
        try:
            with self._ended_by_close(timeout):
                async with (
                    timeout,
                    self._sessions[force_new_connection].post(
                        self.url,
                        data=BytesIO(body) if len(body) > MAX_BYTES_WITHOUT_WARNING else body,
                        # Not the headers of the session: aiohttp sends those to a proxy too, with the API key.
                        headers={**self.headers, **headers},
                        allow_redirects=False,
                    ) as response,
                ):
                    return HTTPResponse(response.status, response.headers, await self._read_body(response))
        except (aiohttp.ClientError, OSError, ValueError) as error:
            failure = from_exception(error, self.url, sent=progress.sent, reused=progress.reused)
            raise failure from without_secrets(error)
        except asyncio.CancelledError as cancelled:
            without_secrets(cancelled)  # crash reporters show the variables of each frame
            raise
        finally:
            progress.abort_closing()

    async def _read_body(self, response: aiohttp.ClientResponse) -> bytes:
        """Read the body, decompressed, up to the limits."""

        def too_large(amount: str, hint: str) -> AttemptFailed:
            message = f"the response {amount} ({hint})"
            return AttemptFailed(ResponseTooLargeError, message, FailureKind.BROKEN, ResponseFacts(response.status))

        chunks = []
        size = 0
        while chunk := await response.content.readany():
            size += len(chunk)
            if size > self.max_response_bytes:
                response.close()
                raise too_large(f"is larger than {self.max_response_bytes} bytes", "max_response_bytes")
            chunks.append(chunk)
        body = chunks[0] if len(chunks) == 1 else b"".join(chunks)
        limit = max(MIN_LIMIT_OF_SEPARATORS, self.max_response_bytes // BYTES_PER_SEPARATOR)
        if size > limit and sum(map(body.count, (b",", b"[", b"{"))) > limit:
            raise too_large(f"has more than {limit} values", "the limit is in proportion to max_response_bytes")
        return body

    def subscribe(self, request: GraphQLRequest) -> AsyncGenerator[ExecutionResult, None]:
        """Raise: the API has no subscriptions."""
        raise NotImplementedError("the Gradient API has no subscriptions")
