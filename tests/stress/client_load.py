"""Stress tests of the client without broken exchanges: deadlines, forks, threads, leaks."""

from __future__ import annotations

import asyncio
import gc
import os
import threading
import time
import tracemalloc
import warnings
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any

from paperspace.gradient import APITimeoutError, AsyncClient, Client
from paperspace.gradient.server import LocalServer

ASYNC_OVERRUN = 0.05
SYNC_OVERRUN = 0.2
KEY = "a-key-for-stress-tests"


def deadlines(calls: int) -> bool:
    """Calls whose responses never end stop at their deadlines, within a small overrun."""
    worst = {"sync": 0.0, "async": 0.0}

    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError, asyncio.IncompleteReadError):
            await reader.readuntil(b"\r\n\r\n")
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 9999\r\n\r\n")
            while not reader.at_eof():
                writer.write(b" ")
                await writer.drain()
                await asyncio.sleep(0.01)
        writer.close()

    async def main() -> None:
        listener = await asyncio.start_server(silent, "127.0.0.1", 0)
        url = f"http://127.0.0.1:{listener.sockets[0].getsockname()[1]}/graphql"
        timeout = 0.1

        async def awaited() -> None:
            start = time.monotonic()
            with suppress(APITimeoutError):
                await aclient.deployments.list_deployments()
            worst["async"] = max(worst["async"], time.monotonic() - start - timeout)

        def waited() -> None:
            start = time.monotonic()
            with suppress(APITimeoutError):
                client.deployments.list_deployments()
            worst["sync"] = max(worst["sync"], time.monotonic() - start - timeout)

        async with AsyncClient(KEY, url, timeout=timeout) as aclient:
            await awaited()  # the first call imports modules
            worst["async"] = 0.0
            for _ in range(min(calls, 400) // 20):
                await asyncio.gather(*(awaited() for _ in range(10)))
        with Client(KEY, url, timeout=timeout) as client:
            for _ in range(min(calls, 400) // 20):
                await asyncio.gather(*(asyncio.to_thread(waited) for _ in range(10)))
        await asyncio.sleep(0.1)
        listener.close()

    asyncio.run(main())
    print(f"deadlines: overrun at most {worst['async'] * 1000:.0f} ms async, {worst['sync'] * 1000:.0f} ms sync")
    return worst["async"] <= ASYNC_OVERRUN and worst["sync"] <= SYNC_OVERRUN


def _create_deployments(client: Client, count: int) -> list[str]:
    spec: Any = {"image": "x"}
    return [client.deployments.create_deployment(f"n{number}", "p", spec)["id"] for number in range(count)]


def _count_wrong(client: Client, ids: list[str], calls: int, workers: int) -> int:
    """Get deployments in threads; return how many of the calls fail or get another deployment."""

    def is_wrong(number: int) -> bool:
        wanted = ids[number % len(ids)]
        try:
            return client.deployments.get_deployment(wanted)["id"] != wanted
        except Exception:  # noqa: BLE001  # any error counts as wrong
            return True

    with ThreadPoolExecutor(workers) as pool:
        return sum(pool.map(is_wrong, range(calls)))


def forks(calls: int) -> bool:
    """Fork during calls; the calls of the parent and the children get the right responses."""
    rounds, per_round = 10, calls // 40
    wrong = 0
    with LocalServer() as server, Client(server.api_key, server.url) as client:
        ids = _create_deployments(client, 50)
        for _ in range(rounds):
            results: list[int] = []
            calling = threading.Thread(target=lambda: results.append(_count_wrong(client, ids, 2 * per_round, 8)))  # noqa: B023
            calling.start()
            time.sleep(0.05)
            children = []
            for _ in range(2):
                child = os.fork()
                if child == 0:
                    os._exit(min(_count_wrong(client, ids, per_round, 4), 200))
                children.append(child)
            wrong += sum(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children)
            calling.join()
            wrong += results[0]
    print(f"forks: {wrong} wrong of {rounds * 4 * per_round} calls, in parents and children, {2 * rounds} forks")
    return wrong == 0


def threads(calls: int) -> bool:
    """64 threads on one client get the right responses."""
    with LocalServer() as server, Client(server.api_key, server.url) as client:
        wrong = _count_wrong(client, _create_deployments(client, 50), calls, 64)
    print(f"threads: {wrong} wrong of {calls} calls of 64 threads")
    return wrong == 0


def leaks(calls: int) -> bool:
    """After many calls on one client, there are no more descriptors and tasks, and at most 1 MiB more memory."""

    def state() -> tuple[int, int, int]:
        gc.collect()
        return len(list(Path("/proc/self/fd").iterdir())), len(asyncio.all_tasks()), tracemalloc.get_traced_memory()[0]

    async def main(url: str, key: str, id_: str) -> bool:
        async with AsyncClient(key, url) as client:

            async def some(count: int) -> None:
                for _ in range(count):
                    await client.deployments.get_deployment(id_)

            await asyncio.gather(*(some(50) for _ in range(8)))
            before = state()
            await asyncio.gather(*(some(calls // 8) for _ in range(8)))
            after = state()
        grown = [b - a for a, b in zip(before, after, strict=True)]
        print(f"leaks: {calls} calls, growth of {grown[0]} descriptors, {grown[1]} tasks, {grown[2] / 1024:.0f} KiB")
        return grown[0] <= 0 and grown[1] <= 0 and grown[2] < 2**20

    with warnings.catch_warnings(action="error"), LocalServer() as server, Client(server.api_key, server.url) as client:
        [id_] = _create_deployments(client, 1)
        tracemalloc.start()
        passed = asyncio.run(main(server.url, server.api_key, id_))
        tracemalloc.stop()
    return passed
