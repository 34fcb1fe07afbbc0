"""GraphQL over HTTP: authentication, valid requests, statuses and media types."""

from __future__ import annotations

import gzip
import html
import http.client
import json
import shlex
import socket
import urllib.request
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import pytest

from paperspace.gradient import Client, EndpointNotFoundError, RateLimitError
from paperspace.gradient.server import rate_limit
from paperspace.gradient.server.http.graphql_http import negotiate

if TYPE_CHECKING:
    from tests.raw_client import Caller, Json
    from tests.server.conftest import Clock

    from paperspace.gradient.server import LocalServer


QUERY = {"query": "{ deployments { nodes { id } } }"}
JSON, GRAPHQL = "application/json", "application/graphql-response+json"


@pytest.mark.parametrize(
    "value",
    [
        None,
        "",
        "Bearer",
        "Bearer ",
        "Bearer wrong",
        "Basic KEY",
        "KEY",
        "Bearer KEY extra",
        "Bearer \xe9\xff",
        "Bearer " + "x" * 7000,
    ],
)
def test_wrong_keys(call: Caller, server: LocalServer, value: Any) -> None:
    """Without the API key in the right header and scheme, the status is 401, whatever the body."""
    value = value and value.replace("KEY", server.api_key)
    response = call.post(b"not even JSON", Authorization=value and value.encode("latin-1"))
    assert response.status == 401
    assert response.code == "UNAUTHENTICATED"
    assert response.headers["WWW-Authenticate"] == "Bearer"
    assert server.api_key not in str(response.body)


def test_path_with_a_slash(server: LocalServer) -> None:
    """`/graphql/` is the API too: for POST, GET and injected faults. Other paths below it do not exist."""
    url = f"{server.url}/"
    key = {"Authorization": f"Bearer {server.api_key}"}
    body = json.dumps(QUERY).encode()
    for request in (
        urllib.request.Request(url, body, {**key, "Content-Type": JSON}),
        urllib.request.Request(f"{url}?query={quote(QUERY['query'])}", headers=key),
    ):
        with urllib.request.urlopen(request) as response:
            assert json.load(response)["data"]["deployments"]["nodes"] == []
    with Client(server.api_key, url, max_retries=0) as client:
        assert client.deployments.list_deployments() == []
        server.inject_fault(rate_limit(1))
        with pytest.raises(RateLimitError):
            client.deployments.list_deployments()
    with Client(server.api_key, f"{url}x") as client, pytest.raises(EndpointNotFoundError):
        client.deployments.list_deployments()


def test_case_of_scheme_and_key(call: Caller, server: LocalServer) -> None:
    """The authentication scheme is case-insensitive; the key is not."""
    assert call.post(QUERY, Authorization=f"bEARER {server.api_key}").status == 200
    assert call.post(QUERY, Authorization=f"Bearer {server.api_key.swapcase()}").status == 401


def test_two_authorization_headers(server: LocalServer) -> None:
    """Two Authorization headers are rejected, even if one of them is right."""
    key = f"Bearer {server.api_key}"
    headers = [("Content-Type", JSON), ("Authorization", key), ("authorization", key)]
    connection = http.client.HTTPConnection(server.url.split("/")[2])
    connection.putrequest("POST", "/graphql")
    for name, value in headers:
        connection.putheader(name, value)
    connection.endheaders()
    assert connection.getresponse().status == 401
    connection.close()


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b"null",
        b"5",
        b'"{}"',
        b"{",
        b"[{}]",
        b"{}",
        b'{"query": null}',
        b'{"query": 5}',
        b'{"query": ["a"]}',
        b'{"query": {}}',
        b'{"query": true}',
        b"\xff",
        b'\xef\xbb\xbf{"query": "{ x }"}',
        '{"query": "{ x }"}'.encode("utf-16"),
        b'{"query": "{ x }", "variables": 1}',
        b'{"query": "{ x }", "variables": "{}"}',
        b'{"query": "{ x }", "variables": []}',
        b'{"query": "{ x }", "operationName": 5}',
        b'{"query": "{ x }", "operationName": {}}',
        b'{"query": "{ x }", "extensions": true}',
        b'{"query": "{ x }", "extensions": []}',
        b'{"query": "{ x }", "variables": {"a": NaN}}',
        b'{"query": "{ x }", "variables": {"a": "\\ud800"}}',
        b'{"query": "\\udc00"}',
        b'{"query": "{ x }", "variables": {"a": ' + b"1" * 5000 + b"}}",
        b"[" * 100_000,
        b'{"a":' * 100_000,
    ],
)
@pytest.mark.parametrize("media_type", [JSON, GRAPHQL])
def test_bodies_that_are_not_requests(call: Caller, body: bytes, media_type: str | None) -> None:
    """A body that is not a GraphQL request gets status 400, in both media types."""
    response = call.post(body, Accept=media_type)
    assert (response.status, response.code) == (400, "BAD_USER_INPUT")


