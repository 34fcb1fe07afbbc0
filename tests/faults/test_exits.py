"""The end of a process, and of a client that nobody closed: no message, no wait, no connection that stays open."""

from __future__ import annotations

import asyncio
import gc
import subprocess
import sys
import textwrap
from typing import Any

import pytest
from tests.faults.behaviours import never_respond
from tests.faults.harness import CALLS, CANARY, wait_for
from tests.faults.programs import run_program
from tests.faults.server import FaultServer, good

from paperspace.gradient import AsyncClient
from paperspace.gradient._core.transport import HTTPTransport

# The programs run in new processes, with every warning an error.

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
    "async, garbage at the end of a loop closed by hand": """
        async def main():
            await AsyncClient(key, url).deployments.get_deployment(ID)
        for _ in range(3):
            loop = asyncio.new_event_loop()
            loop.run_until_complete(main())
            loop.close()
    """,
    "async, garbage at the end of a loop": """
        async def main():
            await AsyncClient(key, url).deployments.get_deployment(ID)
        for _ in range(3):
            asyncio.run(main())
    """,
    "async, garbage of a loop that does not run again": """
        loop = asyncio.new_event_loop()
        loop.run_until_complete(AsyncClient(key, url).deployments.get_deployment(ID))
        gc.collect()
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
    "async, garbage at the end of a loop closed by hand": 3,
    "async, garbage at the end of a loop": 3,
    "async, loop closed by hand": 3,
    "both, in a child that was forked": 6,
}


@pytest.mark.parametrize("name", EXITS)
def test_end_of_the_interpreter(name: str) -> None:
    """Nothing is printed to stderr at the end of the interpreter, whatever was left open, with all warnings enabled."""
    with FaultServer(then=slow_or_good) as server:
        run_program(EXITS[name], server.url, lambda: len(server.requests) == 3 or "slow" not in EXITS[name])
        assert len(server.requests) == REQUESTS.get(name, 1)


NO_THREADS = """
def refuse(thread):
    raise RuntimeError("can't create new thread at interpreter shutdown")
"""

# Programs that call a function of the library in a function of `atexit`.
AT_EXIT = {
    "first call": """
        atexit.register(lambda: Client(key, url).deployments.get_deployment(ID))
    """,
    "after a call": """
        client = Client(key, url)
        atexit.register(lambda: client.deployments.get_deployment(ID))
        client.deployments.get_deployment(ID)
    """,
    "registered before the library has started": """
        atexit.register(lambda: client.deployments.get_deployment(ID))
        client = Client(key, url)
        client.deployments.get_deployment(ID)
    """,
    "several calls": """
        @atexit.register
        def clean_up():
            with Client(key, url) as client:
                client.deployments.get_deployment(ID)
                client.deployments.delete_deployment(ID)
    """,
    "iterator": """
        client = Client(key, url)
        atexit.register(lambda: [client.deployments.delete_deployment(one["id"]) for one in client.deployments.iter_deployments()])
        client.deployments.get_deployment(ID)
    """,
    "async": """
        atexit.register(lambda: asyncio.run(AsyncClient(key, url).deployments.get_deployment(ID)))
    """,
}
REQUESTS_AT_EXIT = {
    "after a call": 2,
    "registered before the library has started": 2,
    "several calls": 2,
    "iterator": 4,
}


@pytest.mark.parametrize("threads", [True, False])
@pytest.mark.parametrize("name", AT_EXIT)
def test_calls_at_exit(name: str, threads: bool) -> None:
    """Functions of `atexit` can call the library, also where the interpreter starts no threads any more (Python 3.12)."""
    head = "import atexit\n"
    # Registered last, it runs first.
    tail = "" if threads else f"{NO_THREADS}\natexit.register(lambda: setattr(threading.Thread, 'start', refuse))\n"
    with FaultServer() as server:
        run_program(head + textwrap.dedent(AT_EXIT[name]) + tail, server.url)
        assert len(server.requests) == REQUESTS_AT_EXIT.get(name, 1)


def transports() -> int:
    """The number of transports in memory."""
    gc.collect()
    return sum(isinstance(found, HTTPTransport) for found in gc.get_objects())


def test_loop_closed_by_hand_leaves_no_connection() -> None:
    """The connections of a loop that was closed by hand are closed, and freed, when the client is next used."""
    before = transports()
    with FaultServer() as server:
        client = AsyncClient(CANARY, server.url)
        for _ in range(5):
            loop = asyncio.new_event_loop()
            loop.run_until_complete(CALLS["get"](client.deployments))
            loop.close()
        wait_for(lambda: server.open == 1)
        assert transports() == before + 1
        asyncio.run(client.close())
        wait_for(lambda: server.open == 0)
        del client
        gc.collect()


def test_dropped_clients_are_closed_while_their_loop_runs() -> None:
    """A loop that runs on closes the connections of clients that were dropped without a close, and frees them."""

    async def main() -> None:
        before = transports()
        for _ in range(3):
            await CALLS["get"](AsyncClient(CANARY, server.url).deployments)
        await asyncio.to_thread(wait_for, lambda: server.open == 0 and transports() == before)

    with FaultServer() as server:
        asyncio.run(main())
        assert server.connections == 3


# A name server that does not respond: a look-up never ends.
DEAD_RESOLVER = """
import socket
look_up, looked_up = socket.getaddrinfo, []
def never_end(host, *args, **options):
    if "nowhere" not in str(host):
        return look_up(host, *args, **options)
    looked_up.append(host)
    threading.Event().wait()
