"""A client and its process: interrupts and forks."""

from __future__ import annotations

import asyncio
import inspect
import signal
import subprocess
import sys
import textwrap
import threading
from collections.abc import Coroutine
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from tests.faults.behaviours import never_respond
from tests.faults.harness import CANARY, wait_for
from tests.faults.programs import program, run_program
from tests.faults.server import FaultServer

from paperspace.gradient import deployments
from paperspace.gradient._sync import loop_thread as _portal
from paperspace.gradient._sync.blocking import blocking


@pytest.mark.parametrize("passed_on", [False, True])
def test_interrupt_at_the_start(monkeypatch: pytest.MonkeyPatch, passed_on: bool) -> None:
    """Ctrl-C while a call is passed to the loop thread leaves no coroutine behind, neither waiting nor running."""
    loop = _portal._start().loop
    pass_on = loop.call_soon_threadsafe

    def interrupted(*args: Any) -> None:
        context.undo()
        if passed_on:
            pass_on(*args)
        raise KeyboardInterrupt

    call = asyncio.sleep(60)
    with monkeypatch.context() as context:
        context.setattr(loop, "call_soon_threadsafe", interrupted)
        with pytest.raises(KeyboardInterrupt):
            _portal.run(call)
    wait_for(lambda: inspect.getcoroutinestate(call) == inspect.CORO_CLOSED)


@pytest.mark.parametrize("iterates", [False, True])
@pytest.mark.usefixtures("gradient_server")
def test_interrupt_before_the_call_begins(monkeypatch: pytest.MonkeyPatch, iterates: bool) -> None:
    """Ctrl-C at the beginning of a call, or between two items, leaves no coroutine behind: Python would print a warning."""
    created = deployments.create_deployment("n", "p", {"image": "x"})
    events = deployments.watch_deployment(created["id"])
    next(events)
    passed: list[Coroutine[Any, Any, object]] = []

    def interrupted(coroutine: Coroutine[Any, Any, object]) -> None:
        passed.append(coroutine)
        raise KeyboardInterrupt

    with monkeypatch.context() as context:
        context.setattr(_portal, "run", interrupted)
        with pytest.raises(KeyboardInterrupt):
            next(events) if iterates else deployments.get_deployment(created["id"])
    wait_for(lambda: inspect.getcoroutinestate(passed[0]) == inspect.CORO_CLOSED)


