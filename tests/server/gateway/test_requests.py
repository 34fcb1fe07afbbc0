"""What clients of endpoints receive, through a real Envoy."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from io import BytesIO
from urllib.parse import urlsplit

import pytest
from tests.server.gateway.site import LONG, Replica, Visitor, visiting

from paperspace.gradient.server.controller.gateway import Target
from paperspace.gradient.server.gateway import listener as listener_module
from paperspace.gradient.server.gateway.address import endpoint_url
from paperspace.gradient.server.gateway.gateway import EnvoyGateway

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize(
    ("path", "received"),
    [
        ("/endpoints/x", "/"),
        ("/endpoints/x/", "/"),
        ("/endpoints/x?a=1", "/?a=1"),
        ("/endpoints/x/?a=1", "/?a=1"),
        ("/endpoints/x/v1/models?a=1&b=%2F", "/v1/models?a=1&b=%2F"),
        ("/endpoints/x/a%2Fb", "/a%2Fb"),
        ("/endpoints/x//a//b", "//a//b"),
        ("/endpoints/x/a/../b/./c", "/a/../b/./c"),
        ("/endpoints/x/endpoints/x/", "/endpoints/x/"),
    ],
)
async def test_path(gateway: EnvoyGateway, visitor: Visitor, replicas: list[Replica], path: str, received: str) -> None:
    """The path of the endpoint is removed, and the rest of the URL stays as it is, byte for byte."""
    await gateway.route("x", "a", replicas[0].target)
    host, port = visitor.url("").removeprefix("http://").split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    writer.write(f"GET {path} HTTP/1.1\r\nHost: example\r\nConnection: close\r\n\r\n".encode())
    response = (await reader.read()).decode()
    writer.close()
    assert f'"path": "{received}"' in response
    assert '"x-forwarded-prefix": "/endpoints/x"' in response
    assert "x-envoy" not in response.lower()


@pytest.mark.parametrize(
    "host",
    [
        *("dx.localhost", "dx.localhost:8601", "DX.LOCALHOST", "dx.models.example.com:443"),
        *("dx.models.example.com.", "dx.localhost.:8601"),
    ],
)
async def test_host(new_gateway: Callable[..., EnvoyGateway], replicas: list[Replica], host: str) -> None:
    """A host of the endpoint leads to the container with the whole path, in any case, with any port, and with a dot at its end."""
    gateway = new_gateway(domain="models.example.com")
    await gateway.open()
    await gateway.route("x", "a", replicas[0].target)
    async with visiting(gateway) as visitor:
        url = f"http://127.0.0.1:{gateway._port}/endpoints/x/a?b=1"
        async with visitor.session.get(url, headers={"Host": host}) as response:
            body = await response.json()
    assert (body["path"], body["headers"]["Host"]) == ("/endpoints/x/a?b=1", host)
    assert "x-forwarded-prefix" not in body["headers"]


async def test_domain_localhost(new_gateway: Callable[..., EnvoyGateway], replicas: list[Replica]) -> None:
    """The domain can be localhost, in which endpoints have a host anyway."""
    gateway = new_gateway(domain="LocalHost")
    await gateway.open()
    await gateway.route("x", "a", replicas[0].target)
    async with visiting(gateway) as visitor:
        url = f"http://127.0.0.1:{gateway._port}/"
        async with visitor.session.get(url, headers={"Host": "dx.localhost"}) as response:
            assert (await response.json())["name"] == "a"


def test_url_of_a_host() -> None:
    """Messages show the host of an endpoint with `ID` in place of an id, and the domain in lower case."""
    url = endpoint_url("ID", "0.0.0.0", 443, "Models.Example.com", tls=True)
    assert url == "https://dID.models.example.com"


@pytest.mark.parametrize("path", ["/", "/endpoints/y/", "/endpoints/xy/", "/endpoints/", "/graphql"])
async def test_unknown_deployment(gateway: EnvoyGateway, visitor: Visitor, path: str) -> None:
    """Where no deployment is, the gateway responds with 404, in the form of the errors of our API."""
    await gateway.expose("x")
    status, body = await visitor.send(path)
    assert status == 404
    assert body["errors"][0]["extensions"] == {"code": "NOT_FOUND"}


async def test_no_ready_replica(gateway: EnvoyGateway, visitor: Visitor, replicas: list[Replica]) -> None:
    """Without a routed replica, the gateway responds with 503, and says when to try again."""
    await gateway.expose("x")
    for _ in range(2):  # before the first replica, and after the last one
        async with visitor.session.get(visitor.url("/endpoints/x/")) as response:
            body = await response.json()
            assert (response.status, response.headers["Retry-After"]) == (503, "1")
            assert body["errors"][0]["message"] == "no replica of this deployment is ready"
            assert body["errors"][0]["extensions"] == {"code": "SERVICE_UNAVAILABLE"}
        await gateway.route("x", "a", replicas[0].target)
        assert await visitor.name() == "a"
        await gateway.unroute("x", "a")


@pytest.mark.parametrize("status", [404, 500, 502, 503, 504])
async def test_error_of_the_application(
    gateway: EnvoyGateway, visitor: Visitor, replicas: list[Replica], status: int
) -> None:
    """An error response of the application stays as it is, and its request is not sent twice."""
    await gateway.route("x", "a", replicas[0].target)
    async with visitor.session.get(visitor.url(f"/endpoints/x/?status={status}")) as response:
        assert (response.status, (await response.json())["name"]) == (status, "a")
        assert "Retry-After" not in response.headers
    assert replicas[0].received == 1


@pytest.mark.parametrize(
    "header",
    [
        {"x-envoy-upstream-rq-timeout-ms": "1"},
        {"x-envoy-retry-on": "5xx", "x-envoy-max-retries": "3"},
        {"x-envoy-expected-rq-timeout-ms": "1"},
        {"x-envoy-decorator-operation": "a"},
    ],
)
async def test_headers_for_envoy(
    gateway: EnvoyGateway, visitor: Visitor, replicas: list[Replica], header: dict[str, str]
) -> None:
    """A client cannot change what Envoy does with a request."""
    await gateway.route("x", "a", replicas[0].target)
    query = "?seconds=0.1&status=503"
    async with visitor.session.get(visitor.url(f"/endpoints/x/{query}"), headers=header) as response:
        assert (response.status, (await response.json())["name"]) == (503, "a")
    assert replicas[0].received == 1


@pytest.mark.parametrize(
    ("domain", "header", "expected"),
    [
        ("models.example.com", {"X-Forwarded-Proto": "https"}, "https"),
        ("models.example.com", {}, "http"),
        (None, {"X-Forwarded-Proto": "https"}, "http"),
    ],
)
async def test_protocol_of_the_client(
    new_gateway: Callable[..., EnvoyGateway],
    replicas: list[Replica],
    domain: str | None,
    header: dict[str, str],
    expected: str,
) -> None:
    """A container gets the protocol of the client from the proxy in front of the gateway. Without one, no client can set it."""
    gateway = new_gateway(domain=domain)
    await gateway.open()
    await gateway.route("x", "a", replicas[0].target)
    url = f"http://127.0.0.1:{gateway._port}/endpoints/x/"
    received = {"X-Forwarded-For": "192.0.2.7", "X-Envoy-Max-Retries": "9", **header}
    async with visiting(gateway) as visitor, visitor.session.get(url, headers=received) as response:
        headers = {name.lower(): value for name, value in (await response.json())["headers"].items()}
    assert headers["x-forwarded-proto"] == expected
    assert headers["x-forwarded-for"].startswith("192.0.2.7,")
    assert not [name for name in headers if name.startswith("x-envoy")]


@pytest.mark.parametrize(("fields", "size", "status"), [(80, 10, 200), (8, 7000, 200), (100, 10, 431), (9, 7000, 431)])
async def test_large_headers(
    gateway: EnvoyGateway, visitor: Visitor, replicas: list[Replica], fields: int, size: int, status: int
) -> None:
    """The headers of a request can have 100 fields and 60 KiB, as the docs say."""
    await gateway.route("x", "a", replicas[0].target)
    headers = {f"x-{number}": "a" * size for number in range(fields)}
    async with visitor.session.get(visitor.url("/endpoints/x/"), headers=headers) as response:
        assert response.status == status


@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_replica_that_is_gone(
    gateway: EnvoyGateway, visitor: Visitor, replicas: list[Replica], method: str, unused_port: int
) -> None:
    """While one of two replicas does not accept connections, no request is lost: the other one gets them."""
    await gateway.route("x", "gone", Target(unused_port, "http"))
    await gateway.route("x", "a", replicas[0].target)
    body = b"x" * 100_000 if method == "POST" else None
    assert {await visitor.name(method=method, data=body) for _ in range(20)} == {"a"}


async def test_only_replica_is_gone(gateway: EnvoyGateway, visitor: Visitor, unused_port: int) -> None:
    """If no replica accepts connections, the gateway responds with 503, and says when to try again."""
    await gateway.route("x", "gone", Target(unused_port, "http"))
    async with visitor.session.get(visitor.url("/endpoints/x/")) as response:
        assert (response.status, response.headers["Retry-After"]) == (503, "1")
        assert (await response.json())["errors"][0]["extensions"] == {"code": "SERVICE_UNAVAILABLE"}


@pytest.mark.parametrize(("method", "attempts"), [("POST", 1), ("GET", 5)])
async def test_replica_that_ends_during_a_request(
    gateway: EnvoyGateway, visitor: Visitor, method: str, attempts: int
) -> None:
    """A request that a replica has received is sent again only if its method is safe; the response has status 502."""
    received = 0

    async def close(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal received
        await reader.readuntil(b"\r\n\r\n")
        received += 1
        writer.close()

    server = await asyncio.start_server(close, "127.0.0.1", 0)
    async with server:
        await gateway.route("x", "a", Target(server.sockets[0].getsockname()[1], "http"))
        async with visitor.session.request(method, visitor.url("/endpoints/x/")) as response:
            body = await response.json()
    assert (response.status, received) == (502, attempts)
    assert "Retry-After" not in response.headers
    assert body["errors"][0]["message"] == "the connection to the replica was lost before it responded"


async def test_websocket(gateway: EnvoyGateway, visitor: Visitor, replicas: list[Replica]) -> None:
    """A WebSocket works by path."""
    await gateway.route("x", "a", replicas[0].target)
    async with visitor.session.ws_connect(visitor.url("/endpoints/x/ws")) as socket:
        await socket.send_str("hello")
        assert await socket.receive_str() == "a hello"


async def test_http_1_0(gateway: EnvoyGateway, visitor: Visitor, replicas: list[Replica]) -> None:
    """A client with HTTP/1.0 gets a response, such as `ab`, or nginx in front of the gateway."""
    await gateway.route("x", "a", replicas[0].target)
    host, port = visitor.url("").removeprefix("http://").split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    writer.write(b"GET /endpoints/x/ HTTP/1.0\r\n\r\n")
    assert b" 200 OK\r\n" in await reader.read()
    writer.close()


async def test_slow_client(
    new_gateway: Callable[..., EnvoyGateway], replicas: list[Replica], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A client that does not send the headers of a request in time is disconnected. The body can take longer."""
    monkeypatch.setattr(listener_module, "HEADERS_TIMEOUT", "0.5s")
    gateway = new_gateway()
    await gateway.open()
    await gateway.route("x", "a", replicas[0].target)
    host, port = urlsplit(gateway.endpoint_url("x")).netloc.split(":")

    async def send(before: bytes, after: bytes) -> bytes:
        reader, writer = await asyncio.open_connection(host, int(port))
        writer.write(b"POST /endpoints/x/ HTTP/1.1\r\nHost: g\r\nConnection: close\r\nContent-Length: 2\r\n" + before)
        sending = asyncio.get_running_loop().call_later(1, writer.write, after)
        async with asyncio.timeout(LONG):
            status = await reader.readline()
        sending.cancel()
        writer.close()
        return status

    assert (await send(b"", b"\r\nab")).startswith(b"HTTP/1.1 408 ")
    assert (await send(b"\r\na", b"b")).startswith(b"HTTP/1.1 200 ")


async def test_large_body(gateway: EnvoyGateway, visitor: Visitor, replicas: list[Replica]) -> None:
    """A body of 20 MB arrives whole."""
    await gateway.route("x", "a", replicas[0].target)
    _, body = await visitor.send("/endpoints/x/", "POST", data=BytesIO(b"x" * 20_000_000))
    assert body["size"] == 20_000_000
