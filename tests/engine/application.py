"""A web application for images of tests: it runs in a container, with only Python's standard library.

GET /        the name, the version and the host, as JSON
GET /slow    the same, after `s` seconds; a POST after its body was received
GET /sse     a line with the time every `gap` seconds
GET /ws      a WebSocket that returns each text
GET /exit    ends the process with a code
GET /ready   for a health check: status 200, or the last one that was set with `set`

It ends at once on SIGTERM, with the requests that it has.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import json
import os
import signal
import socket
import time
from contextlib import suppress
from urllib.parse import parse_qsl, urlsplit

READY = {"status": "200"}
GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"


async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Respond to the requests of one connection."""
    with suppress(asyncio.IncompleteReadError, ConnectionError):
        while True:
            head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
            _, target, _ = head[0].split(" ", 2)
            headers = {
                name.lower(): value.strip() for name, _, value in (line.partition(":") for line in head[1:] if line)
            }
            url = urlsplit(target)
            query = dict(parse_qsl(url.query))
            if headers.get("upgrade", "").lower() == "websocket":
                await echo(headers["sec-websocket-key"], reader, writer)
                break
            received = await read_body(headers, reader)
            if url.path == "/sse":
                await send_events(writer, float(query["gap"]))
            elif url.path == "/exit":
                os._exit(int(query.get("code", "1")))
            elif url.path == "/ready":
                READY["status"] = query.get("set", READY["status"])
            await asyncio.sleep(float(query.get("s", "0")))
            values = {
                "name": os.environ.get("NAME"),
                "version": os.environ.get("VERSION"),
                "host": socket.gethostname(),
            }
            body = json.dumps({**values, "path": target, "received": received, "headers": headers}).encode()
            status = READY["status"] if url.path == "/ready" and "set" not in query else "200"
            writer.write(f"HTTP/1.1 {status} Status\r\nContent-Type: application/json\r\n".encode())
            writer.write(b"Content-Length: %d\r\n\r\n" % len(body) + body)
            await writer.drain()
    writer.close()


async def read_body(headers: dict[str, str], reader: asyncio.StreamReader) -> int:
    """Read the body of a request, and return its length."""
    if headers.get("transfer-encoding", "").lower() != "chunked":
        left = length = int(headers.get("content-length", "0"))
        while left:
            left -= len(await reader.readexactly(min(left, 65536)))
        return length
    length = 0
    while size := int((await reader.readline()).split(b";")[0], 16):
        await reader.readexactly(size + 2)
        length += size
    await reader.readline()
    return length


async def send_events(writer: asyncio.StreamWriter, gap: float) -> None:
    """Send events until the client ends."""
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n")
    while True:
        event = b"data: %.6f\n\n" % time.time()
        writer.write(b"%x\r\n%b\r\n" % (len(event), event))
        await writer.drain()
        await asyncio.sleep(gap)


async def echo(key: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Return the texts of a WebSocket, which are shorter than 126 bytes."""
    accept = base64.b64encode(hashlib.sha1(key.encode() + GUID).digest()).decode()  # as in RFC 6455
    writer.write(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n")
    writer.write(f"Sec-WebSocket-Accept: {accept}\r\n\r\n".encode())
    while True:
        first, second = await reader.readexactly(2)
        mask = await reader.readexactly(4)
        text = bytes(byte ^ mask[index % 4] for index, byte in enumerate(await reader.readexactly(second & 127)))
        if first & 15 == 8:  # close
            return
        writer.write(bytes([0x81, len(text)]) + text)


async def main() -> None:
    """Listen until SIGTERM."""
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, os._exit, 0)
    await asyncio.sleep(float(os.environ.get("DELAY", "0")))
    server = await asyncio.start_server(serve, "0.0.0.0", 8080, backlog=1024)  # in a container
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main())
