"""The middleware that every HTTP request passes: checks, injected faults, errors, draining, and the access log."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from http import HTTPStatus
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from aiohttp import HttpVersion11, hdrs, web

from paperspace.gradient._shared.daemon_threads import in_daemon_thread
from paperspace.gradient._shared.error_codes import Code
from paperspace.gradient._shared.event_loops import monotonic
from paperspace.gradient._shared.problems import shorten
from paperspace.gradient.server.errors import StoppedError
from paperspace.gradient.server.graphql.responses import internal_error
from paperspace.gradient.server.http import cors
from paperspace.gradient.server.http.content_encoding import compress, content_encoding, inflate
from paperspace.gradient.server.http.graphql_http import (
    JSON,
    negotiate,
    operation_name,
    request_from_body,
    request_from_url,
)
from paperspace.gradient.server.http.injected_faults import InjectedFaults
from paperspace.gradient.server.http.listener import is_loopback
from paperspace.gradient.server.http.request_counts import RequestCounts
from paperspace.gradient.server.http.request_errors import REQUEST_ID, HTTPRequestError, error_response

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Collection
    from uuid import UUID

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
Fault = Callable[[web.Request, Handler], Awaitable[web.StreamResponse]]
"""Handles one API request instead of its handler, or around it."""

# Some clients end the path with a slash.
API_PATHS = ("/graphql", "/graphql/")

OPERATION = web.RequestKey("operation", str)
"""The name of the operation of a request, if it has one."""

_BODY = web.RequestKey("body", bytes)  # if it was read to find the operation
_NUMBER = web.RequestKey("number", int)  # of the request in the record

BODY_TIMEOUT = 10.0  # seconds to read the body of a request
DRAIN_TIMEOUT = 5.0  # seconds to finish active requests before the server stops

_CONTINUE = "100-continue"

_log = logging.getLogger(__name__)


class RequestMiddleware:
    """Handle requests until the server stops.

    Args:
        new_request_id: Generates the ids of requests.
        loopback: Whether the server listens on a loopback address. Then it rejects requests whose Host header names
            another host, which protects against DNS rebinding by web pages.
        allow_origins: The origins of web pages that may use the server.
        record_requests: Whether to record the API requests, for tests. Then the access log has the level DEBUG, so that
            tests of the log of a program see only what the program itself logs.

    Attributes:
        injected: Faults that are applied to the next API requests, and the record of requests.
        counts: The API requests until now.
    """

    def __init__(
        self,
        new_request_id: Callable[[], UUID],
        *,
        loopback: bool,
        allow_origins: Collection[str] = (),
        record_requests: bool = False,
    ) -> None:
        self.injected = InjectedFaults(record=record_requests)
        self._access_level = logging.DEBUG if record_requests else logging.INFO
        self.counts = RequestCounts()
        self._new_request_id = new_request_id
        self._loopback = loopback
        self._allow_origins = allow_origins
        self._stopping = False
        self._active_requests = 0
        self._idle = asyncio.Event()
        self._idle.set()
        self._body_timeouts: set[asyncio.Timeout] = set()

    async def handle(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Respond to a request, whatever happens, and write one line to the access log."""
        started, request_id = monotonic(), self._new_request_id().hex
        self._active_requests += 1
        self._idle.clear()
        try:
            response = await self._respond(request, handler)
            await compress(request, response)
        except asyncio.CancelledError:  # the caller is gone; a change that has started is finished
            self._log_dropped(request, request_id, started)
            raise
        finally:
            self._active_requests -= 1
            if not self._active_requests:
                self._idle.set()
        response.headers[REQUEST_ID] = request_id
        if self._allow_origins:
            response.headers.add(hdrs.VARY, hdrs.ORIGIN)
            if cors.is_allowed(request, self._allow_origins):
                cors.allow(request, response)
        if _is_dropped(request):
            self._log_dropped(request, request_id, started)
            return response
        seconds = monotonic() - started
        line = (request_id, _describe(request), response.status, seconds * 1000)
        _log.log(self._access_level, "%s %s %d %.1f ms", *line)
        if request.path in API_PATHS:
            self.counts.count(request.get(OPERATION), response.status, seconds)
            self.injected.respond(request.get(_NUMBER, -1), response.status)
        return response

    def _log_dropped(self, request: web.Request, request_id: str, started: float) -> None:
        milliseconds = (monotonic() - started) * 1000
        _log.log(self._access_level, "%s %s dropped %.1f ms", request_id, _describe(request), milliseconds)

    async def read_body(self, request: web.Request) -> bytes:
        """Read the body of an authenticated request, and inflate it.

        Raises:
            HTTPRequestError: the body is malformed or incomplete, has an unsupported encoding, or did not arrive in
                time.
        """
        if _BODY in request:
            return request[_BODY]
        encoding = content_encoding(request.headers.getall(hdrs.CONTENT_ENCODING, ()))
        body = await self._receive_body(request)
        if encoding == "identity":
            return body
        return await in_daemon_thread(inflate, body, encoding, request.client_max_size)

    async def _receive_body(self, request: web.Request) -> bytes:
        try:
            if _expects_continue(request):
                await request.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
                request.writer.output_size = 0  # the response follows
            async with self._body_timeout():
                return await request.read()
        except TimeoutError:
            if self._stopping:
                raise _stopping_error() from None
            message = f"the request body did not arrive within {BODY_TIMEOUT:g} seconds"
            raise HTTPRequestError(HTTPStatus.REQUEST_TIMEOUT, message) from None
        except (web.RequestPayloadError, ConnectionError):  # malformed chunks, or a closed connection
            raise HTTPRequestError(HTTPStatus.BAD_REQUEST, "the request body is malformed or incomplete") from None

    async def drain(self) -> None:
        """Reject new requests and wait for the active ones, up to a timeout."""
        self._stopping = True
        for timeout in self._body_timeouts:
            if not timeout.expired():
                timeout.reschedule(0)  # these requests have not been executed
        with suppress(TimeoutError):
            await asyncio.wait_for(self._idle.wait(), DRAIN_TIMEOUT)

    async def _respond(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Run the handler, or an injected fault, and convert every error to a response."""
        try:
            self._check(request)
            if cors.is_preflight(request) and cors.is_allowed(request, self._allow_origins):
                return cors.preflight_response(request)
            return await self._execute(request, handler)
        except HTTPRequestError as error:
            media_type = _media_type(request)
            status = error.json_status if media_type == JSON else error.status
            response = error_response(status, str(error), error.extensions, media_type)
            response.headers.update(error.headers or {})
            if error.status in (HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.SERVICE_UNAVAILABLE) or _body_waits(request):
                response.force_close()
            return response
        except web.HTTPException as error:
            code = Code.NOT_FOUND if error.status == HTTPStatus.NOT_FOUND else Code.BAD_USER_INPUT
            response = error_response(error.status, error.reason, {"code": code}, _media_type(request))
            if allow := error.headers.get(hdrs.ALLOW):
                response.headers[hdrs.ALLOW] = allow
            if _body_waits(request):
                response.force_close()
            return response
        except Exception as error:  # noqa: BLE001 - a bug: the log gets the traceback, the caller its id
            masked = internal_error(error)
            return error_response(
                HTTPStatus.INTERNAL_SERVER_ERROR, masked["message"], masked["extensions"], _media_type(request)
            )

    async def _execute(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Run the handler, or an injected fault."""
        try:
            fault = await self._receive(request) if request.path in API_PATHS else None
            return await (fault(request, handler) if fault else handler(request))
        except StoppedError:
            raise _stopping_error() from None

    async def _receive(self, request: web.Request) -> Fault | None:
        """Record a request, and return the fault that is injected into it."""
        if self.injected.needs_operations:
            request[_BODY] = await self.read_body(request)
            with suppress(HTTPRequestError):  # the handler responds to invalid requests
                is_post = request.method == hdrs.METH_POST
                parsed = request_from_body(request[_BODY]) if is_post else request_from_url(request.query.items())
                if name := operation_name(parsed):
                    request[OPERATION] = name
        request[_NUMBER], fault = self.injected.receive(request.get(OPERATION))
        return fault

    def _check(self, request: web.Request) -> None:
        if self._stopping:
            raise _stopping_error()
        # Browsers always send a Host header; old clients that use HTTP/1.0 do not.
        if self._loopback and (hdrs.HOST in request.headers or request.version >= HttpVersion11):
            self._check_host(request)
        if request.version >= HttpVersion11 and request.headers.get(hdrs.EXPECT, _CONTINUE).lower() != _CONTINUE:
            message = "the value of the Expect header is not supported: send `100-continue`, or remove the header"
            raise HTTPRequestError(HTTPStatus.EXPECTATION_FAILED, message)

    def _check_host(self, request: web.Request) -> None:
        if not _is_loopback_name(request.headers.get(hdrs.HOST, "")):
            message = "the Host header has the name of another machine: use localhost or a loopback address"
            raise HTTPRequestError(HTTPStatus.FORBIDDEN, message, Code.FORBIDDEN)

    @asynccontextmanager
    async def _body_timeout(self) -> AsyncGenerator[None]:
        async with asyncio.timeout(BODY_TIMEOUT) as timeout:
            self._body_timeouts.add(timeout)
            try:
                yield
            finally:
                self._body_timeouts.remove(timeout)


def _describe(request: web.Request) -> str:
    """Return method, path and operation of a request, in one line of harmless characters: the caller chooses them."""
    parts = (request.method, request.raw_path.partition("?")[0], request.get(OPERATION))
    return " ".join(shorten(ascii(part)[1:-1]) for part in parts if part)


def _is_dropped(request: web.Request) -> bool:
    """Return whether the connection is closed, so that there is no response."""
    return request.transport is None or request.transport.is_closing()


def _expects_continue(request: web.Request) -> bool:
    return request.version >= HttpVersion11 and request.headers.get(hdrs.EXPECT, "").lower() == _CONTINUE


def _body_waits(request: web.Request) -> bool:
    """Return whether the client waits for permission to send the body. After an error, it may send it or not."""
    return _expects_continue(request) and not request.writer.output_size


def _media_type(request: web.Request) -> str:
    """Choose the media type of an error; one must be chosen even if the caller accepts neither."""
    return negotiate(request.headers.getall(hdrs.ACCEPT, ())) or JSON


def _is_loopback_name(host_header: str) -> bool:
    try:
        return is_loopback(urlsplit(f"//{host_header}").hostname or "")
    except ValueError:
        return False


def _stopping_error() -> HTTPRequestError:
    return HTTPRequestError(
        HTTPStatus.SERVICE_UNAVAILABLE,
        "the server is stopping; the request was not executed",
        Code.SERVICE_UNAVAILABLE,
        {hdrs.RETRY_AFTER: "1"},
        retryable=True,
    )
