"""The end of a gateway: drain, removal, and an Envoy that another process runs."""

from __future__ import annotations

import asyncio
import gc
import os
import signal
import socket
import subprocess
import sys
import threading
import time
import weakref
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from http import HTTPStatus
from pathlib import Path
from urllib.parse import urlsplit

import aiohttp
import pytest
from tests.ports import ports
from tests.server.controller.memory_engine import ServingEngine
from tests.server.controller.test_server import in_thread, spec
from tests.server.gateway.site import Load, Replica, Visitor, until, visiting

from paperspace.gradient.server import LocalServer
from paperspace.gradient.server.controller.controller import Options as Containers
from paperspace.gradient.server.controller.down import Drain
from paperspace.gradient.server.controller.gateway import GatewayState, GatewayUnavailableError
from paperspace.gradient.server.gateway import admin as admin_module
from paperspace.gradient.server.gateway.gateway import EnvoyGateway
from paperspace.gradient.server.gateway.inspection import inspect
from paperspace.gradient.server.gateway.supervisor import NOT_RUNNING
from paperspace.gradient.server.gateway.unsent import has_unsent

pytestmark = pytest.mark.anyio

Create = Callable[..., EnvoyGateway]

CONTAINERS = Containers(ports=ports(24200))

RUN = """
import sys
import threading
from pathlib import Path
from paperspace.gradient.server.gateway.binary import find_envoy
from paperspace.gradient.server.gateway.runner import run_envoy
run_envoy(Path(sys.argv[1]), find_envoy(None), lambda line: print(line, flush=True))
"""


