"""The server as an object: start, stop, and cleanup."""

from __future__ import annotations

import asyncio
import gc
import http.client
import itertools
import os
import signal
import socket
import subprocess
import sys
import threading
import weakref
from datetime import datetime
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import aiohttp
import pytest
from aiohttp import web
from tests.interrupting import interrupt

from paperspace.gradient import APIConnectionError, Client
from paperspace.gradient.server import LocalServer, UnusableDatabaseError, drop
from paperspace.gradient.server.clock import utc_now
from paperspace.gradient.server.dispatcher import Dispatcher
from paperspace.gradient.server.graphql.execution import Executor, Request
from paperspace.gradient.server.graphql.responses import Response
from paperspace.gradient.server.storage.budget import Budget

if TYPE_CHECKING:
    from tests.raw_client import Caller


QUERY = "{ deployments { nodes { name } } }"


def test_nothing_is_left_running(caller: type[Caller]) -> None:
    """After the block, no thread, listening socket or other resource remains."""
    before = set(threading.enumerate())
    with LocalServer() as server:
        assert caller(server)(QUERY).data
        address = server.url.split("/")[2].split(":")
    assert set(threading.enumerate()) == before
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection((address[0], int(address[1])))
    gc.collect()


def test_the_program_changes_its_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caller: type[Caller]) -> None:
    """The database and the files next to it stay where they are, so passwords of endpoints remain valid after a restart."""
    folders = tmp_path / "first", tmp_path / "second"
    for folder in folders:
        folder.mkdir()
    monkeypatch.chdir(folders[0])
    server, passwords = LocalServer(database="gradient.db"), set[str]()
    for _ in range(2):
        with server:
            monkeypatch.chdir(folders[1])
            if not passwords:
                id_ = caller(server).create()
            passwords.add(server.endpoint_password(id_))
            assert [node["name"] for node in caller(server)(QUERY).data["deployments"]["nodes"]] == ["demo"]
    monkeypatch.chdir(folders[0])
    with LocalServer(database="gradient.db") as server:
        passwords.add(server.endpoint_password(id_))
    assert len(passwords) == 1
    assert list(folders[1].iterdir()) == []


def test_a_server_can_be_started_again(caller: type[Caller]) -> None:
    """A stopped server can start again; a second stop does nothing, a second start raises an error."""
    server = LocalServer()
    for _ in range(2):
        server.start()
        with pytest.raises(RuntimeError, match="running already"):
            server.start()
        assert caller(server)(QUERY).data == {"deployments": {"nodes": []}}
        caller(server).create()
        server.stop()
        server.stop()


def test_a_failed_start_keeps_nothing() -> None:
    """The error of a start, with its frames and what they refer to, is not kept until the next start."""
    with LocalServer() as other:
        server = LocalServer(port=urlsplit(other.url).port or 0)
        with pytest.raises(OSError, match="in use") as caught:
            server.start()
        message = str(caught.value)
        del caught
        gc.collect()
        assert message not in [str(kept) for kept in gc.get_objects() if isinstance(kept, OSError)]


def test_servers_are_independent(caller: type[Caller]) -> None:
    """Two servers in one process have different URLs, API keys and data."""
    with LocalServer() as one, LocalServer() as two:
        assert one.url != two.url
        assert one.api_key != two.api_key
        caller(one).create()
        assert caller(two)(QUERY).data == {"deployments": {"nodes": []}}


@pytest.mark.anyio
async def test_async_with() -> None:
    """In an `async with` block, the server runs on the running loop and handles concurrent requests."""
    async with LocalServer(api_key="key") as server, aiohttp.ClientSession() as session:

        async def ask() -> Any:
            headers = {"Authorization": "Bearer key"}
            async with session.post(server.url, json={"query": QUERY}, headers=headers) as response:
                return await response.json()

        responses = await asyncio.gather(*(ask() for _ in range(50)))
    assert responses == [{"data": {"deployments": {"nodes": []}}}] * 50


@pytest.mark.anyio
async def test_requests_do_not_block_the_loop(monkeypatch: pytest.MonkeyPatch) -> None:
    """While a request is executed, the event loop runs other tasks, and the health check responds."""
    executing, finish = threading.Event(), threading.Event()
    execute = Executor.execute

    def wait_and_execute(self: Executor, request: Request, budget: Budget) -> Response:
        executing.set()
        assert finish.wait(timeout=30)  # on the event loop, nothing could set it
        return execute(self, request, budget)

    monkeypatch.setattr(Executor, "execute", wait_and_execute)
    async with LocalServer(api_key="key") as server, aiohttp.ClientSession() as session:
        headers = {"Authorization": "Bearer key"}
        request = asyncio.create_task(session.post(server.url, json={"query": QUERY}, headers=headers))
        assert await asyncio.to_thread(executing.wait, 60)
        async with session.get(server.url.replace("graphql", "healthz")) as health:
            assert health.status == 200
        assert not request.done()
        finish.set()
        async with await request as response:
            assert response.status == 200


