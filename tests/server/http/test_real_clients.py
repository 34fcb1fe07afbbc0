"""GraphQL over HTTP as browsers, Apollo Client, urql, curl and old programs use it."""

from __future__ import annotations

import gzip
import http.client
import json
import socket
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlsplit

import pytest

from paperspace.gradient.server import LocalServer

if TYPE_CHECKING:
    from tests.raw_client import Caller, Response

JSON, GRAPHQL = "application/json", "application/graphql-response+json"
QUERY = {"query": "{ deployments { nodes { id } } }"}
HASH = {"persistedQuery": {"version": 1, "sha256Hash": "ab" * 32}}
APOLLO = "application/graphql-response+json,application/json;q=0.9"


def get(call: Caller, query: str, **headers: str) -> Response:
    return call.http("GET", f"/graphql?{query}", None, {"Authorization": f"Bearer {call.server.api_key}"} | headers)


def exchange(server: LocalServer, sent: bytes) -> bytes:
    """Send bytes; return what the server sends until it closes the connection."""
    parts = urlsplit(server.url)
    received = b""
    with socket.create_connection((str(parts.hostname), int(parts.port or 0)), timeout=30) as connection:
        connection.sendall(sent)
        while data := connection.recv(65536):
            received += data
    return received


@pytest.mark.parametrize(("accept", "status"), [(JSON, 200), (APOLLO, 400)])
@pytest.mark.parametrize("more", [{}, {"query": ""}, {"query": None}, {"operationName": "A", "variables": {}}])
def test_persisted_queries(call: Caller, accept: str, status: int, more: Any) -> None:
    """A hash without its document gets the message and the code after which clients send the document."""
    response = call.post({"extensions": HASH, **more}, Accept=accept)
    assert (response.status, response.code) == (status, "PERSISTED_QUERY_NOT_SUPPORTED")
    assert response.error["message"] == "PersistedQueryNotSupported"
    assert call.post({"extensions": HASH, **QUERY}, Accept=accept).data == {"deployments": {"nodes": []}}


def test_persisted_queries_by_get(call: Caller) -> None:
    """A hash in a URL gets the same error, also for browsers; without the key, the status is 401."""
    url = f"operationName=A&extensions={quote(json.dumps(HASH))}"
    for accept in (APOLLO, "text/html,*/*"):
        assert get(call, url, Accept=accept).code == "PERSISTED_QUERY_NOT_SUPPORTED"
    assert get(call, url, Authorization="Bearer wrong").status == 401
    url = url.partition("&")[2]
    assert get(call, f"{url}&query={quote(QUERY['query'])}").data == {"deployments": {"nodes": []}}


@pytest.mark.parametrize(
    ("body", "headers", "status"),
    [
        (b"no", {}, 400),
        (b"{}", {"Authorization": "Bearer wrong"}, 401),
        (b"{}", {"Host": "other.example"}, 403),
        (b"x" * 1_100_000, {}, 413),
        (b"{}", {"Content_Type": "text/plain"}, 415),
        (b"{}", {"Content_Encoding": "br"}, 415),
    ],
)
@pytest.mark.parametrize(("accept", "media_type"), [(JSON, JSON), (APOLLO, GRAPHQL), ("text/css", JSON)])
def test_media_type_of_errors(
    call: Caller, body: bytes, headers: dict[str, str], status: int, accept: str, media_type: str
) -> None:
    """Errors before GraphQL have the media type that the caller accepts, so that it reads their message and code."""
    if accept == "text/css" and status in (400, 413, 415):
        status = 406
    response = call.post(body, Accept=accept, **headers)
    assert response.status == status
    assert response.headers["Content-Type"] == f"{media_type}; charset=utf-8"
    assert response.error["message"]
    assert response.headers["X-Request-Id"]