def test_interrupt_cancels_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ctrl-C cancels a call once: a second time would interrupt the clean-up of the call."""
    started, ending, ended = threading.Event(), threading.Event(), threading.Event()
    cancel = _portal.cancel
    monkeypatch.setattr(_portal, "cancel", lambda coroutine: (ending.wait(), cancel(coroutine)))

    class Slow:
        async def method(self) -> None:
            try:
                started.set()
                await asyncio.sleep(60)
            finally:
                ending.set()
                await asyncio.sleep(0.2)  # such as the end of a connection
                ended.set()

    class Caller:
        _async = Slow()
        call = blocking(Slow.method)

    def interrupt() -> None:
        started.wait()
        signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)

    threading.Thread(target=interrupt, daemon=True).start()
    with pytest.raises(KeyboardInterrupt):
        Caller().call()
    wait_for(ended.is_set)


def test_interrupt() -> None:
    """Ctrl-C ends a sync call at once and closes its connection; the next call works."""
    text = """
        client = Client(key, url, timeout=60)
        try:
            client.with_options(timeout=50).deployments.delete_deployment(ID)
        except KeyboardInterrupt:
            print("interrupted", flush=True)
        input()
        print(client.deployments.get_deployment(ID)["name"])
    """
    with FaultServer(never_respond) as server, program(text, server.url) as process:
        wait_for(lambda: server.requests)
        process.send_signal(signal.SIGINT)
        wait_for(lambda: server.open == 0)
        assert process.poll() is None
        out, err = process.communicate("\n", timeout=30)  # well before the call would end by its timeout
        assert (out.split(), process.returncode) == (["interrupted", "mine"], 0), err
        assert len(server.requests) == 2


def test_signal_handler_at_the_first_call() -> None:
    """A signal handler can call the library while the first call reads the settings of the default client."""
    text = """
        from paperspace.gradient import config, deployments
        from paperspace.gradient.aio.deployments import get_deployment
        os.environ |= {"PAPERSPACE_API_KEY": key, "PAPERSPACE_API_URL": url}
        find = config.find_api_key

        def find_after_signal(*arguments):
            config.find_api_key = find
            signal.raise_signal(signal.SIGTERM)
            return find(*arguments)

        config.find_api_key = find_after_signal
        signal.signal(signal.SIGTERM, lambda *_: print(deployments.get_deployment(ID)["name"]))
        signal.alarm(60)
        print(asyncio.run(get_deployment(ID))["name"])
    """
    with FaultServer() as server:
        assert run_program(text, server.url).split() == ["mine", "mine"]


@pytest.mark.parametrize(
    "module", ["config", "_core.session", "_core.transport", "_sync.loop_thread", "deployments._queries"]
)
def test_signal_handler_during_an_import(module: str) -> None:
    """A signal handler can call the library while the first call imports its modules; that call works too."""
    text = f"""
        os.environ |= {{"PAPERSPACE_API_KEY": key, "PAPERSPACE_API_URL": url}}

        def handler(*_):
            from paperspace.gradient import deployments
            print(deployments.get_deployment(ID)["name"])

        class Finder:
            def find_spec(self, name, path, target=None):
                if name == "paperspace.gradient.{module}":
                    sys.meta_path.remove(self)
                    signal.pthread_kill(threading.main_thread().ident, signal.SIGTERM)

        signal.signal(signal.SIGTERM, handler)
        sys.meta_path.insert(0, Finder())
        signal.alarm(60)
        print(Client(key, url).deployments.get_deployment(ID)["name"])
    """
    with FaultServer() as server:
        assert run_program(text, server.url).split() == ["mine", "mine"]


FORKS = {
    "before the first use": """
        client = Client(key, url)
        child = os.fork()
        check(client)
    """,
    "after the first use": """
        client = Client(key, url)
        check(client)
        child = os.fork()
        check(client)
    """,
    "with calls in flight": """
        client = Client(key, url)
        threads = [threading.Thread(target=check, args=(client,)) for _ in range(8)]
        for thread in threads: thread.start()
        while not finished:
            time.sleep(0.001)
        child = os.fork()
        if child == 0:
            check(client)
            os._exit(0)
        assert any(thread.is_alive() for thread in threads)
        for thread in threads: thread.join()
    """,
    "many times": """
        client = Client(key, url)
        check(client)
        child = [os.fork() for _ in range(3)][-1]
        check(client)
    """,
    "of an async client": """
        client = AsyncClient(key, url)
        async def main():
            ids = [str(uuid4()) for _ in range(50)]
            deployments = await asyncio.gather(*(client.deployments.get_deployment(id) for id in ids))
            assert [deployment["id"] for deployment in deployments] == ids
        asyncio.run(main())
        child = os.fork()
        asyncio.run(main())
    """,
    "inside a running loop": """
        client = AsyncClient(key, url)
        async def main():
            global child
            task = asyncio.create_task(client.deployments.get_deployment(ID))
            await asyncio.sleep(0.001)
            child = os.fork()
            if child == 0:
                os._exit(0)
            assert not task.done()
            assert (await task)["id"] == ID
            assert (await client.deployments.get_deployment(ID))["id"] == ID
        asyncio.run(main())
    """,
}


@pytest.mark.parametrize("module", ["asyncio", "asyncio.events", "aiohttp.client", "paperspace.gradient._core.session"])
def test_interrupt_while_a_first_call_imports(module: str) -> None:
    """Ctrl-C ends a first call while it imports what it needs; the next call works, for example to clean up."""
    program = """
        import os, signal, sys
        from paperspace.gradient import Client
        class Interrupt:
            def find_spec(self, name, path=None, target=None):
                if name == module:
                    sys.meta_path.remove(self)
                    os.kill(os.getpid(), signal.SIGINT)
        url, key, id, module = sys.argv[1:]
        assert module not in sys.modules
        sys.meta_path.insert(0, Interrupt())
        try:
            Client(key, url).deployments.get_deployment(id)
        except KeyboardInterrupt:
            print("interrupted")
        print(Client(key, url).deployments.get_deployment(id)["id"])
    """
    with FaultServer() as server:
        command = [
            sys.executable,
            "-W",
            "error",
            "-c",
            textwrap.dedent(program),
            server.url,
            CANARY,
            str(UUID(int=1)),
            module,
        ]
        done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, f"interrupted\n{UUID(int=1)}\n", "")


def test_modules_that_are_removed() -> None:
    """Calls work after a first call in a block of `mock.patch.dict(sys.modules)`, which removes what the call has imported."""
    text = """
        from unittest import mock
        with mock.patch.dict(sys.modules):
            client = Client(key, url)
            client.deployments.get_deployment(ID)
        print(client.deployments.create_deployment("mine", "p1", {"image": "x"})["id"] == ID)
        print(sum(thread.name == "paperspace.gradient" for thread in threading.enumerate()))
    """
    with FaultServer() as server:
        assert run_program(text, server.url) == "True\n1\n"


def test_ids_that_a_test_replaces() -> None:
    """Each change has its own idempotency key, also if a test replaced `uuid.uuid4` while a first call imported the library."""
    text = """
        from unittest import mock
        from uuid import UUID
        with mock.patch("uuid.uuid4", side_effect=[UUID(int=1)]):
            client = Client(key, url)
            client.deployments.get_deployment(ID)
        for _ in range(3):
            client.deployments.create_deployment("mine", "p1", {"image": "x"})
    """
    with FaultServer() as server:
        run_program(text, server.url)
    keys = {
        request.headers["idempotency-key"] for request in server.requests if request.operation == "DeploymentCreate"
    }
    assert len(keys) == 3


def test_modules_of_other_threads() -> None:
    """A module that another thread imports during a first call, and that is removed, as after an error, does not come back."""
    text = """
        from paperspace.gradient._shared import lazy
        names = [f"other{number}" for number in range(1000)]
        def import_others():  # as fast as they appear
            for name in names:
                sys.modules[name] = sys
                time.sleep(0.001)
        other = threading.Thread(target=import_others)
        other.start()
        client = Client(key, url)
        client.deployments.get_deployment(ID)
        other.join()
        print(any(name in lazy._loaded for name in names))
        for name in names:
            del sys.modules[name]
        print(client.deployments.apply_deployment("mine", "p1", {"image": "x"}, dry_run=True)["action"])
        print([name for name in names if name in sys.modules])
    """
    with FaultServer() as server:
        assert run_program(text, server.url) == "True\ncreated\n[]\n"


# The calls of each program: in 1 + 1 processes, 1 + 2, 8 + 1, 1 + 8, 1 + 2; and two in the last.
CALLS_OF_FORKS = dict(zip(FORKS, (100, 150, 450, 450, 150, 2), strict=True))


@pytest.mark.parametrize("name", FORKS)
def test_fork(name: str) -> None:
    """Parent and child both get the right responses, and no connection breaks: each call is one request."""
    head = """
        def check(client):
            with ThreadPoolExecutor(4) as pool:
                ids = [str(uuid4()) for _ in range(50)]
                results = pool.map(lambda id: client.deployments.get_deployment(id)["id"], ids)
                assert [finished.append(id) or id for id in results] == ids
        finished = []
    """
    tail = """
        if child and os.waitpid(child, 0)[1]:
            sys.exit("the child failed")
    """
    with FaultServer() as server:
        run_program(textwrap.dedent(head) + textwrap.dedent(FORKS[name]) + textwrap.dedent(tail), server.url)
        assert len(server.requests) == CALLS_OF_FORKS[name]


def test_fork_during_the_first_call() -> None:
    """A fork waits until another thread has imported what its first call needs, so that the calls of the child do not hang."""
    text = """
        import signal
        def call():
            assert Client(key, url).deployments.get_deployment(ID)["id"] == ID
        thread = threading.Thread(target=call)
        thread.start()
        while "paperspace.gradient._core.session" not in sys.modules:
            time.sleep(0.001)
        child = os.fork()
        if child == 0:
            signal.alarm(60)
            call()
            os._exit(0)
        thread.join()
        if os.waitpid(child, 0)[1]:
            sys.exit("the child failed")
    """
    with FaultServer() as server:
        run_program(text, server.url)
        assert len(server.requests) == 2


def test_imports_of_a_first_call() -> None:
    """What the first call imports outside of the loop thread, it imports with the lock that forks wait for."""
    text = """
        from paperspace.gradient._shared import lazy
        def check(event, args):
            if event == "import" and threading.current_thread().name != "paperspace.gradient":
                assert lazy._import_lock._is_owned(), args[0]
                imported.append(args[0])
        imported = []
        sys.addaudithook(check)
        assert Client(key, url).deployments.get_deployment(ID)["id"] == ID
        assert "aiohttp" in imported and "encodings.idna" in imported
        print("imported")
    """
    with FaultServer() as server:
        assert run_program(text, server.url) == "imported\n"


def test_fork_while_the_loop_thread_starts(tmp_path: Path) -> None:
    """A fork that waits for imports also waits for the loop thread that starts in the meantime."""
    (tmp_path / "slow.py").write_text("import time\ntime.sleep(1)\n")
    text = f"""
        import asyncio, signal
        from importlib import import_module
        from paperspace.gradient._shared import lazy
        from paperspace.gradient._sync import loop_thread
        sys.path.insert(0, {str(tmp_path)!r})
        def start():
            with lazy.importing():
                locked.set()
                time.sleep(0.5)
                starter = threading.Thread(target=loop_thread.run, args=[asyncio.sleep(0)])
                starter.start()
                starter.join()
                loop_thread._running.loop.call_soon_threadsafe(import_module, "slow")
                while "slow" not in sys.modules:
                    time.sleep(0.001)
        locked = threading.Event()
        threading.Thread(target=start).start()
        locked.wait()
        child = os.fork()
        if child == 0:
            signal.alarm(60)
            import_module("slow")
            os._exit(0)
        assert not os.waitpid(child, 0)[1], "the child failed"
    """
    run_program(text, "")


def test_multiprocessing() -> None:
    """Forked workers of a pool inherit a used client and can use it."""
    text = """
        import multiprocessing
        client = Client(key, url)
        client.deployments.get_deployment(ID)
        def work(id):
            return client.deployments.get_deployment(id)["id"]
        ids = [str(uuid4()) for _ in range(60)]
        with multiprocessing.get_context("fork").Pool(3) as pool:
            of_children = pool.map_async(work, ids)
            of_parent = [work(id) for id in ids]
            assert of_children.get(100) == of_parent == ids
            pool.close()
            pool.join()
    """
    with FaultServer() as server:
        run_program(text, server.url)
        assert len(server.requests) == 121
