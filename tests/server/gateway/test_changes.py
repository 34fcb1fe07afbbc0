"""Changes of routes while clients send requests: none is lost."""

from __future__ import annotations

import asyncio
import ctypes
import os
import random
import resource
import signal
import socket
from collections.abc import Callable, Iterator
from contextlib import AsyncExitStack, contextmanager, suppress
from datetime import timedelta
from pathlib import Path

import pytest
import time_machine
from tests.ports import ports
from tests.server.controller.memory_engine import ServingEngine
from tests.server.controller.test_server import in_thread, spec
from tests.server.gateway.site import LONG, Load, Replica, Visitor, until, visiting

from paperspace.gradient.server import LocalServer
from paperspace.gradient.server.controller import controller as controller_module
from paperspace.gradient.server.controller.controller import Options
from paperspace.gradient.server.controller.gateway import GatewayUnavailableError, Routes, Target
from paperspace.gradient.server.gateway import gateway as gateway_module
from paperspace.gradient.server.gateway.files import Files
from paperspace.gradient.server.gateway.gateway import EnvoyGateway

pytestmark = pytest.mark.anyio


def files(folder: Path) -> dict[str, int]:
    """Return the inode of each file: it changes whenever the file is written."""
    return {file.name: file.stat().st_ino for file in folder.glob("*.json")}


async def test_routes_are_reported(gateway: EnvoyGateway, replicas: list[Replica]) -> None:
    """The gateway knows which instances get requests, and which only finish theirs."""
    await gateway.route("x", "a", replicas[0].target)
    await gateway.route("x", "b", replicas[1].target)
    await gateway.unroute("x", "a")
    await gateway.expose("y")
    assert gateway.routes("x") == Routes(routed=frozenset("b"), draining=frozenset("a"))
    assert gateway.routes("y") == gateway.routes("z") == Routes()
    assert gateway.deployments() == {"x", "y"}
    await gateway.forget_instance("x", "a")
    await gateway.forget("y")
    assert gateway.routes("x") == Routes(routed=frozenset("b"))
    assert gateway.deployments() == {"x"}


async def test_calls_for_what_holds_write_nothing(gateway: EnvoyGateway, replicas: list[Replica], folder: Path) -> None:
    """A call for a state that holds already writes no file."""
    await gateway.route("x", "a", replicas[0].target)
    await gateway.route("x", "b", replicas[1].target)
    await gateway.unroute("x", "b")
    before = files(folder)
    await gateway.expose("x")
    await gateway.route("x", "a", replicas[0].target)
    await gateway.unroute("x", "b")
    await gateway.unroute("x", "unknown")
    await gateway.forget_instance("x", "unknown")
    await gateway.forget("unknown")
    assert files(folder) == before


async def test_in_effect_at_once(gateway: EnvoyGateway, visitor: Visitor, replicas: list[Replica]) -> None:
    """When a call returns, the change is in effect: the next request follows it."""
    a, b, _ = replicas
    for _ in range(10):
        await gateway.route("x", "a", a.target)
        assert await visitor.name() == "a"
        await gateway.route("x", "b", b.target)
        await gateway.unroute("x", "a")
        assert {await visitor.name() for _ in range(4)} == {"b"}
        await gateway.forget("x")
        assert await visitor.name() == "404"


async def test_all_instances_get_requests(gateway: EnvoyGateway, visitor: Visitor, replicas: list[Replica]) -> None:
    """Requests are spread over the routed instances of their deployment, and never reach those of another one."""
    a, b, c = replicas
    await gateway.route("x", "a", a.target)
    await gateway.route("x", "b", b.target)
    await gateway.route("y", "c", c.target)
    assert {await visitor.name() for _ in range(40)} == {"a", "b"}
    assert {await visitor.name("y") for _ in range(10)} == {"c"}


async def test_nothing_is_lost(gateway: EnvoyGateway, replicas: list[Replica]) -> None:
    """While instances are replaced one after the other, clients that keep connections and never retry lose nothing."""
    await gateway.route("x", "0", replicas[0].target)
    async with Load(gateway).running() as load:
        for number in range(12):
            old, new = replicas[number % 3], replicas[(number + 1) % 3]
            await gateway.route("x", str(number + 1), new.target)
            await gateway.unroute("x", str(number))
            await gateway.drained("x", str(number))
            assert old.active == 0
            await gateway.forget_instance("x", str(number))
            await load.more(20)
            assert old.active == 0
    assert load.lost == []


