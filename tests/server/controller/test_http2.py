"""The status of HTTP/2 responses, in all the forms that servers may send it."""

from __future__ import annotations

import asyncio

import pytest
from tests.server.controller.test_readiness import SETTINGS_FRAME, sends

from paperspace.gradient.server.controller import http_checks
from paperspace.gradient.server.controller.checks import Request, Result
from paperspace.gradient.server.controller.http2 import read_status, request_bytes

HEADERS, CONTINUED = 1, 0x4


def frame(kind: int, payload: bytes, flags: int = CONTINUED, stream: int = 1) -> bytes:
    return len(payload).to_bytes(3) + bytes([kind, flags]) + stream.to_bytes(4) + payload


async def read(data: bytes) -> int:
    reader = asyncio.StreamReader()
    reader.feed_data(data)
    reader.feed_eof()
    return await read_status(reader)


BLOCKS = {
    "indexed": (b"\x88", 200),
    "another indexed one": (b"\x8d\x0f", 404),
    "literal": (b"\x48\x03302", 302),
    "literal that is not indexed": (b"\x08\x03503rest", 503),
    "literal that is never indexed": (b"\x18\x03418", 418),
    "Huffman's code of 503": (b"\x48\x83\x6c\x0c\xff", 503),
    "Huffman's code of 302, from RFC 7541": (b"\x48\x82\x64\x02", 302),
    "after a change of the table's size": (b"\x20\x88", 200),
    "after a change to a large size": (b"\x3f\xe1\x1f\x88", 200),
}


@pytest.mark.parametrize("name", BLOCKS)
def test_status(name: str) -> None:
    """The status is read in every form, with padding and a priority around it, after other frames."""
    block, status = BLOCKS[name]
    for headers in (
        frame(HEADERS, block),
        frame(HEADERS, b"\x02" + block + b"\0\0", CONTINUED | 0x8),
        frame(HEADERS, bytes(5) + block, CONTINUED | 0x20),
    ):
        others = frame(4, b"", 1, 0) + frame(8, bytes(4), 0, 0) + frame(HEADERS, b"\x8e", stream=3)
        assert asyncio.run(read(SETTINGS_FRAME + others + headers)) == status


@pytest.mark.parametrize(
    ("data", "error"),
    [
        (b"HTTP/1.1 400 Bad Request\r\n", ValueError),
        (frame(HEADERS, b"\x88"), ValueError),
        (SETTINGS_FRAME + frame(HEADERS, b""), ValueError),
        (SETTINGS_FRAME + frame(HEADERS, b"\x84"), ValueError),
        (SETTINGS_FRAME + frame(HEADERS, b"\x44\x03200"), ValueError),
        (SETTINGS_FRAME + frame(HEADERS, b"\x48\x81\xff"), ValueError),
        (SETTINGS_FRAME + b"\xff" * 9, ValueError),
        (SETTINGS_FRAME + frame(7, bytes(8), 0, 0), EOFError),
        (SETTINGS_FRAME + frame(3, bytes(4), 0), EOFError),
        (SETTINGS_FRAME, EOFError),
    ],
)
def test_no_status(data: bytes, error: type[Exception]) -> None:
    """Everything else is an error, and no other one."""
    with pytest.raises(error):
        asyncio.run(read(data))


def test_failures() -> None:
    """The result of a check says why there is no status."""

    async def main(data: bytes) -> Result | None:
        server = await asyncio.start_server(sends(data), "127.0.0.1", 0)
        async with server:
            return await http_checks.attempt(Request("/", 80), server.sockets[0].getsockname()[1], 20, http2=True)

    assert asyncio.run(main(SETTINGS_FRAME + frame(HEADERS, b"\x88"))) == Result(True, "GET / returned 200")
    assert asyncio.run(main(b"HTTP/1.1 400 Bad Request\r\n\r\n")) == Result(
        False, "GET / failed, the container responds with another protocol"
    )
    assert asyncio.run(main(SETTINGS_FRAME)) == Result(False, "GET / failed, the connection was closed")


def test_request() -> None:
    """The request has the method, the scheme, the path, the authority and the headers, also long ones."""
    long = "x" * 200
    data = request_bytes("/a?b", "host:1", [("X-Check", long)])
    preface, _, rest = data.partition(b"\r\n\r\nSM\r\n\r\n")
    assert preface == b"PRI * HTTP/2.0"
    assert rest[:9] == SETTINGS_FRAME
    block = b"\x82\x86\x04\x04/a?b\x01\x06host:1\x00\x07x-check\x7f\x49" + long.encode()
    assert rest[9:] == frame(HEADERS, block, 0x5)
