"""GraphQL over HTTP: who asks, whether it is a request at all, and the reply with its status."""

from __future__ import annotations

import hashlib
import hmac
import json
import re
from datetime import UTC, datetime
from email.utils import format_datetime
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, NoReturn, cast

from aiohttp import hdrs, web

from paperspace.gradient._base.codes import Code

from .execution import Endpoint, Error, Reply, Request, internal_error

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, Mapping

JSON = "application/json"
GRAPHQL_RESPONSE = "application/graphql-response+json"
LARGEST_BODY = 1024 * 1024
IDEMPOTENCY_KEY = "Idempotency-Key"

_QUALITY = re.compile(r"\s*q=([01](?:\.[0-9]{0,3})?)\s*", re.IGNORECASE)


class _Refused(Exception):  # noqa: N818 - an answer, and no fault of the program
    """The request is refused before anything of GraphQL is looked at."""

    def __init__(
        self,
        status: HTTPStatus,
        message: str,
        code: Code = Code.BAD_USER_INPUT,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.headers = headers


def application(
    answer: Callable[[Request], Awaitable[Reply]],
    endpoint: Callable[[str], Awaitable[Endpoint]],
    *,
    api_key: str,
    now: Callable[[], datetime],
) -> web.Application:
    """The web application: requests of those who have the key go to `answer`, those to endpoints to `endpoint`."""
    digest = _digest(api_key)

    async def graphql(request: web.Request) -> web.Response:
        _authenticate(request, digest)
        media_type = negotiate(request.headers.getall(hdrs.ACCEPT, ()))
        if media_type is None:
            raise _Refused(HTTPStatus.NOT_ACCEPTABLE, f"Replies come as {JSON} or {GRAPHQL_RESPONSE}.")
        if request.content_type != JSON or (request.charset or "utf-8").lower() != "utf-8":
            raise _Refused(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, f"The body has to be {JSON}, in UTF-8.")
        reply = await answer(parse_request(await _body(request), request.headers.get(IDEMPOTENCY_KEY)))
        # With the older media type the status says only that the server did its part.
        status = HTTPStatus.OK if reply.executed or media_type == JSON else HTTPStatus.BAD_REQUEST
        return web.Response(body=reply.body, status=status, content_type=media_type, charset="utf-8")

    async def serve(request: web.Request) -> web.Response:
        found = await endpoint(request.match_info["id"])
        if found.status == HTTPStatus.NOT_FOUND:
            raise web.HTTPNotFound
        headers = {hdrs.RETRY_AFTER: "1"} if found.status == HTTPStatus.SERVICE_UNAVAILABLE else None
        return web.json_response(found.facts, status=found.status, headers=headers)

    async def tell_time(_request: web.BaseRequest, response: web.StreamResponse) -> None:
        # By the clock that stamps the rows, so that callers can tell how old a row is.
        response.headers[hdrs.DATE] = format_datetime(now().astimezone(UTC), usegmt=True)

    app = web.Application(client_max_size=LARGEST_BODY, middlewares=[_errors_as_json])
    app.router.add_post("/graphql", graphql)
    # Whatever is asked of a model, the endpoint says who would have answered.
    app.router.add_route("*", "/endpoints/{id}{path:(?:/.*)?}", serve)
    app.on_response_prepare.append(tell_time)
    return app


def negotiate(accept: Iterable[str]) -> str | None:
    """The media type of the reply, by the values of the Accept headers; None if none of ours is accepted."""
    qualities: dict[str, float] = {}
    for media_range in ",".join(accept).split(","):
        name, *parameters = media_range.split(";")
        found = filter(None, map(_QUALITY.fullmatch, parameters))
        qualities[name.strip().lower() or "*/*"] = next((float(match[1]) for match in found), 1.0)
    for name in sorted(qualities, key=lambda name: -qualities[name]):
        for offer in (JSON, GRAPHQL_RESPONSE):
            if name in (offer, "application/*", "*/*") and qualities[name] > 0 and qualities.get(offer) != 0:
                return offer
    return None


def parse_request(body: bytes, idempotency_key: str | None = None) -> Request:
    """The GraphQL request in a body.

    Raises:
        _Refused: There is none.
    """
    try:
        # Bytes are not given to json: it would take other encodings than UTF-8 for granted.
        payload = json.loads(body.decode("utf-8"), parse_constant=_refuse_constant)
        # Half a character, written as an escape, passes as JSON but can be neither stored nor sent.
        json.dumps(payload, ensure_ascii=False).encode("utf-8")
    except (ValueError, RecursionError):
        raise _Refused(HTTPStatus.BAD_REQUEST, "The body is not valid JSON in UTF-8.") from None
    if not isinstance(payload, dict):
        raise _Refused(HTTPStatus.BAD_REQUEST, "The body has to be a JSON object.")
    parameters = cast("dict[str, Any]", payload)
    if not isinstance(parameters.get("query"), str):
        raise _Refused(HTTPStatus.BAD_REQUEST, "`query` has to be a string.")
    if not isinstance(parameters.get("operationName"), str | None):
        raise _Refused(HTTPStatus.BAD_REQUEST, "`operationName` has to be a string or null.")
    for name in ("variables", "extensions"):
        if not isinstance(parameters.get(name), dict | None):
            raise _Refused(HTTPStatus.BAD_REQUEST, f"`{name}` has to be an object or null.")
    return Request(
        query=parameters["query"],
        operation_name=parameters.get("operationName"),
        variables=parameters.get("variables"),
        idempotency_key=_digest(idempotency_key) if idempotency_key else None,
        digest=hashlib.sha256(body).digest(),
    )


async def _body(request: web.Request) -> bytes:
    try:
        return await request.read()
    except (web.RequestPayloadError, ConnectionError):  # wrongly packed, or cut off
        raise _Refused(HTTPStatus.BAD_REQUEST, "The body cannot be read.") from None


def _authenticate(request: web.Request, digest: bytes) -> None:
    values = request.headers.getall(hdrs.AUTHORIZATION, ())
    scheme, _, key = values[0].partition(" ") if len(values) == 1 else ("", "", "")
    if not hmac.compare_digest(_digest(key.strip()), digest) or scheme.lower() != "bearer":
        raise _Refused(
            HTTPStatus.UNAUTHORIZED,
            "The API key is missing or wrong: it goes into the header `Authorization: Bearer KEY`.",
            Code.UNAUTHENTICATED,
            {hdrs.WWW_AUTHENTICATE: "Bearer"},
        )


def _digest(key: str) -> bytes:
    """Keys are known by digests: of one length, whatever was sent, and of no use to whoever reads the database."""
    return hashlib.sha256(key.encode("utf-8", "surrogateescape")).digest()


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(name)


@web.middleware
async def _errors_as_json(
    request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
) -> web.StreamResponse:
    """Gives every error the form of a GraphQL reply, those of aiohttp and our own faults included."""
    try:
        return await handler(request)
    except _Refused as refused:
        return _error_response(refused.status, _error(str(refused), refused.code), refused.headers)
    except web.HTTPException as error:
        code = Code.NOT_FOUND if error.status == HTTPStatus.NOT_FOUND else Code.BAD_USER_INPUT
        headers = {"Allow": allow} if (allow := error.headers.get(hdrs.ALLOW)) else None
        return _error_response(error.status, _error(error.reason, code), headers)
    except Exception as error:  # noqa: BLE001 - the last resort: the fault is logged, the caller gets its id
        return _error_response(HTTPStatus.INTERNAL_SERVER_ERROR, internal_error(error))


def _error(message: str, code: Code) -> Error:
    return {"message": message, "extensions": {"code": code}}


def _error_response(status: int, error: Error, headers: Mapping[str, str] | None = None) -> web.Response:
    body: dict[str, Any] = {"errors": [error]}
    return web.json_response(body, status=status, headers=headers)
