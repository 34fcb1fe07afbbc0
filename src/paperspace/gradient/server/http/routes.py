"""GraphQL over HTTP: who asks, how, and the reply with its status."""

from __future__ import annotations

import hmac
from datetime import UTC, datetime
from email.utils import format_datetime
from http import HTTPStatus
from typing import TYPE_CHECKING

from aiohttp import hdrs, web

from paperspace.gradient._shared.error_codes import Code
from paperspace.gradient.server.http.graphql_http import (
    GRAPHQL_RESPONSE,
    JSON,
    RefusedError,
    digest,
    negotiate,
    request_of_body,
    request_of_url,
)
from paperspace.gradient.server.http.pages import welcome

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from paperspace.gradient.server.graphql.execution import Endpoint, Reply, Request
    from paperspace.gradient.server.http.middleware import Gate

LARGEST_BODY = 1024 * 1024
IDEMPOTENCY_KEY = "Idempotency-Key"


class Routes:
    """What is at which path.

    Args:
        answer: Answers GraphQL requests of those who have the key.
        endpoint: Answers requests to the endpoints of deployments.
        gate: The gate that all of them go through.
        url: The address of the API.
        api_key: The key that callers have to send.
        now: Where the time comes from.
    """

    def __init__(
        self,
        answer: Callable[[Request], Awaitable[Reply]],
        endpoint: Callable[[str], Awaitable[Endpoint]],
        gate: Gate,
        *,
        url: str,
        api_key: str,
        now: Callable[[], datetime],
    ) -> None:
        self._answer = answer
        self._endpoint = endpoint
        self._gate = gate
        self._url = url
        self._key_digest = digest(api_key)
        self._now = now

    def application(self) -> web.Application:
        """The web application."""
        app = web.Application(client_max_size=LARGEST_BODY, middlewares=[self._gate.let_in])
        app.router.add_post("/graphql", self._graphql)
        app.router.add_get("/graphql", self._graphql, allow_head=False)
        app.router.add_get("/healthz", self._health)
        # Whatever is asked of a model, the endpoint says who would have answered.
        app.router.add_route("*", "/endpoints/{id}{path:(?:/.*)?}", self._serve)
        app.on_response_prepare.append(self._common_headers)
        return app

    async def _graphql(self, request: web.Request) -> web.Response:
        by_get = request.method == hdrs.METH_GET
        if by_get and "query" not in request.query and "text/html" in request.headers.get(hdrs.ACCEPT, "").lower():
            return web.Response(text=welcome(self._url), content_type="text/html")
        _authenticate(request, self._key_digest)
        media_type = negotiate(request.headers.getall(hdrs.ACCEPT, ()))
        if media_type is None:
            raise RefusedError(HTTPStatus.NOT_ACCEPTABLE, f"Replies come as {JSON} or {GRAPHQL_RESPONSE}.")
        asked = request_of_url(request.query.items()) if by_get else await self._posted(request)
        reply = await self._answer(asked)
        # With the older media type the status says only whether the server did its part.
        status = reply.outcome.older_status if media_type == JSON else reply.outcome.status
        headers = {hdrs.ALLOW: "POST"} if status == HTTPStatus.METHOD_NOT_ALLOWED else None
        return web.Response(body=reply.body, status=status, content_type=media_type, charset="utf-8", headers=headers)

    async def _posted(self, request: web.Request) -> Request:
        if request.content_type != JSON or (request.charset or "utf-8").lower() != "utf-8":
            raise RefusedError(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, f"The body has to be {JSON}, in UTF-8.")
        return request_of_body(await self._gate.body(request), request.headers.get(IDEMPOTENCY_KEY))

    async def _serve(self, request: web.Request) -> web.Response:
        found = await self._endpoint(request.match_info["id"])
        if found.status == HTTPStatus.NOT_FOUND:
            raise web.HTTPNotFound
        headers = {hdrs.RETRY_AFTER: "1"} if found.status == HTTPStatus.SERVICE_UNAVAILABLE else None
        return web.json_response(found.facts, status=found.status, headers=headers)

    async def _health(self, _request: web.Request) -> web.Response:
        return web.json_response({"status": "ok"})

    async def _common_headers(self, _request: web.BaseRequest, response: web.StreamResponse) -> None:
        # By the clock that stamps the rows, so that callers can tell how old a row is.
        response.headers[hdrs.DATE] = format_datetime(self._now().astimezone(UTC), usegmt=True)
        response.headers["X-Content-Type-Options"] = "nosniff"


def _authenticate(request: web.Request, key_digest: bytes) -> None:
    values = request.headers.getall(hdrs.AUTHORIZATION, ())
    scheme, _, key = values[0].partition(" ") if len(values) == 1 else ("", "", "")
    if not hmac.compare_digest(digest(key.strip()), key_digest) or scheme.lower() != "bearer":
        raise RefusedError(
            HTTPStatus.UNAUTHORIZED,
            "The API key is missing or wrong: it goes into the header `Authorization: Bearer KEY`.",
            Code.UNAUTHENTICATED,
            {hdrs.WWW_AUTHENTICATE: "Bearer"},
        )
