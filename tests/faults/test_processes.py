"""A client and its process: interrupts, forks, and the end of the interpreter."""

from __future__ import annotations

import asyncio
import gc
import inspect
import signal
import subprocess
import sys
import textwrap
from collections.abc import Callable, Coroutine
from typing import Any

import pytest
from tests.faults.behaviours import never_respond
from tests.faults.harness import CALLS, CANARY, wait_for
from tests.faults.server import FaultServer, good

from paperspace.gradient import AsyncClient
from paperspace.gradient._sync import loop_thread as _portal

# The programs run in new processes, with every warning an error.

PRELUDE = """
import asyncio, gc, os, signal, sys, threading, time
from concurrent.futures import ThreadPoolExecutor
from uuid import uuid4
from paperspace.gradient import AsyncClient, Client
url, key = sys.argv[1:]
ID = "3f0c1c1e-5f0a-4b0e-9b7e-2f6f2a2d9c11"
"""


# asyncio's debug mode prints this about a step that took more than 0.1 s, such as the import of the libraries.
SLOW = "Executing <"


def program(text: str, url: str, *, developer: bool = True) -> subprocess.Popen[str]:
    flags = ["-X", "dev", "-W", "error"] if developer else []
    code = PRELUDE + textwrap.dedent(text)
    return subprocess.Popen(
        [sys.executable, *flags, "-c", code, url, CANARY],
        text=True,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )


def run_program(text: str, url: str, ready: Callable[[], object] = lambda: True) -> str:
    """Run a program that must succeed and print nothing on stderr; return its output.

    A program that calls input() goes on when `ready` is true.
    """
    with program(text, url) as process:
        wait_for(ready)
        out, err = process.communicate("\n", timeout=120)
    err = "".join(line for line in err.splitlines(keepends=True) if not line.startswith(SLOW))
    assert (process.returncode, err) == (0, "")
    return out


EXITS = {
    "sync, not closed": """
        client = Client(key, url)
        client.deployments.get_deployment(ID)
    """,
    "sync, garbage": """
        Client(key, url).deployments.get_deployment(ID)
        gc.collect()
        time.sleep(0.1)
    """,
    "sync, iterator dropped half way": """
        client = Client(key, url)
        for deployment in client.deployments.iter_deployments():
            break
        del deployment
    """,
    "sync, calls in flight in daemon threads": """
        client = Client(key, url + "?slow")
        for _ in range(3):
            threading.Thread(target=lambda: client.deployments.delete_deployment(ID), daemon=True).start()
        input()
    """,
    "async, not closed": """
        client = AsyncClient(key, url)
        asyncio.run(client.deployments.get_deployment(ID))
    """,
    "async, garbage in a running loop": """
        async def main():
            await AsyncClient(key, url).deployments.get_deployment(ID)
            gc.collect()
            await asyncio.sleep(0.1)
        asyncio.run(main())
    """,
    "async, loop closed by hand": """
        client = AsyncClient(key, url)
        for _ in range(3):
            loop = asyncio.new_event_loop()
            loop.run_until_complete(client.deployments.get_deployment(ID))
            loop.close()
    """,
    "async, loop closed by hand, then garbage": """
        loop = asyncio.new_event_loop()
        client = AsyncClient(key, url)
        loop.run_until_complete(client.deployments.get_deployment(ID))
        loop.close()
        del client
        gc.collect()
    """,
    "async, loop closed by hand, then closed": """
        loop = asyncio.new_event_loop()
        client = AsyncClient(key, url)
        loop.run_until_complete(client.deployments.get_deployment(ID))
        loop.close()
        asyncio.run(client.close())
    """,
    "both, in a child that was forked": """
        client, aclient = Client(key, url), AsyncClient(key, url)
        client.deployments.get_deployment(ID)
        asyncio.run(aclient.deployments.get_deployment(ID))
        if (child := os.fork()):
            assert os.waitpid(child, 0)[1] == 0
        client.deployments.get_deployment(ID)
        asyncio.run(aclient.deployments.get_deployment(ID))
    """,
}


async def slow_or_good(exchange: Any) -> None:
    await (never_respond if "slow" in exchange.request.line else good)(exchange)


# The requests of a program, if not one.
REQUESTS = {
    "sync, calls in flight in daemon threads": 3,
    "async, loop closed by hand": 3,
    "both, in a child that was forked": 6,
}


@pytest.mark.parametrize("name", EXITS)
def test_end_of_the_interpreter(name: str) -> None:
    """Nothing is printed to stderr at the end of the interpreter, whatever was left open, with all warnings enabled."""
    with FaultServer(then=slow_or_good) as server:
        run_program(EXITS[name], server.url, lambda: len(server.requests) == 3 or "slow" not in EXITS[name])
        assert len(server.requests) == REQUESTS.get(name, 1)


def test_loop_closed_by_hand_leaves_no_connection() -> None:
    """The connections of a loop that was closed by hand are closed when the client is next used."""
    with FaultServer() as server:
        client = AsyncClient(CANARY, server.url)
        for _ in range(5):
            loop = asyncio.new_event_loop()
            loop.run_until_complete(CALLS["get"](client.deployments))
            loop.close()
        wait_for(lambda: server.open == 1)
        asyncio.run(client.close())
        wait_for(lambda: server.open == 0)
        del client
        gc.collect()


@pytest.mark.parametrize("passed_on", [False, True])
def test_interrupt_at_the_start(monkeypatch: pytest.MonkeyPatch, passed_on: bool) -> None:
    """Ctrl-C while a call is passed to the loop thread leaves no coroutine behind, neither waiting nor running."""
    begin = asyncio.run_coroutine_threadsafe

    def interrupted(coroutine: Coroutine[Any, Any, None], loop: asyncio.AbstractEventLoop) -> None:
        if passed_on:
            begin(coroutine, loop)
        raise KeyboardInterrupt

    call = asyncio.sleep(60)
    with monkeypatch.context() as context:
        context.setattr(asyncio, "run_coroutine_threadsafe", interrupted)
        with pytest.raises(KeyboardInterrupt):
            _portal.run(call)
    wait_for(lambda: inspect.getcoroutinestate(call) == inspect.CORO_CLOSED)


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
