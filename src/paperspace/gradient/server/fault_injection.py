"""What can be made to happen to the next answers, to see how callers take it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from http import HTTPStatus

from aiohttp import hdrs, web

from paperspace.gradient._shared.error_codes import Code
from paperspace.gradient.server.http.graphql_http import RefusedError

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
InjectedFault = Callable[[web.Request, Handler], Awaitable[web.StreamResponse]]


def rate_limit(retry_after: int) -> InjectedFault:
    """For `LocalServer.inject_fault`: the request is refused, as there were too many of them.

    Args:
        retry_after: The seconds after which the caller is told to come back.

    Example:
        >>> from paperspace.gradient import Client, RateLimitError
        >>> from paperspace.gradient.server import LocalServer, rate_limit
        >>> with LocalServer() as server, Client(server.api_key, server.url) as client:
        ...     server.inject_fault(rate_limit(60))
        ...     try:
        ...         client.deployments.list_deployments()
        ...     except RateLimitError as error:
        ...         print(error.retry_after)
        60.0
    """

    async def answer(_request: web.Request, _handler: Handler) -> web.StreamResponse:
        raise RefusedError(
            HTTPStatus.TOO_MANY_REQUESTS,
            "Too many requests.",
            Code.RATE_LIMITED,
            {hdrs.RETRY_AFTER: str(retry_after)},
            retryable=True,
        )

    return answer


def delay(seconds: float) -> InjectedFault:
    """For `LocalServer.inject_fault`: the request is carried out a while later.

    Args:
        seconds: How much later.

    Example:
        >>> from paperspace.gradient import APITimeoutError, Client
        >>> from paperspace.gradient.server import LocalServer, delay
        >>> with LocalServer() as server, Client(server.api_key, server.url, timeout=0.1) as client:
        ...     server.inject_fault(delay(0.3))
        ...     try:
        ...         client.deployments.list_deployments()
        ...     except APITimeoutError:
        ...         print("too late")
        too late
    """

    async def answer(request: web.Request, handler: Handler) -> web.StreamResponse:
        await asyncio.sleep(seconds)
        return await handler(request)

    return answer


def drop(*, executed: bool) -> InjectedFault:
    """For `LocalServer.inject_fault`: the connection breaks instead of an answer.

    Args:
        executed: Whether the request is carried out all the same, before it breaks.

    Example:
        >>> from paperspace.gradient import Client
        >>> from paperspace.gradient.server import LocalServer, drop
        >>> with LocalServer() as server, Client(server.api_key, server.url) as client:
        ...     server.inject_fault(drop(executed=True))
        ...     created = client.deployments.create_deployment("mnist", "p1", {"image": "nginx"})  # sent twice, made once
        ...     len(client.deployments.list_deployments())
        1
    """

    async def answer(request: web.Request, handler: Handler) -> web.StreamResponse:
        if executed:
            await handler(request)
        if request.transport is not None:
            request.transport.abort()
        return web.Response()

    return answer
