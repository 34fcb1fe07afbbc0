"""The life of a client: cancelled, interrupted, closed, used after its end, on other loops and in many threads."""

from __future__ import annotations

import asyncio
import gc
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from paperspace.gradient import AsyncClient, Client, ClientClosedError, GradientError, errors
from paperspace.gradient._portal import run as run_on_loop_thread

from .catalogue import never_answer, never_read, reply, stall_in_body
from .harness import CALLS, CANARY
from .server import Behaviour, FaultServer, good

PHASES: dict[str, Behaviour] = {
    "send": never_read,
    "answer": never_answer,
    "body": stall_in_body,
    "wait before a resend": reply(503, Retry_After="20"),
}
BOUND_ASYNC = 0.1 + 0.15  # what is promised, and what a shared machine may add
BOUND_CLOSE = 2.0


def get(client: Client | AsyncClient) -> Any:
    return CALLS["get"](client.deployments)


def acquired(client: AsyncClient) -> int:
    """The connections that are in use, of all the transports."""
    transports = client._session._connections._by_loop.values()
    return sum(len(session.connector._acquired) for transport, _ in transports for session in transport._sessions)  # type: ignore[misc,union-attr]


def wait_for(condition: Callable[[], object]) -> None:
    end = time.monotonic() + 5
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.005)


# Cancellation


@pytest.mark.parametrize("phase", PHASES)
@pytest.mark.parametrize("operation", CALLS)
def test_cancelled(phase: str, operation: str) -> None:
    """A task that is cancelled ends at once, in any phase, leaves no connection in use, and is not sent again."""

    async def main() -> None:
        async with AsyncClient(CANARY, server.url, timeout=60) as client:
            task = asyncio.create_task(CALLS[operation](client.deployments))
            await asyncio.sleep(0.1)
            sends = server.connections
            assert sends == 1
            start = time.monotonic()
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            assert time.monotonic() - start < BOUND_ASYNC
            assert acquired(client) == 0
            await asyncio.sleep(0.05)
            assert server.connections == sends

    with FaultServer(then=PHASES[phase]) as server:
        asyncio.run(main())


