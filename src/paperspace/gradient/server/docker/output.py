"""The output of containers: a stream of frames, each with a piece of one of the two outputs."""

from __future__ import annotations

import struct
from datetime import datetime
from functools import lru_cache
from http import HTTPStatus
from typing import TYPE_CHECKING

import aiohttp

from paperspace.gradient.server.controller.engine import ContainerMissingError, EngineUnavailableError, Piece

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Sequence

    from paperspace.gradient.server.docker.api import Api

_HEADER = struct.Struct(">BxxxL")  # the stream, and the size of what follows
_STREAMS = {0: 0, 1: 0, 2: 1}
_MAX_FRAME = 1024 * 1024  # the engine cuts lines into pieces of 16 KiB

_READ_SIZE = 128 * 1024  # bytes
_FULL = 2 * _READ_SIZE  # aiohttp receives no more than this until it is read
_CONNECT_TIMEOUT = 5.0  # seconds
_READ_TIMEOUT = 60.0  # seconds without data, of output that is not followed

_SECOND = 10**9


class Decoder:
    """Decodes the frames of a stream, which arrives in chunks of any size."""

    def __init__(self) -> None:
        self._rest = b""

    def feed(self, chunk: bytes) -> list[Piece]:
        """Return the pieces that the chunk completes.

        Raises:
            EngineUnavailableError: the engine reports an error, or this is not such a stream.
        """
        data = self._rest + chunk
        start, pieces = 0, []
        while len(data) - start >= _HEADER.size:
            stream, size = _HEADER.unpack_from(data, start)
            end = start + _HEADER.size + size
            if stream not in _STREAMS or size > _MAX_FRAME:
                text = data[start + _HEADER.size : end][:1000].decode(errors="replace").strip()
                raise EngineUnavailableError(f"The Docker engine cannot read the log of a container: {text}")
            if end > len(data):
                break
            pieces.append(_piece(_STREAMS[stream], data[start + _HEADER.size : end]))
            start = end
        self._rest = data[start:]
        return pieces


def _piece(stream: int, content: bytes) -> Piece:
    """Return the piece in a frame, such as `2024-05-17T09:30:00.123456789Z text`."""
    time, _, text = content.partition(b" ")
    ends = text.endswith(b"\n")
    return Piece(stream, nanoseconds(time), text[:-1] if ends else text, ends)


def nanoseconds(time: bytes) -> int:
    """Parse a time of the engine.

    Raises:
        EngineUnavailableError: this is not one.
    """
    seconds, _, fraction = time.rstrip(b"Z").partition(b".")
    try:
        return _seconds(seconds) * _SECOND + int(fraction.ljust(9, b"0") if fraction else 0)
    except ValueError as error:
        raise EngineUnavailableError("The Docker engine sent a line of a log without its time.") from error


@lru_cache(maxsize=64)
def _seconds(time: bytes) -> int:
    return int(datetime.fromisoformat(f"{time.decode('ascii')}+00:00").timestamp())


async def read_output(api: Api, container_id: str, since: int, *, follow: bool) -> AsyncGenerator[Sequence[Piece]]:
    """Yield the output of a container, on a connection of its own.

    The engine follows output by reading its files, of which it keeps two. When a container writes faster than the engine
    reads, and when the engine has to wait for us, it skips files without a word. So a followed stream ends after a full
    buffer. What the engine returns without following is complete: it opens both files at once.

    Raises:
        ContainerMissingError: the container does not exist.
        EngineUnavailableError: the connection was lost.
    """
    params = {"stdout": "1", "stderr": "1", "timestamps": "1", "follow": "1" if follow else "0"}
    if since:
        params["since"] = f"{since // _SECOND}.{since % _SECOND:09}"
    read_timeout = None if follow else _READ_TIMEOUT
    decoder = Decoder()
    with api.requests():
        async with api.client.session.get(
            api.url(f"containers/{container_id}/logs"),
            params=params,
            timeout=aiohttp.ClientTimeout(sock_connect=_CONNECT_TIMEOUT, sock_read=read_timeout),
            read_bufsize=_READ_SIZE,
        ) as response:
            if response.status in {HTTPStatus.NOT_FOUND, HTTPStatus.CONFLICT}:  # the second: it is being removed
                raise ContainerMissingError(container_id)
            response.raise_for_status()
            async for chunk in response.content.iter_any():
                if pieces := decoder.feed(chunk):
                    yield pieces
                if follow and len(chunk) > _FULL:
                    return
