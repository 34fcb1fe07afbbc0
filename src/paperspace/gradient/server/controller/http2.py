"""One GET request over HTTP/2 without TLS, with the library h2."""

from __future__ import annotations

from typing import TYPE_CHECKING

from paperspace.gradient.server.controller.readiness import FRAME_HEADER, starts_http_2

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Iterable

_CHUNK = 65_536  # bytes to read at once


async def get_status(
    reader: asyncio.StreamReader,
    writer: asyncio.StreamWriter,
    path: str,
    authority: str,
    headers: Iterable[tuple[str, str]],
) -> int:
    """Send the request, and return the status of the response.

    Raises:
        EOFError: the connection or the stream was closed.
        ValueError: the response is not HTTP/2.
    """
    # Of the extra, and only some containers speak HTTP/2.
    from h2.config import H2Configuration
    from h2.connection import H2Connection
    from h2.events import ConnectionTerminated, ResponseReceived, StreamReset
    from h2.exceptions import ProtocolError

    # The spec may have any headers, and the container may send any response: only its status matters.
    connection = H2Connection(
        H2Configuration(client_side=True, validate_inbound_headers=False, validate_outbound_headers=False)
    )
    connection.initiate_connection()
    start = {":method": "GET", ":scheme": "http", ":authority": authority, ":path": path}
    fields = [*start.items(), *((name.lower(), value) for name, value in headers)]
    stream = connection.get_next_available_stream_id()
    connection.send_headers(stream, fields, end_stream=True)
    writer.write(connection.data_to_send())
    data = await reader.readexactly(FRAME_HEADER)
    if not starts_http_2(data):  # h2 would wait for the rest of what is no frame
        raise ValueError
    while data:
        try:
            events = connection.receive_data(data)
        except ProtocolError as error:
            raise ValueError from error
        for event in events:
            match event:
                case ResponseReceived():
                    return int(dict(event.headers or []).get(b":status", b""))
                case ConnectionTerminated() | StreamReset():
                    raise EOFError
        writer.write(connection.data_to_send())
        data = await reader.read(_CHUNK)
    raise EOFError
