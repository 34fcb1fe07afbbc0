"""The HTTP transport: one POST, one whole answer, and nothing that nobody asked for.

gql's own transport loses status and headers, follows redirects and reads answers of any size, so this one does the
POST itself. No redirects, no cookies, no `.netrc`; proxies and certificates from the environment.
"""

from __future__ import annotations

import asyncio
import os
import ssl
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

import aiohttp
from gql.transport.async_transport import AsyncTransport
from pydantic_core import to_json

from paperspace.gradient._faults import Failure, Reply, from_exception, read_reply
from paperspace.gradient._retry import Fault
from paperspace.gradient.errors import ReplyTooLargeError

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Mapping

    from gql import GraphQLRequest
    from graphql import ExecutionResult

# Seconds for one try to open a connection, so that a host that swallows packets does not take the whole deadline.
CONNECT_TIMEOUT = 10.0

# Connections at once. aiohttp's own limit; calls beyond it wait for their turn.
MAX_CONNECTIONS = 100


class HTTPTransport(AsyncTransport):
    """Sends GraphQL requests to one address, over connections that are kept between them.

    It belongs to the event loop that it is first used on.
    """

    def __init__(self, url: str, headers: Mapping[str, str], *, max_response_bytes: int) -> None:
        self.url = url
        self.headers = headers
        self.max_response_bytes = max_response_bytes
        self._session: aiohttp.ClientSession | None = None

    async def connect(self) -> None:
        """Makes the transport ready. Opens no connection yet."""
        connector = aiohttp.TCPConnector(limit=MAX_CONNECTIONS, ssl=_certificates() or True)
        self._session = aiohttp.ClientSession(
            connector=connector,
            headers=self.headers,
            cookie_jar=aiohttp.DummyCookieJar(),
            # The deadline spans the whole call and is kept by the session; None: there is no other limit here.
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_TIMEOUT),
            # Not trust_env, which would read .netrc too, and fail where it names the host.
            proxy=proxy_for(self.url),
            trace_configs=[_trace()],
        )

    async def close(self) -> None:
        """Closes every connection."""
        if self._session is not None:
            await self._session.close()

    async def execute(
        self, request: GraphQLRequest, *, headers: Mapping[str, str] | None = None, deadline: float | None = None
    ) -> Reply:
        """Sends the request once.

        Args:
            request: What to send.
            headers: Headers of this request, beside those of all.
            deadline: The time of the loop's clock by which the whole answer has to be there. None: no limit.

        Raises:
            Failure: There is no GraphQL result; it knows why, and what became of the request.
        """
        if self._session is None:
            await self.connect()
        assert self._session is not None  # noqa: S101  # connect made it
        progress = SimpleNamespace(sent=False, reused=False)
        try:
            async with (
                asyncio.timeout_at(deadline),
                self._session.post(
                    self.url,
                    data=to_json(request.payload),
                    headers=headers,
                    allow_redirects=False,
                    trace_request_ctx=progress,
                ) as response,
            ):
                body = await self._read(response)
        except (aiohttp.ClientError, OSError, ValueError) as error:
            raise from_exception(error, self.url, sent=progress.sent, reused=progress.reused) from error
        return read_reply(response.status, response.headers, body)

    async def _read(self, response: aiohttp.ClientResponse) -> bytes:
        """The body, decompressed, up to the limit."""
        chunks = []
        size = 0
        async for chunk in response.content.iter_any():
            size += len(chunk)
            if size > self.max_response_bytes:
                response.close()
                message = f"the answer is larger than {self.max_response_bytes} bytes (max_response_bytes)"
                raise Failure(ReplyTooLargeError(message, status=response.status), Fault.BROKEN)
            chunks.append(chunk)
        return chunks[0] if len(chunks) == 1 else b"".join(chunks)

    def subscribe(self, request: GraphQLRequest) -> AsyncGenerator[ExecutionResult, None]:
        """Not to be had: the API has no subscriptions."""
        raise NotImplementedError("the Gradient API has no subscriptions")


def _trace() -> aiohttp.TraceConfig:
    """Notes on a request's own `progress` when it has a connection: from then on, bytes of it may be out."""
    trace = aiohttp.TraceConfig()

    async def created(_session: object, context: Any, _params: object) -> None:  # aiohttp awaits it
        context.trace_request_ctx.sent = True

    async def reused(_session: object, context: Any, _params: object) -> None:
        context.trace_request_ctx.sent = context.trace_request_ctx.reused = True

    trace.on_connection_create_end.append(created)
    trace.on_connection_reuseconn.append(reused)
    return trace


def _certificates() -> ssl.SSLContext | None:
    """The certificates that the environment names; SSL_CERT_FILE and SSL_CERT_DIR are heeded by OpenSSL itself."""
    bundle = os.environ.get("REQUESTS_CA_BUNDLE") or os.environ.get("CURL_CA_BUNDLE")
    return ssl.create_default_context(cafile=bundle) if bundle else None


def proxy_for(url: str) -> str | None:
    """The proxy that the environment names for an address, if any."""
    parts = urlsplit(url)
    proxies = getproxies()
    proxy = proxies.get(parts.scheme) or proxies.get("all")
    return None if proxy is None or proxy_bypass(parts.netloc) else proxy