@pytest.mark.parametrize(
    "more",
    [
        {"variables": None},
        {"operationName": None},
        {"extensions": None},
        {"variables": {}},
        {"extensions": {"a": 1}},
        {"unknown": 1},
    ],
)
def test_optional_parameters(call: Caller, more: Any) -> None:
    """Variables, operationName and extensions can be null; unknown parameters are ignored."""
    assert call.post({**QUERY, **more}).data


@pytest.mark.parametrize(
    ("content_type", "status"),
    [
        (JSON, 200),
        ("application/json; charset=utf-8", 200),
        ('application/json;charset="UTF-8"', 200),
        ("Application/JSON", 200),
        (None, 415),
        ("text/plain", 415),
        ("application/x-www-form-urlencoded", 415),
        ("multipart/form-data; boundary=x", 415),
        ("application/json; charset=latin-1", 415),
        (GRAPHQL, 415),
        ("nonsense", 415),
    ],
)
def test_content_types(call: Caller, content_type: str | None, status: int) -> None:
    """Only JSON in UTF-8 is accepted, which web pages cannot send to another origin without permission."""
    assert call.post(QUERY, Content_Type=content_type).status == status


@pytest.mark.parametrize(
    ("accept", "media_type"),
    [
        ([], JSON),
        ([""], JSON),
        (["*/*"], JSON),
        (["application/*"], JSON),
        ([JSON], JSON),
        ([GRAPHQL], GRAPHQL),
        ([f"{GRAPHQL}, {JSON};q=0.9"], GRAPHQL),
        ([f"{JSON};q=0.9", GRAPHQL], GRAPHQL),
        ([f"{GRAPHQL};q=0.5, {JSON}"], JSON),
        ([f"{GRAPHQL}; charset=utf-8, */*;q=0.1"], GRAPHQL),
        (["text/html, */*;q=0.8"], JSON),
        ([f"{JSON};q=0, */*"], GRAPHQL),
        ([f"{GRAPHQL.upper()}"], GRAPHQL),
        (["text/html"], None),
        ([f"{JSON};q=0"], None),
    ],
)
def test_negotiation(accept: list[str], media_type: str | None) -> None:
    """The media type with the higher quality is chosen; without a preference, application/json."""
    assert negotiate(accept) == media_type


def test_media_types_on_the_wire(call: Caller) -> None:
    """The response has the chosen media type, in UTF-8; an unsupported Accept header gets status 406."""
    assert call.post(QUERY).headers["Content-Type"] == "application/json; charset=utf-8"
    assert call.post(QUERY, Accept=GRAPHQL).headers["Content-Type"] == f"{GRAPHQL}; charset=utf-8"
    assert call.post(QUERY, Accept="text/html").status == 406


