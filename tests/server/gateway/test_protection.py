"""Protected endpoints, through a real Envoy: who gets in, what the container sees, and changes under load."""

from __future__ import annotations

import asyncio
import base64
import os
import signal
import stat
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path

import grpc
import pytest
from aiohttp import WSServerHandshakeError
from tests.server.gateway.site import Replica, Visitor, asking, visiting
from tests.server.gateway.test_http2 import calling, exchange, grpc_replica

from paperspace.gradient.server.controller.gateway import GatewayUnavailableError
from paperspace.gradient.server.gateway import gateway as gateway_module
from paperspace.gradient.server.gateway.files import Files
from paperspace.gradient.server.gateway.gateway import EnvoyGateway
from paperspace.gradient.server.gateway.resources import Resource
from paperspace.gradient.server.gateway.routing import NO_PASSWORD
from paperspace.gradient.server.protection import MAX_LENGTH, Access, digest_of

pytestmark = pytest.mark.anyio

PASSWORD = "a password of many characters"
ACCESS = Access(digest_of(PASSWORD.encode()))
UNKNOWN = Access(None)


def basic(password: str = PASSWORD, user: str = "gradient") -> str:
    """Return the header of a request."""
    return f"Basic {base64.b64encode(f'{user}:{password}'.encode()).decode()}"


def authorized(password: str = PASSWORD) -> dict[str, str]:
    return {"Authorization": basic(password)}


@pytest.mark.parametrize(
    "header",
    [
        None,
        "",
        "Basic",
        "Basic !",
        f"Bearer {PASSWORD}",
        basic("wrong"),
        basic(""),
        basic(PASSWORD[:-1]),
        basic(user="admin"),
        basic(user=""),
        basic(PASSWORD + "\n"),
        basic(f"{{SHA}}{ACCESS.digest}"),
    ],
)
async def test_who_does_not_get_in(
    gateway: EnvoyGateway, visitor: Visitor, replicas: list[Replica], header: str | None
) -> None:
    """Without the right password, the status is 401, with an error in the form of the API, by path and by host."""
    await gateway.expose("x", ACCESS)
    await gateway.route("x", "a", replicas[0].target)
    headers = {} if header is None else {"Authorization": header}
    for path, host in (("/endpoints/x", "h"), ("/endpoints/x/a", "h"), ("/a", "dx.localhost"), ("/", "DX.LOCALHOST:1")):
        for method in ("GET", "POST", "OPTIONS"):
            async with visitor.session.request(
                method, visitor.url(path), headers={**headers, "Host": host}, data=b"x"
            ) as response:
                assert response.status == 401
                assert response.headers["WWW-Authenticate"].startswith("Basic realm=")
                [error] = (await response.json())["errors"]
                assert error["extensions"] == {"code": "UNAUTHENTICATED"}
                assert error["message"].startswith("this endpoint is protected")
    assert replicas[0].received == 0


async def test_who_gets_in(gateway: EnvoyGateway, visitor: Visitor, replicas: list[Replica]) -> None:
    """With the password, requests reach the container, which does not get it. The user name of the hosted service works too."""
    await gateway.expose("x", ACCESS)
    await gateway.route("x", "a", replicas[0].target)
    for path, host in (("/endpoints/x", "h"), ("/endpoints/x/a", "h"), ("/a", "dx.localhost")):
        assert (await visitor.send(path, headers={"Authorization": basic(user="paperspace"), "Host": host}))[0] == 200
        status, body = await visitor.send(path, "POST", headers={**authorized(), "Host": host, "X-Other": "1"})
        assert status == 200
        received = {name.lower(): value for name, value in body["headers"].items()}
        assert "authorization" not in received
        assert received["x-other"] == "1"


async def test_the_longest_password(gateway: EnvoyGateway, visitor: Visitor, replicas: list[Replica]) -> None:
    """The longest password that is allowed can be used, whatever its characters are."""
    password = "🔑" * MAX_LENGTH
    await gateway.expose("x", Access(digest_of(password.encode())))
    await gateway.route("x", "a", replicas[0].target)
    assert await visitor.name(headers=authorized(password)) == "a"