@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_drained(gateway: EnvoyGateway, visitor: Visitor, replicas: list[Replica], method: str) -> None:
    """An instance is drained when it has responded to its last request, not before."""
    a, b, _ = replicas
    await gateway.route("x", "a", a.target)
    slow = asyncio.create_task(visitor.name("x", "?seconds=0.7", method=method))
    await until(lambda: a.active == 1)
    await gateway.route("x", "b", b.target)
    await gateway.unroute("x", "a")
    drained = asyncio.create_task(gateway.drained("x", "a"))
    assert {await visitor.name() for _ in range(5)} == {"b"}
    assert a.active
    assert not drained.done()
    await drained
    assert not a.active
    assert await slow == "a"


async def test_drained_after_a_late_route(
    gateway: EnvoyGateway, visitor: Visitor, replicas: list[Replica], monkeypatch: pytest.MonkeyPatch
) -> None:
    """An instance whose route Envoy uses, but has not confirmed in time, gets no new requests and is drained like others."""
    a = replicas[0]
    await gateway.expose("x")
    envoy = gateway._supervisor.pid
    assert envoy
    with monkeypatch.context() as patch:
        patch.setattr(gateway_module, "_APPLY_TIMEOUT", 0.5)
        os.kill(envoy, signal.SIGSTOP)
        with pytest.raises(GatewayUnavailableError):
            await gateway.route("x", "a", a.target)
        assert gateway.routes("x") == Routes(draining=frozenset("a"))
        with pytest.raises(GatewayUnavailableError):
            await gateway.drained("x", "a")
        with pytest.raises(GatewayUnavailableError):
            await gateway.route("x", "a", a.target)
    os.kill(envoy, signal.SIGCONT)
    async with asyncio.timeout(LONG):
        while await visitor.name() != "a":
            pass
    slow = asyncio.create_task(visitor.name("x", "?seconds=0.7", method="POST"))
    await until(lambda: a.active == 1)
    await gateway.drained("x", "a")
    assert not a.active
    assert await slow == "a"
    assert await visitor.name() == "503"


async def test_websocket_counts_as_active(gateway: EnvoyGateway, visitor: Visitor, replicas: list[Replica]) -> None:
    """An instance with an open WebSocket is not drained, and the WebSocket works until it is closed."""
    a, b, _ = replicas
    await gateway.route("x", "a", a.target)
    async with visitor.session.ws_connect(visitor.url("/endpoints/x/ws")) as socket:
        await gateway.route("x", "b", b.target)
        await gateway.unroute("x", "a")
        drained = asyncio.create_task(gateway.drained("x", "a"))
        await asyncio.sleep(0.5)
        assert not drained.done()
        await socket.send_str("still here")
        assert await socket.receive_str() == "a still here"
    async with asyncio.timeout(LONG):
        await drained