AT_EXIT = """
import atexit, sys, threading
from paperspace.gradient import Client
from paperspace.gradient.server import LocalServer

def refuse(thread):
    raise RuntimeError("can't create new thread at interpreter shutdown")

server = LocalServer()
server.start()
client = Client(server.api_key, server.url)
atexit.register(server.stop)
env = [{"name": "LONG", "value": "x" * 200_000}]  # long enough to be compressed in a thread
created = client.deployments.create_deployment("mnist", "p1", {"image": "x", "env": env})

@atexit.register
def clean_up():
    assert client.deployments.get_deployment_spec(created["id"])["env"] == env
    client.deployments.delete_deployment(created["id"])
    print("deleted", len(client.deployments.list_deployments()))

if sys.argv[1] == "no threads":
    atexit.register(lambda: setattr(threading.Thread, "start", refuse))
"""


@pytest.mark.parametrize("threads", ["threads", "no threads"])
def test_functions_of_atexit(threads: str) -> None:
    """Functions of `atexit` can use the server and stop it, also where no thread can be started there (Python 3.12)."""
    command = [sys.executable, "-W", "error", "-c", AT_EXIT, threads]
    ran = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert (ran.returncode, ran.stdout, ran.stderr) == (0, "deleted 0\n", "")


NO_RESOURCES = {
    "no thread": """
def refuse(thread):
    raise RuntimeError("can't start new thread")
threading.Thread.start = refuse
""",
    "no file descriptor": """
held = []
resource.setrlimit(resource.RLIMIT_NOFILE, (64, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
with contextlib.suppress(OSError):
    while True:
        held.append(os.open(os.devnull, os.O_RDONLY))
""",
    "few file descriptors": """
held = []
resource.setrlimit(resource.RLIMIT_NOFILE, (64, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
with contextlib.suppress(OSError):
    while True:
        held.append(os.open(os.devnull, os.O_RDONLY))
for _ in range(3):
    os.close(held.pop())
""",
}
START = """
import contextlib, os, resource, threading
from paperspace.gradient.server import LocalServer
server = LocalServer()
{take_resources}
try:
    server.start()
except (OSError, RuntimeError) as error:
    print(error)
"""


@pytest.mark.parametrize("resources", NO_RESOURCES)
def test_start_without_resources(resources: str) -> None:
    """Without a thread, or file descriptors for the event loop or the socket, the start raises the system's error."""
    command = [sys.executable, "-W", "error", "-c", START.format(take_resources=NO_RESOURCES[resources])]
    ran = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    message = "can't start new thread" if resources == "no thread" else "[Errno 24] Too many open files"
    assert (ran.returncode, ran.stdout[: len(message)], ran.stderr) == (0, message, "")


def test_a_port_in_use_is_an_os_error() -> None:
    """If the port is in use, the start raises the system's OSError."""
    with LocalServer() as server, pytest.raises(OSError, match="in use"):
        LocalServer(port=int(server.url.split(":")[2].split("/")[0])).start()


@pytest.mark.parametrize("key", ["", "with space", "é", "line\nend"])
def test_invalid_api_keys(key: str) -> None:
    """An API key that no header can contain raises a ValueError."""
    with pytest.raises(ValueError, match="visible ASCII"):
        LocalServer(api_key=key)


def test_ipv6_host() -> None:
    """The URL has an IPv6 address in brackets."""
    if not socket.has_ipv6:
        pytest.skip("no IPv6 here")
    try:
        server = LocalServer(host="::1")
        server.start()
    except OSError:
        pytest.skip("no IPv6 here")
    assert server.url.startswith("http://[::1]:")
    server.stop()


@pytest.mark.parametrize("in_memory", [True, False])
def test_many_starts(tmp_path: Path, caller: type[Caller], *, in_memory: bool) -> None:
    """A server that starts and stops many times leaves no thread and no file descriptor."""
    server = LocalServer(database=":memory:" if in_memory else tmp_path / "gradient.db")

    descriptors = Path("/proc/self/fd")

    def start_and_stop() -> None:
        with server:
            assert caller(server)(QUERY).data

    def remaining() -> tuple[set[threading.Thread], int]:
        gc.collect()
        return set(threading.enumerate()), len(list(descriptors.iterdir())) if descriptors.exists() else 0

    start_and_stop()
    before = remaining()
    for _ in range(50):
        start_and_stop()
    assert remaining() == before