@pytest.mark.parametrize(
    "payload",
    [
        {"query": "{"},
        {"query": "{ nothing }"},
        {"query": "query ($id: UUID!) { deployment(id: $id) { id } }"},
        {**QUERY, "operationName": "X"},
    ],
)
def test_invalid_documents(call: Caller, payload: Json) -> None:
    """An invalid document or variable gets status 200 in application/json, 400 in the newer type, never data."""
    for media_type, status in ((JSON, 200), (GRAPHQL, 400)):
        response = call.post(payload, Accept=media_type)
        assert (response.status, "data" in response.body) == (status, False)
        assert response.error["message"]


def test_executed_requests_are_200(call: Caller) -> None:
    """An executed operation gets status 200 in both types, even with errors in fields."""
    create = "mutation ($i: CreateDeploymentInput!) { createDeployment(input: $i) { deployment { id } } }"
    payload = {"query": create, "variables": {"i": {"name": "", "projectId": "p", "spec": call.SPEC}}}
    for media_type in (JSON, GRAPHQL):
        assert call.post(QUERY, Accept=media_type).status == 200
        response = call.post(payload, Accept=media_type)
        assert (response.status, response.body["data"]) == (200, None)


@pytest.mark.parametrize("packed", [False, True])
def test_body_size(call: Caller, packed: bool) -> None:
    """A body over 1 MiB after decompression gets status 413."""
    fits, large = (json.dumps({**QUERY, "extensions": {"x": "x" * size}}).encode() for size in (1_000_000, 1_100_000))
    pack = gzip.compress if packed else bytes
    headers = {"Content_Encoding": "gzip"} if packed else {}
    assert call.post(pack(fits), **headers).status == 200
    response = call.post(pack(large), **headers)
    assert (response.status, response.code) == (413, "BAD_USER_INPUT")


def test_wrong_content_encoding(call: Caller) -> None:
    """A body with a wrong Content-Encoding gets status 400."""
    response = call.post(b"no gzip", Content_Encoding="gzip")
    assert (response.status, response.code) == (400, "BAD_USER_INPUT")


@pytest.mark.parametrize(
    "rest",
    [f"POST /graphql {JSON}", f"POST /graphql {JSON} 100-continue", "CONNECT localhost:80 text/plain 100-continue"],
)
def test_client_disconnects(server: LocalServer, call: Caller, caplog: pytest.LogCaptureFixture, rest: str) -> None:
    """A client that disconnects during its body, or before the server asks for it, leaves nothing in the log; the server continues."""
    method, target, content_type, *expect = rest.split(" ")
    host, port = server.url.split("/")[2].split(":")
    with socket.create_connection((host, int(port))) as connection:
        head = f"{method} {target} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {server.api_key}\r\n"
        head += "".join(f"Expect: {value}\r\n" for value in expect)
        connection.sendall(f"{head}Content-Type: {content_type}\r\nContent-Length: 100\r\n\r\nabc".encode())
    for _ in range(10):
        assert call.post(QUERY).status == 200
    assert not caplog.records


def test_other_paths_and_methods(call: Caller) -> None:
    """Other paths get status 404, other methods 405, with a body of the same form."""
    assert call.http("POST", "/").status == 404
    assert call.http("POST", "/").code == "NOT_FOUND"
    for method in ("PUT", "DELETE", "OPTIONS", "PATCH"):
        response = call.http(method, "/graphql")
        assert (response.status, response.headers["Allow"]) == (405, "GET,HEAD,POST")


def get(call: Caller, query: str, **headers: str) -> Any:
    headers = {"Authorization": f"Bearer {call.server.api_key}"} | headers
    return call.http("GET", f"/graphql?{query}", None, headers)


def test_get(call: Caller) -> None:
    """GET executes an authenticated query from the URL, with variables as JSON, but no mutation."""
    id_ = call.create()
    query = quote("query ($id: UUID!) { deployment(id: $id) { id } }")
    variables = quote(json.dumps({"id": id_}))
    assert get(call, f"query={query}&variables={variables}&unknown=1").data == {"deployment": {"id": id_}}
    assert get(call, f"query={query}&variables={variables}", Authorization="Bearer x").status == 401
    mutation = quote(f'mutation {{ deleteDeployment(input: {{id: "{id_}"}}) {{ deployment {{ id }} }} }}')
    for accept in (JSON, GRAPHQL):
        rejected = get(call, f"query={mutation}", Accept=accept)
        assert (rejected.status, rejected.headers["Allow"], rejected.code) == (405, "POST", "BAD_USER_INPUT")
    assert call(QUERY["query"]).data == {"deployments": {"nodes": [{"id": id_}]}}