async def test_removed_while_envoy_does_not_respond(
    new_gateway: Callable[..., EnvoyGateway], folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """When Envoy responds again, it has no route to a replica that was removed meanwhile: another one may have its port."""
    monkeypatch.setattr(gateway_module, "_APPLY_TIMEOUT", 0.5)
    engine, gateway = ServingEngine(), new_gateway()
    options = Options(ports=ports(24300), drain_timeout=timedelta(seconds=0.5))
    async with LocalServer(engine=engine, gateway=gateway, options=options, database=tmp_path / "g.db") as server:
        id_ = (await in_thread(server, lambda api: api.create_deployment("x", "p", spec("good-1"))))["id"]
        await in_thread(server, lambda api: api.wait_for_deployment(id_, timeout=LONG))
        envoy = gateway._supervisor.pid
        assert envoy
        os.kill(envoy, signal.SIGSTOP)
        await in_thread(server, lambda api: api.scale_deployment(id_, 2))
        await until(lambda: bool(gateway.routes(id_).draining))  # its route is wanted, and not in effect
        port = engine.running()[-1].host_port
        await until(lambda: str(port) in (folder / "eds-http.json").read_text())
        await in_thread(server, lambda api: api.scale_deployment(id_, 1))
        await until(lambda: len(engine.running()) == 1)
        await until(lambda: str(port) not in (folder / "eds-http.json").read_text())
        os.kill(envoy, signal.SIGCONT)
        await until(lambda: gateway.routes(id_) == Routes(routed=gateway.routes(id_).routed))


async def test_late_route_to_a_replica_that_is_not_ready_any_more(
    new_gateway: Callable[..., EnvoyGateway], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """If a replica is not ready any more when Envoy responds again and uses its route, it gets no more requests soon."""
    monkeypatch.setattr(gateway_module, "_APPLY_TIMEOUT", 0.5)
    monkeypatch.setattr(controller_module, "RESYNC_INTERVAL", 10 * LONG)
    engine, gateway = ServingEngine(), new_gateway()
    engine.statuses["/ready"] = 503
    check = {"path": "/ready", "periodSeconds": 1, "failureThreshold": 1}
    options = Options(ports=ports(24350))
    async with LocalServer(engine=engine, gateway=gateway, options=options, database=tmp_path / "g.db") as server:
        checked = {**spec("good-1"), "healthChecks": {"readiness": check}}
        id_ = (await in_thread(server, lambda api: api.create_deployment("x", "p", checked)))["id"]
        await until(lambda: engine.received["/ready"] > 0 and id_ in gateway.deployments())
        envoy = gateway._supervisor.pid
        assert envoy
        os.kill(envoy, signal.SIGSTOP)
        engine.statuses["/ready"] = 200
        await until(lambda: bool(gateway.routes(id_).draining))  # its route is wanted, and not in effect
        engine.statuses["/ready"] = 503
        before = engine.received["/ready"]
        await until(lambda: engine.received["/ready"] > before + 1)
        os.kill(envoy, signal.SIGCONT)
        await until(lambda: [instance.draining for instance in gateway._changes.applied.of(id_)] == [True])


async def test_file_that_envoy_could_not_read(
    gateway: EnvoyGateway, visitor: Visitor, replicas: list[Replica], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A change that Envoy could not read, because it had no file descriptors left, is applied when it has some."""
    monkeypatch.setattr(gateway_module, "_APPLY_TIMEOUT", 0.5)
    a, b, _ = replicas
    await gateway.route("x", "a", a.target)
    envoy = gateway._supervisor.pid
    assert envoy
    soft, hard = resource.prlimit(envoy, resource.RLIMIT_NOFILE)
    resource.prlimit(envoy, resource.RLIMIT_NOFILE, (0, hard))
    with pytest.raises(GatewayUnavailableError):
        await gateway.route("x", "b", b.target)
    resource.prlimit(envoy, resource.RLIMIT_NOFILE, (soft, hard))
    await gateway.route("x", "b", b.target)
    await gateway.unroute("x", "a")
    assert await visitor.name() == b.name


async def test_request_that_waits_for_a_connection(gateway: EnvoyGateway, visitor: Visitor) -> None:
    """An instance whose connections are not accepted yet is not drained while a request waits for one."""
    with socket.socket() as listener, socket.socket() as first:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)  # one connection is accepted by the kernel; the next one waits
        port = listener.getsockname()[1]
        first.connect(("127.0.0.1", port))
        await gateway.route("x", "a", Target(port, "http"))
        request = asyncio.create_task(visitor.name())
        await asyncio.sleep(0.3)
        await gateway.unroute("x", "a")
        drained = asyncio.create_task(gateway.drained("x", "a"))
        await asyncio.sleep(0.3)
        assert not drained.done()
        request.cancel()  # the gateway forgets a request whose client is gone
        async with asyncio.timeout(LONG):
            await drained


@contextmanager
def stopped_thread(pid: int, name: str) -> Iterator[None]:
    """Stop one thread of a process, as a machine under load may do."""
    seize, interrupt, detach, wait_for_threads = 0x4206, 0x4207, 17, 0x40000000
    library = ctypes.CDLL(None, use_errno=True)
    library.ptrace.argtypes = [ctypes.c_long] * 4
    tasks = Path(f"/proc/{pid}/task")
    thread = next(int(task.name) for task in tasks.iterdir() if (task / "comm").read_text().strip() == name)
    if library.ptrace(seize, thread, 0, 0):
        pytest.skip("this system does not allow to trace processes")
    library.ptrace(interrupt, thread, 0, 0)
    os.waitpid(thread, wait_for_threads)
    try:
        yield
    finally:
        library.ptrace(detach, thread, 0, 0)


async def test_every_thread_counts(gateway: EnvoyGateway, replicas: list[Replica], folder: Path) -> None:
    """A change is in effect only when all threads of Envoy use it, however long one of them takes."""
    await gateway.route("x", "a", replicas[0].target)
    with stopped_thread(int((folder / "envoy.pid").read_text()), "wrk:worker_0"):
        unrouting = asyncio.create_task(gateway.unroute("x", "a"))
        await asyncio.sleep(0.5)
        assert not unrouting.done()
    await unrouting


def test_versions_of_a_file(tmp_path: Path) -> None:
    """Each content of a file has a version of its own, also if a test has frozen the time: the version says what is in effect."""
    written, versions = Files(tmp_path), set[str]()
    with time_machine.travel("2021-03-04", tick=False):
        for number in range(3):
            written.write("a", [{"number": number}])
            versions.add(written.versions()["a"])
    assert len(versions) == 3


async def test_many_deployments_at_once(gateway: EnvoyGateway, visitor: Visitor, replicas: list[Replica]) -> None:
    """A hundred deployments are routed with a few writes of files."""
    writes = 0
    write = gateway._envoy.files.write

    def counted(name: str, resources: object) -> None:
        nonlocal writes
        writes += not gateway._envoy.files.contains(name, resources)  # type: ignore[arg-type]
        write(name, resources)  # type: ignore[arg-type]

    gateway._envoy.files.write = counted  # type: ignore[method-assign]
    ids = [f"d{number}" for number in range(100)]
    targets = [Target(20_000 + number, "http") for number in range(99)] + [replicas[0].target]
    await asyncio.gather(*(gateway.route(id_, "i", target) for id_, target in zip(ids, targets, strict=True)))
    assert writes <= 6
    assert await visitor.name("d99") == "a"
    await asyncio.gather(*(gateway.forget(id_) for id_ in ids))
    assert gateway.deployments() == frozenset()


async def test_calls_can_be_cancelled(gateway: EnvoyGateway, visitor: Visitor, replicas: list[Replica]) -> None:
    """A call that was cancelled at any moment can be repeated, and harms no other call."""
    a, b, _ = replicas
    await gateway.route("x", "a", a.target)
    for milliseconds in range(0, 40, 2):
        cancelled = asyncio.create_task(gateway.route("x", "b", b.target))
        other = asyncio.create_task(gateway.expose(f"y{milliseconds}"))
        await asyncio.sleep(milliseconds / 1000)
        cancelled.cancel()
        await asyncio.gather(cancelled, return_exceptions=True)
        await other
        await gateway.route("x", "b", b.target)
        assert gateway.routes("x").routed == {"a", "b"}
        await gateway.forget_instance("x", "b")
    assert await visitor.name() == "a"


@pytest.mark.parametrize("seed", [1, 2])
async def test_random_changes(new_gateway: Callable[..., EnvoyGateway], folder: Path, seed: int) -> None:
    """After any changes at once, some of them cancelled, with ends of Envoy and of the server, responses follow the routes."""
    choose = random.Random(seed)
    async with AsyncExitStack() as stack:
        replicas = [await stack.enter_async_context(Replica(f"r{number}").running()) for number in range(12)]
        gateway = new_gateway()
        await gateway.open()

        def pid() -> str:
            """Return the id of the process of Envoy. Empty: none runs now."""
            file = folder / "envoy.pid"
            return file.read_text() if file.exists() else ""

        for _ in range(5):
            killed = ""
            tasks: list[asyncio.Task[None]] = []
            for _ in range(choose.randint(5, 40)):
                tasks.append(asyncio.create_task(_change(gateway, replicas, choose)))
                await asyncio.sleep(choose.random() * 0.01)
                if choose.random() < 0.15:
                    choose.choice(tasks).cancel()
                if choose.random() < 0.02:
                    with suppress(OSError, ValueError):  # it is being started
                        killed = pid()
                        os.kill(int(killed), signal.SIGKILL)
            for error in await asyncio.gather(*tasks, return_exceptions=True):
                assert error is None or isinstance(error, GatewayUnavailableError | asyncio.CancelledError)
            if choose.random() < 0.5:
                await gateway.close()
                gateway = new_gateway()
                await gateway.open()
            await until(lambda killed=killed: pid() not in {"", killed})  # type: ignore[misc]  # the end was noticed
            await _check_responses(gateway)


async def _change(gateway: EnvoyGateway, replicas: list[Replica], choose: random.Random) -> None:
    number = choose.randrange(len(replicas))
    deployment_id, instance_id = f"d{number % 4}", f"r{number}"
    match choose.choice(["route"] * 4 + ["unroute"] * 2 + ["forget_instance", "forget", "expose", "drained"]):
        case "route":
            await gateway.route(deployment_id, instance_id, replicas[number].target)
        case "forget":
            await gateway.forget(deployment_id)
        case "expose":
            await gateway.expose(deployment_id)
        case name:
            await getattr(gateway, name)(deployment_id, instance_id)


async def _check_responses(gateway: EnvoyGateway) -> None:
    await until(lambda: gateway.routes("d0").problem is None)
    await gateway.expose("last")  # applies what cancelled calls have left
    await gateway.forget("last")
    async with visiting(gateway) as visitor:
        for id_ in ("d0", "d1", "d2", "d3"):
            expected = gateway.routes(id_).routed or {"503" if id_ in gateway.deployments() else "404"}
            assert {await visitor.name(id_) for _ in range(10)} <= expected
