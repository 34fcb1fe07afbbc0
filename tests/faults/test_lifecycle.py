"""The life of a client: cancelled, interrupted, closed, used after its end, on other loops and in many threads."""

from __future__ import annotations

import asyncio
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from uuid import uuid4

import pytest
from tests.faults.behaviours import never_read, never_respond, response, stall_in_body
from tests.faults.harness import CALLS, CANARY, wait_for
from tests.faults.server import Behaviour, FaultServer

from paperspace.gradient import AsyncClient, Client, ClientClosedError, GradientError, errors
from paperspace.gradient._sync.loop_thread import run as run_on_loop_thread

PHASES: dict[str, Behaviour] = {
    "send": never_read,
    "answer": never_respond,
    "body": stall_in_body,
    "wait before a resend": response(503, Retry_After="20"),
}
TIMEOUT = 60  # of calls that are cancelled or closed
AT_ONCE = 10  # seconds for what takes milliseconds: enough for a slow machine, far from TIMEOUT and Retry-After


def get(client: Client | AsyncClient) -> Any:
    return CALLS["get"](client.deployments)


def acquired(client: AsyncClient) -> int:
    """The connections that are in use, of all the transports."""
    transports = client._session._connections._by_loop.values()
    return sum(len(session.connector._acquired) for transport, _ in transports for session in transport._sessions)  # type: ignore[misc,union-attr]


# Cancellation


@pytest.mark.parametrize("phase", PHASES)
@pytest.mark.parametrize("operation", CALLS)
def test_cancelled(phase: str, operation: str) -> None:
    """A task that is cancelled ends at once, in any phase, leaves no connection in use, and is not sent again."""

    async def main() -> None:
        async with AsyncClient(CANARY, server.url, timeout=TIMEOUT) as client:
            task = asyncio.create_task(CALLS[operation](client.deployments))
            await asyncio.sleep(0.1)
            sends = server.connections
            assert sends == 1
            task.cancel()
            done, _ = await asyncio.wait([task], timeout=AT_ONCE)
            assert done == {task}
            assert task.cancelled()
            assert acquired(client) == 0
            await asyncio.sleep(0.05)
            assert server.connections == sends

    with FaultServer(then=PHASES[phase]) as server:
        asyncio.run(main())


def test_cancelled_while_it_waits_for_a_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same where all connections are in use; the others go on."""
    monkeypatch.setattr("paperspace.gradient._core.transport.MAX_CONNECTIONS", 1)

    async def main() -> None:
        async with AsyncClient(CANARY, server.url, timeout=TIMEOUT) as client:
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

    with FaultServer(then=never_respond) as server:
        asyncio.run(main())


# Close


@pytest.mark.parametrize("phase", PHASES)
def test_close_in_flight(phase: str) -> None:
    """close() ends the calls that are under way, whatever they wait for, with ClientClosedError."""

    async def main() -> None:
        client = AsyncClient(CANARY, server.url, timeout=TIMEOUT)
        tasks = [asyncio.create_task(call(client.deployments)) for call in CALLS.values()]
        await asyncio.sleep(0.1)
        async with asyncio.timeout(AT_ONCE):
            await client.close()
            done = await asyncio.gather(*tasks, return_exceptions=True)
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
        client = Client(CANARY, server.url, timeout=TIMEOUT)
        calls = [pool.submit(get, client.with_options(timeout=TIMEOUT - 10)) for _ in range(8)]
        wait_for(lambda: max(server.connections, len(server.requests)) == 8)
        time.sleep(0.05)
        client.close()
        for call in calls:
            assert type(call.exception(AT_ONCE)) is ClientClosedError


def test_close_while_calls_wait_for_a_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    """A call that has no connection yet ends in the same way, and not as if it had been cancelled."""
    monkeypatch.setattr("paperspace.gradient._core.transport.MAX_CONNECTIONS", 1)

    async def main() -> None:
        client = AsyncClient(CANARY, server.url, timeout=TIMEOUT)
        tasks = [asyncio.create_task(get(client)) for _ in range(5)]
        await asyncio.sleep(0.1)
        await client.close()
        done = await asyncio.gather(*tasks, return_exceptions=True)
        assert [type(error) for error in done] == [ClientClosedError] * 5

    with FaultServer(then=never_respond) as server:
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
        client = AsyncClient(CANARY, server.url, timeout=TIMEOUT)

        async def main() -> None:
            for _ in range(20):
                await get(client)

        with ThreadPoolExecutor(4) as pool:
            for job in [pool.submit(asyncio.run, main()) for _ in range(4)]:
                job.result()
        assert server.connections == 4


def test_closed_from_another_loop() -> None:
    """close() on one loop ends the calls on another."""
    with FaultServer(then=never_respond) as server, ThreadPoolExecutor(1) as pool:
        client = AsyncClient(CANARY, server.url, timeout=TIMEOUT)
        call = pool.submit(asyncio.run, get(client))
        wait_for(lambda: len(server.requests) == 1)
        asyncio.run(client.close())
        assert type(call.exception(AT_ONCE)) is ClientClosedError


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
        ids = [str(uuid4()) for _ in range(640)]
        answers = list(pool.map(lambda one: client.deployments.get_deployment(one)["id"], ids))
        assert answers == ids
        assert server.connections <= 64


# Storms and clocks


def test_outage() -> None:
    """1,000 calls in a full outage are sent 1,100 times at most."""

    async def main() -> None:
        async with AsyncClient(CANARY, server.url, timeout=TIMEOUT) as client:

            async def call() -> None:
                with pytest.raises(errors.ServerError):
                    await get(client)

            for _ in range(20):
                await asyncio.gather(*(call() for _ in range(50)))

    with FaultServer(then=response(503)) as server:
        asyncio.run(main())
        assert 1000 < len(server.requests) <= 1100


def test_wall_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    """A wall clock that jumps by a day changes neither deadline nor wait."""
    jumps = iter(range(10**6))
    monkeypatch.setattr(time, "time", lambda: 1e9 + 86400.0 * (next(jumps) % 3))
    with FaultServer(response(503), response(503)) as server, Client(CANARY, server.url) as client:
        assert get(client)
        assert len(server.requests) == 3