def test_nothing_is_cached(call: Caller, server: LocalServer) -> None:
    """No response may be cached, also no error: by GET, a proxy could send a list to another caller, or an old one."""
    key = {"Authorization": f"Bearer {server.api_key}"}
    for method, path, headers, status in (
        ("GET", "/graphql?query={__typename}", key, 200),
        ("GET", "/graphql?query={__typename}", {}, 401),
        ("PUT", "/graphql", {}, 405),
        ("GET", "/healthz", {}, 200),
        ("GET", "/unknown", {}, 404),
    ):
        response = call.http(method, path, None, headers)
        assert (response.status, response.headers["Cache-Control"]) == (status, "no-store")
    page = urllib.request.Request(server.url, headers={"Accept": "text/html"})
    with urllib.request.urlopen(page) as response:
        assert response.headers["Cache-Control"] == "no-store"
    assert (
        call.http("GET", f"/endpoints/{call.create()}").headers["Cache-Control"] is None
    )  # a model decides for itself


@pytest.mark.parametrize(
    "query",
    [
        "",
        "a=b",
        "query={__typename}&query={__typename}",
        "query={__typename}&variables={",
        "variables={}",
        "query={__typename}&variables=[]",
        "query={__typename}&extensions=1",
        "query={__typename}&variables=%ff",
    ],
)
def test_invalid_urls(call: Caller, query: str) -> None:
    """A URL without a valid GraphQL request gets status 400."""
    response = get(call, query)
    assert (response.status, response.code) == (400, "BAD_USER_INPUT")


def test_page_for_browsers(call: Caller, server: LocalServer) -> None:
    """A browser gets an HTML page with the API URL and working examples, without the API key."""
    headers = {"Accept": "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"}
    with urllib.request.urlopen(urllib.request.Request(server.url, headers=headers)) as response:
        page = response.read().decode()
        assert response.headers["Content-Type"] == "text/html; charset=utf-8"
    for words in (f"export PAPERSPACE_API_URL={server.url}", "export PAPERSPACE_API_KEY=KEY", f"curl {server.url}"):
        assert words in page
    assert "Deployments are simulated; no containers run." in page
    assert server.api_key not in page
    # What the page says works: the command, with the key put in its place.
    command = html.unescape(page[page.index("curl ") : page.index("</pre>", page.index("curl "))])
    arguments = shlex.split(command.replace("KEY", server.api_key).replace("\\\n", ""))
    assert arguments[6] == "-d"
    assert call.post(arguments[7].encode()).data == {"deployments": {"nodes": []}}
    assert get(call, "query={__typename}", Accept=headers["Accept"]).data == {"__typename": "Query"}


def test_batches_are_rejected(call: Caller) -> None:
    """Batches of requests are rejected."""
    assert call.post(json.dumps([QUERY, QUERY]).encode()).status == 400


def test_date_header(call: Caller, clock: Clock) -> None:
    """The Date header has the same clock as the rows, so that clients can compute their age."""
    clock.forward(days=1)
    response = call.post(QUERY)
    assert parsedate_to_datetime(response.headers["Date"]) == clock.moment
    assert parsedate_to_datetime(call.http("POST", "/").headers["Date"]) == clock.moment


def test_text_of_any_script(call: Caller) -> None:
    """Text of any script is stored and returned unchanged."""
    name = "héé 模型 \U0001f600 שלום"
    call.create(name)
    assert call("{ deployments { nodes { name } } }").data["deployments"]["nodes"] == [{"name": name}]
