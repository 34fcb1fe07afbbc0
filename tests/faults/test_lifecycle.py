"""Lifecycle of a client: cancellation, close, use after close, several loops, many threads."""

from __future__ import annotations

import asyncio
import copy
import gc
import pickle
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from uuid import uuid4

import pytest
from tests.faults.behaviours import never_read, never_respond, respond_late, response, stall_in_body
from tests.faults.harness import CALLS, CANARY, check_secret, wait_for
from tests.faults.server import Behaviour, FaultServer

from paperspace.gradient import AsyncClient, Client, ClientClosedError, GradientError, errors
from paperspace.gradient._core.transport import Connector
from paperspace.gradient._sync.loop_thread import run as run_on_loop_thread

# What a call waits for when it is cancelled or its client is closed.
PHASES: dict[str, Behaviour] = {
    "request not read": never_read,
    "response": never_respond,
    "body": stall_in_body,
    "wait before a retry": response(503, Retry_After="20"),
}
TIMEOUT = 60  # of calls that are cancelled or closed
AT_ONCE = 10  # seconds for what takes milliseconds: enough for a slow machine, far from TIMEOUT and Retry-After
LONG_KEY = CANARY + "x" * 2**24  # more than the buffers of a connection take, so the request cannot be sent whole


def get(client: Client | AsyncClient) -> Any:
    return CALLS["get"](client.deployments)


def connectors(client: AsyncClient | Client) -> list[Connector]:
    """Return the connectors of all transports."""
    transports = client._session._connections._by_loop.values()
    return [connector for transport, _ in transports for connector in transport._connectors]


def acquired(client: AsyncClient) -> int:
    """Return the number of connections in use."""
    return sum(len(connector._acquired) for connector in connectors(client))


def open_sockets(used: list[Connector]) -> int:
    """Return the number of sockets that are open in these connectors."""
    return sum(opened.fileno() != -1 for connector in used for opened in connector.sockets)


async def until(condition: Callable[[], object]) -> None:
    """Wait until a condition is true, without blocking the loop."""
    await asyncio.to_thread(wait_for, condition)


# Cancellation


@pytest.mark.parametrize("phase", PHASES)
@pytest.mark.parametrize("ended_by", ["cancel", "timeout"])
def test_the_exception_of_a_cancelled_call(phase: str, ended_by: str) -> None:
    """The API key is not in the traceback of a cancelled call, nor in that of a timeout of the caller, which has it as its cause."""

    async def call() -> None:
        async with AsyncClient(CANARY, server.url, timeout=TIMEOUT) as client, asyncio.timeout(None) as timeout:
            task = asyncio.current_task()
            end = task.cancel if task and ended_by == "cancel" else lambda: timeout.reschedule(0)
            waiting = asyncio.create_task(until(lambda: server.connections == 1))
            waiting.add_done_callback(lambda _: asyncio.get_running_loop().call_later(0.1, end))
            await get(client)

    async def main() -> BaseException:
        task = asyncio.create_task(call())
        with pytest.raises(asyncio.CancelledError if ended_by == "cancel" else TimeoutError) as raised:
            await task
        return raised.value

    with FaultServer(then=PHASES[phase]) as server:
        check_secret(asyncio.run(main()))


@pytest.mark.parametrize("phase", PHASES)
@pytest.mark.parametrize("operation", CALLS)
def test_cancelled(phase: str, operation: str) -> None:
    """A cancelled call ends at once, in any phase; no connection stays in use, no task is left that could retry."""
    waits = phase == "wait before a retry"

    async def main() -> None:
        async with AsyncClient(CANARY, server.url, timeout=TIMEOUT) as client:
            task = asyncio.create_task(CALLS[operation](client.deployments))
            await until(lambda: server.connections == 1)
            await asyncio.sleep(0.1)
            assert not task.done()
            assert acquired(client) == (0 if waits else 1)
            used = connectors(client)
            task.cancel()
            done, _ = await asyncio.wait([task], timeout=AT_ONCE)
            assert done == {task}
            assert task.cancelled()
            assert acquired(client) == 0
            assert asyncio.all_tasks() == {asyncio.current_task()}
            assert server.connections == 1
            if not waits:
                await until(lambda: open_sockets(used) == 0)

    with FaultServer(then=PHASES[phase]) as server:
        asyncio.run(main())


def test_cancelled_while_it_waits_for_a_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    """A call that waits for a free connection is cancelled at once; the call that uses the connection goes on."""
    monkeypatch.setattr("paperspace.gradient._core.transport.MAX_CONNECTIONS", 1)

    async def main() -> None:
        async with AsyncClient(CANARY, server.url, timeout=TIMEOUT) as client:
            first = asyncio.create_task(get(client))
            await until(lambda: server.requests)
            second = asyncio.create_task(get(client))
            await asyncio.sleep(0.05)
            second.cancel()
            with pytest.raises(asyncio.CancelledError):
                await second
            assert not first.done()
            assert await first
            assert acquired(client) == 0
            assert len(server.requests) == server.connections == 1

    with FaultServer(then=respond_late) as server:
        asyncio.run(main())


