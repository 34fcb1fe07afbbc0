"""The playground sends one request, to the endpoint of its deployment alone, and returns what it got as text."""

from __future__ import annotations

import asyncio
import codecs
import shlex
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from yarl import URL

from paperspace.gradient import AsyncClient, InvalidArgumentError
from paperspace.gradient.console import playground
from paperspace.gradient.console.calls import Arguments
from paperspace.gradient.console.deployment_actions import ACTIONS
from paperspace.gradient.server import LocalServer

pytestmark = pytest.mark.anyio

ENDPOINT = "http://127.0.0.1:8601/d1"
SCRIPT = "<script>document.title = 'changed'</script>"


FIXED: dict[str, Any] = {
    "script": {"text": SCRIPT, "content_type": "text/html"},
    "large": {"body": b"x" * (playground.MAX_BYTES + 5)},
    "binary": {"body": b"\x89PNG\0\0"},
    "punycode": {"body": b"mnchen-3ya", "headers": {"Content-Type": "text/plain; charset=punycode"}},
    "latin-1": {"body": b"m\xfcnchen", "headers": {"Content-Type": "text/plain; charset=latin-1"}},
    "utf-16": {"body": "münchen".encode("utf-16"), "headers": {"Content-Type": "text/plain; charset=UTF-16"}},
    "bomb": {"body": b"\x1f\x8b not unpacked", "headers": {"Content-Encoding": "gzip"}},
}


class Model:
    """A server behind an endpoint, which records the requests that it gets."""

    def __init__(self) -> None:
        self.requests: list[tuple[str, str, dict[str, str], str]] = []
        self.stopped = asyncio.Event()

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """Respond as the last part of the path says."""
        self.requests.append((request.method, request.path_qs, dict(request.headers), await request.text()))
        name = request.path.rpartition("/")[2]
        if name in FIXED:
            return web.Response(**FIXED[name])
        if name == "elsewhere":
            raise web.HTTPFound(request.query["to"])
        if name == "endless":
            return await self.write(request, lambda: asyncio.sleep(0))
        if name == "slow":
            return await self.write(request, self.stopped.wait)
        return web.json_response({"received": await request.text()}, headers={"X-Seen": request.method})

    async def write(self, request: web.Request, pause: Callable[[], Awaitable[object]]) -> web.StreamResponse:
        """Write a response until the end, or until the client is gone."""
        response = web.StreamResponse()
        await response.prepare(request)
        with suppress(ConnectionError):
            while not self.stopped.is_set():
                await response.write(b"x" * 65536)
                await pause()
        return response


@pytest.fixture
async def model() -> AsyncIterator[tuple[Model, str]]:
    """A model, and its URL with a path, as that of an endpoint."""
    model = Model()
    app = web.Application(client_max_size=4 * playground.MAX_BYTES)
    app.router.add_route("*", "/{path:.*}", model.handle)
    server = TestServer(app)
    await server.start_server()
    try:
        yield model, str(server.make_url("/d1"))
    finally:
        model.stopped.set()
        await server.close()


def request(
    endpoint: str = ENDPOINT, path: str = "/", method: str = "GET", **arguments: Any
) -> playground.EndpointRequest:
    return playground.build_request(endpoint, Arguments(method=method, path=path, **arguments))


@pytest.mark.parametrize(
    "path",
    [
        "/../d2/",
        "/..",
        "/%2e%2e/d2",
        "/%2E./d2",
        "/a/../../d2",
        "/./../d2/",
        "@other.example/",
        ":80@other.example/",
        "http://other.example/",
        "",
        "other",
        ".other.example/",
        "\\..\\d2",
    ],
)
def test_a_path_cannot_leave_the_endpoint(path: str) -> None:
    """A path that names another host, or climbs to another deployment, is refused."""
    with pytest.raises(InvalidArgumentError):
        request(path=path)


@pytest.mark.parametrize("path", ["@other.example/", ":80@other.example/", ".other.example/", "/a/../../b"])
def test_a_path_cannot_change_the_host(path: str) -> None:
    """An endpoint with a host of its own has no path to stay in: its host remains."""
    with suppress(InvalidArgumentError):
        assert request("https://d1.example", path).url.origin() == URL("https://d1.example")


