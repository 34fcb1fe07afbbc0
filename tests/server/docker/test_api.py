"""Connections to the Docker engine: the version of the API, and engines that do not respond."""

from __future__ import annotations

import asyncio
import json
import os
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from aiohttp import web

from paperspace.gradient.server.controller.engine import EngineUnavailableError, ExecutionError, ImageError, Workload
from paperspace.gradient.server.docker.address import Address
from paperspace.gradient.server.docker.api import Api, api_version
from paperspace.gradient.server.docker.containers import DEPLOYMENT
from paperspace.gradient.server.docker.engine import DockerEngine
from paperspace.gradient.server.docker.registries import Registry
from paperspace.gradient.server.docker.requirements import Settings
from paperspace.gradient.server.engines.runtime import UnsupportedSpecError
from paperspace.gradient.server.settings_files import write_settings

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


def versions(oldest: str, newest: str) -> dict[str, str]:
    return {"Version": "1.2.3", "ApiVersion": newest, "MinAPIVersion": oldest}


@pytest.mark.parametrize(
    ("oldest", "newest", "selected"),
    [("1.12", "1.41", "v1.41"), ("1.24", "1.51", "v1.51"), ("1.44", "1.52", "v1.51"), ("1.51", "2.0", "v1.51")],
)
def test_version(oldest: str, newest: str, selected: str) -> None:
    """The newest version that both sides know is selected: Docker 29 dropped the old ones."""
    assert api_version(versions(oldest, newest)) == selected


@pytest.mark.parametrize(
    ("oldest", "newest", "message"),
    [
        ("1.12", "1.40", "with versions 1.12 to 1.40 of the API; 1.41 is needed. Install Docker 20.10 or newer."),
        (
            "1.52",
            "1.60",
            "with versions 1.52 to 1.60 of the API; 1.51 is the newest that this server supports. Upgrade",
        ),
    ],
)
def test_no_common_version(oldest: str, newest: str, message: str) -> None:
    """An engine that is too old or too new is refused, with its version and what to do."""
    with pytest.raises(EngineUnavailableError) as caught:
        api_version(versions(oldest, newest))
    assert f"The Docker engine has version 1.2.3, {message}" in str(caught.value)


async def refused(path: Path) -> str:
    with pytest.raises(EngineUnavailableError) as caught:
        await Api.connect(Address(f"unix://{path}", "DOCKER_HOST"))
    return str(caught.value)


async def test_engine_that_does_not_run(tmp_path: Path) -> None:
    """Without a socket, or with one that nothing listens on, the message says how to start the engine."""
    path = tmp_path / "docker.sock"
    expected = f"The Docker engine unix://{path} (from DOCKER_HOST) does not run. Start it, for example with"
    assert (await refused(path)).startswith(expected)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        assert (await refused(path)).startswith(expected)


