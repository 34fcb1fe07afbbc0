"""Stress tests of the gateway, on a real Envoy. `scripts/chaos gateway` runs them at full size. No client ever retries.

changes      the instances of a deployment change under clients that keep their connections
deployments  deployments are added and removed beside a load, a WebSocket and a stream of events
kills        SIGKILL of the server while it changes routes, and of Envoy
bodies       100 MB in both directions, and the memory of Envoy
late         a first byte after 75 seconds
hop          response times with and without the gateway
throughput   compared with a configuration that is written by hand, with few and many deployments
"""

from __future__ import annotations

import argparse
import asyncio
import os
import random
import signal
import statistics
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path

from aiohttp import ClientError
from tests.server.gateway.site import Load, Visitor, until, visiting
from tests.stress.gateway_processes import DEPLOYMENT, ME, memory, open_gateway, pid_in, replace, replicas
from tests.stress.gateway_throughput import hop, throughput

from paperspace.gradient.server.controller.gateway import Target
from paperspace.gradient.server.gateway.gateway import EnvoyGateway
from paperspace.gradient.server.gateway.options import Options


async def changes(folder: Path, count: int) -> list[str]:
    """Replace the instance of a deployment again and again; return the lost requests."""
    with replicas(3) as targets:
        async with open_gateway(folder) as (gateway, _):
            await replace(gateway, targets, "0")
            async with Load(gateway).running(16) as load:
                for number in range(count):
                    await replace(gateway, targets, str(number + 1))
                    await asyncio.sleep(0.1)
    print(f"{count} changes under 16 clients: {len(load.lost)} of {load.done} requests lost {load.lost[:3]}")
    return load.lost


async def deployments(folder: Path, count: int) -> list[str]:
    """Add and remove deployments beside other traffic; return what was lost of it."""
    with replicas(1 + count) as [target, *targets]:
        async with open_gateway(folder) as (gateway, visitor):
            await gateway.route(DEPLOYMENT, "i", target)
            lags: list[float] = []
            direct_lags: list[float] = []  # of the machine and the client, without the gateway
            stream = visitor.url(f"/endpoints/{DEPLOYMENT}/sse")
            events = asyncio.create_task(_measure_lags(visitor, stream, lags))
            direct_events = asyncio.create_task(
                _measure_lags(visitor, f"http://127.0.0.1:{target.port}/sse", direct_lags)
            )
            async with (
                visitor.session.ws_connect(visitor.url(f"/endpoints/{DEPLOYMENT}/ws")) as socket,
                Load(gateway).running(4) as load,
            ):
                live = [await _seconds_until_live(gateway, visitor, entry) for entry in enumerate(targets)]
                await _forget_others(gateway)
                start = time.perf_counter()
                await asyncio.gather(*(_seconds_until_live(gateway, visitor, entry) for entry in enumerate(targets)))
                together = time.perf_counter() - start
                await _forget_others(gateway)
                await socket.send_str("still here")
                websocket = await socket.receive_str()
            stream_open = not events.done()
            events.cancel()
            direct_events.cancel()
            await asyncio.gather(events, direct_events, return_exceptions=True)
    print(
        f"{count} deployments one after the other: live after {statistics.median(live) * 1000:.0f} ms (median), "
        f"{max(live) * 1000:.0f} ms (maximum); {count} at once: the last one after {together * 1000:.0f} ms\n"
        f"meanwhile {len(load.lost)} of {load.done} requests lost; WebSocket: {websocket}; events: {len(lags)}, stream "
        f"{'open' if stream_open else 'lost'}, lag {_describe(lags)}; without the gateway {_describe(direct_lags)}"
    )
    return load.lost + ([] if stream_open else ["events"]) + ([] if "still here" in websocket else ["WebSocket"])


def _describe(lags: list[float]) -> str:
    times = (statistics.median(lags), statistics.quantiles(lags, n=100)[98], max(lags))
    return "{:.1f} ms (median), {:.0f} ms (99 %), {:.0f} ms (maximum)".format(*(seconds * 1000 for seconds in times))


async def _measure_lags(visitor: Visitor, url: str, lags: list[float]) -> None:
    async with visitor.session.get(url, timeout=None) as response:
        async for line in response.content:
            if line != b"\n":
                sent = float(line.removeprefix(b"data: "))
                lags.append(time.time() - sent)


async def _seconds_until_live(gateway: EnvoyGateway, visitor: Visitor, entry: tuple[int, Target]) -> float:
    """Route a new deployment; return the seconds until it has responded."""
    number, target = entry
    start = time.perf_counter()
    await gateway.route(f"d{number}", "i", target)
    assert await visitor.name(f"d{number}") == "replica"
    return time.perf_counter() - start


async def _forget_others(gateway: EnvoyGateway) -> None:
    """Remove all deployments but one."""
    await asyncio.gather(*(gateway.forget(id_) for id_ in gateway.deployments() - {DEPLOYMENT}))


