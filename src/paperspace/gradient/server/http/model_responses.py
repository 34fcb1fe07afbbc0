"""Responses of a test's function for the endpoint of a simulated deployment."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Callable
from functools import partial
from http import HTTPStatus
from inspect import iscoroutine

from aiohttp import web

from paperspace.gradient._shared.daemon_threads import in_daemon_thread
from paperspace.gradient._shared.model_messages import ModelRequest, ModelResponse
from paperspace.gradient.server.http.request_errors import error_response

Handler = Callable[[ModelRequest], object]

TIMEOUT = 30.0  # seconds for a handler

# Another value than that of the server would make the caller wait for more of the response, or read less.
_SET_BY_SERVER = {"content-length", "transfer-encoding"}

_to_json = partial(json.dumps, allow_nan=False)  # NaN and Infinity are not JSON

_log = logging.getLogger(__name__)


async def respond(handler: Handler, request: ModelRequest) -> web.Response:
    """Return the response of a handler, which runs in a thread.

    Args:
        handler: The handler of the deployment.
        request: The request.
    """
    try:
        async with asyncio.timeout(TIMEOUT):
            return await in_daemon_thread(_response, handler, request)
    except TimeoutError:
        message = f"the handler of {request.name} did not return within {TIMEOUT:g} seconds"
        return error_response(HTTPStatus.GATEWAY_TIMEOUT, message, {})


def _response(handler: Handler, request: ModelRequest) -> web.Response:
    """Run a handler. If it raises, or if its result is not JSON, the status is 500."""
    try:
        result = handler(request)
        if iscoroutine(result):
            result.close()  # Python would warn that nothing awaits it
            raise TypeError("it returned a coroutine; handlers cannot be async")  # noqa: TRY301
        return _http_response(result if isinstance(result, ModelResponse) else ModelResponse(result))
    except BaseException as error:  # noqa: BLE001  # also pytest.fail, which raises no Exception
        _log.exception("The handler of the deployment %s failed.", request.name)
        message = f"the handler of {request.name} raised {type(error).__name__}: {error}"
        return error_response(HTTPStatus.INTERNAL_SERVER_ERROR, message, {})


def _http_response(returned: ModelResponse) -> web.Response:
    if returned.status not in range(200, 600):  # after one below 200, the caller would wait for another response
        raise ValueError(f"the status is {returned.status!r}; expected an integer from 200 to 599")
    if isinstance(returned.body, bytes):
        response = web.Response(body=returned.body, status=returned.status)
    else:
        response = web.json_response(returned.body, status=returned.status, dumps=_to_json)
    for name, value in returned.headers.items():
        if not f"{name}{value}".isprintable():
            raise ValueError(f"the header {name!r} has a line break or another control character")
        if name.lower() in _SET_BY_SERVER:
            raise ValueError(f"the header {name!r} is set by the server; return the response without this header")
        response.headers[name] = str(value)
    return response
