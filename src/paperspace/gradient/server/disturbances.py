"""What can be made to happen to the next answers, to see how callers take it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from http import HTTPStatus

from aiohttp import hdrs, web

from paperspace.gradient._base.codes import Code

from .requests import RefusedError

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
Disturbance = Callable[[web.Request, Handler], Awaitable[web.StreamResponse]]


def rate_limit(retry_after: int) -> Disturbance:
    """The request is refused: too many of them."""

    async def answer(_request: web.Request, _handler: Handler) -> web.StreamResponse:
        raise RefusedError(
            HTTPStatus.TOO_MANY_REQUESTS,
            "Too many requests.",
            Code.RATE_LIMITED,
            {hdrs.RETRY_AFTER: str(retry_after)},
            retryable=True,
        )

    return answer


def delay(seconds: float) -> Disturbance:
    """The request is carried out a while later."""

    async def answer(request: web.Request, handler: Handler) -> web.StreamResponse:
        await asyncio.sleep(seconds)
        return await handler(request)

    return answer


def drop(*, executed: bool) -> Disturbance:
    """The connection breaks instead of an answer, before or after the request was carried out."""

    async def answer(request: web.Request, handler: Handler) -> web.StreamResponse:
        if executed:
            await handler(request)
        if request.transport is not None:
            request.transport.abort()
        return web.Response()

    return answer
