"""Measurements of the local server and a plain endpoint, each a process on the same core."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Container, Iterator
from pathlib import Path
from time import perf_counter
from typing import Any

from .child import child
from .peers import CREATE, GET, KEY, LIST, SPEC, Floor
from .timing import Measurement, Turn, interleaved

COUNT = 100
AT_ONCE = 8


def serving(rounds: int, wanted: Container[str]) -> Iterator[Measurement]:
    """Measure the wanted ones of gets, lists and creates, several requests at once."""
    gradient = Path(sys.executable).with_name("gradient")
    options = ["--port", "0", "--database", ":memory:", "--api-key", KEY, "--engine", "simulated"]
    core = max(os.sched_getaffinity(0))
    with (
        child(gradient, "server", *options, core=core, ready="Listening") as ours,
        child("-m", "benchmarks.plain", str(COUNT), core=core) as plain,
        asyncio.Runner() as runner,
    ):
        floors = {"ours": Floor(ours), "plain graphql-core": Floor(plain)}
        ids: dict[Floor, str] = {}
        for floor in floors.values():
            runner.run(floor.open())
        for number in range(COUNT):  # the plain endpoint starts with as many
            runner.run(floors["ours"].post(_create(f"n{number}")))
        for floor in floors.values():
            newest = runner.run(floor.post(_list(1)))["deployments"]["nodes"][0]
            ids[floor] = newest["id"]

        def turns(payload: Any, times: int) -> dict[str, Turn]:
            def turn(floor: Floor) -> Turn:
                return lambda: runner.run(_at_once(floor, [payload(floor, number) for number in range(times)]))

            return {name: turn(floor) for name, floor in floors.items()}

        numbers = iter(range(10**6))
        for name, contestants in {
            "local server: get": turns(lambda floor, _: _get(ids[floor]), 200),
            f"local server: list of {COUNT}": turns(lambda *_: _list(COUNT), 10),
            "local server: create": turns(lambda *_: _create(f"m{next(numbers)}"), 200),
        }.items():
            if name in wanted:
                yield interleaved(name, "a request", contestants, rounds)
        for floor in floors.values():
            runner.run(floor.close())


def _get(id: str) -> dict[str, Any]:
    return {"query": GET, "operationName": "Deployment", "variables": {"id": id, "specsFirst": 100}}


def _list(first: int) -> dict[str, Any]:
    return {"query": LIST, "operationName": "Deployments", "variables": {"first": first, "specsFirst": 100}}


def _create(name: str) -> dict[str, Any]:
    arguments = {"name": name, "projectId": "p1", "spec": SPEC}
    return {"query": CREATE, "operationName": "DeploymentCreate", "variables": {"input": arguments}}


async def _at_once(floor: Floor, payloads: list[dict[str, Any]]) -> float:
    remaining = iter(payloads)

    async def worker() -> None:
        for payload in remaining:
            await floor.post(payload)

    start = perf_counter()
    await asyncio.gather(*(worker() for _ in range(AT_ONCE)))
    return (perf_counter() - start) / len(payloads)
