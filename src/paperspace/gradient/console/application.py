"""The console as one handler of HTTP requests: routes, checks, errors and headers."""

from __future__ import annotations

import asyncio
import json
from contextlib import aclosing, suppress
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from aiohttp import ETag, hdrs, web

from paperspace.gradient.console import access, actions, deployment_actions, deployment_streams, streams
from paperspace.gradient.console.bodies import IncompleteBodyError, read_request
from paperspace.gradient.console.calls import Arguments, error_json, lines
from paperspace.gradient.console.files import INDEX, static_files
from paperspace.gradient.errors import GradientError, InvalidArgumentError

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from paperspace.gradient.client import AsyncClient
    from paperspace.gradient.console.calls import Action, Stream

ACTIONS: dict[str, Action] = {**actions.ACTIONS, **deployment_actions.ACTIONS}
STREAMS: dict[str, Stream] = {**streams.STREAMS, **deployment_streams.STREAMS}

NO_SESSION = "this page needs a link: run `gradient console`, which prints one"


class _RefusedError(Exception):
    """A request that is not executed."""

    def __init__(self, status: HTTPStatus, kind: str, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.kind = kind


class Console:
    """The console, for one API.

    Args:
        client: The client of the API. `close` closes it.
        api_key: The API key, with which programs get a link.
        host: The host that the console listens on.
        tokens: The tokens of its links and sessions.
    """

    def __init__(self, client: AsyncClient, api_key: str, host: str, tokens: access.Tokens) -> None:
        self._client = client
        self._api_key = api_key
        self._host = host
        self._tokens = tokens
        self._closed: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def new_link(self) -> str:
        """Return the fragment of a new link, which works once."""
        return self._tokens.new_link()

    async def close(self) -> None:
        """End all streams, and close the client."""
        if not self._closed.done():
            self._closed.set_result(None)
        await self._client.close()

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """Respond to a request."""
        try:
            return await self._respond(request)
        except _RefusedError as error:
            return _json({"error": {"kind": error.kind, "message": str(error), "retryable": False}}, error.status)
        except IncompleteBodyError as error:
            retryable = error.status in (HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.SERVICE_UNAVAILABLE)
            response = _json({"error": {"kind": "HTTP", "message": str(error), "retryable": retryable}}, error.status)
            response.force_close()
            return response
        except GradientError as error:
            return _json({"error": error_json(error)}, HTTPStatus.UNPROCESSABLE_ENTITY)
        except web.HTTPException as error:
            return _json({"error": {"kind": "HTTP", "message": error.reason, "retryable": False}}, error.status)
        except Exception as error:  # noqa: BLE001  # a bug
            return _json({"error": error_json(error)}, HTTPStatus.INTERNAL_SERVER_ERROR)

    async def _respond(self, request: web.Request) -> web.StreamResponse:
        if not access.is_own_host(request, self._host):
            message = "the Host header has the name of another machine: use localhost or an IP address"
            raise _RefusedError(HTTPStatus.FORBIDDEN, "Forbidden", message)
        route = request.method, request.path.removeprefix("/").split("/", 2)
        if route == ("POST", ["console", "link"]) and access.has_key(request, self._api_key):
            return _json({"fragment": self.new_link()})
        if not access.is_own_origin(request):
            raise _RefusedError(HTTPStatus.FORBIDDEN, "Forbidden", "the request is not from the page of the console")
        match route:
            case (("GET" | "HEAD"), [""]):
                return _file(request, INDEX)
            case (("GET" | "HEAD"), ["console", "static", name]) if name in static_files():
                return _file(request, name)
            case "POST", ["console", "session"]:
                return self._new_session(request)
            case "POST", ["console", "api", name] if name in ACTIONS:
                return _json(await ACTIONS[name](self._client, await self._arguments(request)))
            case "POST", ["console", "stream", name] if name in STREAMS:
                return await self._stream(request, STREAMS[name](self._client, await self._arguments(request)))
        raise _RefusedError(HTTPStatus.NOT_FOUND, "NotFound", "the console has nothing at this URL")

    def _new_session(self, request: web.Request) -> web.Response:
        token = self._tokens.new_session(request.headers.get(access.TOKEN, ""))
        if token is None:
            message = "this link was used before, or is from before a restart"  # the page says how to get a link
            raise _RefusedError(HTTPStatus.UNAUTHORIZED, "NoSession", message)
        return _json({"token": token})

    async def _arguments(self, request: web.Request) -> Arguments:
        """Return the arguments of a request with the token of a session. Without one, its body is not read."""
        if not self._tokens.is_session(request.headers.get(access.TOKEN, "")):
            raise _RefusedError(HTTPStatus.UNAUTHORIZED, "NoSession", NO_SESSION)
        if request.content_type != "application/json":
            raise _RefusedError(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "HTTP", "the body must be application/json")
        try:
            content = json.loads(await read_request(request, self._closed))
        except (ValueError, RecursionError):
            content = None
        if not isinstance(content, dict):
            raise InvalidArgumentError("the body must be a JSON object")
        return Arguments(content)

    async def _stream(self, request: web.Request, values: AsyncGenerator[object]) -> web.StreamResponse:
        # nginx holds lines back until it has many, mostly with HTTP/2, unless a response has this header.
        headers = {**access.HEADERS, hdrs.CACHE_CONTROL: "no-store", "X-Accel-Buffering": "no"}
        response = web.StreamResponse(headers=headers)
        response.content_type = "application/x-ndjson"
        async with aclosing(lines(values, self._closed)) as written:
            with suppress(ConnectionError):  # the page is gone
                await response.prepare(request)
                async for line in written:
                    await response.write(line)
        return response


def _file(request: web.Request, name: str) -> web.Response:
    file = static_files()[name]
    headers = {**access.HEADERS, hdrs.CACHE_CONTROL: "no-cache"}
    if any(tag.value == file.etag for tag in request.if_none_match or ()):
        return web.Response(status=HTTPStatus.NOT_MODIFIED, headers={**headers, hdrs.ETAG: f'"{file.etag}"'})
    response = web.Response(body=file.body, content_type=file.content_type, charset="utf-8", headers=headers)
    response.etag = ETag(file.etag)
    return response


def _json(content: Any, status: int = HTTPStatus.OK) -> web.Response:
    headers = {**access.HEADERS, hdrs.CACHE_CONTROL: "no-store"}
    return web.json_response(content, status=status, headers=headers)
