"""Bodies that others write: each is read up to a limit, and that of a request also up to a time."""

from __future__ import annotations

import asyncio
from http import HTTPStatus
from typing import TYPE_CHECKING

from aiohttp import web

if TYPE_CHECKING:
    from aiohttp import StreamReader

MAX_BODY = 2 * 1024 * 1024  # bytes of a request: a spec file of 1 MB, as JSON
TIMEOUT = 10.0  # seconds to read the body of a request


class IncompleteBodyError(Exception):
    """The body of a request that was not read completely. The connection cannot be used for another request."""

    def __init__(self, status: HTTPStatus, message: str) -> None:
        super().__init__(message)
        self.status = status


async def read_first(content: StreamReader, limit: int) -> bytes:
    """Read a body, but at most so many bytes of it."""
    body = bytearray()
    while len(body) < limit and (chunk := await content.read(limit - len(body))):
        body += chunk
    return bytes(body)


async def read_request(request: web.Request, closed: asyncio.Future[None]) -> bytes:
    """Read the body of a request.

    Args:
        request: The request.
        closed: Is done when the console ends, which does not wait for the body.

    Raises:
        IncompleteBodyError: the body is too large or malformed, did not arrive in time, or the console ends.
    """
    reading = asyncio.ensure_future(read_first(request.content, MAX_BODY + 1))
    waiting: set[asyncio.Future[None] | asyncio.Future[bytes]] = {reading, closed}
    try:
        await asyncio.wait(waiting, timeout=TIMEOUT, return_when=asyncio.FIRST_COMPLETED)
        if not reading.done():
            if closed.done():
                raise IncompleteBodyError(HTTPStatus.SERVICE_UNAVAILABLE, "the console ends; nothing was executed")
            message = f"the request body did not arrive within {TIMEOUT:g} seconds"
            raise IncompleteBodyError(HTTPStatus.REQUEST_TIMEOUT, message)
        body = reading.result()
    except (web.RequestPayloadError, ConnectionError):  # malformed chunks, or a closed connection
        raise IncompleteBodyError(HTTPStatus.BAD_REQUEST, "the request body is malformed or incomplete") from None
    finally:
        reading.cancel()
    if len(body) > MAX_BODY:
        message = f"the request body has more than {MAX_BODY} bytes"
        raise IncompleteBodyError(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, message)
    return body
