"""Content encodings: inflate the bodies of requests, within a limit, and compress those of responses."""

from __future__ import annotations

import zlib
from http import HTTPStatus
from typing import TYPE_CHECKING

from aiohttp import hdrs, web

from paperspace.gradient._shared.daemon_threads import in_daemon_thread
from paperspace.gradient.server.http.graphql_http import qualities
from paperspace.gradient.server.http.request_errors import HTTPRequestError

if TYPE_CHECKING:
    from collections.abc import Sequence

MIN_COMPRESSED_SIZE = 1024

_IN_THREAD_SIZE = 64 * 1024  # compressing it takes about as long as starting a thread
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


async def compress(request: web.Request, response: web.StreamResponse) -> None:
    """Compress the body of a response, if it is worth it, the caller accepts it, and it is not encoded already."""
    body = response.body if isinstance(response, web.Response) else None
    if not isinstance(response, web.Response) or not isinstance(body, bytes) or len(body) <= MIN_COMPRESSED_SIZE:
        return
    if hdrs.CONTENT_ENCODING in response.headers:
        return
    response.headers.add(hdrs.VARY, hdrs.ACCEPT_ENCODING)
    accepted = qualities(request.headers.getall(hdrs.ACCEPT_ENCODING, ()))
    if accepted.get("gzip", accepted.get("x-gzip", accepted.get("*", 0))) <= 0:
        return
    in_thread = len(body) > _IN_THREAD_SIZE
    response.body = await in_daemon_thread(_gzip, body) if in_thread else _gzip(body)
    response.headers[hdrs.CONTENT_ENCODING] = "gzip"


def _gzip(body: bytes) -> bytes:
    stream = zlib.compressobj(zlib.Z_BEST_SPEED, zlib.DEFLATED, _GZIP)
    return stream.compress(body) + stream.flush()
