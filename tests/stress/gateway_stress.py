"""Stress tests of the gateway, on a real Envoy. `scripts/chaos gateway` runs them at full size. No client ever retries.

changes      the instances of a deployment change under clients that keep their connections
deployments  deployments are added and removed beside a load, a WebSocket and a stream of events
kills        SIGKILL of the server while it changes routes, and of Envoy
bodies       100 MB in both directions, and the memory of Envoy
late         a first byte after 75 seconds
throughput   compared with a configuration that is written by hand, with few and many deployments
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import random
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from pathlib import Path

from aiohttp import ClientError
from tests.server.gateway.site import Load, Replica, Visitor, until, visiting

from paperspace.gradient.server.controller.gateway import GatewayUnavailableError, Target
from paperspace.gradient.server.gateway.binary import find_envoy
from paperspace.gradient.server.gateway.gateway import EnvoyGateway
from paperspace.gradient.server.gateway.options import Options
from paperspace.gradient.server.gateway.resources import typed

ME = [sys.executable, "-m", "tests.stress.gateway_stress"]
DEPLOYMENT = "x"


@contextmanager
def beside(*arguments: str) -> Iterator[list[int]]:
    """Run servers in a process of their own; yield their ports."""
    with subprocess.Popen([*ME, *arguments], stdout=subprocess.PIPE) as process:
        try:
            assert process.stdout
            yield [int(port) for port in process.stdout.readline().split()]
        finally:
            process.kill()


@contextmanager
def replicas(count: int) -> Iterator[list[Target]]:
    """Run so many replicas."""
    with beside("replicas", str(count)) as ports:
        yield [Target(port, "http") for port in ports]


@asynccontextmanager
async def open_gateway(folder: Path) -> AsyncIterator[tuple[EnvoyGateway, Visitor]]:
    """Open a gateway, and a client of it."""
    gateway = EnvoyGateway(Options(folder, port=0))
    await gateway.open()
    try:
        async with visiting(gateway) as visitor:
            yield gateway, visitor
    finally:
        await gateway.stop()


def pid_in(folder: Path) -> int:
    """Return the id of the process of Envoy."""
    return int((folder / "envoy.pid").read_text())


def memory(folder: Path) -> float:
    """Return the memory of Envoy in MB."""
    status = Path(f"/proc/{pid_in(folder)}/status").read_text()
    return int(status.split("VmRSS:")[1].split()[0]) / 1000


def processor_time(pid: int) -> float:
    """Return the processor time of a process in seconds."""
    ticks = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[11:13]
    return sum(map(int, ticks)) / os.sysconf("SC_CLK_TCK")


async def replace(gateway: EnvoyGateway, targets: list[Target], name: str) -> None:
    """Replace the routed instance by a new one, as a rollout does. Continue what another server has begun."""
    await gateway.route(DEPLOYMENT, name, random.choice(targets))
    for old in gateway.routes(DEPLOYMENT).routed - {name}:
        await gateway.unroute(DEPLOYMENT, old)
    for old in gateway.routes(DEPLOYMENT).draining:
        await gateway.drained(DEPLOYMENT, old)
        await gateway.forget_instance(DEPLOYMENT, old)


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
            events = asyncio.create_task(_measure_lags(visitor, lags))
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
            await asyncio.gather(events, return_exceptions=True)
    print(
        f"{count} deployments one after the other: live after {statistics.median(live) * 1000:.0f} ms (median), "
        f"{max(live) * 1000:.0f} ms (maximum); {count} at once: the last one after {together * 1000:.0f} ms\n"
        f"meanwhile {len(load.lost)} of {load.done} requests lost; WebSocket: {websocket}; events: {len(lags)}, stream "
        f"{'open' if stream_open else 'lost'}, lag {statistics.median(lags) * 1000:.1f} ms (median), "
        f"{statistics.quantiles(lags, n=100)[98] * 1000:.0f} ms (99 %), {max(lags) * 1000:.0f} ms (maximum)"
    )
    return load.lost + ([] if stream_open else ["events"]) + ([] if "still here" in websocket else ["WebSocket"])


async def _measure_lags(visitor: Visitor, lags: list[float]) -> None:
    async with visitor.session.get(visitor.url(f"/endpoints/{DEPLOYMENT}/sse"), timeout=None) as response:
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


# Throughput


@contextmanager
def by_hand(folder: Path, target: Target) -> Iterator[tuple[int, int]]:
    """Run Envoy with the least configuration that forwards requests; yield its port and the id of its process."""
    port = 50_999
    router = typed("envoy.extensions.filters.http.router.v3.Router")
    http = typed(
        "envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
        stat_prefix="hand",
        route_config={
            "virtual_hosts": [
                {
                    "name": "all",
                    "domains": ["*"],
                    "routes": [
                        {"match": {"prefix": "/endpoints/x/"}, "route": {"cluster": "x", "prefix_rewrite": "/"}}
                    ],
                }
            ]
        },
        http_filters=[{"name": "envoy.filters.http.router", "typed_config": router}],
    )
    listener = {
        "address": {"socket_address": {"address": "127.0.0.1", "port_value": port}},
        "filter_chains": [
            {"filters": [{"name": "envoy.filters.network.http_connection_manager", "typed_config": http}]}
        ],
    }
    host = {"endpoint": {"address": {"socket_address": {"address": "127.0.0.1", "port_value": target.port}}}}
    cluster = {
        "name": "x",
        "type": "STATIC",
        "connect_timeout": "1s",
        "load_assignment": {"cluster_name": "x", "endpoints": [{"lb_endpoints": [host]}]},
    }
    file = folder / "by_hand.json"
    file.write_text(json.dumps({"static_resources": {"listeners": [listener], "clusters": [cluster]}}))
    options = ["--disable-hot-restart", "--log-level", "error", "--concurrency", str(min(4, os.cpu_count() or 1))]
    # A session of its own, as that of the gateway: Linux shares the processors between sessions.
    with subprocess.Popen([find_envoy(None), "-c", file, *options], start_new_session=True) as process:
        try:
            time.sleep(1)
            yield port, process.pid
        finally:
            process.kill()


async def _rate(port: int, pid: int, seconds: float) -> tuple[float, float]:
    """Return requests per second of 16 clients, and the microseconds of Envoy for each."""
    request = b"GET /endpoints/x/ HTTP/1.1\r\nHost: g\r\n\r\n"
    end = time.perf_counter() + seconds
    done = 0

    async def client() -> None:
        nonlocal done
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        while time.perf_counter() < end:
            writer.write(request)
            head = await reader.readuntil(b"\r\n\r\n")
            assert head.startswith(b"HTTP/1.1 200"), head
            await reader.readexactly(2)
            done += 1
        writer.close()

    before = processor_time(pid)
    await asyncio.gather(*(client() for _ in range(16)))
    return done / seconds, (processor_time(pid) - before) / done * 1e6


async def throughput(folder: Path, rounds: int) -> list[str]:
    """Compare the gateway with a configuration by hand, in turns; return an entry if it is much slower."""
    with beside("quick") as [port]:
        target = Target(port, "http")
        async with open_gateway(folder) as (gateway, _):
            await gateway.route(DEPLOYMENT, "i", target)
            with by_hand(folder, target) as (hand_port, hand_pid):
                for others in (0, 100, 400):
                    await asyncio.gather(
                        *(gateway.route(f"d{n}", "i", Target(40_000 + n, "http")) for n in range(others))
                    )
                    ratio = await _compare(gateway._port, pid_in(folder), hand_port, hand_pid, rounds, others)
    return [] if ratio >= 0.9 else ["slow"]


async def _compare(port: int, pid: int, hand_port: int, hand_pid: int, rounds: int, others: int) -> float:
    """Print and return the ratio of the best rounds: other programs of the machine can only slow a round down."""
    rates = [(await _rate(port, pid, 2), await _rate(hand_port, hand_pid, 2)) for _ in range(rounds)]
    rate, by_hand_rate = (max(entry[side][0] for entry in rates) for side in (0, 1))
    cost, by_hand_cost = (min(entry[side][1] for entry in rates) for side in (0, 1))
    print(
        f"{others} other deployments: {rate:.0f} requests/s, by hand {by_hand_rate:.0f}, ratio {rate / by_hand_rate:.2f}; "
        f"processor time of Envoy for each request {cost:.0f} µs, by hand {by_hand_cost:.0f} µs"
    )
    return rate / by_hand_rate


# The processes beside


async def run_replicas(count: int) -> None:
    """Run replicas, and print their ports."""
    async with Replica("replica").running(count) as replica:
        print(*replica.ports, flush=True)
        await asyncio.Event().wait()


async def run_server(folder: Path, ports: list[str]) -> None:
    """Change routes without end."""
    gateway = EnvoyGateway(Options(folder, port=0))
    await gateway.open()
    targets = [Target(int(port), "http") for port in ports]
    number = 0
    while True:
        number += 1
        with suppress(GatewayUnavailableError):
            await replace(gateway, targets, f"{os.getpid()}-{number}")


class _Quick(asyncio.Protocol):
    """Responds to each request with two bytes, as fast as Python can."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._received = b""

    def data_received(self, data: bytes) -> None:
        *requests, self._received = (self._received + data).split(b"\r\n\r\n")
        self._transport.write(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok" * len(requests))


async def run_quick() -> None:
    """Run a quick replica, and print its port."""
    server = await asyncio.get_running_loop().create_server(_Quick, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


TESTS = {
    "changes": (changes, 40),
    "deployments": (deployments, 100),
    "kills": (kills, 50),
    "bodies": (bodies, 100),
    "late": (late, 75),
    "throughput": (throughput, 5),
}


def main() -> None:
    """Run the tests, or one of the processes beside."""
    match sys.argv[1:]:
        case ["replicas", count]:
            asyncio.run(run_replicas(int(count)))
        case ["server", folder, *ports]:
            asyncio.run(run_server(Path(folder), ports))
        case ["quick"]:
            asyncio.run(run_quick())
        case _:
            sys.exit(run_tests())


def run_tests() -> bool:
    """Run the tests that the command line names; return whether one failed."""
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
    return bool(failures)


if __name__ == "__main__":
    main()