@pytest.mark.skipif(not hasattr(os, "fork") or os.geteuid() != 0, reason="only root can become another user")
def test_no_permission(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Without permission on the socket, the message says how to get it."""
    path = Path("/tmp") / f"{tmp_path_factory.getbasetemp().name}-{os.getpid()}.sock"
    reader, writer = os.pipe()
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        try:
            path.chmod(0o600)
            listener.listen()
            if os.fork() == 0:
                os.setuid(65534)
                try:
                    os.write(writer, asyncio.run(refused(path)).encode())
                finally:
                    os._exit(0)
            os.close(writer)
            message = os.read(reader, 10_000).decode()
            os.wait()
        finally:
            path.unlink()
    os.close(reader)
    assert message.startswith(
        f"No permission to use the Docker engine unix://{path} (from DOCKER_HOST). Add the user to"
    )


async def test_something_else_listens(tmp_path: Path) -> None:
    """A socket that closes every connection is one sentence, too."""
    path = tmp_path / "docker.sock"

    async def close(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.close()

    async with await asyncio.start_unix_server(close, path):
        assert (await refused(path)) == (
            f"The connection to the Docker engine unix://{path} (from DOCKER_HOST) failed: Server disconnected."
        )


@asynccontextmanager
async def engine_with(
    path: Path, responses: dict[str, Callable[[web.Request], Awaitable[web.StreamResponse]]]
) -> AsyncIterator[Address]:
    """Listen like an engine that responds to these paths."""
    application = web.Application()
    for route, respond in responses.items():
        application.router.add_route("*", route, respond)
    runner = web.AppRunner(application, handler_cancellation=True)
    await runner.setup()
    await web.UnixSite(runner, str(path)).start()
    try:
        yield Address(f"unix://{path}", "the test")
    finally:
        await runner.cleanup()


async def test_version_is_known_while_it_is_selected(tmp_path: Path) -> None:
    """While the version is selected again, and when that fails, other requests use the one before."""
    asked, proceed, available = asyncio.Event(), asyncio.Event(), True

    async def respond(_: web.Request) -> web.Response:
        asked.set()
        await proceed.wait()
        return web.json_response(versions("1.24", "1.43")) if available else web.Response(status=503)

    async with engine_with(tmp_path / "docker.sock", {"/{path:.*}": respond}) as address:
        proceed.set()
        api = await Api.connect(address)
        try:
            url = api.url("containers/c/logs")
            assert url.endswith("/v1.43/containers/c/logs")
            asked.clear()
            proceed.clear()
            available = False
            selecting = asyncio.create_task(api.select_version())
            await asked.wait()
            assert api.url("containers/c/logs") == url
            proceed.set()
            with pytest.raises(EngineUnavailableError, match="503"):
                await selecting
            assert api.url("containers/c/logs") == url
        finally:
            await api.close()


async def test_engine_that_refuses_a_request(tmp_path: Path) -> None:
    """If an engine refuses what it is opened with, such as the network, all that waits for it fails, and says why."""

    async def respond(request: web.Request) -> web.Response:
        if request.path.endswith("/version"):
            return web.json_response(versions("1.24", "1.43"))
        if request.path.endswith("/networks/create"):
            body = b'{"message": "could not find an available address pool"}'
            return web.Response(body=body, status=404, headers={"Content-Type": "application/json"})
        return web.json_response([] if request.path.endswith("/networks") else {"NCPU": 1, "MemTotal": 2**30})

    async with engine_with(tmp_path / "docker.sock", {"/{path:.*}": respond}) as address:
        engine = DockerEngine(address=address)
        containers = asyncio.create_task(engine.containers())
        reason = "The Docker engine refused a request: could not find an available address pool."
        with pytest.raises(EngineUnavailableError) as caught:
            await engine.open("a server")
        assert str(caught.value) == reason
        with pytest.raises(EngineUnavailableError) as caught:
            await asyncio.wait_for(containers, 30)
        assert str(caught.value) == reason


async def test_registry_that_is_stored_with_another_host_during_a_start(tmp_path: Path) -> None:
    """The attempts of a pull that fails read the credentials again, and never send those of another host."""
    file, sent = tmp_path / "registries", list[str]()

    async def respond(request: web.Request) -> web.Response:
        if request.path.endswith("/version"):
            return web.json_response(versions("1.24", "1.43"))
        if request.path.endswith("/images/create"):
            sent.append(request.headers["X-Registry-Auth"])
            return web.json_response({"message": "connection refused"}, status=500)
        if request.path.endswith("/json"):
            return web.json_response({"message": "no such image"}, status=404)
        return web.json_response({"NCPU": 1, "MemTotal": 2**30})

    async with engine_with(tmp_path / "docker.sock", {"/{path:.*}": respond}) as address:
        engine = DockerEngine(Settings(registries_file=file), address)
        await engine.connect("a server")
        workload = Workload("old.example.com/app:1", None, 80, (), (), None, "mine")
        write_settings(file, {"mine": Registry("old.example.com", "ada", "secret")})
        with pytest.raises(ImageError):
            await engine.resolve(workload, lambda _: None)
        write_settings(file, {"mine": Registry("new.example.com", "ada", "another secret")})
        with pytest.raises(UnsupportedSpecError, match="Credentials are not sent to another host"):
            await engine.resolve(workload, lambda _: None)
        await engine.close()
    assert len(sent) == 1


async def test_engine_that_has_other_cpus_after_a_restart(tmp_path: Path) -> None:
    """After a restart, limits are reduced to what the machine has then: the engine refuses more CPUs than that."""
    machine, ended = {"NCPU": 8, "MemTotal": 64 * 2**30, "SystemTime": "2026-11-27T12:00:00Z"}, asyncio.Event()

    async def respond(request: web.Request) -> web.StreamResponse:
        if request.path.endswith("/events"):
            response = web.StreamResponse()
            await response.prepare(request)
            await ended.wait()
            return response
        return web.json_response(versions("1.24", "1.43") if request.path.endswith("/version") else machine)

    async with engine_with(tmp_path / "docker.sock", {"/{path:.*}": respond}) as address:
        engine = DockerEngine(address=address)
        await engine.connect("a server")
        workload = Workload("app:1", None, 80, (), (), "C5", None)
        changes = engine.changes()
        await anext(changes)
        assert engine.check(workload) == ()
        machine["NCPU"] = 2
        ended.set()
        await anext(changes)
        (note,) = engine.check(workload)
        await engine.close()
    assert note.endswith("but this machine has only 2 CPUs, 8 GiB.")


async def test_event_with_large_labels(tmp_path: Path) -> None:
    """An event has all labels of its container, also those of the image: however long they are, events are received."""
    info = {"NCPU": 1, "MemTotal": 2**30, "SystemTime": "2026-11-27T12:00:00Z"}
    attributes = {DEPLOYMENT: "d", "notes": "x" * 3_000_000}

    async def respond(request: web.Request) -> web.StreamResponse:
        if request.path.endswith("/events"):
            response = web.StreamResponse()
            await response.prepare(request)
            event = {"Action": "die", "Actor": {"ID": "c", "Attributes": attributes}}
            for _ in range(2):
                await response.write(json.dumps(event).encode() + b"\n")
            await asyncio.get_running_loop().create_future()
        return web.json_response(versions("1.24", "1.43") if request.path.endswith("/version") else info)

    async with engine_with(tmp_path / "docker.sock", {"/{path:.*}": respond}) as address:
        engine = DockerEngine(address=address)
        await engine.connect("a server")
        changes = engine.changes()
        async with asyncio.timeout(30):
            assert [await anext(changes) for _ in range(3)] == [None, "d", "d"]
        await engine.close()


@asynccontextmanager
async def engine_without(path: Path, refused: str) -> AsyncIterator[DockerEngine]:
    """Connect to an engine behind a proxy that refuses the requests whose paths end so."""

    async def respond(request: web.Request) -> web.StreamResponse:
        if request.path.endswith(refused):
            return web.Response(text="<h1>403 Forbidden</h1>\nby a rule", content_type="text/html", status=403)
        if request.path.endswith("/events"):
            await asyncio.get_running_loop().create_future()
        if request.path.endswith("/containers/json"):
            return web.json_response([])
        if request.path.endswith("/containers/c/json"):
            return web.json_response({"ExecIDs": None})
        info = {"NCPU": 1, "MemTotal": 2**30, "SystemTime": "2026-11-27T12:00:00Z"}
        return web.json_response(versions("1.24", "1.43") if request.path.endswith("/version") else info)

    async with engine_with(path, {"/{path:.*}": respond}) as address:
        engine = DockerEngine(address=address)
        await engine.connect("a server")
        try:
            yield engine
        finally:
            await engine.close()


async def test_proxy_that_refuses_lists(tmp_path: Path) -> None:
    """Without lists of containers the engine cannot be used, and the message says why. States show it."""
    async with engine_without(tmp_path / "docker.sock", "/containers/json") as engine:
        with pytest.raises(EngineUnavailableError) as caught:
            await engine.containers()
    assert str(caught.value) == "The Docker engine refused a request: <h1>403 Forbidden</h1> by a rule."


async def list_without_end(engine: DockerEngine) -> None:
    while True:
        assert await engine.containers() == []


async def test_proxy_that_refuses_events(tmp_path: Path) -> None:
    """A controller cannot use an engine without events, and the message says why. `down` and `prune` can: they need none."""
    async with engine_without(tmp_path / "docker.sock", "/events") as engine, asyncio.timeout(30):
        following = asyncio.ensure_future(anext(engine.changes()))
        with pytest.raises(EngineUnavailableError) as caught:
            await list_without_end(engine)
        assert str(caught.value) == "The Docker engine refused a request: 403 Forbidden."
        following.cancel()
        await asyncio.wait([following])
        assert await engine.containers() == []


async def test_proxy_that_refuses_to_start_commands(tmp_path: Path) -> None:
    """A command that is created, but can neither be started nor inspected, is an error each time."""

    async def respond(request: web.Request) -> web.StreamResponse:
        if "/exec/" in request.path:
            return web.Response(text="403 Forbidden", content_type="text/html", status=403)
        if request.path.endswith("/exec"):
            return web.json_response({"Id": "e"}, status=201)
        if request.path.endswith("/containers/c/json"):
            return web.json_response({"ExecIDs": None})
        info = {"NCPU": 1, "MemTotal": 2**30}
        return web.json_response(versions("1.24", "1.43") if request.path.endswith("/version") else info)

    async with engine_with(tmp_path / "docker.sock", {"/{path:.*}": respond}) as address:
        engine = DockerEngine(address=address)
        await engine.connect("a server")
        for _ in range(3):
            with pytest.raises(ExecutionError, match="403 Forbidden"):
                await engine.execute("c", ("true",), 1.0)
        await engine.close()


async def test_proxy_that_refuses_commands(tmp_path: Path) -> None:
    """A command that is refused is an error with the reason, and not a failure of the container."""
    async with engine_without(tmp_path / "docker.sock", "/exec") as engine:
        with pytest.raises(ExecutionError) as caught:
            await engine.execute("c", ("true",), 1.0)
    assert str(caught.value) == "<h1>403 Forbidden</h1>\nby a rule"
