"""Faults for tests: what to do to the next API requests (`LocalServer.inject_fault`).

Each inner function has the name of its fault, which `LocalServer.pending_faults` and `LocalServer.requests` show.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from http import HTTPStatus
from typing import TYPE_CHECKING

from aiohttp import hdrs, web

from paperspace.gradient._shared.error_codes import Code
from paperspace.gradient.server.http.request_errors import HTTPRequestError, error_response

if TYPE_CHECKING:
    from paperspace.gradient.server.http.middleware import Fault, Handler


def rate_limit(retry_after: int) -> Fault:
    """Reject the request with status 429.

    Args:
        retry_after: The seconds in the `Retry-After` header.

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

    async def rate_limit(_request: web.Request, _handler: Handler) -> web.StreamResponse:
        raise HTTPRequestError(
            HTTPStatus.TOO_MANY_REQUESTS,
            "too many requests",
            Code.RATE_LIMITED,
            {hdrs.RETRY_AFTER: str(retry_after)},
            retryable=True,
        )

    return rate_limit


def delay(seconds: float) -> Fault:
    """Wait before executing the request.

    Args:
        seconds: How long to wait.

    Example:
        >>> from paperspace.gradient import APITimeoutError, Client
        >>> from paperspace.gradient.server import LocalServer, delay
        >>> with LocalServer() as server, Client(server.api_key, server.url, timeout=0.1) as client:
        ...     server.inject_fault(delay(0.3))
        ...     try:
        ...         client.deployments.list_deployments()
        ...     except APITimeoutError:
        ...         print("timeout")
        timeout
    """

    async def delay(request: web.Request, handler: Handler) -> web.StreamResponse:
        await asyncio.sleep(seconds)
        return await handler(request)

    return delay


def drop(*, executed: bool) -> Fault:
    """Close the connection instead of sending a response.

    Args:
        executed: Whether to execute the request first, so that only the response is lost.

    Example:
        >>> from paperspace.gradient import Client
        >>> from paperspace.gradient.server import LocalServer, drop
        >>> with LocalServer() as server, Client(server.api_key, server.url) as client:
        ...     server.inject_fault(drop(executed=True))
        ...     created = client.deployments.create_deployment("mnist", "p1", {"image": "nginx"})  # sent twice
        ...     len(client.deployments.list_deployments())  # created once
        1
    """

    async def drop(request: web.Request, handler: Handler) -> web.StreamResponse:
        if executed:
            await _execute(request, handler)
        if request.transport is not None:
            request.transport.abort()
        return web.Response()

    return drop


def server_error(status: int, *, executed: bool) -> Fault:
    """Respond with a status from 500 to 599.

    Args:
        status: The HTTP status.
        executed: Whether to execute the request first, so that only its response is lost.

    Raises:
        ValueError: The status is not from 500 to 599.

    Example:
        >>> from paperspace.gradient import Client, ServerError
        >>> from paperspace.gradient.server import LocalServer, server_error
        >>> with LocalServer() as server, Client(server.api_key, server.url, max_retries=0) as client:
        ...     server.inject_fault(server_error(500, executed=False))
        ...     try:
        ...         client.deployments.list_deployments()
        ...     except ServerError as error:
        ...         print(error.status)
        500
    """
    if status not in range(500, 600):
        raise ValueError("status: expected an integer from 500 to 599")

    async def server_error(request: web.Request, handler: Handler) -> web.StreamResponse:
        if executed:
            await _execute(request, handler)
        return error_response(status, "a fault that the test injected", {})

    return server_error


async def _execute(request: web.Request, handler: Handler) -> None:
    """Execute a request whose response is lost, also if the response says that the request is invalid."""
    with suppress(HTTPRequestError, web.HTTPException):
        await handler(request)
