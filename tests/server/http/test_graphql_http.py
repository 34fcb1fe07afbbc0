"""GraphQL over HTTP: who may ask, what a request is, and which status and media type the response has."""

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
def test_only_the_key_opens(call: Caller, server: LocalServer, value: Any) -> None:
    """Without the key, in its header and scheme, there is a 401 of one form, and nothing of the body is looked at."""
    value = value and value.replace("KEY", server.api_key)
    response = call.post(b"not even JSON", Authorization=value and value.encode("latin-1"))
    assert response.status == 401
    assert response.code == "UNAUTHENTICATED"
    assert response.headers["WWW-Authenticate"] == "Bearer"
    assert server.api_key not in str(response.body)


def test_the_scheme_is_written_in_any_case(call: Caller, server: LocalServer) -> None:
    """The name of the scheme is not case-sensitive; the key is."""
    assert call.post(QUERY, Authorization=f"bEARER {server.api_key}").status == 200
    assert call.post(QUERY, Authorization=f"Bearer {server.api_key.swapcase()}").status == 401


def test_two_keys_are_none(server: LocalServer) -> None:
    """Two Authorization headers are refused, though one of them is right."""
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
def test_what_is_no_request_is_a_400(call: Caller, body: bytes, media_type: str | None) -> None:
    """A body that is no GraphQL request is a 400 with an error, whatever the media type of the response."""
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
def test_what_may_be_null_or_left_out(call: Caller, more: Any) -> None:
    """Variables, operationName and extensions may be null; what is not known is ignored."""
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
def test_bodies_are_json(call: Caller, content_type: str | None, status: int) -> None:
    """Only JSON in UTF-8 is taken for a request: what a web page can send without being asked is not."""
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
def test_the_reply_has_the_media_type_that_is_liked_best(accept: list[str], media_type: str | None) -> None:
    """Of the two media types the one with the higher quality is chosen, application/json without a preference."""
    assert negotiate(accept) == media_type


def test_media_types_on_the_wire(call: Caller) -> None:
    """The chosen media type and UTF-8 are what the response says; what cannot be pleased is a 406."""
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
def test_refused_documents(call: Caller, payload: Json) -> None:
    """A bad document or variable is a 200 in application/json, a 400 in the newer type, and has no data in either."""
    for media_type, status in ((JSON, 200), (GRAPHQL, 400)):
        response = call.post(payload, Accept=media_type)
        assert (response.status, "data" in response.body) == (status, False)
        assert response.error["message"]


def test_executed_requests_are_200(call: Caller) -> None:
    """An operation that was executed is a 200 in both types, errors in fields included."""
    create = "mutation ($i: CreateDeploymentInput!) { createDeployment(input: $i) { deployment { id } } }"
    payload = {"query": create, "variables": {"i": {"name": "", "projectId": "p", "spec": call.SPEC}}}
    for media_type in (JSON, GRAPHQL):
        assert call.post(QUERY, Accept=media_type).status == 200
        response = call.post(payload, Accept=media_type)
        assert (response.status, response.body["data"]) == (200, None)


@pytest.mark.parametrize("packed", [False, True])
def test_bodies_have_a_limit(call: Caller, packed: bool) -> None:
    """A body over 1 MiB is a 413, unpacked size counting; one below is not."""
    fits, large = (json.dumps({**QUERY, "extensions": {"x": "x" * size}}).encode() for size in (1_000_000, 1_100_000))
    pack = gzip.compress if packed else bytes
    headers = {"Content_Encoding": "gzip"} if packed else {}
    assert call.post(pack(fits), **headers).status == 200
    response = call.post(pack(large), **headers)
    assert (response.status, response.code) == (413, "BAD_USER_INPUT")


def test_a_body_that_cannot_be_unpacked_is_a_400(call: Caller) -> None:
    """A body that is not packed as it says is the caller's mistake, and no fault of the server."""
    response = call.post(b"no gzip", Content_Encoding="gzip")
    assert (response.status, response.code) == (400, "BAD_USER_INPUT")


