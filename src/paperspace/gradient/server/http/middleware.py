"""The gate that every HTTP request goes through: who is let in, what is under way, and the one line in the log."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from contextlib import asynccontextmanager, suppress
from http import HTTPStatus
from time import monotonic
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from aiohttp import hdrs, web

from paperspace.gradient._shared.error_codes import Code
from paperspace.gradient._shared.problems import shorten
from paperspace.gradient.server.graphql.execution import internal_error
from paperspace.gradient.server.http.graphql_http import RefusedError
from paperspace.gradient.server.http.listener import is_loopback

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable
    from uuid import UUID

    from paperspace.gradient.server.fault_injection import InjectedFault

REQUEST_ID = "X-Request-Id"
SECONDS_TO_READ = 10.0
SECONDS_TO_DRAIN = 5.0

_log = logging.getLogger(__name__)


class Gate:
    """Lets requests in until it is closed.

    Args:
        new_request_id: Where the ids of requests come from.
        local: Whether the server listens for this machine only. Then requests that name another host are refused:
            a web page whose name leads here would send them.
    """

    def __init__(self, new_request_id: Callable[[], UUID], *, local: bool) -> None:
        self.injected_faults: deque[InjectedFault] = deque()
        self._new_request_id = new_request_id
        self._local = local
        self._closed = False
        self._under_way = 0
        self._idle = asyncio.Event()
        self._idle.set()
        self._reading: set[asyncio.Timeout] = set()

    @web.middleware
    async def let_in(
        self, request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
    ) -> web.StreamResponse:
        """Answers a request, whatever happens, and writes its line into the log."""
        began, request_id = monotonic(), self._new_request_id().hex
        self._under_way += 1
        self._idle.clear()
        try:
            response = await self._answer(request, handler)
        finally:
            self._under_way -= 1
            if not self._under_way:
                self._idle.set()
        response.headers[REQUEST_ID] = request_id
        # The caller chooses the path: escaped, it can neither end the line nor steer a terminal.
        path = shorten(ascii(request.raw_path.partition("?")[0])[1:-1])
        milliseconds = (monotonic() - began) * 1000
        _log.info("%s %s %s %d %.1f ms", request_id, request.method, path, response.status, milliseconds)
        return response

    async def body(self, request: web.Request) -> bytes:
        """The body of a request.

        Raises:
            RefusedError: It cannot be read, or not in time.
        """
        try:
            async with self._in_time():
                return await request.read()
        except TimeoutError:
            if self._closed:
                raise _unavailable() from None
            raise RefusedError(HTTPStatus.REQUEST_TIMEOUT, "The body took too long.") from None
        except (web.RequestPayloadError, ConnectionError):  # wrongly packed, or cut off
            raise RefusedError(HTTPStatus.BAD_REQUEST, "The body cannot be read.") from None

    async def close(self) -> None:
        """Lets nobody in any more, and returns when what was under way is answered, or has taken too long."""
        self._closed = True
        for timeout in self._reading:
            timeout.reschedule(0)  # nothing was begun yet, so nothing is lost
        with suppress(TimeoutError):
            await asyncio.wait_for(self._idle.wait(), SECONDS_TO_DRAIN)

    async def _answer(
        self, request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
    ) -> web.StreamResponse:
        try:
            self._check(request)
            if self.injected_faults and request.path == "/graphql":
                return await self.injected_faults.popleft()(request, handler)
            return await handler(request)
        except RefusedError as refused:
            response = _error_response(refused.status, str(refused), refused.extensions)
            response.headers.update(refused.headers or {})
            if refused.status in (HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.SERVICE_UNAVAILABLE):
                response.force_close()
            return response
        except web.HTTPException as error:
            code = Code.NOT_FOUND if error.status == HTTPStatus.NOT_FOUND else Code.BAD_USER_INPUT
            response = _error_response(error.status, error.reason, {"code": code})
            if allow := error.headers.get(hdrs.ALLOW):
                response.headers[hdrs.ALLOW] = allow
            return response
        except Exception as error:  # noqa: BLE001 - the last resort: the fault is logged, the caller gets its id
            masked = internal_error(error)
            return _error_response(HTTPStatus.INTERNAL_SERVER_ERROR, masked["message"], masked["extensions"])

    def _check(self, request: web.Request) -> None:
        if self._closed:
            raise _unavailable()
        if self._local and not _names_this_machine(request.headers.get(hdrs.HOST, "")):
            raise RefusedError(HTTPStatus.FORBIDDEN, "The Host header names another machine.", Code.FORBIDDEN)

    @asynccontextmanager
    async def _in_time(self) -> AsyncGenerator[None]:
        async with asyncio.timeout(SECONDS_TO_READ) as timeout:
            self._reading.add(timeout)
            try:
                yield
            finally:
                self._reading.remove(timeout)


def _names_this_machine(host: str) -> bool:
    try:
        return is_loopback(urlsplit(f"//{host}").hostname or "")
    except ValueError:
        return False


def _unavailable() -> RefusedError:
    return RefusedError(
        HTTPStatus.SERVICE_UNAVAILABLE,
        "The server is about to stop; nothing was done.",
        Code.SERVICE_UNAVAILABLE,
        {hdrs.RETRY_AFTER: "1"},
        retryable=True,
    )


def _error_response(status: int, message: str, extensions: object) -> web.Response:
    """An error in the form of a GraphQL reply."""
    body: dict[str, Any] = {"errors": [{"message": message, "extensions": extensions}]}
    return web.json_response(body, status=status)
