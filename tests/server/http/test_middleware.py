"""The gate: who is let in, who takes too long, what is said in the log, and how the server stops."""

from __future__ import annotations

import asyncio
import json
import logging
import re
import socket
import threading
import time
from contextlib import suppress
from statistics import median
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import pytest
from aiohttp import web
from tests.faults.harness import wait_for

from paperspace.gradient.server import LocalServer, local
from paperspace.gradient.server.http import listener, middleware

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.server.conftest import Caller


QUERY = {"query": "{ deployments { nodes { id } } }"}


def connect(server: LocalServer) -> socket.socket:
    parts = urlsplit(server.url)
    return socket.create_connection((str(parts.hostname), int(parts.port or 0)), timeout=60)


def head(server: LocalServer, length: int) -> bytes:
    return (
        f"POST /graphql HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {server.api_key}\r\n"
        f"Content-Type: application/json\r\nContent-Length: {length}\r\n\r\n"
    ).encode()


def rest(connection: socket.socket) -> bytes:
    """All that comes until the server hangs up."""
    received = b""
    with suppress(ConnectionError):
        while data := connection.recv(65536):
            received += data
    return received


def drip_until_closed(connection: socket.socket) -> None:
    """Sends a byte now and then, for five seconds at most."""
    connection.settimeout(0.05)
    with suppress(ConnectionError):
        for _ in range(100):
            connection.sendall(b"x")
            with suppress(TimeoutError):
                if connection.recv(1) == b"":
                    return


@pytest.fixture
def hasty(monkeypatch: pytest.MonkeyPatch) -> Iterator[LocalServer]:
    """A server whose patience is a twentieth of the usual."""
    monkeypatch.setattr(middleware, "SECONDS_TO_READ", 0.5)
    monkeypatch.setitem(local.TIMES, "keepalive_timeout", 0.5)
    monkeypatch.setitem(local.TIMES, "lingering_time", 0.1)
    with LocalServer() as server:
        yield server


def test_the_patience_is_bounded() -> None:
    """Heads and bodies have ten seconds at most."""
    assert max(middleware.SECONDS_TO_READ, local.TIMES["keepalive_timeout"]) <= 10


@pytest.mark.parametrize("drip", [False, True])
@pytest.mark.parametrize("before", [0, 1])
def test_slow_heads(hasty: LocalServer, drip: bool, before: int) -> None:
    """A connection whose head does not come in time is closed, though it comes byte by byte, the first or a later."""
    body = json.dumps(QUERY).encode()
    with connect(hasty) as connection:
        for _ in range(before):
            connection.sendall(head(hasty, len(body)) + body)
            assert b"200 OK" in connection.recv(65536)
        connection.sendall(b"POST /graphql HTTP/1.1\r\nX-Slow: ")
        if drip:
            drip_until_closed(connection)
        else:
            assert rest(connection) == b""


@pytest.mark.parametrize("drip", [False, True])
def test_slow_bodies(hasty: LocalServer, drip: bool) -> None:
    """A body that does not come in time is a 408, and the connection is closed."""
    with connect(hasty) as connection:
        connection.sendall(head(hasty, 1000))
        if drip:
            for _ in range(12):
                connection.sendall(b"x")
                time.sleep(0.05)
        reply = rest(connection)
    assert reply.startswith(b"HTTP/1.1 408 ")
    assert b"took too long" in reply


def is_served(connection: socket.socket, server: LocalServer) -> bool:
    """Whether a request on this connection succeeds."""
    body = json.dumps(QUERY).encode()
    connection.sendall(head(server, len(body)) + body)
    return b"200 OK" in connection.recv(65536)


