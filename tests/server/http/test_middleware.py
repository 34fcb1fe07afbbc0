"""The middleware and the listener: timeouts, limits, the Host header, the access log, and stopping."""

from __future__ import annotations

import asyncio
import json
import logging
import re
import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import pytest

from paperspace.gradient import Client
from paperspace.gradient.server import LocalServer
from paperspace.gradient.server.http import connections, listener, middleware

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from aiohttp import web
    from tests.raw_client import Caller


QUERY = {"query": "{ deployments { nodes { id } } }"}
HALF_BODY = b"Content-Type: application/json\r\nContent-Length: 100\r\n\r\nabc"


def connect(server: LocalServer) -> socket.socket:
    parts = urlsplit(server.url)
    return socket.create_connection((str(parts.hostname), int(parts.port or 0)), timeout=20)


def head(server: LocalServer, length: int) -> bytes:
    return (
        f"POST /graphql HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {server.api_key}\r\n"
        f"Content-Type: application/json\r\nContent-Length: {length}\r\n\r\n"
    ).encode()


def read_to_end(connection: socket.socket) -> bytes:
    """Read until the server closes the connection."""
    received = b""
    with suppress(ConnectionError):
        while data := connection.recv(65536):
            received += data
    return received


def drip(connection: socket.socket) -> bytes:
    """Send one byte after another until the server responds or closes the connection; return the response."""
    connection.settimeout(0.05)
    received = b""
    with suppress(ConnectionError):
        for _ in range(1000):
            connection.sendall(b"x")
            with suppress(TimeoutError):
                received = connection.recv(65536)
                break
        else:
            pytest.fail("the server still reads")
    return received


@pytest.fixture
def impatient_server(monkeypatch: pytest.MonkeyPatch) -> Iterator[LocalServer]:
    """A server with a twentieth of the default timeouts."""
    monkeypatch.setattr(middleware, "BODY_TIMEOUT", 0.5)
    monkeypatch.setitem(connections.TIMEOUTS, "keepalive_timeout", 0.5)
    monkeypatch.setitem(connections.TIMEOUTS, "lingering_time", 0.1)
    with LocalServer() as server:
        yield server


class AdvancedLoop(asyncio.SelectorEventLoop):
    """An event loop whose clock a test can advance."""

    advanced = 0.0

    def time(self) -> float:
        return super().time() + self.advanced