def test_stopped_servers_are_freed(caller: type[Caller]) -> None:
    """Nothing refers to a stopped server, nor to the functions that responded for its endpoints."""

    class Model:
        def __call__(self, _request: object) -> None: ...

    model = Model()
    with LocalServer() as server:
        server.respond("mnist", model)
        assert caller(server)(QUERY).data
    left: list[weakref.ref[Any]] = [weakref.ref(model), weakref.ref(server)]
    del model, server
    gc.collect()
    assert [reference() for reference in left] == [None, None]


@pytest.mark.parametrize(
    ("method", "path"), [("GET", "/other"), ("GET", "/line%0Afeed"), ("DELETE", "/healthz"), ("GET", "/healthz")]
)
def test_requests_are_freed(method: str, path: str) -> None:
    """A request is freed after its response, also if nothing collects garbage."""

    def requests() -> int:
        return sum(isinstance(found, web.Request) for found in gc.get_objects())

    with LocalServer() as server:
        connection = http.client.HTTPConnection(urlsplit(server.url).netloc, timeout=60)
        gc.collect()
        gc.disable()
        try:
            before = requests()
            for _ in range(20):
                connection.request(method, path)
                connection.getresponse().read()
            assert requests() - before < 5
        finally:
            gc.enable()
            connection.close()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_fork(tmp_path: Path, caller: type[Caller]) -> None:
    """A forked child can leave the block of the server and exit; the server of the parent continues and loses nothing."""
    script = (
        "import gc, os, sys\n"
        "from paperspace.gradient.server import LocalServer\n"
        "with LocalServer(database=sys.argv[1], api_key='k') as server:\n"
        "    print(server.url, flush=True)\n"
        "    sys.stdin.readline()\n"
        "    child = os.fork()\n"
        "    if child:\n"
        "        print('exit status', os.waitpid(child, 0)[1], flush=True)\n"
        "        sys.stdin.readline()\n"
    )
    command = [sys.executable, "-W", "error", "-W", "ignore::DeprecationWarning", "-c", script, str(tmp_path / "a.db")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1) as process:
        assert process.stdin
        assert process.stdout
        call = caller(SimpleNamespace(url=process.stdout.readline().strip(), api_key="k"))
        call.create("before")
        print(file=process.stdin)
        assert process.stdout.readline() == "exit status 0\n"
        call.create("after")
        with pytest.raises(UnusableDatabaseError, match="another server"):
            LocalServer(database=tmp_path / "a.db").start()
        print(file=process.stdin)
        assert process.wait(60) == 0
    with LocalServer(database=tmp_path / "a.db") as server:
        assert len(caller(server)(QUERY).data["deployments"]["nodes"]) == 2


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_the_connections_of_a_fork() -> None:
    """A forked child that lives on keeps open neither the port of a stopped server nor a connection that the server closed."""
    with LocalServer() as server, Client(server.api_key, server.url, timeout=60, max_retries=0) as client:
        client.deployments.list_deployments()
        child = os.fork()
        if not child:
            signal.pause()
        try:
            server.inject_fault(drop(executed=False))
            with pytest.raises(APIConnectionError):
                client.deployments.list_deployments()
            server.stop()
            with pytest.raises(APIConnectionError, match="refused"):
                client.deployments.list_deployments()
        finally:
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)


def test_an_interrupted_start(monkeypatch: pytest.MonkeyPatch) -> None:
    """A start that Ctrl-C interrupts leaves no server behind, and the server can be started again."""
    open_lanes = Dispatcher.open

    async def interrupt(dispatcher: Dispatcher) -> None:
        os.kill(os.getpid(), signal.SIGINT)
        interrupted.wait(60)
        await open_lanes(dispatcher)

    before = set(threading.enumerate())
    interrupted = threading.Event()
    server = LocalServer()
    with monkeypatch.context() as patch:
        patch.setattr(Dispatcher, "open", interrupt)
        with pytest.raises(KeyboardInterrupt):
            server.start()
        interrupted.set()
        for thread in set(threading.enumerate()) - before:
            thread.join(60)
    assert set(threading.enumerate()) == before
    with server:
        assert server.url


def test_an_interrupted_stop(monkeypatch: pytest.MonkeyPatch) -> None:
    """After a stop that Ctrl-C interrupts, the server can be stopped again, and started again."""
    join = threading.Thread.join

    def interrupt(thread: threading.Thread) -> None:
        join(thread)
        if threading.current_thread() is threading.main_thread():
            raise KeyboardInterrupt

    server = LocalServer()
    server.start()
    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "join", interrupt)
        with pytest.raises(KeyboardInterrupt):
            server.stop()
    server.stop()
    with server:
        assert server.url


