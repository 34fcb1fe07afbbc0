"""Stress test of heavy requests: how long tiny ones wait beside them, and how long a stop takes.

`scripts/chaos server` measures it for the seconds of `--heavy`. It runs the server in a separate process and fills it with deployments that
have a history.
"""

from __future__ import annotations

import asyncio
import signal
import time
from typing import TYPE_CHECKING, Any, NamedTuple

import aiohttp
from tests.stress.server_stress import HEADERS, SPEC, UPDATE, create, running

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

NEST = (
    "{ deployments { nodes { deploymentSpecs(first: 20) { nodes { deployment { deploymentSpecs(first: 20) { nodes {"
    " id dtCreated endpointUrl data { image } actor { fullName } } } } } } } } }"
)
_ALIASES = " ".join(
    f"a{number}: deployments {{ nodes {{ deploymentSpecs {{ nodes {{ id endpointUrl data {{ image port env {{ name value }}"
    " resources { replicas } } } } } }"
    for number in range(10)
)
ALIASES = f"{{ {_ALIASES} }}"
HEAVY = {"nested lists": NEST, "aliases": ALIASES}


class Latencies(NamedTuple):
    """How long tiny requests took, in seconds."""

    median: float
    p99: float
    maximum: float
    number: int

    def __str__(self) -> str:
        median, p99, maximum = (f"{value * 1000:.0f} ms" for value in self[:3])
        return f"median {median}, p99 {p99}, maximum {maximum} of {self.number}"


async def fill(post: Callable[[Any], Any], deployments: int, specs: int) -> None:
    """Create deployments with a history of specs."""

    async def one(number: int) -> None:
        response = await post(create(f"heavy {number}"))
        id_ = response["data"]["createDeployment"]["deployment"]["id"]
        spec = {**SPEC, "env": [{"name": "A", "value": "x" * 1000}]}
        for _ in range(specs - 1):
            await post({"query": UPDATE, "variables": {"input": {"id": id_, "spec": spec}}})

    await asyncio.gather(*(one(number) for number in range(deployments)))


async def tiny_beside_heavy(post: Callable[[Any], Any], document: str, seconds: float) -> Latencies:
    """Measure tiny requests while a heavy one runs all the time."""
    finished = asyncio.Event()

    async def heavy() -> None:
        while not finished.is_set():
            await post({"query": document})

    task, latencies, end = asyncio.create_task(heavy()), [], time.monotonic() + seconds
    while time.monotonic() < end:
        start = time.monotonic()
        assert await post({"query": "{ __typename }"}) == {"data": {"__typename": "Query"}}
        latencies.append(time.monotonic() - start)
        await asyncio.sleep(0.01)
    finished.set()
    await task
    latencies.sort()
    number = len(latencies)
    return Latencies(latencies[number // 2], latencies[number * 99 // 100], latencies[-1], number)


async def heavy_requests(
    seconds: float, file: Path, deployments: int = 50, specs: int = 20
) -> tuple[dict[str, Latencies], float]:
    """Return the latencies of tiny requests beside each heavy document, and the seconds that a stop takes beside ten."""
    with running(file) as server:
        timeout = aiohttp.ClientTimeout(total=120)
        # Idle connections are closed before the server closes them, so that no request is sent on a closed one.
        connector = aiohttp.TCPConnector(keepalive_timeout=5)
        async with aiohttp.ClientSession(headers=HEADERS, timeout=timeout, connector=connector) as session:

            async def post(payload: Any) -> Any:
                async with session.post(server.url, json=payload) as response:
                    return await response.json()

            await fill(post, deployments, specs)
            latencies = {name: await tiny_beside_heavy(post, document, seconds) for name, document in HEAVY.items()}
            tasks = [asyncio.create_task(post({"query": NEST})) for _ in range(10)]
            await asyncio.sleep(0.5)
            start = time.monotonic()
            server.process.send_signal(signal.SIGTERM)
            await asyncio.to_thread(server.process.wait, 60)
            stop = time.monotonic() - start
            await asyncio.gather(*tasks, return_exceptions=True)
    return latencies, stop


def run_heavy(seconds: int, file: Path) -> str:
    """Run the test, and describe its result."""
    latencies, stop = asyncio.run(heavy_requests(seconds, file))
    return f"tiny requests beside {'; beside '.join(f'{name}: {value}' for name, value in latencies.items())}; stop {stop:.1f} s"