@contextmanager
def runner(folder: Path) -> Iterator[subprocess.Popen[str]]:
    """Run what `gradient server gateway` does, and stop it after the block."""
    with subprocess.Popen(
        [sys.executable, "-c", RUN, str(folder)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        try:
            yield process
        finally:
            process.terminate()


def processes(folder: Path) -> list[str]:
    """Return the commands of the processes that use a folder."""
    found = []
    for file in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            command = file.read_bytes()
        except OSError:
            continue
        if os.fsencode(folder / "bootstrap.json") in command:
            found.append(command.decode())
    return found


def exists(path: Path) -> bool:
    """Return whether a path exists."""
    return path.exists()


async def test_drain(gateway: EnvoyGateway, visitor: Visitor, replicas: list[Replica]) -> None:
    """Active requests to all instances end, while new ones get status 503; then the drain ends."""
    await gateway.route("x", "a", replicas[0].target)
    await gateway.route("y", "b", replicas[1].target)
    active = [asyncio.create_task(visitor.name(id_, "?seconds=0.5")) for id_ in ("x", "y")]
    await until(lambda: replicas[0].active == replicas[1].active == 1)
    draining = asyncio.create_task(gateway.drain())
    await until(lambda: all(instance.draining for instance in gateway._changes.applied.instances))
    assert not draining.done()
    assert [await visitor.name(id_) for id_ in ("x", "y")] == ["503", "503"]
    await draining
    assert replicas[0].active == replicas[1].active == 0
    assert await asyncio.gather(*active) == ["a", "b"]


async def test_drain_of_a_slow_client(gateway: EnvoyGateway, replicas: list[Replica]) -> None:
    """A drain lasts until a client has the whole response, also if the instance has sent all of it before."""
    await gateway.route("x", "a", replicas[0].target)
    async with slow_client(gateway) as client:
        draining = asyncio.create_task(gateway.drain())
        await asyncio.wait([draining], timeout=1)
        assert not draining.done()
        await client.receive()
        await draining


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux says what was not sent")
async def test_drain_of_what_the_system_has(gateway: EnvoyGateway, replicas: list[Replica]) -> None:
    """A drain lasts until a client has the whole response, also if the gateway has written all of it before.

    Otherwise, the end of the gateway would reset the connection when the client sends something, as each one with HTTP/2 does.
    """
    await gateway.route("x", "a", replicas[0].target)
    async with slow_client(gateway, written=True) as client:
        draining = asyncio.create_task(gateway.drain())
        await asyncio.wait([draining], timeout=1)
        assert not draining.done()
        await client.receive()
        await draining


async def test_the_server_responds_during_a_drain(gateway: EnvoyGateway, monkeypatch: pytest.MonkeyPatch) -> None:
    """The event loop of the server goes on while the table of connections is read, which takes long if there are many."""
    loop, reading, read = asyncio.get_running_loop(), asyncio.Event(), threading.Event()

    def slow(_: int) -> bool:
        loop.call_soon_threadsafe(reading.set)
        assert read.wait(20)
        return False

    monkeypatch.setattr("paperspace.gradient.server.gateway.gateway.has_unsent", slow)
    draining = asyncio.create_task(gateway.drain())
    await reading.wait()
    read.set()
    await draining


async def test_a_client_that_pauses(gateway: EnvoyGateway, replicas: list[Replica]) -> None:
    """A client gets the whole response, also if it pauses after the instance has sent all of it."""
    await gateway.route("x", "a", replicas[0].target)
    async with slow_client(gateway, "Connection: close") as client:
        await asyncio.sleep(2)
        await client.receive()


class SlowClient:
    """A client that has received a part of a response. The instance has sent all of it, and the gateway has a part of it."""

    def __init__(self, reader: asyncio.StreamReader, missing: int) -> None:
        self._reader = reader
        self._missing = missing

    async def receive(self) -> None:
        """Receive the rest."""
        await self._reader.readexactly(self._missing)


@asynccontextmanager
async def slow_client(gateway: EnvoyGateway, *headers: str, written: bool = False) -> AsyncIterator[SlowClient]:
    """Yield a slow client. Sometimes the buffers of its connection have all of the rest; then another one tries.

    With `written`, the gateway has written all of the rest, and the system has not sent a part of it.
    """
    host, port = urlsplit(gateway.endpoint_url("x")).netloc.split(":")
    admin, chunk = gateway._envoy.admin, 65536
    lines = ["GET /endpoints/x/download?mb=20 HTTP/1.1", "Host: x", *headers, "", ""]
    for _ in range(20):
        with socket.socket() as connection:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, chunk)
            connection.connect((host, int(port)))
            reader, writer = await asyncio.open_connection(sock=connection, limit=chunk // 2)
            writer.write("\r\n".join(lines).encode())
            head = await reader.readuntil(b"\r\n\r\n")
            missing = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
            while any((await admin.active_requests()).values()) or (written and await admin.has_requests()):
                missing -= len(await reader.read(chunk))
            if has_unsent(int(port)) if written else await admin.has_requests():
                yield SlowClient(reader, missing)
                writer.close()
                return
            writer.close()
    raise AssertionError("no response was left in the gateway")


@pytest.mark.parametrize("deep", [False, True])
@pytest.mark.parametrize("opened", [False, True])
async def test_remove(new_gateway: Create, folder: Path, opened: bool, deep: bool) -> None:
    """Neither the process, nor its port, nor a file is left, also of a gateway with a long path or without a server."""
    folder = folder.joinpath(*["long-name-of-a-folder"] * 8) if deep else folder
    first = new_gateway(folder=folder)
    await first.open()
    socket_ = first._envoy.socket
    if not opened:
        await first.close()
        first = new_gateway(folder=folder)
        await first.attach()
        await first.drain()
    await first.remove()
    assert not processes(folder)
    assert not exists(folder)
    assert not exists(socket_)
    assert not deep or not exists(socket_.parent)
    await first.remove()  # nothing is left to do
    assert not exists(folder)


@pytest.mark.parametrize("damaged", [None, "rds.json", "eds-http.json"])
async def test_drain_without_a_server(
    new_gateway: Create, replicas: list[Replica], folder: Path, damaged: str | None
) -> None:
    """Without a server, hosts of endpoints have status 503 during a drain, not 404. It works too if a file is damaged."""
    first, second = new_gateway(domain="models.example.com"), new_gateway()
    await first.open()
    await first.route("x", "a", replicas[0].target)
    await first.close()
    if damaged:
        (folder / damaged).write_bytes(b"")
    await second.attach()
    await second.drain()
    async with visiting(first) as visitor:
        for domain in ["localhost", *([] if damaged == "rds.json" else ["models.example.com"])]:
            url = f"http://127.0.0.1:{first._port}/"
            async with visitor.session.get(url, headers={"Host": f"dx.{domain}"}) as response:
                assert response.status == (401 if damaged == "rds.json" else 503)


async def test_drain_with_a_full_disk(new_gateway: Create, replicas: list[Replica], folder: Path) -> None:
    """Without a server, only the drain fails if a file cannot be written: a down goes on without it."""
    first, second = new_gateway(), new_gateway()
    await first.open()
    await first.route("x", "a", replicas[0].target)
    await first.close()
    (folder / "rds.json").write_bytes(b"")
    (folder / ".rds.json.new").mkdir()
    await second.attach()
    with pytest.raises(GatewayUnavailableError, match=r"rds\.json cannot be written"):
        await second.drain()
    await second.remove()
    assert not exists(folder)


async def test_attach_starts_nothing(new_gateway: Create, folder: Path) -> None:
    """Without a process, there is nothing to drain, and none is started."""
    gateway = new_gateway()
    await gateway.attach()
    await gateway.drain()
    assert not processes(folder)
    await gateway.remove()


async def test_cancelled_start_of_an_ephemeral_gateway(
    new_gateway: Create, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """If the start is cancelled while Envoy starts, an ephemeral gateway leaves neither a process nor a folder."""
    gateway = new_gateway(ephemeral=True)
    started = asyncio.Event()

    async def never_ready(*_: object, **__: object) -> bool:
        started.set()
        return False

    monkeypatch.setattr("paperspace.gradient.server.gateway.envoy.Envoy.in_effect", never_ready)
    opening = asyncio.create_task(gateway.open())
    await started.wait()
    assert processes(folder)
    opening.cancel()
    await asyncio.gather(opening, return_exceptions=True)
    assert opening.cancelled()
    assert not processes(folder)
    assert not exists(folder)


async def test_cancelled_lookup_of_the_host(new_gateway: Create, monkeypatch: pytest.MonkeyPatch) -> None:
    """While no name server responds for --gateway-host, the start can be cancelled."""
    looking_up = asyncio.Event()
    loop = asyncio.get_running_loop()

    def getaddrinfo(*_: object, **__: object) -> None:
        loop.call_soon_threadsafe(looking_up.set)
        time.sleep(60)

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    opening = asyncio.create_task(new_gateway(host="unknown.test").open())
    await looking_up.wait()
    opening.cancel()
    await asyncio.wait([opening], timeout=10)
    assert opening.cancelled()


async def test_external_process(new_gateway: Create, replicas: list[Replica], folder: Path) -> None:
    """An external Envoy waits for its configuration, serves without a server, and is used by the next one, or after a restart."""
    with runner(folder) as first:
        assert first.stdout
        assert first.stdout.readline().startswith("Waiting for a server with --external-gateway")
        gateway = new_gateway(external=True)
        await gateway.open()
        assert gateway.routes("x").problem == NOT_RUNNING
        await until(lambda: gateway.routes("x").problem is None)
        assert first.stdout.readline() == f"Starting Envoy. Its log is {folder}/envoy.log.\n"
        assert await inspect(folder) == GatewayState(True, f"127.0.0.1:{gateway._port}")
        await gateway.route("x", "a", replicas[0].target)
        async with Load(gateway).running() as load:
            await load.more(20)
            await gateway.close()
            await load.more(20)
            gateway = new_gateway(external=True)
            await gateway.open()
            assert gateway.routes("x").problem is None
            await load.more(20)
        assert load.lost == []
    await until(lambda: gateway.routes("x").problem is not None)
    assert "gradient server gateway" in str(gateway.routes("x").problem)
    assert not processes(folder)  # the server starts none
    with runner(folder):
        await until(lambda: gateway.routes("x").problem is None)
        async with visiting(gateway) as visitor:
            assert await visitor.name() == "a"
        await gateway.close()
        with pytest.raises(
            GatewayUnavailableError, match=r"Another process, .* runs the gateway in .*--external-gateway"
        ):
            await new_gateway().open()


async def test_state_of_a_process_that_does_not_respond(
    new_gateway: Create, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The state of a gateway that does not respond says so, with a server and without one."""
    monkeypatch.setattr(admin_module, "_TIMEOUT", aiohttp.ClientTimeout(total=1))
    gateway = new_gateway()
    await gateway.open()
    assert (await gateway.state()).problem is None
    pid = int((folder / "envoy.pid").read_text())
    os.kill(pid, signal.SIGSTOP)
    try:
        states = [await gateway.state(), await inspect(folder)]
    finally:
        os.kill(pid, signal.SIGCONT)
    problem = f"The gateway does not respond. Stop its process, for example with `kill -KILL {pid}`, so that it is started again."
    assert states == [GatewayState(True, f"127.0.0.1:{gateway._port}", problem)] * 2


async def test_port_of_an_external_process(new_gateway: Create, folder: Path) -> None:
    """The server does not need to be able to use the port of an external Envoy, such as 443, nor that it is free."""
    with socket.create_server(("127.0.0.1", 0)) as occupied:
        port = occupied.getsockname()[1]
        with pytest.raises(GatewayUnavailableError, match="another program uses this port"):
            await new_gateway(port=port).open()
        gateway = new_gateway(port=port, external=True)
        await gateway.open()
        assert await inspect(folder) == GatewayState(False, f"127.0.0.1:{port}")


async def test_external_process_that_ends_while_no_server_runs(
    new_gateway: Create, replicas: list[Replica], folder: Path
) -> None:
    """An external Envoy that is started again without a server has the routes of the last one."""
    gateway = new_gateway(external=True)
    await gateway.open()
    with runner(folder):
        await until(lambda: gateway.routes("x").problem is None)
        await gateway.route("x", "a", replicas[0].target)
        await gateway.close()
    with runner(folder):
        async with visiting(gateway) as visitor:
            async with asyncio.timeout(30):
                while not listens(gateway._port):  # noqa: ASYNC110  # it is another process
                    await asyncio.sleep(0.05)
            assert await visitor.name() == "a"


def listens(port: int) -> bool:
    """Return whether something accepts connections on a port."""
    with socket.socket() as client:
        return client.connect_ex(("127.0.0.1", port)) == 0


async def test_external_process_replaces_that_of_a_server(new_gateway: Create, folder: Path) -> None:
    """While a server runs Envoy, no other process does. Afterwards, an external one replaces it."""
    gateway = new_gateway()
    await gateway.open()
    before = (folder / "envoy.pid").read_text()
    with runner(folder) as refused:
        _, errors = refused.communicate(timeout=30)
        assert "runs the gateway in" in errors
    assert (folder / "envoy.pid").read_text() == before
    await gateway.close()
    with runner(folder):
        await until(lambda: (folder / "envoy.pid").read_text() not in {before, ""})
        assert len(processes(folder)) <= 1
        again = new_gateway(external=True)
        await again.open()
        await until(lambda: again.routes("x").problem is None)
        assert len(processes(folder)) == 1


async def test_removal_of_an_external_process(new_gateway: Create, folder: Path) -> None:
    """After the removal, an external process that is started again waits for the next server."""
    gateway = new_gateway(external=True)
    await gateway.open()
    with runner(folder):
        await until(lambda: gateway.routes("x").problem is None)
        await gateway.remove()
        assert not processes(folder)
    with runner(folder) as waiting:
        assert waiting.stdout
        assert waiting.stdout.readline().startswith("Waiting for a server")
        assert not exists(folder)
        gateway = new_gateway(external=True)
        await gateway.open()
        await until(lambda: gateway.routes("x").problem is None)


async def test_signals_of_an_external_process(new_gateway: Create, folder: Path) -> None:
    """SIGTERM ends it with success, as a service manager expects."""
    gateway = new_gateway(external=True)
    await gateway.open()
    with runner(folder) as process:
        await until(lambda: gateway.routes("x").problem is None)
        assert process.pid == int((folder / "envoy.pid").read_text())
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 0


@pytest.mark.parametrize("error", [OSError("the disk is full"), GatewayUnavailableError("another server")])
async def test_a_gateway_that_cannot_be_removed(
    new_gateway: Create, folder: Path, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    """If the removal of the gateway fails, so does `down`. The gateway is opened again, and endpoints respond again.

    Nothing keeps the controller from before.
    """
    engine = ServingEngine()
    engine.statuses["/"] = 200
    database, gateway = folder.with_name("gradient.db"), new_gateway()
    async with LocalServer(database=database, engine=engine, gateway=gateway, options=CONTAINERS) as server:
        created = await in_thread(server, lambda api: api.create_deployment("a", "p", spec("good-1"), wait=True))
        await endpoint_responds(gateway, created["id"])

        def fail(_: Path) -> None:
            raise error

        assert server.controlled
        before = weakref.ref(server.controlled.controller)
        with monkeypatch.context() as patch:
            patch.setattr("paperspace.gradient.server.gateway.gateway.remove_folder", fail)
            with pytest.raises(type(error), match=str(error)):
                await server.controlled.take_down(Drain(0), lambda _: None)
        assert (await gateway.state()).running
        await endpoint_responds(gateway, created["id"])
        gc.collect()
        assert before() is None
        await server.controlled.take_down(Drain(0), lambda _: None)
        assert not exists(folder)
        assert not engine.by_id


async def endpoint_responds(gateway: EnvoyGateway, deployment_id: str) -> None:
    """Wait until a request to an endpoint succeeds."""
    async with aiohttp.ClientSession() as session:
        for _ in range(600):
            with suppress(aiohttp.ClientError):
                async with session.get(f"{gateway.endpoint_url(deployment_id)}/") as response:
                    if response.status == HTTPStatus.OK:
                        return
            await asyncio.sleep(0.05)
    raise AssertionError("the endpoint does not respond")
