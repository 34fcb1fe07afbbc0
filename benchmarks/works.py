"""What is measured in one process: calls, lists and creates, over TLS on kept connections."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable, Container, Coroutine, Iterator
from concurrent.futures import ThreadPoolExecutor
from time import perf_counter
from typing import Any

from paperspace.gradient import AsyncClient, Client

from .peers import HTTPX, ID, KEY, SGQLC, SPEC, Floor, FloorOnThread, gql_aiohttp, official
from .timing import Turn, Work, interleaved, timed

AT_ONCE = 32
LISTED = 10_000
CREATED = 1_000


def synchronous(url: str, tls: ssl.SSLContext, rounds: int) -> Work:
    """A get, from synchronous code."""
    floor, httpx, sgqlc = FloorOnThread(url, tls), HTTPX(url, tls), SGQLC(url)
    with Client(KEY, url) as client:
        turns = {
            "ours": timed(100, lambda: client.deployments.get_deployment(ID)),
            "aiohttp, loop thread": timed(100, floor.get),
            "httpx": timed(100, httpx.get),
            "sgqlc": timed(25, sgqlc.get),
            "gql with aiohttp": timed(25, lambda: gql_aiohttp(url, tls)),
            "official pattern": timed(25, lambda: official(url)),
        }
        work = interleaved("get, synchronous", "a call", turns, rounds)
    floor.close()
    httpx.close()
    return work


def asynchronous(url: str, tls: ssl.SSLContext, rounds: int, wanted: Container[str]) -> Iterator[Work]:
    """Gets one after another and many at once, and lists, on one event loop; those of them that are wanted."""
    with asyncio.Runner() as runner:
        floor, client = Floor(url, tls), AsyncClient(KEY, url)
        runner.run(floor.open())

        def turn(work: Callable[[], Coroutine[Any, Any, float]]) -> Turn:
            return lambda: runner.run(work())

        def both(
            ours: Callable[[], Coroutine[Any, Any, object]],
            theirs: Callable[[], Coroutine[Any, Any, object]],
            measure: Callable[[Callable[[], Coroutine[Any, Any, object]]], Coroutine[Any, Any, float]],
        ) -> dict[str, Turn]:
            return {"ours": turn(lambda: measure(ours)), "aiohttp and orjson": turn(lambda: measure(theirs))}

        calls = client.deployments
        one = both(lambda: calls.get_deployment(ID), floor.get, _one_after_another)
        many = both(lambda: calls.get_deployment(ID), floor.get, _at_once)
        listing = both(
            lambda: calls.list_deployments(project_id=str(LISTED), first=None), lambda: floor.list(LISTED), _once
        )
        for name, unit, turns, times in (
            ("get, asynchronous", "a call", one, rounds),
            (f"get, {AT_ONCE} at once", "a call", many, rounds),
            (f"list of {LISTED:,}", "a list", listing, max(rounds // 2, 3)),
        ):
            if name in wanted:
                yield interleaved(name, unit, turns, times)
        runner.run(client.close())
        runner.run(floor.close())


def creates(url: str, tls: ssl.SSLContext, rounds: int) -> Work:
    """Many creates from synchronous code, so many at once: as the documentation has it, and by threads."""

    def ours() -> float:
        return asyncio.run(_with(AsyncClient(KEY, url), lambda client: _at_once(_creator(client), CREATED)))

    async def theirs() -> float:
        floor = Floor(url, tls)
        await floor.open()
        taken = await _at_once(floor.create, CREATED)
        await floor.close()
        return taken

    def threads() -> float:
        with Client(KEY, url) as client, ThreadPoolExecutor(AT_ONCE) as pool:
            began = perf_counter()
            list(
                pool.map(lambda number: client.deployments.create_deployment(f"n{number}", "p1", SPEC), range(CREATED))
            )
            return (perf_counter() - began) / CREATED

    turns: dict[str, Turn] = {
        "ours": ours,
        "aiohttp and orjson": lambda: asyncio.run(theirs()),
        "ours, by threads": threads,
    }
    return interleaved(f"{CREATED:,} creates, {AT_ONCE} at once", "a call", turns, max(rounds // 2, 3))


def _creator(client: AsyncClient) -> Callable[[], Coroutine[Any, Any, object]]:
    return lambda: client.deployments.create_deployment("n", "p1", SPEC)


async def _with(client: AsyncClient, work: Callable[[AsyncClient], Coroutine[Any, Any, float]]) -> float:
    async with client:
        return await work(client)


async def _one_after_another(call: Callable[[], Coroutine[Any, Any, object]], times: int = 150) -> float:
    began = perf_counter()
    for _ in range(times):
        await call()
    return (perf_counter() - began) / times


async def _at_once(call: Callable[[], Coroutine[Any, Any, object]], times: int = AT_ONCE * 12) -> float:
    left = iter(range(times))

    async def worker() -> None:
        for _ in left:
            await call()

    began = perf_counter()
    await asyncio.gather(*(worker() for _ in range(AT_ONCE)))
    return (perf_counter() - began) / times


async def _once(call: Callable[[], Coroutine[Any, Any, object]]) -> float:
    began = perf_counter()
    await call()
    return perf_counter() - began
