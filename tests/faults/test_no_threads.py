"""Where the process can start no thread, or open no file: calls work all the same, or raise an error of the library."""

from __future__ import annotations

import asyncio
import textwrap
import threading

import pytest
from tests.faults.harness import CALLS, CANARY
from tests.faults.programs import run_program
from tests.faults.server import FaultServer

from paperspace.gradient import Client, GradientError
from paperspace.gradient._sync import loop_thread

NO_THREADS = """
def refuse(thread):
    raise RuntimeError("can't start new thread")
start, threading.Thread.start = threading.Thread.start, refuse
"""

PROGRAMS = {
    "one client": """
        with Client(key, url) as client:
            client.deployments.get_deployment(ID)
            client.deployments.delete_deployment(ID)
    """,
    "not closed": """
        Client(key, url).deployments.get_deployment(ID)
        client = Client(key, url)
        client.deployments.get_deployment(ID)
    """,
    "a name instead of an address": """
        for _ in range(2):
            with Client(key, url.replace("127.0.0.1", "localhost")) as client:
                client.deployments.get_deployment(ID)
    """,
    "a thread later": """
        client = Client(key, url)
        client.deployments.get_deployment(ID)
        assert threading.active_count() == 1
        threading.Thread.start = start
        client.deployments.get_deployment(ID)
        assert threading.active_count() == 2
    """,
    "a fork": """
        client = Client(key, url)
        client.deployments.get_deployment(ID)
        if child := os.fork():
            assert os.waitpid(child, 0)[1] == 0
        else:
            client.deployments.get_deployment(ID)
    """,
    "async": """
        async def main():
            async with AsyncClient(key, url.replace("127.0.0.1", "localhost")) as client:
                await client.deployments.get_deployment(ID)
                await client.deployments.get_deployment(ID)
        asyncio.run(main())
    """,
}


@pytest.mark.parametrize("name", PROGRAMS)
def test_no_threads(name: str) -> None:
    """Calls work without a thread, and leave nothing behind: no coroutine, no connection, no warning."""
    with FaultServer() as server:
        run_program(NO_THREADS + textwrap.dedent(PROGRAMS[name]), server.url)
        assert len(server.requests) == 2


def test_many_threads_share_the_loop() -> None:
    """Threads whose calls cannot have a loop thread run their calls one at a time."""
    text = """
        client = Client(key, url)
        ids = [str(uuid4()) for _ in range(20)]
        with ThreadPoolExecutor(8) as pool:
            list(pool.map(lambda _: time.sleep(0.05), range(8)))  # all threads of the pool have started
            threading.Thread.start = refuse
            assert list(pool.map(lambda id: client.deployments.get_deployment(id)["id"], ids)) == ids
    """
    with FaultServer() as server:
        run_program(NO_THREADS + "threading.Thread.start = start\n" + textwrap.dedent(text), server.url)
        assert server.connections == 1


@pytest.fixture
def no_loop_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make the next call the first one of the process."""
    monkeypatch.setattr(loop_thread, "_running", None)


@pytest.mark.usefixtures("no_loop_thread")
def test_no_thread_beside_a_running_loop(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a thread, a sync call in a thread that runs an event loop raises an error that says what to use."""

    def refuse(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    async def main() -> None:
        with monkeypatch.context() as patch:
            patch.setattr(threading.Thread, "start", refuse)
            with pytest.raises(GradientError, match=r"no thread can be started.*aio"):
                CALLS["get"](client.deployments)

    with FaultServer() as server:
        client = Client(CANARY, server.url)
        asyncio.run(main())
        client.close()
        assert server.connections == 0


def test_no_file_descriptors() -> None:
    """Without a file descriptor for the event loop, a call raises an error of the library; the next one works."""
    text = """
        import resource
        from contextlib import suppress
        from paperspace.gradient import GradientError
        from paperspace.gradient._sync import loop_thread
        client = Client(key, url)
        resource.setrlimit(resource.RLIMIT_NOFILE, (64, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
        held = []
        with suppress(OSError):
            while True:
                held.append(os.open(os.devnull, os.O_RDONLY))
        for _ in range(4):  # the selector needs one, the pair of sockets two, and the import of modules one
            try:
                client.deployments.get_deployment(ID)
            except GradientError as error:
                print(error)
            os.close(held.pop())
        for one in held:
            os.close(one)
        print(client.deployments.get_deployment(ID)["name"])
    """
    with FaultServer() as server:
        assert run_program(text, server.url).splitlines() == [
            "cannot create an event loop: Too many open files"
        ] * 4 + ["mine"]