@pytest.mark.parametrize(
    ("path", "url"),
    [
        ("/", "http://127.0.0.1:8601/d1/"),
        ("/v1/models?x=1&y=a b", "http://127.0.0.1:8601/d1/v1/models?x=1&y=a+b"),
        ("//other.example/", "http://127.0.0.1:8601/d1//other.example/"),
        ("/http://other.example/", "http://127.0.0.1:8601/d1/http://other.example/"),
        ("/a/../b#part", "http://127.0.0.1:8601/d1/b"),
        ("/größe", "http://127.0.0.1:8601/d1/gr%C3%B6%C3%9Fe"),
    ],
)
def test_a_path_continues_the_endpoint(path: str, url: str) -> None:
    """Whatever else a path has, the URL begins with that of the endpoint."""
    assert str(request(path=path).url).replace("%20", "+") == url


@pytest.mark.parametrize(
    "header", ["Host: d2.localhost", "host : x", "Connection: close", "Content-Length: 1", "Transfer-Encoding: chunked"]
)
def test_headers_that_choose_the_way_are_refused(header: str) -> None:
    """With another host, the gateway would send the request to another deployment."""
    with pytest.raises(InvalidArgumentError):
        request(headers=header)


@pytest.mark.parametrize("header", ["no colon", "Two words: x", ": x", "A: b\rHost: x", "A: \x00"])
def test_invalid_headers_are_refused(header: str) -> None:
    """A header cannot contain a second one."""
    with pytest.raises(InvalidArgumentError, match="invalid header"):
        request(headers=header)


@pytest.mark.parametrize(
    "arguments",
    [{"method": "TRACE"}, {"method": "GET /\r\n"}, {"login": "user"}, {"body": "x" * (playground.MAX_BYTES + 1)}],
)
def test_other_invalid_arguments_are_refused(arguments: dict[str, Any]) -> None:
    """Methods are those of the list, and the body has a bound."""
    with pytest.raises(InvalidArgumentError):
        request(**arguments)


async def test_a_request_arrives_as_it_was_written(model: tuple[Model, str]) -> None:
    """Method, path, headers, login and body arrive, and the response is returned with its time and size."""
    received, endpoint = model
    response = await playground.send(
        request(endpoint, "/v1?x=1", "POST", headers="X-One: 1\nX-Two: 2", body='{"a": "ü"}', login="user:word")
    )
    [(method, path, headers, body)] = received.requests
    assert (method, path, body) == ("POST", "/d1/v1?x=1", '{"a": "ü"}')
    assert headers["X-One"] == "1"
    assert headers["X-Two"] == "2"
    assert headers["Authorization"] == "Basic dXNlcjp3b3Jk"
    assert headers["Content-Type"] == "application/json"
    assert response["status"] == 200
    assert ["X-Seen", "POST"] in [list(header) for header in response["headers"]]
    assert response["size"] == len(response["body"].encode())
    assert response["seconds"] > 0
    assert not response["truncated"]


async def test_a_redirect_is_shown_and_not_followed(model: tuple[Model, str]) -> None:
    """A response cannot make the console send a request elsewhere."""
    received, endpoint = model
    response = await playground.send(request(endpoint, f"/elsewhere?to={endpoint}/other"))
    assert response["status"] == 302
    assert dict(response["headers"])["Location"].endswith("/other")
    assert len(received.requests) == 1


async def test_the_environment_adds_nothing(
    model: tuple[Model, str], monkeypatch: pytest.MonkeyPatch, tmp_path: Any
) -> None:
    """Neither a proxy of the environment is used, nor a password of .netrc sent."""
    received, endpoint = model
    (tmp_path / "netrc").write_text("machine 127.0.0.1 login user password word\n")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    response = await playground.send(request(endpoint))
    assert response["status"] == 200
    assert "Authorization" not in received.requests[0][2]


async def test_a_response_is_text(model: tuple[Model, str]) -> None:
    """A script in a response is returned as it is, in JSON; bytes that are not text are not returned."""
    _, endpoint = model
    assert (await playground.send(request(endpoint, "/script")))["body"] == SCRIPT
    assert (await playground.send(request(endpoint, "/binary")))["body"] is None


async def test_a_response_chooses_only_a_linear_codec(model: tuple[Model, str]) -> None:
    """A charset whose codec takes a time that grows with the square of the text, such as punycode, is read as UTF-8."""
    _, endpoint = model
    assert (await playground.send(request(endpoint, "/punycode")))["body"] == "mnchen-3ya"
    assert (await playground.send(request(endpoint, "/latin-1")))["body"] == "münchen"
    assert (await playground.send(request(endpoint, "/utf-16")))["body"] == "münchen"