@pytest.mark.parametrize(
    ("sent", "response"),
    [
        (b"", b""),
        (b"POST /graphql HTT", b""),
        (
            b"POST /graphql HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer key\r\n" + HALF_BODY,
            b"HTTP/1.1 408 ",
        ),
    ],
    ids=["nothing", "half a head", "half a body"],
)
def test_default_timeouts(sent: bytes, response: bytes) -> None:
    """The server waits ten seconds for a head or a body, then closes the connection."""
    loop = AdvancedLoop()

    async def main() -> None:
        async with LocalServer(api_key="key") as server:
            parts = urlsplit(server.url)
            reader, writer = await asyncio.open_connection(parts.hostname, parts.port)
            writer.write(sent)
            await round_trip(server)
            first_byte = asyncio.create_task(reader.read(1))
            loop.advanced += 9
            await round_trip(server)
            assert not first_byte.done()
            loop.advanced += 2
            received = await asyncio.wait_for(first_byte, 20) + await asyncio.wait_for(reader.read(), 20)
            assert received.startswith(response)
            assert bool(received) is bool(response)
            writer.close()

    async def round_trip(server: LocalServer) -> None:
        """Wait until the server has handled everything sent before, through a request on a new connection."""
        parts = urlsplit(server.url)
        reader, writer = await asyncio.open_connection(parts.hostname, parts.port)
        writer.write(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        assert b"200 OK" in await reader.read()
        writer.close()

    with asyncio.Runner(loop_factory=lambda: loop) as runner:
        runner.run(main())


@pytest.mark.parametrize("dripping", [False, True])
@pytest.mark.parametrize("requests_before", [0, 1])
def test_slow_heads(impatient_server: LocalServer, dripping: bool, requests_before: int) -> None:
    """A connection whose head is incomplete at the timeout is closed, also if it arrives byte by byte."""
    body = json.dumps(QUERY).encode()
    with connect(impatient_server) as connection:
        for _ in range(requests_before):
            connection.sendall(head(impatient_server, len(body)) + body)
            assert b"200 OK" in connection.recv(65536)
        connection.sendall(b"POST /graphql HTTP/1.1\r\nX-Slow: ")
        assert (drip(connection) if dripping else read_to_end(connection)) == b""


@pytest.mark.parametrize("dripping", [False, True])
def test_slow_bodies(impatient_server: LocalServer, dripping: bool) -> None:
    """A body that is incomplete at the timeout gets status 408, also if it arrives byte by byte."""
    with connect(impatient_server) as connection:
        connection.sendall(head(impatient_server, 10_000))
        response = drip(connection) if dripping else read_to_end(connection)
    assert response.startswith(b"HTTP/1.1 408 ")
    assert b"did not arrive within 0.5 seconds" in response


def test_too_many_connections(monkeypatch: pytest.MonkeyPatch, caller: type[Caller]) -> None:
    """A connection above the limit gets status 503; the server accepts new ones when others are closed."""
    monkeypatch.setattr(listener, "MAX_CONNECTIONS", 3)
    with LocalServer() as server:
        connections = [connect(server) for _ in range(3)]
        wait_until(lambda: server_connections(server) == 3)
        with connect(server) as fourth:
            assert read_to_end(fourth).startswith(b"HTTP/1.1 503 ")
        for connection in connections:
            connection.close()
        wait_until(lambda: not server_connections(server))
        assert caller(server).post(QUERY).data


def server_connections(server: LocalServer) -> int:
    """Return the number of open connections, as the server counts them."""
    return len(server._http_server.connections)


def wait_until(condition: Callable[[], bool]) -> None:
    """Wait until a condition is true, for a minute at most."""
    for _ in range(6000):
        if condition():
            return
        time.sleep(0.01)
    pytest.fail("the condition is still false after a minute")


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("localhost", 200),
        ("localhost:8600", 200),
        ("LOCALHOST", 200),
        ("127.0.0.1", 200),
        ("127.9.9.9:1", 200),
        ("[::1]:8600", 200),
        ("evil.example", 403),
        ("localhost.evil.example", 403),
        ("127.0.0.1.evil.example", 403),
        ("192.0.2.1", 403),
        ("", 403),
        ("[", 403),
    ],
)
def test_host_header_on_loopback(call: Caller, host: str, status: int) -> None:
    """On a loopback address, requests with another host in the Host header are rejected (DNS rebinding)."""
    response = call.post(QUERY, Host=host)
    assert response.status == status
    if status == 403:
        assert response.code == "FORBIDDEN"
        assert call.http("GET", "/healthz", None, {"Host": host}).status == 403


def test_host_header_on_other_addresses(caller: type[Caller]) -> None:
    """On other addresses, every Host header is accepted. The URL of the server is one that clients on this machine accept."""
    with LocalServer(host="0.0.0.0") as server:
        assert server.url.startswith("http://127.0.0.1:")
        assert caller(server).post(QUERY, Host="server.example").status == 200
        with Client(server.api_key, server.url) as client:
            assert client.deployments.list_deployments() == []


def test_health(call: Caller) -> None:
    """`/healthz` needs no API key."""
    response = call.http("GET", "/healthz")
    assert (response.status, response.body) == (200, {"status": "ok"})


