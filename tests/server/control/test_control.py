"""Control of a server through its socket, and of a database without a server."""

from __future__ import annotations

import asyncio
import json
import os
import socket
import sqlite3
import stat
import tempfile
import threading
from collections.abc import AsyncIterator
from contextlib import ExitStack, asynccontextmanager, closing
from pathlib import Path
from typing import Any
from uuid import uuid4

import aiohttp
import pytest
from tests.ports import ports
from tests.server.controller.memory_engine import ServingEngine
from tests.server.controller.test_controller import PATIENCE
from tests.server.controller.test_server import in_thread, spec
from tests.server.gateway.site import until

from paperspace.gradient.server import LocalServer
from paperspace.gradient.server.control import client as control_client
from paperspace.gradient.server.control.client import RemoteControl, listens, remote_control
from paperspace.gradient.server.control.interface import ControlError
from paperspace.gradient.server.control.listener import ControlListener, control_path
from paperspace.gradient.server.control.offline import OfflineControl
from paperspace.gradient.server.control.report import describe_disk, problems
from paperspace.gradient.server.controller.controller import Options
from paperspace.gradient.server.controller.engine import ContainerKey
from paperspace.gradient.server.defaults import gateway_folder
from paperspace.gradient.server.engines.simulation import Simulation
from paperspace.gradient.server.gateway.gateway import EnvoyGateway
from paperspace.gradient.server.gateway.options import Options as GatewayOptions
from paperspace.gradient.server.sockets import socket_path
from paperspace.gradient.server.storage.engine_choice import label_of_containers, remembered_engine

pytestmark = pytest.mark.anyio

OPTIONS = Options(ports=ports(24200))
DOWN = "Stopped with `gradient server down`. It starts again with the server."


@pytest.fixture
def database() -> Any:
    """The path of a database, short enough for a socket next to it."""
    with tempfile.TemporaryDirectory(prefix="gc") as folder:
        yield Path(folder) / "gradient.db"


@asynccontextmanager
async def controlled(
    database: Path, engine: ServingEngine | None, *created: str, gateway: EnvoyGateway | None = None
) -> AsyncIterator[tuple[LocalServer, RemoteControl, asyncio.Event]]:
    """Run a server with its control socket, and a client. The process of the server is this one: it seems to have ended."""
    stop = asyncio.Event()
    runtime = None if engine else Simulation()
    async with LocalServer(
        database=database, engine=engine, gateway=gateway, runtime=runtime, options=OPTIONS
    ) as server:
        facts = {"url": server.url, "pid": 2**22, "version": "1", "since": "now"}  # no process has this id
        async with (
            ControlListener(database, server, facts, 60, stop.set),
            remote_control(control_path(database)) as client,
        ):
            for name in created:
                await create_ready(server, name)
            yield server, client, stop


async def create_ready(server: LocalServer, name: str, replicas: int = 1) -> None:
    """Create a deployment, and wait until it is ready."""
    made = await in_thread(server, lambda api: api.create_deployment(name, "p", spec("good-1", replicas)))
    await in_thread(server, lambda api: api.wait_for_deployment(made["id"], timeout=PATIENCE))


async def wait_for_all(server: LocalServer) -> None:
    """Wait until all deployments are ready or stopped."""
    for deployment in await in_thread(server, lambda api: api.list_deployments()):
        await in_thread(server, lambda api, id_=deployment["id"]: api.wait_for_deployment(id_, timeout=PATIENCE))  # type: ignore[misc]


def names_in(folder: Path, pattern: str) -> set[Path]:
    """Return the paths in a folder."""
    return set(folder.glob(pattern))


def contents(folder: Path) -> dict[Path, bytes]:
    """Return the contents of the files in a folder."""
    return {file: file.read_bytes() for file in folder.iterdir()}


def add_unknown(engine: ServingEngine) -> str:
    """Create a container that no database knows."""
    key = ContainerKey(str(uuid4()), str(uuid4()), 1, "t")
    return engine.create(key, "good-9", 24999).id


async def test_socket(database: Path) -> None:
    """Only the owner can use the socket; it is gone after the end, and that of a killed server is replaced."""
    path = control_path(database)
    path.touch()  # as after SIGKILL
    assert not listens(path)
    async with controlled(database, None):
        assert listens(path)
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert not path.exists()
    assert not listens(path)


