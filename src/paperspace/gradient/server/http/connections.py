"""Connections: what is outside of a request that the middleware handles.

Malformed HTTP gets a response of the same form as other errors, and responses that the caller does not read are limited in
number, size and time.
"""

from __future__ import annotations

import asyncio
import logging
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, cast

from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError, LineTooLong

from paperspace.gradient._shared.error_codes import Code
from paperspace.gradient.server.graphql.responses import internal_error
from paperspace.gradient.server.http.request_errors import REQUEST_ID, error_response

if TYPE_CHECKING:
    from collections.abc import Callable
    from uuid import UUID

# Seconds. `keepalive_timeout` closes a connection that is idle or sends an incomplete head. `lingering_time` lets a client
# that is still sending a rejected body read the response.
TIMEOUTS: dict[str, Any] = {"keepalive_timeout": 10.0, "lingering_time": 1.0}

MAX_UNREAD_RESPONSES = 50
MAX_UNREAD_BYTES = 64 * 1024 * 1024
READ_TIMEOUT = 10.0  # seconds to read a response, and one more second for each
READ_RATE = 100_000  # bytes

# Two different limits: the parser reports only which limit was exceeded.
_MAX_URL_SIZE = 8190
_MAX_HEADER_SIZE = 8192

_log = logging.getLogger(__name__)


class UnreadResponses:
    """The responses that callers have not read yet; above the limits, the connections that waited longest are closed."""

    def __init__(self) -> None:
        self._waiting: dict[asyncio.Transport, tuple[int, asyncio.TimerHandle]] = {}
        self._size = 0

    def add(self, transport: asyncio.Transport) -> None:
        """Add a connection whose caller does not read as fast as the server sends."""
        size = transport.get_write_buffer_size()
        timer = asyncio.get_running_loop().call_later(READ_TIMEOUT + size / READ_RATE, self._abort, transport)
        self._waiting[transport] = size, timer
        self._size += size
        while len(self._waiting) > MAX_UNREAD_RESPONSES or (self._size > MAX_UNREAD_BYTES and len(self._waiting) > 1):
            self._abort(next(iter(self._waiting)))

    def remove(self, transport: asyncio.Transport) -> None:
        """Remove a connection whose caller has read everything, or is gone."""
        if waiting := self._waiting.pop(transport, None):
            size, timer = waiting
            timer.cancel()
            self._size -= size

    def abort(self) -> None:
        """Close all these connections; the server stops."""
        for transport in list(self._waiting):
            self._abort(transport)

    def _abort(self, transport: asyncio.Transport) -> None:
        self.remove(transport)
        transport.abort()


class Connection(web.RequestHandler):
    """A connection to a client."""

    def __init__(self, server: web.Server, unread: UnreadResponses, new_request_id: Callable[[], UUID]) -> None:
        super().__init__(
            server,
            loop=asyncio.get_running_loop(),
            access_log=cast("logging.Logger", None),  # the middleware writes the access log
            max_line_size=_MAX_URL_SIZE,
            max_field_size=_MAX_HEADER_SIZE,
            auto_decompress=False,  # the middleware inflates bodies, after authentication and within a limit
            **TIMEOUTS,
        )
        self._unread = unread
        self._new_request_id = new_request_id
        self._written_to: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Start to handle requests."""
        self._written_to = cast("asyncio.Transport", transport)
        # A response is finished when all of it has been sent. Only then, the timeout of idle connections starts.
        self._written_to.set_write_buffer_limits(high=0)
        super().connection_made(transport)

    def connection_lost(self, exc: BaseException | None) -> None:
        """Stop to handle requests."""
        if self._written_to is not None:
            self._unread.remove(self._written_to)
        super().connection_lost(exc)

    def pause_writing(self) -> None:
        """Wait for the caller to read the response."""
        super().pause_writing()
        if self._written_to is not None:
            self._unread.add(self._written_to)

    def resume_writing(self) -> None:
        """Continue after the caller has read the response."""
        if self._written_to is not None:
            self._unread.remove(self._written_to)
        super().resume_writing()

    async def finish_response(
        self, request: web.BaseRequest, resp: web.StreamResponse, start_time: float | None
    ) -> tuple[web.StreamResponse, bool]:
        """Send a response. One that aiohttp created outside of the middleware gets the form of the other errors."""
        if isinstance(resp, web.HTTPException):
            resp = self._error_response(resp.status, resp.reason, {"code": Code.BAD_USER_INPUT})
        return await super().finish_response(request, resp, start_time)

    def handle_error(
        self,
        request: web.BaseRequest,  # noqa: ARG002 - the signature of aiohttp
        status: int = 500,  # noqa: ARG002
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """Respond to malformed HTTP, to a caller who is gone, or to a bug outside of the middleware."""
        if isinstance(exc, HttpProcessingError | ConnectionError):
            return self._error_response(*_malformed(exc), {"code": Code.BAD_USER_INPUT})
        masked = internal_error(exc or RuntimeError(message))
        return self._error_response(HTTPStatus.INTERNAL_SERVER_ERROR, masked["message"], masked["extensions"])

    def log_exception(self, *args: Any, **options: Any) -> None:
        """Log a bug, but not what a client does to the body of a rejected request: that is not read."""
        error = options.get("exc_info")
        if not isinstance(error, HttpProcessingError | web.RequestPayloadError | ConnectionError):
            _log.error(*args, exc_info=error)

    def _error_response(self, status: int, message: str, extensions: object) -> web.Response:
        response, request_id = error_response(status, message, extensions), self._new_request_id().hex
        response.headers[REQUEST_ID] = request_id
        response.headers["X-Content-Type-Options"] = "nosniff"
        response.force_close()
        # What was received is not logged: it may contain an API key.
        _log.info("%s malformed HTTP request %d", request_id, status)
        return response


def _malformed(error: Exception) -> tuple[HTTPStatus, str]:
    if not isinstance(error, LineTooLong):
        return HTTPStatus.BAD_REQUEST, "malformed HTTP request"
    if error.args[1] == _MAX_URL_SIZE:
        message = f"the URL is longer than {_MAX_URL_SIZE} bytes: send the request by POST"
        return HTTPStatus.REQUEST_URI_TOO_LONG, message
    return HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, f"a header is longer than {_MAX_HEADER_SIZE} bytes"
