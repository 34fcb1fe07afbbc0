"""Cross-origin requests: which web pages may use the API from a browser. By default, none."""

from __future__ import annotations

import re
from http import HTTPStatus
from typing import TYPE_CHECKING

from aiohttp import hdrs, web

if TYPE_CHECKING:
    from collections.abc import Collection

ANY_ORIGIN = "*"

_ORIGIN = re.compile(r"[a-z][a-z0-9+.-]*://(?:[a-z0-9.-]+|\[[0-9a-f:.]+\])(?::[0-9]{1,5})?")
_MAX_AGE = "600"  # seconds for which a browser remembers the response to a preflight request


def check_origin(origin: str) -> str:
    """Return an origin, or `*`, as browsers write it.

    Raises:
        ValueError: it is not an origin.
    """
    if origin != ANY_ORIGIN and not _ORIGIN.fullmatch(origin.lower()):
        raise ValueError(
            f"{origin!r} is not an origin; expected * or an origin without a path, such as http://localhost:3000"
        )
    return origin.lower()


def is_allowed(request: web.Request, origins: Collection[str]) -> bool:
    """Return whether a request comes from a web page of one of these origins."""
    origin = request.headers.get(hdrs.ORIGIN, "")
    return bool(origin) and (ANY_ORIGIN in origins or origin.lower() in origins)


def is_preflight(request: web.Request) -> bool:
    """Return whether a browser asks for permission to send a request."""
    return request.method == hdrs.METH_OPTIONS and hdrs.ACCESS_CONTROL_REQUEST_METHOD in request.headers


def preflight_response(request: web.Request) -> web.Response:
    """Permit the request that a browser asks for, with all its headers."""
    headers = {
        hdrs.ACCESS_CONTROL_ALLOW_METHODS: "GET, HEAD, POST",
        hdrs.ACCESS_CONTROL_ALLOW_HEADERS: request.headers.get(hdrs.ACCESS_CONTROL_REQUEST_HEADERS, ""),
        hdrs.ACCESS_CONTROL_MAX_AGE: _MAX_AGE,
    }
    return web.Response(status=HTTPStatus.NO_CONTENT, headers=headers)


def allow(request: web.Request, response: web.StreamResponse) -> None:
    """Let the web page read the response. Cookies are not allowed: the API key is all that the server accepts."""
    response.headers[hdrs.ACCESS_CONTROL_ALLOW_ORIGIN] = request.headers[hdrs.ORIGIN]
    response.headers[hdrs.ACCESS_CONTROL_EXPOSE_HEADERS] = "X-Request-Id, Retry-After, Date, Idempotency-Key"
