"""Bodies of responses that others write: not more of them is read than is used."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from aiohttp import StreamReader


async def read_first(content: StreamReader, limit: int) -> bytes:
    """Read a body, but at most so many bytes of it."""
    body = bytearray()
    while len(body) < limit and (chunk := await content.read(limit - len(body))):
        body += chunk
    return bytes(body)
