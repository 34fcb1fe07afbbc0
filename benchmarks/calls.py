"""Measurements of calls in one process, over TLS: gets, lists and creates."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable, Container, Coroutine, Iterator
from concurrent.futures import ThreadPoolExecutor
from time import perf_counter
from typing import Any

from paperspace.gradient import AsyncClient, Client

from .peers import HTTPX, ID, KEY, SGQLC, SPEC, Floor, FloorOnThread, gql_aiohttp, official
from .timing import Measurement, Turn, interleaved, timed

AT_ONCE = 32
LISTED = 10_000
CREATED = 1_000


def sync_gets(url: str, tls: ssl.SSLContext, rounds: int) -> Measurement:
    """Measure gets from sync code."""
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
        measurement = interleaved("get, sync", "a call", turns, rounds)
    floor.close()
    httpx.close()
    return measurement


def async_calls(url: str, tls: ssl.SSLContext, rounds: int, wanted: Container[str]) -> Iterator[Measurement]:
    """Measure the wanted ones of gets one by one, gets at once, and lists, on one event loop."""
    with asyncio.Runner() as runner:
        floor, client = Floor(url, tls), AsyncClient(KEY, url)
        runner.run(floor.open())

        def turn(run: Callable[[], Coroutine[Any, Any, float]]) -> Turn:
            return lambda: runner.run(run())

        def compare(
            ours: Callable[[], Coroutine[Any, Any, object]],
            theirs: Callable[[], Coroutine[Any, Any, object]],
            measure: Callable[[Callable[[], Coroutine[Any, Any, object]]], Coroutine[Any, Any, float]],
        ) -> dict[str, Turn]:
            return {"ours": turn(lambda: measure(ours)), "aiohttp and orjson": turn(lambda: measure(theirs))}

        calls = client.deployments
        one = compare(lambda: calls.get_deployment(ID), floor.get, _one_by_one)
        many = compare(lambda: calls.get_deployment(ID), floor.get, _at_once)
        listing = compare(
            lambda: calls.list_deployments(project_id=str(LISTED), first=None), lambda: floor.list(LISTED), _once
        )
        for name, unit, turns, times in (
            ("get, async", "a call", one, rounds),
            (f"get, {AT_ONCE} concurrent", "a call", many, rounds),
            (f"list of {LISTED:,}", "a list", listing, max(rounds // 2, 3)),
        ):
            if name in wanted:
                yield interleaved(name, unit, turns, times)
        runner.run(client.close())
        runner.run(floor.close())


def creates(url: str, tls: ssl.SSLContext, rounds: int) -> Measurement:
    """Measure many creates at once from sync code: with one event loop, as the documentation shows, and with threads."""

    def ours() -> float:
        return asyncio.run(_with(AsyncClient(KEY, url), lambda client: _at_once(_creator(client), CREATED)))

    async def theirs() -> float:
        floor = Floor(url, tls)
        await floor.open()
        seconds = await _at_once(floor.create, CREATED)
        await floor.close()
        return seconds

    def threads() -> float:
        with Client(KEY, url) as client, ThreadPoolExecutor(AT_ONCE) as pool:
            start = perf_counter()
            list(
                pool.map(lambda number: client.deployments.create_deployment(f"n{number}", "p1", SPEC), range(CREATED))
            )
            return (perf_counter() - start) / CREATED

    turns: dict[str, Turn] = {
        "ours": ours,
        "aiohttp and orjson": lambda: asyncio.run(theirs()),
        "ours, with threads": threads,
    }
    return interleaved(f"{CREATED:,} creates, {AT_ONCE} concurrent", "a call", turns, max(rounds // 2, 3))


def _creator(client: AsyncClient) -> Callable[[], Coroutine[Any, Any, object]]:
    return lambda: client.deployments.create_deployment("n", "p1", SPEC)


async def _with(client: AsyncClient, measure: Callable[[AsyncClient], Coroutine[Any, Any, float]]) -> float:
    async with client:
        return await measure(client)


async def _one_by_one(call: Callable[[], Coroutine[Any, Any, object]], times: int = 150) -> float:
    start = perf_counter()
    for _ in range(times):
        await call()
    return (perf_counter() - start) / times


async def _at_once(call: Callable[[], Coroutine[Any, Any, object]], times: int = AT_ONCE * 12) -> float:
    remaining = iter(range(times))

    async def worker() -> None:
        for _ in remaining:
            await call()

    start = perf_counter()
    await asyncio.gather(*(worker() for _ in range(AT_ONCE)))
    return (perf_counter() - start) / times


async def _once(call: Callable[[], Coroutine[Any, Any, object]]) -> float:
    start = perf_counter()
    await call()
    return perf_counter() - start
