"""HTTP requests that the server rejects before GraphQL sees them, and error responses."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from aiohttp import web

from paperspace.gradient._shared.error_codes import Code

if TYPE_CHECKING:
    from collections.abc import Mapping
    from http import HTTPStatus


REQUEST_ID = "X-Request-Id"


class HTTPRequestError(Exception):
    """The HTTP request is rejected; nothing was executed."""

    def __init__(
        self,
        status: HTTPStatus,
        message: str,
        code: Code = Code.BAD_USER_INPUT,
        headers: Mapping[str, str] | None = None,
        *,
        json_status: HTTPStatus | None = None,
        **details: object,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.json_status = json_status or status
        """The status of the response in application/json."""
        self.headers = headers
        self.extensions = {"code": code, **details}


def error_response(status: int, message: str, extensions: object, media_type: str = "application/json") -> web.Response:
    """Create a response with one error, in the form of a GraphQL response."""
    body: dict[str, Any] = {"errors": [{"message": message, "extensions": extensions}]}
    return web.json_response(body, status=status, content_type=media_type)