def test_one_log_line_per_request(call: Caller, caplog: pytest.LogCaptureFixture) -> None:
    """Each request has one log line with the unique id in its response's header."""
    with caplog.at_level(logging.INFO, "paperspace.gradient.server"):
        responses = [
            call.post(QUERY),
            call.post(b"no"),
            call.post(QUERY, Authorization="x"),
            call.http("GET", "/no/where"),
        ]
    lines = [record.getMessage() for record in caplog.records]
    ids = [response.headers["X-Request-Id"] for response in responses]
    assert len(set(ids)) == len(lines) == 4
    for line, id_, response in zip(lines, ids, responses, strict=True):
        path = "/no/where" if response.status == 404 else "/graphql"
        method = "GET" if response.status == 404 else "POST"
        assert re.fullmatch(rf"{id_} {method} {path} {response.status} \d+\.\d ms", line)


@pytest.mark.parametrize(
    ("request_", "name"),
    [
        ({"query": "query Names { __typename }"}, "Names"),
        ({"query": "query A { __typename } query B { __typename }", "operationName": "B"}, "B"),
        ({"query": "query A { nosuch }"}, "A"),
        ({"query": "{ __typename }", "operationName": "x\n" + "y" * 5000}, r"x\\ny+…"),
    ],
)
def test_the_log_names_operations(
    call: Caller, caplog: pytest.LogCaptureFixture, request_: dict[str, str], name: str
) -> None:
    """A log line has the name of the operation, also of one that fails."""
    with caplog.at_level(logging.INFO, "paperspace.gradient.server"):
        call.post(json.dumps(request_).encode())
    (record,) = caplog.records
    assert re.fullmatch(rf"\w+ POST /graphql {name} \d+ \d+\.\d ms", record.getMessage())


@pytest.mark.parametrize("path", ["/a%0A%0Dforged", "/a\x1b[31mred", "/a\xe9\xff", "/a?key=secret", "/" + "x" * 5000])
def test_log_lines_cannot_be_forged(
    server: LocalServer, call: Caller, caplog: pytest.LogCaptureFixture, path: str
) -> None:
    """Requests cannot add log lines or control characters, and URL parameters are not logged."""
    with caplog.at_level(logging.INFO, "paperspace.gradient.server"), connect(server) as connection:
        request = f"GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
        connection.sendall(request.encode("latin-1"))
        response = read_to_end(connection)
        assert call.post(QUERY, X_Request_Id="forged").headers["X-Request-Id"] != "forged"
    assert response.split()[1] in (b"404", b"400")
    for record in caplog.records:
        line = record.getMessage()
        assert line.isprintable()
        assert "secret" not in line
        assert len(line) < 200


def test_key_and_data_are_not_logged(call: Caller, caplog: pytest.LogCaptureFixture) -> None:
    """The log contains neither the API key nor the content of requests, at any level."""
    with caplog.at_level(logging.DEBUG):
        call.create("a-name", spec={"image": "i", "env": [{"name": "A", "value": "a-secret"}]})
    for word in (call.server.api_key, "a-name", "a-secret"):
        assert word not in caplog.text


@pytest.mark.parametrize(
    "sent",
    [
        b"a-secret\r\n\r\n",
        b"GET / HTTP/9.9 a-secret\r\n\r\n",
        b"GET / HTTP/1.1\r\nAuthorization: Bearer a-secret\0\r\n\r\n",
        b"GET /a-secret" + b"x" * 20_000 + b" HTTP/1.1\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: a-secret\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
    ],
)
def test_malformed_http(server: LocalServer, call: Caller, caplog: pytest.LogCaptureFixture, sent: bytes) -> None:
    """Malformed HTTP gets an error with an id, and one log line without its content; the server continues."""
    with caplog.at_level(logging.DEBUG, "paperspace.gradient.server"), connect(server) as connection:
        connection.sendall(sent)
        response = read_to_end(connection)
    head, _, body = response.partition(b"\r\n\r\n")
    status = head.split()[1].decode()
    assert status == ("414" if len(sent) > 10_000 else "400")
    assert json.loads(body)["errors"][0]["extensions"] == {"code": "BAD_USER_INPUT"}
    (record,) = caplog.records
    assert re.fullmatch(rf"[0-9a-f]{{32}} malformed HTTP request {status}", record.getMessage())
    assert f"X-Request-Id: {record.getMessage().split()[0]}".encode() in head
    assert "a-secret" not in caplog.text
    assert call.post(QUERY).data


