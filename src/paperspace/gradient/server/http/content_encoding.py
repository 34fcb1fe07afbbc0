"""Content encodings: inflate the bodies of requests, within a limit."""

from __future__ import annotations

import zlib
from http import HTTPStatus
from typing import TYPE_CHECKING

from aiohttp import hdrs

from paperspace.gradient.server.http.request_errors import HTTPRequestError

if TYPE_CHECKING:
    from collections.abc import Sequence

_GZIP, _ZLIB, _RAW_DEFLATE = 16 + zlib.MAX_WBITS, zlib.MAX_WBITS, -zlib.MAX_WBITS


def content_encoding(headers: Sequence[str]) -> str:
    """Return the encoding of a request body, from its Content-Encoding headers: `gzip`, `deflate` or `identity`.

    Raises:
        HTTPRequestError: the encoding is not supported.
    """
    encodings = [name for value in headers for name in value.lower().replace(" ", "").split(",") if name]
    encoding = encodings[0] if len(encodings) == 1 else "identity" if not encodings else ""
    encoding = encoding.removeprefix("x-")
    if encoding not in ("gzip", "deflate", "identity"):
        raise HTTPRequestError(
            HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
            "unsupported Content-Encoding: send the body as gzip or deflate, or without an encoding",
            headers={hdrs.ACCEPT_ENCODING: "gzip, deflate"},
        )
    return encoding


def inflate(body: bytes, encoding: str, limit: int) -> bytes:
    """Inflate a body in gzip or deflate, to `limit` bytes at most.

    Raises:
        HTTPRequestError: the body is malformed, or larger than the limit.
    """
    window = _GZIP
    if encoding == "deflate":  # with the zlib header, as specified, or without, as some clients send it
        window = _ZLIB if body[:1] and body[0] & 0xF == zlib.DEFLATED else _RAW_DEFLATE
    stream = zlib.decompressobj(window)
    try:
        inflated = stream.decompress(body, limit + 1)
    except zlib.error:
        inflated = b""
    if len(inflated) > limit:
        raise HTTPRequestError(
            HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"the request body is larger than {limit} bytes after decompression"
        )
    if not stream.eof or stream.unused_data:
        raise HTTPRequestError(HTTPStatus.BAD_REQUEST, f"the request body is not valid {encoding}")
    return inflated
