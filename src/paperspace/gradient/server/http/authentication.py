"""Authentication: a request for the API must have the API key."""

from __future__ import annotations

import hmac
from http import HTTPStatus
from typing import TYPE_CHECKING

from aiohttp import hdrs

from paperspace.gradient._shared.error_codes import Code
from paperspace.gradient.server.http.graphql_http import digest
from paperspace.gradient.server.http.request_errors import HTTPRequestError

if TYPE_CHECKING:
    from aiohttp import web


def authenticate(request: web.Request, key_digest: bytes) -> None:
    """Compare the API key of a request with the digest of the server's key, in constant time.

    Raises:
        HTTPRequestError: the key is missing or wrong.
    """
    values = request.headers.getall(hdrs.AUTHORIZATION, ())
    scheme, _, key = values[0].partition(" ") if len(values) == 1 else ("", "", "")
    if not hmac.compare_digest(digest(key.strip()), key_digest) or scheme.lower() != "bearer":
        raise HTTPRequestError(
            HTTPStatus.UNAUTHORIZED,
            "API key missing or wrong: send it as `Authorization: Bearer KEY`",
            Code.UNAUTHENTICATED,
            {hdrs.WWW_AUTHENTICATE: "Bearer"},
        )
