"""The frames of the output of containers."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from paperspace.gradient.server.controller.engine import EngineUnavailableError, Piece
from paperspace.gradient.server.docker.output import Decoder, nanoseconds

TIME = b"2024-05-17T09:30:00.123456789Z"
AT = 1_715_938_200_123_456_789


def frame(stream: int, content: bytes) -> bytes:
    return struct.pack(">BxxxL", stream, len(content)) + content


@given(
    st.lists(
        st.tuples(st.sampled_from([1, 2]), st.binary(max_size=20).filter(lambda text: b"\n" not in text), st.booleans())
    ),
    st.data(),
)
def test_chunks(written: list[tuple[int, bytes, bool]], data: st.DataObject) -> None:
    """The same pieces are decoded, wherever the stream is cut into chunks."""
    stream = b"".join(frame(number, TIME + b" " + text + b"\n" * ends) for number, text, ends in written)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=8)))
    decoder = Decoder()
    pieces = []
    for start, end in zip([0, *cuts], [*cuts, len(stream)], strict=True):
        pieces += decoder.feed(stream[start:end])
    assert pieces == [Piece(number - 1, AT, text, ends) for number, text, ends in written]


@pytest.mark.parametrize(
    ("time", "expected"),
    [
        (TIME, AT),
        (b"2024-05-17T09:30:00Z", AT // 10**9 * 10**9),
        (b"2024-05-17T09:30:00.5Z", 1_715_938_200_500_000_000),
    ],
)
def test_times(time: bytes, expected: int) -> None:
    """A time has up to nine digits after the point, all of which count."""
    assert nanoseconds(time) == expected


@pytest.mark.parametrize(
    ("stream", "message"),
    [
        (frame(3, b"Error grabbing logs: unexpected EOF"), "Error grabbing logs: unexpected EOF"),
        (b"plain text, as of a terminal", "cannot read the log"),
        (frame(1, b"no time\n"), "without its time"),
        (struct.pack(">BxxxL", 1, 2**31), "cannot read the log"),
    ],
)
def test_errors(stream: bytes, message: str) -> None:
    """An error of the engine in the stream, and what is not such a stream, are errors; nothing is read without a bound."""
    with pytest.raises(EngineUnavailableError, match=message):
        Decoder().feed(stream)
