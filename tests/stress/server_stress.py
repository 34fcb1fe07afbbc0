"""Stress tests of the local server: concurrent creates, SIGKILLs while writing, mutated and heavy requests.

`scripts/chaos server` runs them at full size, test_server_stress.py for a moment.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import random
import re
import signal
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.request import Request, urlopen

import aiohttp

from paperspace.gradient.server import LocalServer

if TYPE_CHECKING:
    from collections.abc import Iterator


CREATE = "mutation ($input: CreateDeploymentInput!) { createDeployment(input: $input) { deployment { id } } }"
UPDATE = "mutation ($input: UpdateDeploymentInput!) { updateDeployment(input: $input) { deployment { id } } }"
DELETE = "mutation ($input: DeleteDeploymentInput!) { deleteDeployment(input: $input) { deployment { id } } }"
LIST = "query ($first: Int, $after: String) { deployments(first: $first, after: $after) { nodes { id name } } }"
SPEC = {"image": "i", "port": 80, "resources": {"replicas": 1}}
KEY = "a-key"
HEADERS = {"Authorization": f"Bearer {KEY}", "Content-Type": "application/json"}


def create(name: str) -> dict[str, Any]:
    return {"query": CREATE, "variables": {"input": {"name": name, "projectId": "p", "spec": SPEC}}}


async def races(rounds: int, clients: int = 64) -> None:
    """In each round, all clients create the same name at once: one succeeds, all others get a conflict."""
    async with (
        LocalServer(api_key=KEY) as server,
        aiohttp.ClientSession(headers=HEADERS, connector=aiohttp.TCPConnector(limit=clients)) as session,
    ):

        async def race(name: str) -> str:
            async with session.post(server.url, json=create(name)) as response:
                body = await response.json()
            return str(body["errors"][0]["extensions"]["code"]) if "errors" in body else "created"

        for number in range(rounds):
            outcomes = Counter(await asyncio.gather(*(race(f"race {number}") for _ in range(clients))))
            assert outcomes == {"created": 1, "CONFLICT": clients - 1}, outcomes


class Running(NamedTuple):
    """`gradient server` in a separate process."""

    process: subprocess.Popen[str]
    url: str


@contextmanager
def running(file: Path) -> Iterator[Running]:
    """Run the server with this database file, and kill it at the end."""
    main = "from paperspace.gradient.cli.main import main; main()"
    options = ["server", "--port", "0", "--api-key", KEY, "--database", str(file), "--engine", "simulated"]
    with subprocess.Popen(
        [sys.executable, "-c", main, *options], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as process:
        try:
            assert process.stdout
            process.stdout.readline()  # about the engine
            line = re.fullmatch(r"Listening on (\S+)\n", process.stdout.readline())
            assert line
            yield Running(process, line[1])
        finally:
            process.kill()


class Writer(threading.Thread):
    """Changes deployments until the server is killed, and records what was acknowledged."""

    def __init__(self, url: str, label: str) -> None:
        super().__init__()
        self.url = url
        self.label = label
        self.acknowledged: dict[str, str | None] = {}
        self.unknown: str | None = None

    def run(self) -> None:
        try:
            for number in range(100_000):
                name = f"{self.label} {number}"
                self.unknown = None
                id_ = self.post(create(name))["createDeployment"]["deployment"]["id"]
                self.acknowledged[id_] = name
                self.unknown = id_
                if number % 3 == 1:
                    self.post({"query": UPDATE, "variables": {"input": {"id": id_, "name": f"{name} b", "spec": SPEC}}})
                    self.acknowledged[id_] = f"{name} b"
                elif number % 3 == 2:
                    self.post({"query": DELETE, "variables": {"input": {"id": id_}}})
                    self.acknowledged[id_] = None
        except OSError:
            return

    def post(self, payload: Any) -> Any:
        with urlopen(Request(self.url, json.dumps(payload).encode(), HEADERS), timeout=60) as response:
            body = json.load(response)
        assert "errors" not in body, body
        return body["data"]


def kills(number: int, file: Path, writers: int = 3, seed: int = 0) -> int:
    """Kill the server again and again while clients write; return how many deployments were acknowledged.

    After each kill, the database is intact, has every acknowledged change, and no change in part.
    """
    moments, acknowledged = random.Random(seed), 0
    for round_ in range(number):
        with running(file) as server:
            threads = [Writer(server.url, f"{round_}-{index}") for index in range(writers)]
            for thread in threads:
                thread.start()
            wanted = moments.randrange(1, 20)
            while sum(len(thread.acknowledged) for thread in threads) < wanted:
                assert all(thread.is_alive() for thread in threads)
                time.sleep(0.001)
            time.sleep(moments.uniform(0, 0.01))  # so that the kill can come at any point of a change
            os.kill(server.process.pid, signal.SIGKILL)
            server.process.wait()
            for thread in threads:
                thread.join()
        with closing(sqlite3.connect(file)) as connection:
            if round_ % 20 == 0:
                assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
            for thread in threads:
                for id_, name in thread.acknowledged.items():
                    row = connection.execute("SELECT name, dt_deleted FROM deployments WHERE id = ?", (id_,)).fetchone()
                    if row is None and name is None:
                        continue  # the server has removed what was deleted
                    assert row is not None, f"{name} is lost"
                    if id_ != thread.unknown:
                        assert (row[0] if row[1] is None else None) == name
                    runs = "SELECT count(*) FROM rollouts JOIN deployment_specs ON spec_id = deployment_specs.id"
                    rollouts, specs = connection.execute(
                        f"{runs} WHERE rollouts.deployment_id = ? UNION ALL"
                        " SELECT count(*) FROM deployment_specs WHERE deployment_id = ?",
                        (id_, id_),
                    ).fetchall()
                    assert rollouts == specs, "a spec without its rollout: a change in part"
                acknowledged += len(thread.acknowledged)
    return acknowledged


def mutated(source: random.Random) -> bytes:
    """Make a valid request, and change it at random."""
    payload: dict[str, Any] = source.choice(
        [
            create(f"d{source.randrange(50)}"),
            {"query": LIST, "variables": {"first": 5, "after": "MQ"}},
            {"query": UPDATE, "variables": {"input": {"id": "0" * 8, "name": "n"}}},
            {"query": DELETE, "variables": {"input": {"id": "00000000-0000-0000-0000-000000000000"}}},
            {"query": "{ __schema { types { name fields { name args { name } } } } }"},
        ]
    )
    if source.random() < 0.5:
        odd: list[Any] = [None, 0, -1, 2**63, 1e308, "", "\0", "\u202e", [], {}, [[[]]], True, "x" * 5000]
        part: Any = payload
        while isinstance(part, dict) and part:
            name = source.choice(list(part))
            if not isinstance(part[name], dict) or source.random() < 0.3:
                part[name] = source.choice(odd)
                break
            part = part[name] = dict(part[name])
    body = bytearray(json.dumps(payload).encode())
    for _ in range(source.randrange(4)):
        position = source.randrange(len(body))
        kind = source.randrange(4)
        if kind == 0:
            body[position] = source.randrange(256)
        elif kind == 1:
            del body[position : position + source.randrange(1, 9)]
        elif kind == 2:
            body[position:position] = body[position : position + source.randrange(1, 40)]
        else:
            body[position:position] = source.choice(
                [b"{", b"}", b'"', b"\\", b"...", b"@skip", b"$", b"\xff", b"9" * 20]
            )
        body = body or bytearray(b"x")
    return bytes(body)


async def mutations(number: int, file: Path, seed: int = 0) -> tuple[Counter[int], int, int]:
    """Send mutated requests; return the HTTP statuses, and the memory of the server, in kB, early and at the end.

    No response is an internal server error, and the server keeps running.
    """
    source, statuses = random.Random(seed), Counter[int]()
    with running(file) as server:

        def memory() -> int:
            status = Path(f"/proc/{server.process.pid}/status")
            match = re.search(r"VmRSS:\s+(\d+) kB", status.read_text()) if status.exists() else None
            return int(match[1]) if match else 0

        early = 0
        async with aiohttp.ClientSession(headers=HEADERS) as session:
            for begin in range(0, number, 50):

                async def send(body: bytes) -> None:
                    async with session.post(server.url, data=body) as response:
                        text = await response.text()
                    statuses[response.status] += 1
                    assert response.status < 500, (response.status, body, text)
                    assert "INTERNAL_SERVER_ERROR" not in text, (body, text)

                await asyncio.gather(*(send(mutated(source)) for _ in range(min(50, number - begin))))
                if begin <= number // 5:
                    early = memory()
        assert server.process.poll() is None
        return statuses, early, memory()


def main() -> None:
    from tests.stress.heavy_requests import run_heavy  # imports this module

    parser = argparse.ArgumentParser(
        prog="scripts/chaos server", description="Stress tests of the local server. A size of 0 leaves a test out."
    )
    for option, default, text in (
        ("--races", 1000, "rounds in which 64 clients create the same name"),
        ("--kills", 1000, "SIGKILLs while clients write"),
        ("--mutations", 100_000, "mutated requests"),
        ("--heavy", 10, "seconds of tiny requests beside each of the heavy ones"),
    ):
        parser.add_argument(option, type=int, default=default, help=f"{text} (default: %(default)s)")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        runs = {"races": run_races, "kills": run_kills, "mutations": run_mutations, "heavy": run_heavy}
        for name, run in runs.items():
            if size := getattr(options, name):
                start = time.monotonic()
                result = run(size, Path(folder) / f"{name}.db")
                print(f"{name}: {size} in {time.monotonic() - start:.0f} s, {result}", flush=True)


def run_races(size: int, _file: Path) -> str:
    asyncio.run(races(size))
    return "one create succeeded in each"


def run_kills(size: int, file: Path) -> str:
    return f"{kills(size, file)} deployments acknowledged, none lost"


def run_mutations(size: int, file: Path) -> str:
    statuses, early, late = asyncio.run(mutations(size, file))
    return f"statuses {dict(statuses)}, memory {early} kB early, {late} kB at the end"


if __name__ == "__main__":
    main()