def test_long_urls_and_headers(call: Caller) -> None:
    """A long URL gets status 414 and a long header 431, with a body and an id as other errors."""
    responses = [get(call, "query=" + "x" * 9000), get(call, "query=x", Long="x" * 9000)]
    assert [response.status for response in responses] == [414, 431]
    for response in responses:
        assert response.code == "BAD_USER_INPUT"
        assert response.headers["X-Request-Id"]
        assert response.headers["Content-Type"] == "application/json; charset=utf-8"


@pytest.mark.parametrize("charset", ["utf8", "UTF8", "utf-8"])
def test_names_of_utf_8(call: Caller, charset: str) -> None:
    """The charset of a body can be spelled `utf8`."""
    assert call.post(QUERY, Content_Type=f"{JSON}; charset={charset}").data


def test_head(server: LocalServer) -> None:
    """HEAD gets the status and the headers of GET, without a body."""
    key = {"Authorization": f"Bearer {server.api_key}"}
    for path in (f"/graphql?query={quote(QUERY['query'])}", "/graphql", "/healthz", "/no/where"):
        for headers in (key, {}):
            responses = []
            for method in ("GET", "HEAD"):
                connection = http.client.HTTPConnection(urlsplit(server.url).netloc, timeout=20)
                connection.request(method, path, headers=headers)
                response = connection.getresponse()
                body = response.read()
                assert bool(body) is (method == "GET")
                responses.append(
                    (response.status, response.headers["Content-Type"], response.headers["Content-Length"])
                )
                connection.close()
            assert responses[0] == responses[1]


@pytest.mark.parametrize(("path", "status"), [("/graphql", b"401"), ("/healthz", b"405"), ("/other", b"404")])
def test_expect_with_a_wrong_key(server: LocalServer, path: str, status: bytes) -> None:
    """A client that waits for permission to send its body gets the error at once, without permission."""
    head = f"POST {path} HTTP/1.1\r\nHost: localhost\r\nExpect: 100-continue\r\nContent-Length: 100\r\n\r\n"
    response = exchange(server, head.encode())
    assert response.split()[1] == status
    assert b"Connection: close" in response


def test_expect_with_the_key(server: LocalServer) -> None:
    """A client that waits for permission to send its body gets it, and then the response."""
    body = json.dumps(QUERY).encode()
    head = (
        f"POST /graphql HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {server.api_key}\r\n"
        f"Content-Type: {JSON}\r\nExpect: 100-continue\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n"
    )
    parts = urlsplit(server.url)
    with socket.create_connection((str(parts.hostname), int(parts.port or 0)), timeout=30) as connection:
        connection.sendall(head.encode())
        assert connection.recv(4096) == b"HTTP/1.1 100 Continue\r\n\r\n"
        connection.sendall(body)
        assert b"HTTP/1.1 200 OK" in connection.recv(4096)


def test_other_expectations(call: Caller) -> None:
    """Another Expect header gets status 417, with the body of other errors."""
    for path in ("/graphql", "/no/where"):
        response = call.http("POST", path, b"{}", {"Expect": "nothing"})
        assert (response.status, response.code) == (417, "BAD_USER_INPUT")
        assert response.headers["X-Request-Id"]


def test_http_1_0(server: LocalServer) -> None:
    """A request in HTTP/1.0 needs no Host header; if it has one, the header is checked."""
    assert exchange(server, b"GET /healthz HTTP/1.0\r\n\r\n").split()[1] == b"200"
    assert exchange(server, b"GET /healthz HTTP/1.0\r\nHost: other.example\r\n\r\n").split()[1] == b"403"
    response = exchange(server, b"GET /healthz HTTP/1.1\r\n\r\n")
    assert response.split()[1] == b"400"
    assert json.loads(response.partition(b"\r\n\r\n")[2])["errors"]