def test_cancelled_while_it_waits_for_a_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same where all connections are in use; the others go on."""
    monkeypatch.setattr("paperspace.gradient._transport.MAX_CONNECTIONS", 1)

    async def main() -> None:
        async with AsyncClient(CANARY, server.url, timeout=60) as client:
            first = asyncio.create_task(get(client))
            await asyncio.sleep(0.05)
            second = asyncio.create_task(get(client))
            await asyncio.sleep(0.05)
            second.cancel()
            with pytest.raises(asyncio.CancelledError):
                await second
            first.cancel()
            with pytest.raises(asyncio.CancelledError):
                await first
            assert acquired(client) == 0

    with FaultServer(then=never_answer) as server:
        asyncio.run(main())


# Close


@pytest.mark.parametrize("phase", PHASES)
def test_close_in_flight(phase: str) -> None:
    """close() ends the calls that are under way, whatever they wait for, with ClientClosedError."""

    async def main() -> None:
        client = AsyncClient(CANARY, server.url, timeout=60)
        tasks = [asyncio.create_task(call(client.deployments)) for call in CALLS.values()]
        await asyncio.sleep(0.1)
        start = time.monotonic()
        await client.close()
        done = await asyncio.gather(*tasks, return_exceptions=True)
        assert time.monotonic() - start < BOUND_CLOSE
        assert [type(error) for error in done] == [ClientClosedError] * len(tasks)
        doubt = [("may have been" in str(error)) for error in done]
        assert doubt == [False, True, True, True]

    with FaultServer(then=PHASES[phase]) as server:
        asyncio.run(main())
        wait_for(lambda: phase in ("send", "answer", "body") or server.open == 0)


@pytest.mark.parametrize("phase", PHASES)
def test_close_in_flight_from_another_thread(phase: str) -> None:
    """The same for threads that wait in a synchronous client."""
    with FaultServer(then=PHASES[phase]) as server, ThreadPoolExecutor(8) as pool:
        client = Client(CANARY, server.url, timeout=60)
        calls = [pool.submit(get, client.with_options(timeout=50)) for _ in range(8)]
        wait_for(lambda: max(server.connections, len(server.requests)) == 8)
        time.sleep(0.05)
        start = time.monotonic()
        client.close()
        for call in calls:
            assert type(call.exception(5)) is ClientClosedError
        assert time.monotonic() - start < BOUND_CLOSE


def test_close_while_calls_wait_for_a_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    """A call that has no connection yet ends in the same way, and not as if it had been cancelled."""
    monkeypatch.setattr("paperspace.gradient._transport.MAX_CONNECTIONS", 1)

    async def main() -> None:
        client = AsyncClient(CANARY, server.url, timeout=60)
        tasks = [asyncio.create_task(get(client)) for _ in range(5)]
        await asyncio.sleep(0.1)
        await client.close()
        done = await asyncio.gather(*tasks, return_exceptions=True)
        assert [type(error) for error in done] == [ClientClosedError] * 5

    with FaultServer(then=never_answer) as server:
        asyncio.run(main())


def test_use_after_close() -> None:
    """A closed client says so, in both faces, and closing twice does no harm."""
    with FaultServer() as server:
        client = Client(CANARY, server.url)
        get(client)
        client.close()
        client.close()
        with pytest.raises(ClientClosedError, match="closed"):
            get(client)

        async def main() -> None:
            aclient = AsyncClient(CANARY, server.url)
            await aclient.close()
            await aclient.close()
            with pytest.raises(ClientClosedError, match="closed"):
                await get(aclient)

        asyncio.run(main())
        assert len(server.requests) == 1


# Loops


def test_several_loops() -> None:
    """A client may be used on one loop after another, and each leaves nothing open behind."""
    with FaultServer() as server:
        client = AsyncClient(CANARY, server.url)

        async def main() -> None:
            assert await get(client)

        for _ in range(3):
            asyncio.run(main())
        wait_for(lambda: server.open == 0)
        asyncio.run(client.close())


def test_two_loops_at_once() -> None:
    """Loops in several threads share a client without sharing connections, and one close() ends all."""
    with FaultServer() as server:
        client = AsyncClient(CANARY, server.url, timeout=60)

        async def main() -> None:
            for _ in range(20):
                await get(client)

        with ThreadPoolExecutor(4) as pool:
            for job in [pool.submit(asyncio.run, main()) for _ in range(4)]:
                job.result()
        assert server.connections == 4


def test_closed_from_another_loop() -> None:
    """close() on one loop ends the calls on another."""
    with FaultServer(then=never_answer) as server, ThreadPoolExecutor(1) as pool:
        client = AsyncClient(CANARY, server.url, timeout=60)
        call = pool.submit(asyncio.run, get(client))
        wait_for(lambda: len(server.requests) == 1)
        asyncio.run(client.close())
        assert type(call.exception(BOUND_CLOSE)) is ClientClosedError


def test_sync_inside_a_running_loop() -> None:
    """A synchronous call works where a loop runs, as in a notebook."""

    async def main() -> None:
        with Client(CANARY, server.url) as client:
            assert get(client)

    with FaultServer() as server:
        asyncio.run(main())


def test_sync_on_the_loop_thread() -> None:
    """A synchronous call on the library's own loop would wait for itself: an error says so."""

    async def main() -> None:
        get(client)

    with FaultServer() as server, Client(CANARY, server.url) as client:
        with pytest.raises(GradientError, match="wait for itself"):
            run_on_loop_thread(main())
        assert get(client)


# Threads


def test_many_threads() -> None:
    """64 threads on one client all get their own answers."""
    with FaultServer() as server, Client(CANARY, server.url) as client, ThreadPoolExecutor(64) as pool:
        from uuid import uuid4

        ids = [str(uuid4()) for _ in range(640)]
        answers = list(pool.map(lambda one: client.deployments.get_deployment(one)["id"], ids))
        assert answers == ids
        assert server.connections <= 64


# Processes. Each program runs as users run theirs, with every warning an error.

PRELUDE = """
import asyncio, gc, os, signal, sys, threading, time
from concurrent.futures import ThreadPoolExecutor
from uuid import uuid4
from paperspace.gradient import AsyncClient, Client
url, key = sys.argv[1:]
ID = "3f0c1c1e-5f0a-4b0e-9b7e-2f6f2a2d9c11"
"""


# What asyncio's debug mode says of a step that took more than 0.1 s, such as the one that imports the libraries.
SLOW = "Executing <"


def program(text: str, url: str, *, developer: bool = True) -> subprocess.Popen[str]:
    flags = ["-X", "dev", "-W", "error"] if developer else []
    code = PRELUDE + textwrap.dedent(text)
    return subprocess.Popen(
        [sys.executable, *flags, "-c", code, url, CANARY], text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )


def run_program(text: str, url: str) -> str:
    """What the program prints. It must end well, and say nothing on stderr."""
    with program(text, url) as process:
        out, err = process.communicate(timeout=30)
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
        time.sleep(0.3)
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
    await (never_answer if "slow" in exchange.request.line else good)(exchange)