@pytest.mark.parametrize("charset", ["utf-8", "shift_jis", "utf-16-le", "gb18030"])
def test_a_text_is_decoded_in_pieces(charset: str) -> None:
    """A character at the border of two pieces is complete, and one that the text cuts is replaced."""
    text = "x" + "日" * playground._PIECE
    assert playground._text(text.encode(charset), charset) == text
    assert playground._text(text.encode(charset)[:-1], charset) == text[:-1] + "\N{REPLACEMENT CHARACTER}"


def test_each_codec_has_the_name_that_python_gives_it() -> None:
    """With another name, a codec of the list would never be used."""
    assert {codecs.lookup(name).name for name in playground.CODECS} == playground.CODECS


async def test_a_large_response_is_cut(model: tuple[Model, str]) -> None:
    """Only the first bytes are read, and the response says so. What is compressed stays compressed."""
    _, endpoint = model
    response = await playground.send(request(endpoint, "/large"))
    assert response["truncated"]
    assert response["size"] == len(response["body"]) == playground.MAX_BYTES
    assert (await playground.send(request(endpoint, "/endless")))["truncated"]
    assert (await playground.send(request(endpoint, "/bomb")))["size"] == len(b"\x1f\x8b not unpacked")


async def test_a_slow_response_ends(model: tuple[Model, str], monkeypatch: pytest.MonkeyPatch) -> None:
    """A response that does not end is a failure after the timeout."""
    _, endpoint = model
    monkeypatch.setattr(playground, "TIMEOUT", 0.2)
    response = await playground.send(request(endpoint, "/slow"))
    assert response["failure"] == "The response was not complete after 0 s."


async def test_no_connection_is_a_failure() -> None:
    """Without a connection, the reason is returned."""
    response = await playground.send(request("http://127.0.0.1:9"))
    assert "Cannot connect" in response["failure"]
    assert "status" not in response


async def test_the_endpoint_is_that_of_the_server(server: LocalServer, aclient: AsyncClient) -> None:
    """The action takes the URL from the status of the deployment, and ignores any that the page passes."""
    created = await aclient.deployments.create_deployment("mnist", "p1", {"image": "nginx"}, wait=True)
    other = {"url": "http://127.0.0.1:9/", "endpointUrl": "http://127.0.0.1:9/", "endpoint_url": "http://127.0.0.1:9/"}
    arguments = Arguments(id=created["id"], method="GET", path="/v1", **other)
    response: Any = await ACTIONS["send-request"](aclient, arguments)
    assert (response["status"], '"name": "mnist"' in response["body"]) == (200, True)
    code: Any = await ACTIONS["request-code"](aclient, arguments)
    assert f"{server.url.removesuffix('/graphql')}" in code["curl"]
    assert "127.0.0.1:9/" not in code["curl"] + code["python"]


BODY = """{"text": "it's $HOME `id` \\\\ @file"}"""


@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_the_python_code_sends_the_same_request(model: tuple[Model, str], method: str) -> None:
    """The Python code arrives as the request of the console does."""
    received, endpoint = model
    sent = request(
        endpoint, "/v1?x=%27", method, headers="X-One: it's", body=BODY if method == "POST" else "", login="user:word"
    )
    await playground.send(sent)
    child = await asyncio.create_subprocess_exec(
        sys.executable, "-c", playground.as_python(sent), stdout=subprocess.PIPE
    )
    output, _ = await child.communicate()
    assert output.startswith(b"200 ")
    first, second = received.requests
    assert first[:2] == second[:2]
    assert first[3] == second[3]
    for name in ("X-One", "Authorization", *(["Content-Type"] if method == "POST" else [])):
        assert first[2][name] == {key.title(): value for key, value in second[2].items()}[name]


def test_the_curl_command_has_the_request() -> None:
    """A shell splits the command into the arguments of curl, with all quotes as they were written."""
    sent = request(path="/v1?x=%27", method="POST", headers="X-One: it's", body=BODY, login="user:it's")
    words = shlex.split(playground.as_curl(sent).replace("\\\n", ""))
    assert words == [
        *("curl", "--include", "--request", "POST", str(sent.url), "--user", "user:it's"),
        *("--header", "X-One: it's", "--header", "Content-Type: application/json", "--data-raw", BODY),
    ]
    assert "--head" in playground.as_curl(request(method="HEAD"))
