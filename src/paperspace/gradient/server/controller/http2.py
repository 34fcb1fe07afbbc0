"""One GET request over HTTP/2 without TLS: just enough of RFC 9113 and RFC 7541 to read the status of the response."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Iterable

_PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
_STREAM = 1

# Types and flags of frames.
_HEADERS, _RST_STREAM, _SETTINGS, _GOAWAY = 1, 3, 4, 7
_ACK, _END_STREAM, _END_HEADERS, _PADDED, _PRIORITY = 0x1, 0x1, 0x4, 0x8, 0x20

_HEADER_LENGTH, _MAX_LENGTH = 9, 1 << 14
_PRIORITY_LENGTH = 5

# Indexes of the static table: of names in a request, and of `:status` with these values.
_AUTHORITY, _GET, _PATH, _HTTP = 1, 2, 4, 6
_STATUSES = {8: "200", 9: "204", 10: "206", 11: "304", 12: "400", 13: "404", 14: "500"}

# The first byte of an entry: indexed; or a new size of the dynamic table, with a mask, and if the number continues.
_INDEXED = 0x80
_SIZE_MASK, _SIZE, _LONG_SIZE = 0xE0, 0x20, 0x1F

# The first byte of a text that is longer, and what is added to each byte of a number except the last one.
_LONG, _MORE = 0x7F, 0x80
_CONTINUED = bytes(range(_MORE, 0x100))

# The Huffman codes of digits.
_DIGITS = {f"{code:05b}": str(code) for code in range(3)} | {f"{code + 22:06b}": str(code) for code in range(3, 10)}


def request_bytes(path: str, authority: str, headers: Iterable[tuple[str, str]]) -> bytes:
    """Return all that a client sends: the preface, its settings, and the request."""
    block = bytes([_INDEXED + _GET, _INDEXED + _HTTP])
    block += bytes([_PATH]) + _text(path) + bytes([_AUTHORITY]) + _text(authority)  # not indexed, as the others
    block += b"".join(b"\0" + _text(name.lower()) + _text(value) for name, value in headers)
    return _PREFACE + _frame(_SETTINGS, 0, 0, b"") + _frame(_HEADERS, _END_STREAM | _END_HEADERS, _STREAM, block)


async def read_status(reader: asyncio.StreamReader) -> int:
    """Read frames until the first headers of the response, and return the status.

    Raises:
        EOFError: the connection or the stream was closed.
        ValueError: this is not the status of an HTTP/2 response.
    """
    first = True
    while True:
        head = await reader.readexactly(_HEADER_LENGTH)
        length, kind, flags, stream = int.from_bytes(head[:3]), head[3], head[4], int.from_bytes(head[5:])
        if length > _MAX_LENGTH or (first and kind != _SETTINGS):
            raise ValueError
        first = False
        payload = await reader.readexactly(length)
        if kind == _GOAWAY or (kind == _RST_STREAM and stream == _STREAM):
            raise EOFError
        if kind == _HEADERS and stream == _STREAM:
            return _status(_block(payload, flags))


def _block(payload: bytes, flags: int) -> bytes:
    """Return the block of headers in a frame, without what surrounds it."""
    if flags & _PADDED:
        payload = payload[1:]
    return payload[_PRIORITY_LENGTH:] if flags & _PRIORITY else payload


def _status(block: bytes) -> int:
    """Return the value of the first header, which is `:status`."""
    try:
        while block[0] & _SIZE_MASK == _SIZE:
            is_long = block[0] & _LONG_SIZE == _LONG_SIZE
            block = block[1:].lstrip(_CONTINUED)[1:] if is_long else block[1:]
        if block[0] & _INDEXED:
            return int(_STATUSES[block[0] - _INDEXED])
        prefix = 0x3F if block[0] & 0x40 else 0x0F
        if block[0] & prefix not in _STATUSES:
            raise ValueError
        length = block[1] % _MORE
        value = block[2 : 2 + length]
        return int(_digits(value) if block[1] & _MORE else value)
    except (IndexError, KeyError) as error:
        raise ValueError from error


def _digits(value: bytes) -> str:
    """Decode digits in Huffman's code. The last byte is filled with ones."""
    bits, text, code = "".join(f"{byte:08b}" for byte in value), "", ""
    for bit in bits:
        code += bit
        if code in _DIGITS:
            text, code = text + _DIGITS[code], ""
    return text


def _frame(kind: int, flags: int, stream: int, payload: bytes) -> bytes:
    return len(payload).to_bytes(3) + bytes([kind, flags]) + stream.to_bytes(4) + payload


def _text(text: str) -> bytes:
    """Encode a text without Huffman's code: its length with 7 bits in the first byte, and the text."""
    data = text.encode()
    length, encoded = len(data), bytearray()
    if length < _LONG:
        return bytes([length]) + data
    encoded.append(_LONG)
    length -= _LONG
    while length >= _MORE:
        encoded.append(length % _MORE + _MORE)
        length //= _MORE
    encoded.append(length)
    return bytes(encoded) + data