def test_a_caller_that_goes_away_is_no_fault(
    server: LocalServer, call: Caller, caplog: pytest.LogCaptureFixture
) -> None:
    """A caller that goes away in the middle of its body leaves no trace in the log, and the server goes on."""
    host, port = server.url.split("/")[2].split(":")
    with socket.create_connection((host, int(port))) as connection:
        head = f"POST /graphql HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {server.api_key}\r\n"
        connection.sendall(f"{head}Content-Type: {JSON}\r\nContent-Length: 100\r\n\r\nabc".encode())
    for _ in range(10):
        assert call.post(QUERY).status == 200
    assert not caplog.records


def test_other_paths_and_methods(call: Caller) -> None:
    """Everything else is a 404 or 405, with a body of the same form."""
    assert call.http("POST", "/").status == 404
    assert call.http("POST", "/").code == "NOT_FOUND"
    for method in ("PUT", "DELETE", "OPTIONS", "PATCH"):
        response = call.http(method, "/graphql")
        assert (response.status, response.headers["Allow"]) == (405, "GET,POST")


def get(call: Caller, query: str, **headers: str) -> Any:
    headers = {"Authorization": f"Bearer {call.server.api_key}"} | headers
    return call.http("GET", f"/graphql?{query}", None, headers)


def test_reading_by_get(call: Caller) -> None:
    """A query may come in the URL, with its variables as JSON, from those who have the key; a mutation may not."""
    id_ = call.create()
    query = quote("query ($id: UUID!) { deployment(id: $id) { id } }")
    variables = quote(json.dumps({"id": id_}))
    assert get(call, f"query={query}&variables={variables}&unknown=1").data == {"deployment": {"id": id_}}
    assert get(call, f"query={query}&variables={variables}", Authorization="Bearer x").status == 401
    mutation = quote(f'mutation {{ deleteDeployment(input: {{id: "{id_}"}}) {{ deployment {{ id }} }} }}')
    for accept in (JSON, GRAPHQL):
        refused = get(call, f"query={mutation}", Accept=accept)
        assert (refused.status, refused.headers["Allow"], refused.code) == (405, "POST", "BAD_USER_INPUT")
    assert call(QUERY["query"]).data == {"deployments": {"nodes": [{"id": id_}]}}


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
def test_urls_that_are_no_request(call: Caller, query: str) -> None:
    """A URL that holds no GraphQL request is a 400."""
    response = get(call, query)
    assert (response.status, response.code) == (400, "BAD_USER_INPUT")


def test_a_browser_gets_a_page(call: Caller, server: LocalServer) -> None:
    """A browser is told in plain HTML what this is, the address, how to call it, and what to export; never the key."""
    headers = {"Accept": "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"}
    with urllib.request.urlopen(urllib.request.Request(server.url, headers=headers)) as response:
        page = response.read().decode()
        assert response.headers["Content-Type"] == "text/html; charset=utf-8"
    for words in (f"export PAPERSPACE_API_URL={server.url}", "export PAPERSPACE_API_KEY=KEY", f"curl {server.url}"):
        assert words in page
    assert "simulated" in page
    assert server.api_key not in page
    # What the page says works: the command, with the key put in its place.
    command = html.unescape(page[page.index("curl ") : page.index("</pre>", page.index("curl "))])
    arguments = shlex.split(command.replace("KEY", server.api_key).replace("\\\n", ""))
    assert arguments[6] == "-d"
    assert call.post(arguments[7].encode()).data == {"deployments": {"nodes": []}}
    assert get(call, "query={__typename}", Accept=headers["Accept"]).data == {"__typename": "Query"}


def test_batches_are_refused(call: Caller) -> None:
    """Several requests in one body are refused."""
    assert call.post(json.dumps([QUERY, QUERY]).encode()).status == 400


def test_the_date_is_that_of_the_rows(call: Caller, clock: Clock) -> None:
    """The Date of a response is read from the clock that stamps the rows, so that their age can be told."""
    clock.forward(days=1)
    response = call.post(QUERY)
    assert parsedate_to_datetime(response.headers["Date"]) == clock.moment
    assert parsedate_to_datetime(call.http("POST", "/").headers["Date"]) == clock.moment


def test_characters_of_all_planes(call: Caller) -> None:
    """Text of any script goes in and comes out as it is."""
    name = "héé 模型 \U0001f600 שלום"
    call.create(name)
    assert call("{ deployments { nodes { name } } }").data["deployments"]["nodes"] == [{"name": name}]