socket.getaddrinfo = never_end
"""

LOOK_UPS = {
    "sync": """
        try:
            Client(key, "https://nowhere.example/graphql", timeout=0.5).deployments.get_deployment(ID)
        except APITimeoutError:
            print(looked_up)
    """,
    "async": """
        async def main():
            async with AsyncClient(key, "https://nowhere.example/graphql", timeout=0.5) as client:
                await client.deployments.get_deployment(ID)
        try:
            asyncio.run(main())
        except APITimeoutError:
            print(looked_up)
    """,
}


@pytest.mark.parametrize("name", LOOK_UPS)
def test_dead_resolver(name: str) -> None:
    """A name server that does not respond holds neither the call beyond its deadline nor the exit of the process."""
    head = "from paperspace.gradient import APITimeoutError\n"
    assert run_program(head + DEAD_RESOLVER + textwrap.dedent(LOOK_UPS[name]), "") == "['nowhere.example']\n"


def test_dead_resolver_and_completion() -> None:
    """A name server that does not respond does not hold the shell completion."""
    code = (
        "import atexit, os, sys, threading\n"
        f"{DEAD_RESOLVER}\n"
        "atexit.register(lambda: print(looked_up))\n"
        'os.environ |= {"_GRADIENT_COMPLETE": "bash_complete", "COMP_CWORD": "4"}\n'
        'os.environ["COMP_LINE"] = "gradient deployments get --id "\n'
        'os.environ |= {"COMP_WORDS": "gradient deployments get --id ", "PAPERSPACE_API_KEY": "k" * 20}\n'
        'os.environ["PAPERSPACE_API_URL"] = "https://nowhere.example/graphql"\n'
        'sys.argv[:] = ["gradient"]\n'
        "from paperspace.gradient.__main__ import main\n"
        "main()\n"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=False)
    assert (ran.returncode, ran.stdout.strip(), ran.stderr) == (0, "['nowhere.example']", "")


CLEANUPS = {
    "a cleanup that calls": """
        async def temporary():
            try:
                yield
            finally:
                await client.deployments.delete_deployment(ID)

        async def main():
            kept = [temporary() for _ in range(4)]
            for generator in kept:
                await anext(generator)
            await client.deployments.get_deployment(ID)
            main.kept = kept

        client = AsyncClient(key, url)
        asyncio.run(main())
    """,
    "a cleanup that closes a client": """
        async def calls():
            async with AsyncClient(key, url) as client:
                yield await client.deployments.get_deployment(ID)

        async def main():
            main.kept = [calls() for _ in range(5)]
            for generator in main.kept:
                await anext(generator)

        asyncio.run(main())
    """,
    "a loop that goes on after its generators are closed": """
        client = AsyncClient(key, url)
        loop = asyncio.new_event_loop()
        for _ in range(5):
            loop.run_until_complete(client.deployments.get_deployment(ID))
            loop.run_until_complete(loop.shutdown_asyncgens())
        loop.close()
    """,
}


@pytest.mark.parametrize("name", CLEANUPS)
def test_calls_after_the_generators_of_a_loop_are_closed(name: str) -> None:
    """The cleanup of async generators, which runs while their loop ends, can call the library, and leaves nothing open."""
    with FaultServer(then=good) as server:
        run_program(CLEANUPS[name], server.url, lambda: True)
        assert len(server.requests) == 5