def fetch(call: Caller, count: int, encoding: str | None) -> tuple[bytes, str | None, str | None]:
    """Return the body of a response with a number of names, its encoding, and the headers on which it depends."""
    connection = http.client.HTTPConnection(urlsplit(call.server.url).netloc, timeout=20)
    headers = {"Authorization": f"Bearer {call.server.api_key}", "Content-Type": JSON}
    headers |= {} if encoding is None else {"Accept-Encoding": encoding}
    fields = " ".join(f"field{number}: __typename" for number in range(count))
    document = f"{{ __schema {{ {fields} types {{ name }} }} }}" if count else "{ __typename }"
    connection.putrequest("POST", "/graphql", skip_accept_encoding=True)
    body = json.dumps({"query": document}).encode()
    for name, value in {**headers, "Content-Length": str(len(body))}.items():
        connection.putheader(name, value)
    connection.endheaders(body)
    response = connection.getresponse()
    content = response.read()
    connection.close()
    return content, response.headers["Content-Encoding"], response.headers["Vary"]


@pytest.mark.parametrize(
    ("accept", "encoding"),
    [
        ("gzip", "gzip"),
        ("br, GZIP;q=0.5", "gzip"),
        ("*", "gzip"),
        ("gzip, deflate, br, zstd", "gzip"),
        ("gzip;q=0, *", None),
        ("br", None),
        ("identity", None),
        (None, None),
    ],
)
def test_compression(call: Caller, accept: str | None, encoding: str | None) -> None:
    """A response of more than 1 kB is compressed if the caller accepts it; a small one is not."""
    plain = fetch(call, 5, None)[0]
    assert len(plain) > 1024
    body, used, vary = fetch(call, 5, accept)
    assert (used, vary) == (encoding, "Accept-Encoding")
    assert (gzip.decompress(body) if encoding else body) == plain
    assert len(body) < len(plain) or not encoding
    assert fetch(call, 0, accept)[1:] == (None, None)


ORIGIN = "http://localhost:3000"
PREFLIGHT = {
    "Origin": ORIGIN,
    "Access-Control-Request-Method": "POST",
    "Access-Control-Request-Headers": "authorization,content-type",
}


@pytest.mark.parametrize(
    ("allowed", "origin", "permitted"),
    [
        ([], ORIGIN, False),
        ([ORIGIN], ORIGIN, True),
        (["HTTP://LocalHost:3000"], ORIGIN, True),
        (["*"], ORIGIN, True),
        ([ORIGIN], "http://localhost:3001", False),
        ([ORIGIN], "http://localhost:3000.evil.example", False),
        ([ORIGIN], "null", False),
        ([ORIGIN], "", False),
    ],
)
def test_web_pages(caller: type[Caller], allowed: list[str], origin: str, permitted: bool) -> None:
    """Web pages of an allowed origin can send requests and read responses, also errors; others cannot."""
    with LocalServer(allow_origins=allowed) as server:
        call = caller(server)
        if permitted:
            connection = http.client.HTTPConnection(urlsplit(server.url).netloc, timeout=20)
            connection.request("OPTIONS", "/graphql", headers=PREFLIGHT | {"Origin": origin})
            preflight = connection.getresponse()
            assert preflight.status == 204
            assert preflight.headers["Access-Control-Allow-Origin"] == origin
            assert preflight.headers["Access-Control-Allow-Headers"] == "authorization,content-type"
            assert "POST" in preflight.headers["Access-Control-Allow-Methods"]
            connection.close()
        else:
            rejected = call.http("OPTIONS", "/graphql", None, PREFLIGHT | {"Origin": origin})
            assert (rejected.status, rejected.headers["Access-Control-Allow-Origin"]) == (405, None)
        for response in (call.post(QUERY, Origin=origin), call.post(QUERY, Origin=origin, Authorization="x")):
            assert response.headers["Access-Control-Allow-Origin"] == (origin if permitted else None)
            assert response.headers["Access-Control-Allow-Credentials"] is None
            assert response.headers["Vary"] == ("Origin" if allowed else None)


@pytest.mark.parametrize("origin", ["", "localhost:3000", "http://localhost:3000/", "http://a b", "null", "http://*"])
def test_invalid_origins(origin: str) -> None:
    """What is not an origin is rejected before the start."""
    with pytest.raises(ValueError, match="is not an origin"):
        LocalServer(allow_origins=[origin])
