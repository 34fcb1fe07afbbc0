"""The routes: GraphQL over HTTP, deployment endpoints, metrics, and the health check."""

from __future__ import annotations

from datetime import UTC, datetime
from email.utils import format_datetime
from functools import partial
from http import HTTPStatus
from typing import TYPE_CHECKING

from aiohttp import hdrs, web

from paperspace.gradient._shared.error_codes import Code
from paperspace.gradient._shared.model_messages import ModelRequest
from paperspace.gradient.server.http.authentication import authenticate
from paperspace.gradient.server.http.graphql_http import (
    GRAPHQL_RESPONSE,
    JSON,
    digest,
    negotiate,
    operation_name,
    request_from_body,
    request_from_url,
)
from paperspace.gradient.server.http.index_page import index_page
from paperspace.gradient.server.http.middleware import API_PATHS, OPERATION
from paperspace.gradient.server.http.model_responses import respond
from paperspace.gradient.server.http.request_errors import HTTPRequestError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping
    from collections.abc import Set as AbstractSet

    from paperspace.gradient.server.engines.endpoints import EndpointResponse, ServedModel
    from paperspace.gradient.server.graphql.execution import Request
    from paperspace.gradient.server.graphql.responses import Response
    from paperspace.gradient.server.http.console import ConsolePage
    from paperspace.gradient.server.http.middleware import RequestMiddleware
    from paperspace.gradient.server.http.model_responses import Handler
    from paperspace.gradient.server.metrics import Exposition

MAX_BODY_SIZE = 1024 * 1024
IDEMPOTENCY_KEY = "Idempotency-Key"

_ENDPOINTS = "/endpoints/"
_REST = "{path:(?s:.*)}"  # of a path, which may have line feeds