def test_a_signal_at_each_step_of_reconcile(caller: type[Caller]) -> None:
    """Wherever a signal handler interrupts `reconcile`, the server goes on: no lock is left that its threads wait for."""
    with LocalServer() as server:
        call = caller(server)
        server.reconcile("n")
        for step in itertools.count():
            reached = interrupt(lambda: server.reconcile("n"), step)
            if reached is None:
                break
            created: list[str] = []
            thread = threading.Thread(
                target=lambda step=step, created=created: created.append(call.create(f"n{step}")), daemon=True
            )
            thread.start()
            thread.join(20)
            assert created, f"the next change hangs after an interrupt of {reached}"
        assert step > 10


def test_a_signal_at_each_step_of_start_and_stop() -> None:
    """Wherever a signal handler interrupts a start or a stop: after one more stop, nothing is left, and a start succeeds.

    Inside of Python's threading, which is not made for this, a start is not interrupted here.
    """
    before = set(threading.enumerate())
    server = LocalServer()

    def start_and_stop() -> None:
        server.start()
        server.stop()

    for step in itertools.count():
        reached = interrupt(start_and_stop, step, within="own_thread.py")
        server.stop()
        for thread in {thread for thread in threading.enumerate() if thread.is_alive()} - before:
            thread.join(20)
            assert not thread.is_alive(), f"the server goes on after step {step}, an interrupt of {reached}"
        if reached is None:
            break
    assert step > 5


@pytest.mark.skipif(not hasattr(signal, "pthread_kill"), reason="no signals for threads here")
def test_a_start_after_an_interrupted_one(caller: type[Caller]) -> None:
    """A start after Ctrl-C waits until the interrupted start has ended: both open the same server, and would mix its parts."""
    before = set(threading.enumerate())
    opening, continued = threading.Event(), threading.Event()

    def now() -> datetime:
        if threading.current_thread() is not threading.main_thread() and not opening.is_set():
            opening.set()
            continued.wait()
        return utc_now()

    def interrupt_start() -> None:
        opening.wait()
        signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)

    server = LocalServer(now=now)
    threading.Thread(target=interrupt_start).start()
    with pytest.raises(KeyboardInterrupt):
        server.start()
    again = threading.Thread(target=server.start)
    again.start()
    again.join(0.5)
    assert again.is_alive()
    continued.set()
    again.join()
    assert caller(server)(QUERY).data
    server.stop()
    for thread in set(threading.enumerate()) - before:
        thread.join(20)
        assert not thread.is_alive(), f"{thread.name} goes on"


def test_a_start_that_is_interrupted_before_its_thread_runs(
    caller: type[Caller], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A thread that the system runs only after its start was interrupted does not open the server: another start has opened it."""
    continued, late = threading.Event(), list[threading.Thread]()

    def start_late(thread: threading.Thread) -> None:
        def run() -> None:
            continued.wait()
            thread.run()

        late.append(threading.Thread(target=run))
        original(late[0])
        raise KeyboardInterrupt

    original = threading.Thread.start
    server = LocalServer()
    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", start_late)
        with pytest.raises(KeyboardInterrupt):
            server.start()
    server.start()
    url = server.url
    continued.set()
    late[0].join()
    assert server.url == url
    assert caller(server)(QUERY).data
    server.stop()


def test_simultaneous_starts() -> None:
    """If several threads start the same server, one does; nothing is left after a stop."""
    before = set(threading.enumerate())
    server = LocalServer()
    errors: list[str] = []

    def start() -> None:
        try:
            server.start()
        except RuntimeError as error:
            errors.append(str(error))

    threads = [threading.Thread(target=start) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    server.stop()
    assert errors == ["the server is running already"] * 7
    assert set(threading.enumerate()) == before


@pytest.mark.parametrize("stop", ["atexit.register(server.stop)", ""])
def test_the_end_of_the_program(tmp_path: Path, stop: str) -> None:
    """A server that is stopped at the exit, or never, neither delays the exit nor writes a traceback."""
    script = (
        "import atexit, sys, urllib.request\n"
        "from paperspace.gradient.server import LocalServer\n"
        "server = LocalServer(database=sys.argv[1])\n"
        "server.start()\n"
        f"{stop}\n"
        "urllib.request.urlopen(server.url.replace('graphql', 'healthz')).read()\n"
    )
    command = [sys.executable, "-W", "error", "-c", script, str(tmp_path / "a.db")]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")
    assert (tmp_path / "a.db-wal").exists() is not bool(stop)
