"""The processes of the stress tests of the gateway: replicas, servers that are killed, and what is known about Envoy."""

from __future__ import annotations

import asyncio
import os
import random
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from pathlib import Path

from tests.server.gateway.site import Replica, Visitor, visiting

from paperspace.gradient.server.controller.gateway import GatewayUnavailableError, Target
from paperspace.gradient.server.gateway.gateway import EnvoyGateway
from paperspace.gradient.server.gateway.options import Options

ME = [sys.executable, "-m", "tests.stress.gateway_processes"]
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


def main() -> None:
    """Run one of the processes."""
    match sys.argv[1:]:
        case ["replicas", count]:
            asyncio.run(run_replicas(int(count)))
        case ["server", folder, *ports]:
            asyncio.run(run_server(Path(folder), ports))
        case ["quick"]:
            asyncio.run(run_quick())


if __name__ == "__main__":
    main()