class Routes:
    """The handlers of all paths.

    Args:
        execute: Executes authenticated GraphQL requests.
        endpoint: Responds for the endpoint of a deployment, by id and the header `Authorization`.
        metrics: Returns the metrics of the server.
        middleware: The middleware that all requests pass.
        url: The API URL.
        simulated: Whether no containers run.
        api_key: The API key that requests must have.
        now: Returns the current time.
        handlers: The functions that respond for endpoints, by the name of the deployment.
        console: Responds for the console, a page for browsers. None: there is no console.
    """

    def __init__(
        self,
        execute: Callable[[Request], Awaitable[Response]],
        endpoint: Callable[[str, str | None], Awaitable[EndpointResponse]],
        metrics: Callable[[], Awaitable[Exposition]],
        middleware: RequestMiddleware,
        *,
        url: str,
        simulated: bool,
        api_key: str,
        now: Callable[[], datetime],
        handlers: Mapping[str, Handler],
        console: ConsolePage | None = None,
    ) -> None:
        self._execute = execute
        self._endpoint = endpoint
        self._metrics = metrics
        self._middleware = middleware
        self._index_page = index_page(url, simulated=simulated, has_console=console is not None)
        self._key_digest = digest(api_key)
        self._now = now
        self._handlers = handlers
        self._console = console

    def application(self) -> web.Application:
        """Create the web application.

        It has no middlewares of aiohttp, which keeps the last 1,024 handlers with middlewares of a process, and so all that
        our handlers refer to. And no path is left to aiohttp's own responses, which keep their requests for a while.
        """
        app = web.Application(client_max_size=MAX_BODY_SIZE)
        for path in API_PATHS:
            self._add(app, path, self._handle_graphql, {hdrs.METH_GET, hdrs.METH_HEAD, hdrs.METH_POST})
        self._add(app, "/healthz", self._handle_health, {hdrs.METH_GET, hdrs.METH_HEAD})
        self._add(app, "/metrics", self._handle_metrics, {hdrs.METH_GET, hdrs.METH_HEAD})
        # All methods and all paths below the endpoint: the model decides which ones exist.
        self._add(app, _ENDPOINTS + "{id}{path:(?s:/.*)?}", self._handle_endpoint)
        if self._console:
            self._add(app, "/", self._handle_top)
            self._add(app, f"/console/{_REST}", self._console.handle)
        self._add(app, f"/{_REST}", self._handle_unknown)
        app.on_response_prepare.append(self._add_common_headers)
        return app

    def _add(
        self,
        app: web.Application,
        path: str,
        handler: Callable[[web.Request], Awaitable[web.StreamResponse]],
        methods: AbstractSet[str] | None = None,
    ) -> None:
        """Add the handler of a path, for some methods or for all."""

        async def handle(request: web.Request) -> web.StreamResponse:
            if methods is not None and request.method not in methods:
                raise web.HTTPMethodNotAllowed(request.method, methods)
            return await handler(request)

        respond = partial(self._middleware.handle, handler=handle)
        app.router.add_route("*", path, respond, expect_handler=_defer_expect)

    async def _handle_unknown(self, _request: web.Request) -> web.Response:
        raise web.HTTPNotFound

    async def _handle_top(self, request: web.Request) -> web.StreamResponse:
        """Send a browser the console. For programs, there is nothing at this URL."""
        if self._console is None or not (_is_read(request) and _accepts_html(request)):
            message = f"this URL is the console, for browsers; the GraphQL API is at {API_PATHS[0]}"
            raise HTTPRequestError(HTTPStatus.NOT_FOUND, message, Code.NOT_FOUND)
        return await self._console.handle(request)

    async def _handle_graphql(self, request: web.Request) -> web.Response:
        is_get = _is_read(request)
        has_request = "query" in request.query or "extensions" in request.query
        if is_get and not has_request and _accepts_html(request):
            return web.Response(text=self._index_page, content_type="text/html")
        authenticate(request, self._key_digest)
        media_type = negotiate(request.headers.getall(hdrs.ACCEPT, ()))
        if media_type is None:
            message = f"no media type in the Accept header is supported: use {JSON} or {GRAPHQL_RESPONSE}"
            raise HTTPRequestError(HTTPStatus.NOT_ACCEPTABLE, message)
        graphql_request = request_from_url(request.query.items()) if is_get else await self._read_post(request)
        if name := operation_name(graphql_request):
            request[OPERATION] = name
        response = await self._execute(graphql_request)
        # With application/json, most GraphQL errors have status 200.
        status = response.outcome.json_status if media_type == JSON else response.outcome.status
        headers: dict[str, str] = {hdrs.ALLOW: "POST"} if status == HTTPStatus.METHOD_NOT_ALLOWED else {}
        key = request.headers.get(IDEMPOTENCY_KEY, "")
        if response.key_checked and key.isascii():
            headers[IDEMPOTENCY_KEY] = key
        return web.Response(
            body=response.body, status=status, content_type=media_type, charset="utf-8", headers=headers
        )

    async def _read_post(self, request: web.Request) -> Request:
        if request.content_type != JSON or (request.charset or "utf-8").lower() not in ("utf-8", "utf8"):
            message = f"unsupported media type: send the body as {JSON}, in UTF-8"
            raise HTTPRequestError(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, message)
        body = await self._middleware.read_body(request)
        return request_from_body(body, request.headers.get(IDEMPOTENCY_KEY))

    async def _handle_endpoint(self, request: web.Request) -> web.Response:
        response = await self._endpoint(request.match_info["id"], request.headers.get(hdrs.AUTHORIZATION))
        if response.status == HTTPStatus.NOT_FOUND:
            raise web.HTTPNotFound
        if (model := response.model) and (handler := self._handlers.get(model.name)):
            return await respond(handler, await self._model_request(request, model))
        return web.json_response(response.body, status=response.status, headers=response.headers)

    async def _model_request(self, request: web.Request, model: ServedModel) -> ModelRequest:
        return ModelRequest(
            request.method,
            request.match_info["path"] or "/",
            dict(request.query),
            {name.lower(): value for name, value in request.headers.items()},
            await self._middleware.read_body(request),
            request.rel_url.raw_query_string,
            **model._asdict(),
        )

    async def _handle_metrics(self, request: web.Request) -> web.Response:
        authenticate(request, self._key_digest)
        body, content_type = await self._metrics()
        return web.Response(body=body, headers={hdrs.CONTENT_TYPE: content_type})

    async def _handle_health(self, _request: web.Request) -> web.Response:
        return web.json_response({"status": "ok"})

    async def _add_common_headers(self, request: web.BaseRequest, response: web.StreamResponse) -> None:
        # The same clock as for the rows, so that callers can tell how old a row is.
        response.headers[hdrs.DATE] = format_datetime(self._now().astimezone(UTC), usegmt=True)
        response.headers["X-Content-Type-Options"] = "nosniff"
        if not request.path.startswith(_ENDPOINTS):  # there, models decide
            response.headers.setdefault(hdrs.CACHE_CONTROL, "no-store")


def _is_read(request: web.Request) -> bool:
    return request.method in (hdrs.METH_GET, hdrs.METH_HEAD)


def _accepts_html(request: web.Request) -> bool:
    """Return whether a request is that of a browser which opens a page."""
    return "text/html" in request.headers.get(hdrs.ACCEPT, "").lower()


async def _defer_expect(_request: web.Request) -> None:
    """Do not yet ask the client for the body: it is requested after authentication."""