def test_timeout_in_the_middle_of_a_request() -> None:
    """A call that times out closes its connection at once, although the server has not read the whole request."""

    async def main() -> None:
        async with AsyncClient(LONG_KEY, server.url, timeout=0.3) as client:
            for _ in range(3):
                with pytest.raises(errors.APITimeoutError):
                    await get(client)
                await until(lambda: open_sockets(connectors(client)) == 0)

    with FaultServer(then=never_read) as server:
        asyncio.run(main())
        assert server.connections == 3


# Close


@pytest.mark.parametrize("phase", PHASES)
def test_close_in_flight(phase: str) -> None:
    """close() ends running calls with ClientClosedError, in any phase, and closes every connection."""

    async def main() -> None:
        client = AsyncClient(CANARY, server.url, timeout=TIMEOUT)
        tasks = [asyncio.create_task(call(client.deployments)) for call in CALLS.values()]
        await until(lambda: server.connections == len(tasks))
        await asyncio.sleep(0.1)
        assert not any(task.done() for task in tasks)
        used = connectors(client)
        assert open_sockets(used) == len(tasks)
        async with asyncio.timeout(AT_ONCE):
            await client.close()
            done = await asyncio.gather(*tasks, return_exceptions=True)
        assert [type(error) for error in done] == [ClientClosedError] * len(tasks)
        doubt = [("may have been" in str(error)) for error in done]
        assert doubt == [False, True, True, True]
        await until(lambda: open_sockets(used) == 0)
        if phase != "request not read":  # there the server cannot see that the connection is closed
            await until(lambda: server.open == 0)

    with FaultServer(then=PHASES[phase]) as server:
        asyncio.run(main())


@pytest.mark.parametrize("phase", PHASES)
def test_close_in_flight_from_another_thread(phase: str) -> None:
    """close() of a sync client ends the calls of other threads, and closes every connection."""
    with FaultServer(then=PHASES[phase]) as server, ThreadPoolExecutor(8) as pool:
        client = Client(CANARY, server.url, timeout=TIMEOUT)
        calls = [pool.submit(get, client.with_options(timeout=TIMEOUT - 10)) for _ in range(8)]
        wait_for(lambda: max(server.connections, len(server.requests)) == 8)  # calls may share connections
        time.sleep(0.1)
        assert not any(call.done() for call in calls)
        used = connectors(client)
        client.close()
        for call in calls:
            assert type(call.exception(AT_ONCE)) is ClientClosedError
        wait_for(lambda: open_sockets(used) == 0)


def test_close_while_calls_wait_for_a_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    """close() ends calls that wait for a free connection with ClientClosedError too, not with CancelledError."""
    monkeypatch.setattr("paperspace.gradient._core.transport.MAX_CONNECTIONS", 1)

    async def main() -> None:
        client = AsyncClient(CANARY, server.url, timeout=TIMEOUT)
        tasks = [asyncio.create_task(get(client)) for _ in range(5)]
        await until(lambda: server.requests)
        await asyncio.sleep(0.1)
        await client.close()
        done = await asyncio.gather(*tasks, return_exceptions=True)
        assert [type(error) for error in done] == [ClientClosedError] * 5
        assert len(server.requests) == 1

    with FaultServer(then=never_respond) as server:
        asyncio.run(main())


def test_cancelled_when_a_connection_is_free(monkeypatch: pytest.MonkeyPatch) -> None:
    """If a call is cancelled in the step in which it gets a connection, as the first result is enough, the next call gets it."""
    monkeypatch.setattr("paperspace.gradient._core.transport.MAX_CONNECTIONS", 1)

    async def main() -> None:
        async with AsyncClient(CANARY, server.url, timeout=TIMEOUT) as client:

            async def get_and_cancel() -> None:
                await get(client)
                second.cancel()

            first = asyncio.create_task(get_and_cancel())
            second, third = (asyncio.create_task(get(client)) for _ in range(2))
            await asyncio.wait_for(asyncio.gather(first, third), AT_ONCE)
            assert second.cancelled()

    with FaultServer() as server:
        asyncio.run(main())


@pytest.mark.parametrize("end", ["close", "cancel, then close"])
def test_close_in_the_middle_of_a_request(end: str) -> None:
    """close() closes connections whose request is not sent whole, although the server does not read."""

    async def main() -> None:
        with FaultServer(then=never_read) as server:
            client = AsyncClient(LONG_KEY, server.url, timeout=TIMEOUT)
            call = asyncio.create_task(get(client))
            await until(lambda: server.connections == 1)
            await asyncio.sleep(0.1)
            used = connectors(client)
            if end != "close":
                call.cancel()
                await asyncio.wait([call], timeout=AT_ONCE)
            closing = asyncio.create_task(client.close())
            done, _ = await asyncio.wait([call], timeout=AT_ONCE)
            assert done == {call}
            assert call.cancelled() or isinstance(call.exception(), ClientClosedError)
            for _ in range(100):  # steps of the loop: nothing else is needed to close a socket
                await asyncio.sleep(0.001)
            left = open_sockets(used)
        await closing
        await until(lambda: open_sockets(used) == 0)
        assert left == 0

    asyncio.run(main())