async def test_public_endpoints(gateway: EnvoyGateway, visitor: Visitor, replicas: list[Replica]) -> None:
    """Another endpoint needs no password, and its container gets the header, which may be its own."""
    await gateway.expose("y", ACCESS)
    await gateway.route("x", "a", replicas[0].target)
    _, body = await visitor.send("/endpoints/x/", headers={"Authorization": "Bearer its own"})
    assert {name.lower(): value for name, value in body["headers"].items()}["authorization"] == "Bearer its own"
    assert await visitor.name() == "a"
    assert await visitor.name("y") == "401"
    assert await visitor.name("y", headers=authorized()) == "503"
    assert await visitor.name("z") == "404"


async def test_websockets(gateway: EnvoyGateway, visitor: Visitor, replicas: list[Replica]) -> None:
    """A WebSocket needs the password too."""
    await gateway.expose("x", ACCESS)
    await gateway.route("x", "a", replicas[0].target)
    url = visitor.url("/endpoints/x/ws")
    with pytest.raises(WSServerHandshakeError, match="401"):
        await visitor.session.ws_connect(url)
    async with visitor.session.ws_connect(url, headers=authorized()) as socket:
        await socket.send_str("1")
        assert await socket.receive_str() == "a 1"


async def test_grpc(gateway: EnvoyGateway) -> None:
    """A call of gRPC needs the password too; without it, it is unauthenticated."""
    async with grpc_replica("a") as target:
        await gateway.expose("x", ACCESS)
        await gateway.route("x", "a", target)
        async with calling(gateway, "x") as call:
            assert await call.code() is grpc.StatusCode.UNAUTHENTICATED
        async with calling(gateway, "x", metadata=[("authorization", basic())]) as call:
            assert await exchange(call, b"1") == b"a 1"
            await call.done_writing()
            assert await call.code() is grpc.StatusCode.OK


async def test_another_password(gateway: EnvoyGateway, visitor: Visitor, replicas: list[Replica]) -> None:
    """A new password is in effect when the call returns, and the one before is not any more."""
    await gateway.route("x", "a", replicas[0].target)
    for number in range(5):
        await gateway.expose("x", Access(digest_of(f"password {number}".encode())))
        assert await visitor.name(headers=authorized(f"password {number}")) == "a"
        assert await visitor.name(headers=authorized(f"password {number - 1}")) == "401"
        assert await visitor.name() == "401"
    await gateway.expose("x")
    assert await visitor.name() == "a"


async def test_changes_under_load(gateway: EnvoyGateway, visitor: Visitor, replicas: list[Replica]) -> None:
    """While an endpoint becomes protected, public, and protected again, clients with the password lose nothing."""
    await gateway.route("x", "a", replicas[0].target)
    async with asking(lambda: visitor.name(headers=authorized(), method="POST")) as found:
        for number in range(10):
            await gateway.expose("x", None if number % 2 else ACCESS)
            await asyncio.sleep(0.05)
    assert found == {"a"}


async def test_never_open_again(gateway: EnvoyGateway, visitor: Visitor, replicas: list[Replica]) -> None:
    """Once an endpoint is protected, no request without the password gets in, while routes and other endpoints change."""
    a, b, _ = replicas
    await gateway.route("x", "a", a.target)
    await gateway.expose("x", ACCESS)
    async with asking(visitor.name) as found:
        for number in range(8):
            await gateway.route("x", f"b{number}", b.target)
            await gateway.unroute("x", "a")
            await gateway.expose(f"y{number}")
            await gateway.route("x", "a", a.target)
            await gateway.forget_instance("x", f"b{number}")
    assert found == {"401"}
    assert a.received == b.received == 0