class HeldRequest:
    """A request that the server executes only when it is released; a fault that tests inject."""

    def __init__(self) -> None:
        self.received = threading.Event()
        self.released = threading.Event()

    async def __call__(self, request: web.Request, handler: middleware.Handler) -> web.StreamResponse:
        self.received.set()
        while not self.released.is_set():  # noqa: ASYNC110 - another thread sets it
            await asyncio.sleep(0.01)
        return await handler(request)


def test_the_log_has_requests_whose_caller_is_gone(server: LocalServer, caplog: pytest.LogCaptureFixture) -> None:
    """A request whose caller disconnects before the response has a line in the log, too: it may be a change."""
    body, held = json.dumps({"query": "{ __typename }"}).encode(), HeldRequest()
    server.inject_fault(held)
    with caplog.at_level(logging.INFO, "paperspace.gradient.server"):
        with connect(server) as connection:
            connection.sendall(head(server, len(body)) + body)
            assert held.received.wait(60)
        wait_until(lambda: bool(caplog.records))
    (record,) = caplog.records
    assert re.fullmatch(r"\w+ POST /graphql dropped \d+\.\d ms", record.getMessage())


def test_new_requests_while_the_server_drains(monkeypatch: pytest.MonkeyPatch, caller: type[Caller]) -> None:
    """While the server finishes active requests, new ones get status 503 and `Retry-After`."""
    monkeypatch.setattr(middleware, "DRAIN_TIMEOUT", 60)
    server = LocalServer()
    server.start()
    call, held = caller(server), HeldRequest()
    server.inject_fault(held)
    with ThreadPoolExecutor() as threads:
        active = threads.submit(call.post, QUERY)
        assert held.received.wait(60)
        stop = threads.submit(server.stop)
        wait_until(lambda: server._middleware._stopping)
        for path in ("/graphql", "/healthz"):
            rejected = call.http("GET", path)
            assert (rejected.status, rejected.code, rejected.headers["Retry-After"]) == (
                503,
                "SERVICE_UNAVAILABLE",
                "1",
            )
            assert rejected.error["extensions"]["retryable"] is True
        assert not stop.done()
        held.released.set()
        stop.result()
        assert active.result().data == {"deployments": {"nodes": []}}


def test_incomplete_requests_do_not_delay_the_stop(monkeypatch: pytest.MonkeyPatch, caller: type[Caller]) -> None:
    """Connections that are idle, or have sent half of a request, do not keep the server from stopping."""
    monkeypatch.setattr(middleware, "DRAIN_TIMEOUT", 60)
    monkeypatch.setattr(middleware, "BODY_TIMEOUT", 60)
    server = LocalServer()
    server.start()
    assert caller(server).post(QUERY).data
    with connect(server) as idle, connect(server) as half_head, connect(server) as half_body:
        half_head.sendall(b"POST /graphql HTT")
        half_body.sendall(head(server, 1000) + b"abc")
        wait_until(lambda: bool(server._middleware._body_timeouts))
        started = time.monotonic()
        server.stop()
        assert time.monotonic() - started < 30  # half of the timeouts above
        assert read_to_end(half_body).startswith(b"HTTP/1.1 503 ")
        assert read_to_end(idle) == read_to_end(half_head) == b""


def test_the_drain_timeout(monkeypatch: pytest.MonkeyPatch, caller: type[Caller]) -> None:
    """A request that does not end within the drain timeout is aborted, and the server stops."""
    monkeypatch.setattr(middleware, "DRAIN_TIMEOUT", 0.3)
    server = LocalServer()
    server.start()
    held = HeldRequest()
    server.inject_fault(held)
    with ThreadPoolExecutor() as threads:
        active = threads.submit(caller(server).post, QUERY)
        assert held.received.wait(60)
        stop = threads.submit(server.stop)
        try:
            stop.result(60)
        finally:
            held.released.set()  # so that a failure ends
        assert isinstance(active.exception(), OSError)