async def test_server_that_hangs(database: Path) -> None:
    """If a server accepts no connections, commands say so. They do not wait for ever when the queue of its socket is full."""
    path = control_path(database)
    with ExitStack() as stack:
        listener = stack.enter_context(socket.socket(socket.AF_UNIX))
        listener.bind(str(path))
        listener.listen(1)
        for _ in range(2):
            stack.enter_context(socket.socket(socket.AF_UNIX)).connect(str(path))
        with pytest.raises(ControlError, match=r"does not respond .*: it does not accept connections\."):
            listens(path)


async def test_long_path_and_symbolic_link(database: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A database with a long path has its socket elsewhere, which its other name and another TMPDIR lead to. Only a server creates it."""
    folder = database.parent.joinpath(*["long-name-of-a-folder"] * 8)
    folder.mkdir(parents=True)
    database.symlink_to(folder / "real.db")  # noqa: ASYNC240  # nothing else runs
    short = socket_path(control_path(database)).parent
    assert not listens(control_path(database))
    assert not short.exists()
    async with controlled(folder / "real.db", None):
        monkeypatch.setattr(tempfile, "tempdir", str(folder))
        assert listens(control_path(database))
        assert stat.S_IMODE(short.stat().st_mode) == 0o700
    assert not short.exists()


async def test_status(database: Path) -> None:
    """The status is the same whether the server runs or not, except what is about the server."""
    engine = ServingEngine()
    async with controlled(database, engine, "a", "b") as (server, client, _):
        broken = await in_thread(server, lambda api: api.create_deployment("c", "p", spec("missing-1")))
        with pytest.raises(Exception, match="no image missing-1"):
            await in_thread(server, lambda api: api.wait_for_deployment(broken["id"], timeout=PATIENCE))
        unknown = add_unknown(engine)
        up = await client.status()
    assert up["deployments"]["counts"] == {"ready": 2, "pending": 0, "failed": 1, "stopped": 0}
    (problem,) = up["deployments"]["problems"]
    assert (problem["name"], problem["reason"]) == ("c", "There is no image missing-1.")
    assert up["engine"] == {"name": "memory", "version": "Memory 1.0", "problem": None}
    assert [container["id"] for container in up["unknownContainers"]] == [unknown]
    files = contents(database.parent)
    down = await OfflineControl(database, engine).status()
    assert contents(database.parent) == files
    assert down.pop("gateway") == {"running": False, "address": None, "problem": None}
    assert {**down, "server": up["server"], "gateway": None} == up
    report = {**down, "gateway": None, "database": {"path": "x.db", "free": 0}}
    assert [sentence.split(".")[0] for sentence in problems(report, "1")] == [
        "The server does not run",
        "The disk of x",
        "Deployment c: There is no image missing-1",
        "1 container of this server is not in its database, perhaps because an older backup was restored",
    ]


async def test_status_of_an_endpoint_without_a_password(database: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """If the secret with the password of an endpoint is deleted, or is too short, the status says so and what to do."""
    monkeypatch.setenv("GRADIENT_SECRET_PW", "p" * 20)
    protected: Any = {**spec("good-1"), "endpointSecurity": {"protected": True, "secret": "pw"}}
    async with controlled(database, ServingEngine(), "public") as (server, client, _):
        made = await in_thread(server, lambda api: api.create_deployment("front", "p", protected))
        await in_thread(server, lambda api: api.wait_for_deployment(made["id"], timeout=PATIENCE))
        assert (await client.status())["deployments"]["problems"] == []
        monkeypatch.delenv("GRADIENT_SECRET_PW")
        (deleted,) = (await client.status())["deployments"]["problems"]
        assert (deleted["name"], deleted["state"], deleted["serving"]) == ("front", "ready", 0)
        assert deleted["reason"].startswith("Unknown secret pw in endpointSecurity.secret; known: none. Store it with")
        assert "status 401" in deleted["reason"]
        monkeypatch.setenv("GRADIENT_SECRET_PW", "short")
        (short,) = (await client.status())["deployments"]["problems"]
        assert "the secret pw has 5 characters" in short["reason"]
        await in_thread(server, lambda api: api.stop_deployment(made["id"], wait=True))
        assert (await client.status())["deployments"]["problems"] == []


def test_the_size_of_files_that_come_and_go(database: Path) -> None:
    """The size of a database is known also while a server that stops or starts removes files and creates them."""
    database.write_bytes(b"1234")
    wal = database.with_name(f"{database.name}-wal")
    stopped = threading.Event()

    def come_and_go() -> None:
        while not stopped.is_set():
            wal.touch()
            wal.unlink()

    thread = threading.Thread(target=come_and_go)
    thread.start()
    try:
        assert {describe_disk(database)["size"] for _ in range(3000)} == {4}
    finally:
        stopped.set()
        thread.join()


def test_status_of_a_symbolic_link(database: Path) -> None:
    """The size and the free space are those of the file that a symbolic link leads to, with its WAL, on its disk."""
    link = database.with_name("link.db")
    link.symlink_to(database)
    for suffix in ("", "-wal", ".logs"):
        database.with_name(f"{database.name}{suffix}").write_bytes(b"1234")
    assert describe_disk(link)["size"] == describe_disk(database)["size"] == 12


async def test_status_without_problems(database: Path) -> None:
    """A server without problems has none; another version of the command is one."""
    async with controlled(database, ServingEngine(), "a") as (_, client, _stop):
        report = {**await client.status(), "database": {"path": "x.db", "free": 2**40}}
        assert list(problems(report, "1")) == []
        assert list(problems(report, "2")) == ["The server runs version 1; 2 is installed. Restart the server."]


async def test_status_without_an_engine(database: Path) -> None:
    """If the engine does not respond, the status says so, and the rest is complete."""
    engine = ServingEngine()
    async with controlled(database, engine, "a") as (_, client, _stop):
        engine.available = False
        up = await client.status()
        engine.available = True
    assert up["engine"]["problem"] == "the engine in memory does not respond"
    assert up["unknownContainers"] is None
    assert up["deployments"]["counts"]["ready"] == 1
    engine.available = False
    down = await OfflineControl(database, engine).status()
    assert (down["engine"], down["deployments"]) == (up["engine"], up["deployments"])


@pytest.mark.parametrize("up", [True, False])
async def test_take_down(database: Path, up: bool) -> None:
    """All known containers are removed and the others kept, with and without a server; the next start starts all again."""
    engine, steps = ServingEngine(), list[str]()
    async with controlled(database, engine, "a", "b") as (server, client, stop):
        stopped = await in_thread(server, lambda api: api.create_deployment("c", "p", spec("good-1", 0)))
        unknown = add_unknown(engine)
        if up:
            result = await client.take_down(now=False, report=steps.append)
            assert stop.is_set()
            assert remembered_engine(database) == "memory"
    if not up:
        result = await OfflineControl(database, engine).take_down(now=False, report=steps.append)
    assert result == {"deployments": 2, "unknown": 1}
    assert steps[-1] == "Stopping 2 containers."
    assert list(engine.by_id) == [unknown]
    status = await OfflineControl(database, engine).status()
    assert status["deployments"]["counts"] == {"ready": 0, "pending": 2, "failed": 0, "stopped": 1}
    async with controlled(database, engine) as (server, client, _):
        await wait_for_all(server)
        assert (await client.status())["deployments"]["counts"]["ready"] == 2
        assert (await in_thread(server, lambda api: api.get_deployment_status(stopped["id"])))["state"] == "stopped"


async def test_the_label_of_containers(database: Path) -> None:
    """What marks the containers of a database is known also if it is simulated now; one that never had any has no label."""
    async with controlled(database, None, "simulated"):
        pass
    assert label_of_containers(database) is None
    engine = ServingEngine()
    async with controlled(database, engine, "a"):
        pass
    assert engine.running()
    async with controlled(database, None):
        pass
    assert remembered_engine(database) == "simulated"
    with closing(sqlite3.connect(database)) as connection:
        assert connection.execute("SELECT id FROM server").fetchone() == (label_of_containers(database),)
    assert label_of_containers(database.with_name("missing.db")) is None


async def test_state_after_down(database: Path) -> None:
    """What was stopped is not shown as ready, and its instances say why."""
    engine = ServingEngine()
    async with controlled(database, engine, "a") as (server, client, _):
        await client.take_down(now=True, report=lambda _: None)
        (deployment,) = await in_thread(server, lambda api: api.list_deployment_statuses())
        (instance,) = deployment["instances"]
        assert (deployment["state"], instance["message"]) == ("pending", DOWN)


async def test_status_of_a_database_that_cannot_be_read(database: Path) -> None:
    """If the status cannot be read from the database, the error says why, and not that the server does not respond."""
    async with controlled(database, None) as (_, client, _stop):
        with closing(sqlite3.connect(database)) as connection:
            connection.execute("ALTER TABLE deployments RENAME TO moved")
        with pytest.raises(
            ControlError, match=r"The server failed: OperationalError: no such table: .* Its log says more"
        ):
            await client.status()


async def test_take_down_without_an_engine(database: Path) -> None:
    """If the engine does not respond, nothing is changed: the server runs on, and the error says why."""
    engine = ServingEngine()
    async with controlled(database, engine, "a") as (server, client, stop):
        engine.available = False
        with pytest.raises(ControlError, match="the engine in memory does not respond"):
            await client.take_down(now=False, report=lambda _: None)
        assert not stop.is_set()
        engine.available = True
        engine.exit(next(iter(engine.by_id)))  # it is still controlled
        await until_one_runs(engine)
        await wait_for_all(server)


async def until_one_runs(engine: ServingEngine) -> None:
    async with asyncio.timeout(PATIENCE):
        while not engine.running():  # noqa: ASYNC110  # an engine in memory has no events for tests
            await asyncio.sleep(0.01)


async def test_two_commands(database: Path) -> None:
    """A second command joins the first one; both get the result."""
    engine = ServingEngine()
    async with controlled(database, engine, "a") as (_, client, _stop):
        both = [client.take_down(now=number == 1, report=lambda _: None) for number in range(2)]
        assert await asyncio.gather(*both) == [{"deployments": 1, "unknown": 0}] * 2


async def test_down_now(database: Path) -> None:
    """`down --now` interrupts active requests, and does not say that it waits for them."""
    engine, gateway = ServingEngine(), EnvoyGateway(GatewayOptions(gateway_folder(database), port=0))
    steps: list[str] = []
    async with controlled(database, engine, "a", gateway=gateway) as (_, client, _stop):
        await client.take_down(now=True, report=steps.append)
        assert steps == ["Stopping 1 container."]


async def test_a_command_that_is_interrupted(
    database: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """If `down` is interrupted by Ctrl-C, the server goes on with it, and its log says nothing of a failure."""
    engine = ServingEngine()
    released, stop = asyncio.Event(), engine.stop

    async def stop_when_released(container_id: str, grace: float) -> None:
        await released.wait()
        await stop(container_id, grace)

    async with controlled(database, engine, "a") as (_, client, stopped):
        monkeypatch.setattr(engine, "stop", stop_when_released)
        steps: list[str] = []
        down = asyncio.create_task(client.take_down(now=True, report=steps.append))
        await until(lambda: bool(steps))
        down.cancel()
        await asyncio.wait([down])
        released.set()
        await stopped.wait()
    assert [record.message for record in caplog.records if record.levelname != "INFO"] == []


async def test_down_after_a_down_now_that_failed(database: Path) -> None:
    """After a `down --now` that failed, `down` waits for active requests all the same."""
    engine, gateway = ServingEngine(), EnvoyGateway(GatewayOptions(gateway_folder(database), port=0))
    engine.statuses["/slow"] = 200
    release = engine.held["/slow"] = asyncio.Event()
    steps: list[str] = []
    async with controlled(database, engine, "a", gateway=gateway) as (server, client, _):
        engine.available = False
        with pytest.raises(ControlError, match="the engine in memory does not respond"):
            await client.take_down(now=True, report=steps.append)
        engine.available = True
        (deployment,) = await in_thread(server, lambda api: api.list_deployments())
        async with aiohttp.ClientSession() as session:
            request = asyncio.create_task(session.get(f"{gateway.endpoint_url(deployment['id'])}/slow"))
            await until(lambda: engine.received["/slow"] == 1)
            down = asyncio.create_task(client.take_down(now=False, report=steps.append))
            await until(lambda: bool(steps))
            await asyncio.wait([down], timeout=0.5)  # without the wait for the request, all is stopped meanwhile
            assert steps == ["Waiting for active requests to end, for at most 60 s."]
            release.set()
            assert (await request).status == 200
        assert await down == {"deployments": 1, "unknown": 0}


async def test_a_command_that_arrives_while_another_one_fails(database: Path) -> None:
    """A command gets the result of its own attempt, not the error of the one before that failed while it was received."""
    engine = ServingEngine()
    async with controlled(database, engine, "a") as (_, client, _stop):
        complete = asyncio.Event()

        async def body() -> AsyncIterator[bytes]:
            yield b'{"now": '
            await complete.wait()
            yield b"false}"

        async with aiohttp.ClientSession(connector=aiohttp.UnixConnector(str(control_path(database)))) as session:
            late = asyncio.create_task(session.post("http://server/down", data=body()))
            engine.available = False
            with pytest.raises(ControlError, match="the engine in memory does not respond"):
                await client.take_down(now=False, report=lambda _: None)
            engine.available = True
            complete.set()
            lines = [json.loads(line) async for line in (await late).content]
        assert lines[-1] == {"result": {"deployments": 1, "unknown": 0}}


async def test_a_failure_of_the_server(database: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever fails while the deployments are taken down, the server continues to run them, and the command can be repeated."""
    engine = ServingEngine()
    async with controlled(database, engine, "a") as (server, client, stop):
        with monkeypatch.context() as patch:
            patch.setattr(engine, "release", None)
            with pytest.raises(ControlError, match=r"The server failed: TypeError: .* Its log says more"):
                await client.take_down(now=False, report=lambda _: None)
        assert not stop.is_set()
        await until_one_runs(engine)
        await wait_for_all(server)
        assert await client.take_down(now=False, report=lambda _: None) == {"deployments": 1, "unknown": 0}
        assert not engine.by_id


async def test_an_engine_that_goes_away_during_down(database: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """If the engine goes away while containers stop, the server continues: new deployments become ready when it is back."""
    engine = ServingEngine()

    async def stop_container(container_id: str, grace: float) -> None:  # noqa: ARG001
        engine.available = False
        engine._check_available()

    async with controlled(database, engine, "a") as (server, client, stop):
        with monkeypatch.context() as patch:
            patch.setattr(engine, "stop", stop_container)
            with pytest.raises(ControlError, match="the engine in memory does not respond"):
                await client.take_down(now=True, report=lambda _: None)
        assert not stop.is_set()
        engine.available = True
        await create_ready(server, "b")


@pytest.mark.parametrize("up", [True, False])
async def test_prune(database: Path, up: bool) -> None:
    """Only those unknown containers are removed that were asked for; one of the database never is."""
    engine = ServingEngine()
    async with controlled(database, engine, "a") as (_, client, _stop):
        (known,) = engine.by_id
        first, second = add_unknown(engine), add_unknown(engine)
        control = client if up else OfflineControl(database, engine)
        if up:
            assert [container["id"] for container in await control.unknown()] == [first, second]
            assert await control.remove([first, known]) == [first]
        else:
            with pytest.raises(ControlError, match="another server"):
                await control.unknown()
    if not up:
        assert [container["id"] for container in await control.unknown()] == [first, second]
        assert await control.remove([first, known]) == [first]
    assert list(engine.by_id) == [known, second]


async def test_prune_waits_for_containers(database: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Many containers that stop slowly may take longer than any other request."""
    engine = ServingEngine()
    unknown = add_unknown(engine)
    monkeypatch.setattr(control_client, "_TIMEOUT", aiohttp.ClientTimeout(total=0.2))

    async def remove(container_id: str) -> None:
        await asyncio.sleep(0.5)
        engine.lose(container_id)

    monkeypatch.setattr(engine, "remove", remove)
    async with controlled(database, engine) as (_, client, _stop):
        assert await client.remove([unknown]) == [unknown]


async def test_simulation(database: Path) -> None:
    """With the simulation there are no containers: nothing to prune, and a server that just stops."""
    async with controlled(database, None) as (_, client, stop):
        assert (await client.status())["engine"]["name"] == "simulated"
        with pytest.raises(ControlError, match="simulated"):
            await client.unknown()
        assert await client.take_down(now=False, report=lambda _: None) == {"deployments": 0, "unknown": 0}
        assert stop.is_set()
    offline = OfflineControl(database, None)
    assert (await offline.status())["engine"]["name"] == "simulated"
    assert await offline.take_down(now=False, report=lambda _: None) == {"deployments": 0, "unknown": 0}
    async with LocalServer(database=database):  # without a socket, as while it starts
        with pytest.raises(ControlError, match="still starting"):
            await offline.take_down(now=False, report=lambda _: None)


async def test_database_in_memory() -> None:
    """Containers of a database in memory end with the server: no later server would find them."""
    engine = ServingEngine()
    async with LocalServer(engine=engine, options=OPTIONS) as server:
        await create_ready(server, "a", 2)
        assert len(engine.running()) == 2
    assert not engine.by_id


async def test_status_of_what_is_no_database(database: Path) -> None:
    """A missing file, a file of another program and a newer one are problems, and nothing is written."""
    for content, reason in ((None, "no such file"), (b"text " * 1000, "not a database")):
        if content:
            database.write_bytes(content)  # noqa: ASYNC240  # nothing else runs
        before = contents(database.parent)
        report = await OfflineControl(database, None).status()
        assert reason in report["problem"]
        assert contents(database.parent) == before


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
async def test_another_user(database: Path) -> None:
    """Another user gets an error that says what to do."""
    database.parent.chmod(0o755)
    async with controlled(database, None):
        pid = os.fork()
        if not pid:
            os.setuid(65534)
            try:
                listens(control_path(database))
            except ControlError as error:
                os._exit("belongs to another user" not in str(error))
            os._exit(2)
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0  # noqa: ASYNC222  # it only connects
