"""Large requests; and responses that are too large: an early error, and little memory."""

from __future__ import annotations

import asyncio
import gzip
import io
import json
import subprocess
import sys
import zlib

import pytest
from tests.faults.behaviours import response
from tests.faults.harness import CANARY
from tests.faults.server import Exchange, FaultServer

from paperspace.gradient import Client, ResponseTooLargeError
from paperspace.gradient._core import retry as _retry
from paperspace.gradient._core.defaults import DEFAULT_MAX_RESPONSE_BYTES

MEASURE = """
import re, sys
from pathlib import Path
from aiohttp.streams import StreamReader
from paperspace.gradient import Client, ResponseTooLargeError

received = 0
feed_data = StreamReader.feed_data

def counted(self, data, *args):
    global received
    received += len(data)
    return feed_data(self, data, *args)

def peak():  # kB; unlike ru_maxrss, it does not include the memory of the parent process
    return int(re.search(r"VmHWM:\\s+(\\d+)", Path("/proc/self/status").read_text())[1])

url, key = sys.argv[1:]
with Client(key, url, max_retries=0, timeout=300) as client:
    client.deployments.list_deployments()
    before = peak()
    StreamReader.feed_data = counted
    try:
        client.deployments.get_deployment_spec("3f0c1c1e-5f0a-4b0e-9b7e-2f6f2a2d9c11")
    except ResponseTooLargeError as error:
        print(received, peak() - before)
"""


def gzip_bomb(size: int) -> bytes:
    buffer = io.BytesIO()
    with gzip.GzipFile(fileobj=buffer, mode="wb", compresslevel=9) as file:
        for _ in range(size // 2**20):
            file.write(b"0" * 2**20)
    return buffer.getvalue()


@pytest.mark.parametrize("kind", ["gzip", "deflate", "members", "plain", "chunked"])
def test_gigabyte(kind: str) -> None:
    """A response of a gigabyte, compressed or not, is read only up to the limit, in at most 64 MB of memory."""
    zeros = zlib.compress(b"0" * 2**26, 9)
    bodies = {
        "gzip": lambda: gzip_bomb(2**30),
        "deflate": lambda: zeros,
        "members": lambda: gzip_bomb(2**20) * 1000,
    }
    body = bodies[kind]() if kind in bodies else b""

    async def respond(exchange: Exchange) -> None:
        if exchange.request.operation == "Deployments":
            await exchange.respond(body={"data": {"deployments": {"nodes": [], "pageInfo": PAGE}}})
        elif body:
            await exchange.respond(200, body, Content_Encoding="deflate" if kind == "deflate" else "gzip")
        else:
            framing = b"Content-Length: 1073741824" if kind == "plain" else b"Transfer-Encoding: chunked"
            await exchange.write(b"HTTP/1.1 200 OK\r\n" + framing + b"\r\n\r\n")
            block = b"0" * 2**16 if kind == "plain" else b"10000\r\n" + b"0" * 2**16 + b"\r\n"
            for _ in range(2**14):
                await exchange.write(block)

    with FaultServer(then=respond) as server:
        command = [sys.executable, "-c", MEASURE, server.url, CANARY]
        done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=300)
    assert done.stderr == ""
    received, kilobytes = map(int, done.stdout.split())
    assert DEFAULT_MAX_RESPONSE_BYTES < received < DEFAULT_MAX_RESPONSE_BYTES + 2**22
    assert kilobytes < 64 * 1024


PAGE = {"hasNextPage": False, "endCursor": None}


@pytest.mark.parametrize("sized", [True, False])
def test_just_below_the_limit(sized: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """A response of exactly `max_response_bytes` is read; one byte more is an error."""
    monkeypatch.setattr(_retry, "FIRST_BACKOFF", 0.001)

    text = json.dumps({"data": {"deployments": {"nodes": [], "pageInfo": PAGE}}}).encode()

    async def respond(exchange: Exchange) -> None:
        if sized:
            await exchange.respond(body=text)
        else:
            await exchange.write(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\r\n" + text)
            await asyncio.sleep(0.01)
            exchange.close()

    with FaultServer(then=respond) as server:
        with Client(CANARY, server.url, max_response_bytes=len(text)) as client:
            assert client.deployments.list_deployments() == []
        small = Client(CANARY, server.url, max_response_bytes=len(text) - 1)
        with small as client, pytest.raises(ResponseTooLargeError):
            client.deployments.list_deployments()


EMPTY = b"[" + b"{}," * 5_000_000 + b"{}]"


@pytest.mark.parametrize("start", [b"", b'{"errors":', b'{"data":{"deployment":'])
def test_many_values(start: bytes) -> None:
    """A response with millions of values, wherever they are, is an error before it is decoded: that would take seconds."""

    async def respond(exchange: Exchange) -> None:
        await exchange.respond(body=start + EMPTY + b"}" * start.count(b"{"))

    with FaultServer(then=respond) as server, Client(CANARY, server.url, max_retries=0) as client:
        with pytest.raises(ResponseTooLargeError, match="values"):
            client.deployments.get_deployment_spec("3f0c1c1e-5f0a-4b0e-9b7e-2f6f2a2d9c11")
        with pytest.raises(ResponseTooLargeError, match="values"):
            client.execute("query Q { __typename }", check=False)


def test_many_values_for_a_higher_limit() -> None:
    """The limit of values follows from `max_response_bytes`."""
    body = (
        b'{"data":{"deployments":{"nodes":[],"pageInfo":{"hasNextPage":false,"endCursor":null}},"x":[' + b"0," * 300_000
    )
    body += b"0]}}"

    async def respond(exchange: Exchange) -> None:
        await exchange.respond(body=body)

    with FaultServer(then=respond) as server:
        with Client(CANARY, server.url, max_response_bytes=8_000_000) as client:
            assert client.deployments.list_deployments() == []
        small = Client(CANARY, server.url, max_response_bytes=1_600_000)
        with small as client, pytest.raises(ResponseTooLargeError, match="more than 250000 values"):
            client.deployments.list_deployments()


def test_a_large_request(monkeypatch: pytest.MonkeyPatch) -> None:
    """A request of more than a megabyte is sent whole, also again, without a warning of aiohttp: here, a warning is an error."""
    monkeypatch.setattr(_retry, "FIRST_BACKOFF", 0.001)
    text = "a" * 3_000_000
    with FaultServer(response(503)) as server, Client(CANARY, server.url) as client:
        client.execute("query Q($text: String) { __typename }", {"text": text}, check=False)
    assert [request.payload["variables"] == {"text": text} for request in server.requests] == [True, True]