async def kills(folder: Path, count: int) -> list[str]:
    """Kill the server while it changes routes, and Envoy in between; return the requests that were lost with a server."""
    lost: list[str] = []
    done = 0
    with replicas(3) as targets:
        first = EnvoyGateway(Options(folder, port=0))
        await first.open()
        await replace(first, targets, "first")
        await first.close()
        ports = [str(target.port) for target in targets]
        async with Load(first).running(8) as load:
            for _ in range(count):
                server = await asyncio.create_subprocess_exec(*ME, "server", str(folder), *ports)
                await asyncio.sleep(random.uniform(0.4, 2.0))
                server.kill()
                await server.wait()
        lost, done = load.lost, load.done
        last = EnvoyGateway(Options(folder, port=0))
        await last.open()
        print(
            f"{count} SIGKILLs of the server: {len(lost)} of {done} requests lost {lost[:3]}; {len(targets)} replicas"
        )
        await _kill_envoy(last, folder, count)
        await last.stop()
    return lost


async def _kill_envoy(gateway: EnvoyGateway, folder: Path, count: int) -> None:
    seconds = []
    async with visiting(gateway) as visitor:
        for _ in range(count):
            pid = pid_in(folder)
            os.kill(pid, signal.SIGKILL)
            start = time.perf_counter()
            while True:
                with suppress(OSError, ClientError):
                    if await visitor.name() == "replica":
                        break
                await asyncio.sleep(0.005)
            seconds.append(time.perf_counter() - start)
            await until(lambda: gateway.routes(DEPLOYMENT).problem is None)
            await asyncio.sleep(random.uniform(1.2, 2))  # one that keeps ending is started again after a pause
    print(
        f"{count} SIGKILLs of Envoy: serving after {statistics.median(seconds):.2f} s (median), {max(seconds):.2f} s (maximum)"
    )


async def bodies(folder: Path, megabytes: int) -> list[str]:
    """Send large bodies in both directions; return an entry if Envoy has buffered them."""

    async def upload() -> AsyncIterator[bytes]:
        for _ in range(megabytes):
            yield bytes(1_000_000)

    with replicas(1) as [target]:
        async with open_gateway(folder) as (gateway, visitor):
            await gateway.route(DEPLOYMENT, "i", target)
            await visitor.name()
            before = memory(folder)
            status, body = await visitor.send(f"/endpoints/{DEPLOYMENT}/", "POST", data=upload())
            assert (status, body["size"]) == (200, megabytes * 1_000_000)
            up = memory(folder)
            received = 0
            url = visitor.url(f"/endpoints/{DEPLOYMENT}/download?mb={megabytes}")
            async with visitor.session.get(url) as response:
                async for chunk in response.content.iter_any():
                    received += len(chunk)
            assert received == megabytes * 1_000_000
            down = memory(folder)
    print(f"{megabytes} MB up and down: Envoy has {before:.0f} MB before, {up:.0f} MB and {down:.0f} MB after")
    return [] if max(up, down) - before <= 10 else ["buffered"]


async def late(folder: Path, seconds: int) -> list[str]:
    """Wait for a late first byte, while the instance is replaced; return an entry if it was lost."""
    with replicas(2) as targets:
        async with open_gateway(folder) as (gateway, visitor):
            await gateway.route(DEPLOYMENT, "old", targets[0])
            url = visitor.url(f"/endpoints/{DEPLOYMENT}/?seconds={seconds}")
            request = asyncio.create_task(visitor.session.get(url, timeout=None))
            await asyncio.sleep(0.5)
            await gateway.route(DEPLOYMENT, "new", targets[1])
            await gateway.unroute(DEPLOYMENT, "old")
            start = time.perf_counter()
            await gateway.drained(DEPLOYMENT, "old")
            waited = time.perf_counter() - start
            async with await request as response:
                status = response.status
    print(f"first byte after {seconds} s: status {status}; the instance was drained after {waited:.1f} s")
    return [] if status == 200 and waited > seconds - 2 else ["late"]


TESTS = {
    "changes": (changes, 40),
    "deployments": (deployments, 100),
    "kills": (kills, 50),
    "bodies": (bodies, 100),
    "late": (late, 75),
    "hop": (hop, 5000),
    "throughput": (throughput, 40),
}


def main() -> None:
    """Run the tests that the command line names."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("tests", nargs="*", metavar="test", help=f"{', '.join(TESTS)}; by default all")
    parser.add_argument("--count", type=int, help="how many changes, deployments, kills, megabytes, seconds or rounds")
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    random.seed(arguments.seed)
    failures: list[str] = []
    for name in arguments.tests or TESTS:
        test, count = TESTS[name]
        with tempfile.TemporaryDirectory(prefix="gw") as parent:
            failures += asyncio.run(test(Path(parent) / "gateway", arguments.count or count))
    sys.exit(bool(failures))


if __name__ == "__main__":
    main()