def test_use_after_close() -> None:
    """A call on a closed client raises ClientClosedError, sync and async; a second close() does nothing."""
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
    """A client may be used on several loops in turn; the end of each loop closes its connection."""
    with FaultServer() as server:
        client = AsyncClient(CANARY, server.url)

        async def main() -> None:
            assert await get(client)

        for number in range(3):
            asyncio.run(main())
            wait_for(lambda: server.open == 0)
            assert server.connections == number + 1
        asyncio.run(client.close())


def test_two_loops_at_once() -> None:
    """Loops in several threads share a client, each with its own connection."""
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
    """close() on one loop ends the calls on all others."""
    with FaultServer(then=never_respond) as server, ThreadPoolExecutor(4) as pool:
        client = AsyncClient(CANARY, server.url, timeout=TIMEOUT)
        calls = [pool.submit(asyncio.run, get(client)) for _ in range(4)]
        wait_for(lambda: len(server.requests) == 4)
        asyncio.run(client.close())
        assert [type(call.exception(AT_ONCE)) for call in calls] == [ClientClosedError] * 4
        wait_for(lambda: server.open == 0)


def test_closed_while_other_loops_end(caplog: pytest.LogCaptureFixture) -> None:
    """close() on one loop, while other loops end, leaves nothing open, and asyncio reports nothing."""
    with FaultServer() as server, ThreadPoolExecutor(3) as pool:
        for _ in range(10):
            past_calls = len(server.requests)
            client = AsyncClient(CANARY, server.url)
            calls = [pool.submit(asyncio.run, get(client)) for _ in range(3)]
            wait_for(lambda: len(server.requests) > past_calls)  # noqa: B023  # called at once
            asyncio.run(client.close())
            assert {type(call.exception(AT_ONCE)) for call in calls} <= {ClientClosedError, type(None)}
        wait_for(lambda: server.open == 0)
    gc.collect()
    assert caplog.records == []


@pytest.mark.parametrize("used", [False, True])
def test_copies(*, used: bool) -> None:
    """A deep copy of a client, as `dataclasses.asdict` makes it, shares its connections, and is closed with it."""
    with FaultServer() as server:
        client = Client(CANARY, server.url)
        if used:
            assert get(client)
        copied = copy.deepcopy(client)
        assert get(client)
        assert get(copied)
        assert server.connections == 1
        client.close()
        with pytest.raises(ClientClosedError):
            get(copied)


@pytest.mark.parametrize("used", [False, True])
def test_pickles(*, used: bool) -> None:
    """A client cannot be pickled, and the error says what to do. The pickle would have the API key."""
    with FaultServer() as server, Client(CANARY, server.url) as client:
        if used:
            assert get(client)
        for pickled in (client, AsyncClient(CANARY, server.url)):
            with pytest.raises(TypeError, match="a client cannot be pickled; create one in each process"):
                pickle.dumps(pickled)


def test_sync_inside_a_running_loop() -> None:
    """A sync call works inside a running loop, as in a notebook."""

    async def main() -> None:
        with Client(CANARY, server.url) as client:
            assert get(client)

    with FaultServer() as server:
        asyncio.run(main())


def test_sync_on_the_loop_thread() -> None:
    """A sync call on the event loop of the library would block forever, so it raises an error."""

    async def main() -> None:
        get(client)

    with FaultServer() as server, Client(CANARY, server.url) as client:
        with pytest.raises(GradientError, match="on the event loop of the library"):
            run_on_loop_thread(main())
        assert get(client)


# Threads


def test_many_threads() -> None:
    """64 threads that share a client all get the right responses."""
    with FaultServer() as server, Client(CANARY, server.url) as client, ThreadPoolExecutor(64) as pool:
        ids = [str(uuid4()) for _ in range(640)]
        results = list(pool.map(lambda one: client.deployments.get_deployment(one)["id"], ids))
        assert results == ids
        assert server.connections <= 64


# Storms and clocks


def test_outage() -> None:
    """In an outage, 1,000 calls make 1,100 attempts at most."""

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
    """Jumps of the wall clock by days change neither deadlines nor waits."""
    jumps = iter(range(10**6))
    monkeypatch.setattr(time, "time", lambda: 1e9 + 86400.0 * (next(jumps) % 3))
    with FaultServer(response(503), response(503)) as server, Client(CANARY, server.url) as client:
        assert get(client)
        assert len(server.requests) == 3