@pytest.mark.parametrize(
    ("stalled_file", "change", "change_back"),
    [
        ("rds.json", lambda gateway, _: gateway.expose("x"), lambda gateway: gateway.expose("x", ACCESS)),
        (
            "eds-http.json",
            lambda gateway, other: gateway.route("x", "b", other.target),
            lambda gateway: gateway.forget_instance("x", "b"),
        ),
    ],
    ids=["access", "instance"],
)
async def test_changed_back_while_the_gateway_stalls(
    gateway: EnvoyGateway,
    visitor: Visitor,
    replicas: list[Replica],
    monkeypatch: pytest.MonkeyPatch,
    stalled_file: str,
    change: Callable[[EnvoyGateway, Replica], Awaitable[None]],
    change_back: Callable[[EnvoyGateway], Awaitable[None]],
) -> None:
    """A change that failed because Envoy did not respond, and was changed back, is not in effect when Envoy responds again."""
    await gateway.expose("x", ACCESS)
    await gateway.route("x", "a", replicas[0].target)
    envoy = gateway._supervisor.pid
    assert envoy
    write = Files.write

    def write_and_stall(files: Files, name: str, resources: Sequence[Resource]) -> None:
        if name == stalled_file and not files.contains(name, resources):
            os.kill(envoy, signal.SIGSTOP)
        write(files, name, resources)

    with monkeypatch.context() as patch:
        patch.setattr(gateway_module, "_APPLY_TIMEOUT", 0.5)
        patch.setattr(Files, "write", write_and_stall)
        with pytest.raises(GatewayUnavailableError, match="does not apply a change in time"):
            await change(gateway, replicas[1])
        with pytest.raises(GatewayUnavailableError, match="does not apply a change in time"):
            await change_back(gateway)
    os.kill(envoy, signal.SIGCONT)
    await change_back(gateway)  # as the controller does
    assert await visitor.name("x") == "401"
    assert {await visitor.name("x", headers=authorized()) for _ in range(8)} == {"a"}
    assert str(replicas[1].port) not in (gateway._folder / "eds-http.json").read_text()


async def test_protected_from_the_start(gateway: EnvoyGateway, visitor: Visitor, replicas: list[Replica]) -> None:
    """No request reaches the container of a new protected deployment without the password, not even the first one."""
    async with asking(visitor.name) as found:
        for _ in range(5):
            await gateway.expose("x", ACCESS)
            await gateway.route("x", "a", replicas[0].target)
            await asyncio.sleep(0.02)
            await gateway.forget("x")
    assert found == {"401", "404"}
    assert replicas[0].received == 0


async def test_the_next_server(new_gateway: Callable[..., EnvoyGateway], replicas: list[Replica], folder: Path) -> None:
    """An endpoint stays protected without the server, and with the next one, also if the secret was deleted meanwhile."""
    gateway = new_gateway()
    await gateway.open()
    await gateway.expose("x", ACCESS)
    await gateway.route("x", "a", replicas[0].target)
    await gateway.close()
    async with visiting(gateway) as visitor:
        assert [await visitor.name(), await visitor.name(headers=authorized())] == ["401", "a"]
        gateway = new_gateway()
        await gateway.open()
        assert [await visitor.name(), await visitor.name(headers=authorized())] == ["401", "a"]
        await gateway.expose("x", UNKNOWN)
        assert [await visitor.name(), await visitor.name(headers=authorized())] == ["401", "a"]
        await gateway.expose("x", ACCESS)
        assert gateway._changes.applied.digests == {"x": ACCESS.digest}
    _check_files(folder)


async def test_damaged_routes(new_gateway: Callable[..., EnvoyGateway], replicas: list[Replica], folder: Path) -> None:
    """If the file that says who may use an endpoint is damaged, nobody may, until the next server knows who may."""
    first, second = new_gateway(), new_gateway()
    await first.open()
    await first.expose("x", ACCESS)
    await first.route("x", "a", replicas[0].target)
    await first.close()
    (folder / "rds.json").write_bytes(b"")
    await second.open()
    async with visiting(second) as visitor:
        assert [await visitor.name(), await visitor.name(headers=authorized())] == ["401", "401"]
        await second.expose("x", ACCESS)
        assert [await visitor.name(), await visitor.name(headers=authorized())] == ["401", "a"]
        await second.expose("x")
        assert await visitor.name() == "a"


def _check_files(folder: Path) -> None:
    """Check that no file has the password, and that only the owner can read those with the digest."""
    for file in folder.iterdir():
        if file.is_file():
            content = file.read_bytes()
            assert PASSWORD.encode() not in content
            assert (ACCESS.digest or "").encode() not in content or stat.S_IMODE(file.stat().st_mode) == 0o600


async def test_unknown_password(gateway: EnvoyGateway, visitor: Visitor, replicas: list[Replica]) -> None:
    """If the password of a new protected endpoint is unknown, nobody gets in."""
    await gateway.expose("x", UNKNOWN)
    await gateway.route("x", "a", replicas[0].target)
    for password in ("", NO_PASSWORD, PASSWORD):
        assert await visitor.name(headers=authorized(password)) == "401"