@pytest.mark.parametrize("text", EXITS.values(), ids=EXITS)
def test_end_of_the_interpreter(text: str) -> None:
    """Nothing is said on stderr, whatever was left open, with every warning switched on."""
    with FaultServer(then=slow_or_good) as server:
        run_program(text, server.url)
        assert server.requests
        wait_for(lambda: server.open == 0 or "slow" in text)


def test_loop_closed_by_hand_leaves_no_connection() -> None:
    """The connections of a loop that was closed by hand are closed when the client is next used."""
    with FaultServer() as server:
        client = AsyncClient(CANARY, server.url)
        for _ in range(5):
            loop = asyncio.new_event_loop()
            loop.run_until_complete(get(client))
            loop.close()
        wait_for(lambda: server.open == 1)
        asyncio.run(client.close())
        wait_for(lambda: server.open == 0)
        del client
        gc.collect()


def test_interrupt() -> None:
    """Ctrl-C ends a synchronous call at once, its request too, and the next call works."""
    text = """
        client = Client(key, url, timeout=60)
        try:
            client.with_options(timeout=50).deployments.delete_deployment(ID)
        except KeyboardInterrupt:
            print("interrupted", time.monotonic(), flush=True)
        print(client.deployments.get_deployment(ID)["name"])
    """
    with FaultServer(never_answer) as server, program(text, server.url) as process:
        wait_for(lambda: server.requests)
        time.sleep(0.1)
        sent = time.monotonic()
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=10)
        word, moment, name = out.split()
        assert (word, name, process.returncode) == ("interrupted", "mine", 0), err
        assert float(moment) - sent < 0.2 + 0.1
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
        time.sleep(0.1)
        child = os.fork()
        if child == 0:
            check(client)
            os._exit(0)
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
            found = await asyncio.gather(*(client.deployments.get_deployment(id) for id in ids))
            assert [one["id"] for one in found] == ids
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
                os._exit(threading.Thread(target=lambda: None) and 0)
            assert (await task)["id"] == ID
            assert (await client.deployments.get_deployment(ID))["id"] == ID
        asyncio.run(main())
    """,
}


@pytest.mark.parametrize("text", FORKS.values(), ids=FORKS)
def test_fork(text: str) -> None:
    """Parent and child both get their own answers, and nobody's connection is cut."""
    head = """
        def check(client):
            with ThreadPoolExecutor(4) as pool:
                ids = [str(uuid4()) for _ in range(50)]
                found = pool.map(lambda id: client.deployments.get_deployment(id)["id"], ids)
                assert list(found) == ids
    """
    tail = """
        if child and os.waitpid(child, 0)[1]:
            sys.exit("the child failed")
    """
    with FaultServer() as server:
        run_program(textwrap.dedent(head) + textwrap.dedent(text) + textwrap.dedent(tail), server.url)


def test_multiprocessing() -> None:
    """A pool of forked workers that inherit a used client works."""
    text = """
        import multiprocessing
        client = Client(key, url)
        client.deployments.get_deployment(ID)
        def work(id):
            return client.deployments.get_deployment(id)["id"]
        ids = [str(uuid4()) for _ in range(60)]
        with multiprocessing.get_context("fork").Pool(3) as pool:
            found = pool.map_async(work, ids)
            own = [work(id) for id in ids]
            assert found.get(20) == own == ids
            pool.close()
            pool.join()
    """
    with FaultServer() as server:
        run_program(text, server.url)


# Storms and clocks


def test_outage() -> None:
    """1,000 calls in a full outage are sent 1,100 times at most."""

    async def main() -> None:
        async with AsyncClient(CANARY, server.url, timeout=60) as client:

            async def call() -> None:
                with pytest.raises(errors.ServerError):
                    await get(client)

            for _ in range(20):
                await asyncio.gather(*(call() for _ in range(50)))

    with FaultServer(then=reply(503)) as server:
        asyncio.run(main())
        assert 1000 < len(server.requests) <= 1100


def test_wall_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    """A wall clock that jumps by a day changes neither deadline nor wait."""
    jumps = iter(range(10**6))
    monkeypatch.setattr(time, "time", lambda: 1e9 + 86400.0 * (next(jumps) % 3))
    with FaultServer(reply(503), reply(503)) as server, Client(CANARY, server.url, timeout=5) as client:
        start = time.monotonic()
        assert get(client)
        assert time.monotonic() - start < 2
        assert len(server.requests) == 3