def test_more_connections_than_there_may_be(monkeypatch: pytest.MonkeyPatch) -> None:
    """A connection beyond the most there may be is told to come again; when another ends there is room."""
    monkeypatch.setattr(listener, "MOST_CONNECTIONS", 3)

    def served_on_a_new_connection() -> bool:
        with connect(server) as connection, suppress(ConnectionError):
            return is_served(connection, server)
        return False

    with LocalServer() as server:
        held = [connect(server) for _ in range(3)]
        assert all(is_served(connection, server) for connection in held)
        with connect(server) as fourth:
            assert rest(fourth).startswith(b"HTTP/1.1 503 ")
        for connection in held:
            connection.close()
        wait_for(served_on_a_new_connection)


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
def test_only_names_of_this_machine(call: Caller, host: str, status: int) -> None:
    """On a loopback address, requests that name another host are refused: a web page made a browser send them."""
    answer = call.post(QUERY, Host=host)
    assert answer.status == status
    if status == 403:
        assert answer.code == "FORBIDDEN"
        assert call.http("GET", "/healthz", None, {"Host": host}).status == 403


def test_other_names_where_others_may_come(caller: type[Caller]) -> None:
    """A server that listens for other machines too is called by whatever name they have for it."""
    with LocalServer(host="0.0.0.0") as server:
        assert caller(server).post(QUERY, Host="server.example").status == 200


def test_health(call: Caller) -> None:
    """`/healthz` answers without a key."""
    answer = call.http("GET", "/healthz")
    assert (answer.status, answer.body) == (200, {"status": "ok"})


def test_each_request_is_one_line(call: Caller, caplog: pytest.LogCaptureFixture) -> None:
    """Each request has one line in the log, with the id that its answer has in a header; no two are alike."""
    with caplog.at_level(logging.INFO, "paperspace.gradient.server"):
        answers = [
            call.post(QUERY),
            call.post(b"no"),
            call.post(QUERY, Authorization="x"),
            call.http("GET", "/no/where"),
        ]
    lines = [record.getMessage() for record in caplog.records]
    ids = [answer.headers["X-Request-Id"] for answer in answers]
    assert len(set(ids)) == len(lines) == 4
    for line, id_, answer in zip(lines, ids, answers, strict=True):
        path = "/no/where" if answer.status == 404 else "/graphql"
        method = "GET" if answer.status == 404 else "POST"
        assert re.fullmatch(rf"{id_} {method} {path} {answer.status} \d+\.\d ms", line)


@pytest.mark.parametrize("path", ["/a%0A%0Dforged", "/a\x1b[31mred", "/a\xe9\xff", "/a?key=secret", "/" + "x" * 5000])
def test_lines_cannot_be_forged(server: LocalServer, call: Caller, caplog: pytest.LogCaptureFixture, path: str) -> None:
    """Whatever a caller puts into its request stays within its line, in plain characters, and secrets stay out."""
    with caplog.at_level(logging.INFO, "paperspace.gradient.server"), connect(server) as connection:
        request = f"GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
        connection.sendall(request.encode("latin-1"))
        reply = rest(connection)
        assert call.post(QUERY, X_Request_Id="forged").headers["X-Request-Id"] != "forged"
    assert reply.split()[1] in (b"404", b"400")
    for record in caplog.records:
        line = record.getMessage()
        assert line.isprintable()
        assert "secret" not in line
        assert len(line) < 200


def test_the_key_and_the_data_are_not_logged(call: Caller, caplog: pytest.LogCaptureFixture) -> None:
    """Neither the key nor anything of a request's content is in the log, at any level."""
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
def test_what_is_no_http(server: LocalServer, call: Caller, caplog: pytest.LogCaptureFixture, sent: bytes) -> None:
    """What is no HTTP is a 400 and at most one line in the log, without what was sent, and the server goes on."""
    with caplog.at_level(logging.DEBUG, "paperspace.gradient.server"), connect(server) as connection:
        connection.sendall(sent)
        assert b" 400 " in connection.recv(65536)
        assert "a-secret" not in caplog.text
        assert len(caplog.text.splitlines()) <= 1
    assert call.post(QUERY).data


class Hold:
    """An injected fault: a request is held back until it is released."""

    def __init__(self) -> None:
        self.arrived = threading.Event()
        self.released = threading.Event()

    async def __call__(self, request: web.Request, handler: Any) -> web.StreamResponse:
        self.arrived.set()
        while not self.released.is_set():  # noqa: ASYNC110
            await asyncio.sleep(0.01)  # the event is set on another thread
        response: web.StreamResponse = await handler(request)
        return response


def stop_in_time(server: LocalServer) -> None:
    """Stop the server, and fail if that takes a minute: on a slow machine too, it takes seconds."""
    thread = threading.Thread(target=server.stop, daemon=True)
    thread.start()
    thread.join(60)
    assert not thread.is_alive()


def test_new_work_is_turned_away_while_it_drains(caller: type[Caller], monkeypatch: pytest.MonkeyPatch) -> None:
    """While the server finishes what is under way, new requests are a 503 that says when to come again."""
    monkeypatch.setattr(middleware, "SECONDS_TO_DRAIN", 60)
    server = LocalServer()
    server.start()
    call = caller(server)
    hold = Hold()
    server.inject_fault(hold)
    answers: list[Any] = []
    slow = threading.Thread(target=lambda: answers.append(call.post(QUERY)))
    slow.start()
    hold.arrived.wait()
    stop = threading.Thread(target=server.stop)
    stop.start()
    wait_for(lambda: call.http("GET", "/healthz").status == 503)
    for path in ("/graphql", "/healthz"):
        turned = call.http("GET", path)
        assert (turned.status, turned.code, turned.headers["Retry-After"]) == (503, "SERVICE_UNAVAILABLE", "1")
        assert turned.error["extensions"]["retryable"] is True
    hold.released.set()
    stop.join()
    slow.join()
    assert answers[0].data == {"deployments": {"nodes": []}}


def test_half_a_request_does_not_hold_it_up(caller: type[Caller], monkeypatch: pytest.MonkeyPatch) -> None:
    """Connections that are idle, or have sent half of a request, do not keep the server from stopping."""
    monkeypatch.setattr(middleware, "SECONDS_TO_DRAIN", 3600)
    server = LocalServer()
    server.start()
    assert caller(server).post(QUERY).data
    with connect(server) as idle, connect(server) as half_head, connect(server) as half_body:
        half_head.sendall(b"POST /graphql HTT")
        half_body.sendall(head(server, 1000) + b"abc")
        time.sleep(0.2)  # nothing shows from outside that the server has read them
        stop_in_time(server)
        assert rest(half_body).startswith(b"HTTP/1.1 503 ")
        assert rest(idle) == rest(half_head) == b""


def test_what_takes_too_long_is_given_up(monkeypatch: pytest.MonkeyPatch, caller: type[Caller]) -> None:
    """A request that does not end in time does not keep the server from stopping."""
    monkeypatch.setattr(middleware, "SECONDS_TO_DRAIN", 0.3)
    server = LocalServer()
    server.start()
    hold = Hold()
    server.inject_fault(hold)
    failed = threading.Event()

    def ask() -> None:
        try:
            caller(server).post(QUERY)
        except OSError:
            failed.set()

    thread = threading.Thread(target=ask)
    thread.start()
    hold.arrived.wait()
    stop_in_time(server)
    thread.join()
    assert failed.is_set()


@pytest.mark.anyio
async def test_health_is_quick_while_it_is_attacked(caller: type[Caller]) -> None:
    """While hostile documents come in, a health check takes a small part of the time that such a document takes."""
    hostile = "{ deployments { nodes {" + " ".join(f"deploymentSpex{n}" for n in range(300)) + "} } }"
    with LocalServer() as server:
        call = caller(server)
        ended = threading.Event()
        attacks: list[float] = []

        def attack() -> None:
            while not ended.is_set():
                start = time.perf_counter()
                call.post({"query": hostile})
                attacks.append(time.perf_counter() - start)

        attackers = [threading.Thread(target=attack) for _ in range(4)]
        for attacker in attackers:
            attacker.start()
        checks = []
        for _ in range(50):
            start = time.perf_counter()
            assert (await asyncio.to_thread(call.http, "GET", "/healthz")).status == 200
            checks.append(time.perf_counter() - start)
        ended.set()
        for attacker in attackers:
            attacker.join()
    assert median(checks) < median(attacks) / 3
