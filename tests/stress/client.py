"""Trials of the client: see `scripts/chaos`."""

from __future__ import annotations

import argparse
import asyncio
import json
import logging
import random
import sqlite3
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.stress.client_endurance import deadlines, endurance, forks, threads
from tests.stress.fault_proxy import FAULTS, Break, Proxy

from paperspace.gradient import APIError, AsyncClient, Client, ConflictError, GradientError
from paperspace.gradient.server import LocalServer

WORKERS = 8
TIMEOUT = 30.0
# Not the exchange is broken there, but the answer another one: rarer, and the client asks only once again.
WEIGHTS = [1 if one is Break.RUBBISH else 3 for one in FAULTS]
CONTESTED = 0.1  # of the names that are created are wanted by several

Call = Callable[..., Coroutine[Any, Any, Any]]


@dataclass
class Change:
    """A change that was asked for, and what the client said of it."""

    kind: str
    token: str  # the image of the spec that it sent, met nowhere else
    id: str | None
    said: str  # done, no, unknown
    name: str = ""


@dataclass
class Record:
    """What the client reported."""

    changes: list[Change] = field(default_factory=list)
    calls: int = 0
    failures: Counter[str] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)
    slowest: float = 0.0


class Worker:
    """Makes random calls about deployments of its own, and now and then about a name that all want."""

    def __init__(self, number: int, seed: int, record: Record, calls: int) -> None:
        self.chance = random.Random(f"{seed}-{number}")  # a seed makes it reproducible
        self.number = number
        self.record = record
        self.calls = calls
        self.own: list[str] = []

    async def work(self, call: Call) -> None:
        """Makes its calls, and notes what comes of each."""
        for number in range(self.calls):
            kind = self.chance.choices(("create", "update", "delete", "get", "list"), (30, 25, 20, 15, 10))[0]
            if kind in {"update", "delete", "get"} and not self.own:
                kind = "create"
            change = Change(kind, f"image-{self.number}-{number}", None, "done")
            if kind == "create":
                contested = self.chance.random() < CONTESTED
                change.name = f"all-{number % 7}" if contested else f"own-{self.number}-{number}"
            elif kind != "list":
                change.id = self.chance.choice(self.own)
            start = time.monotonic()
            self.record.calls += 1
            try:
                await self._make(call, change)
            except APIError as error:
                change.said = error.may_have_executed
                expected = isinstance(error, ConflictError) and change.name.startswith("all-")
                self.record.failures["(a name that is taken)" if expected else type(error).__name__] += 1
            except GradientError as error:
                self.record.wrong.append(f"{change}: {error!r}")
            self.record.slowest = max(self.record.slowest, time.monotonic() - start)
            if kind in {"create", "update", "delete"}:
                self.record.changes.append(change)

    async def _make(self, call: Call, change: Change) -> None:
        """`call` takes the name of a function and its arguments, and awaits the result or gets it otherwise."""
        spec = {"image": change.token, "port": 80, "env": [{"name": "A", "value": change.token}]}
        match change.kind:
            case "create":
                change.id = (await call("create_deployment", change.name, "p", spec))["id"]
                self.own.append(change.id or "")
            case "update":
                await call("update_deployment", id=change.id, spec=spec)
            case "delete":
                self.own.remove(change.id or "")
                await call("delete_deployment", change.id)
            case "get":
                found = await call("get_deployment", change.id)
                if found["id"] != change.id:
                    self.record.wrong.append(f"asked for {change.id}, got {found['id']}")
            case _:
                await call("list_deployments", project_id="p", first=20)


def run_async(url: str, key: str, workers: list[Worker]) -> None:
    """All the workers as tasks of one loop."""

    async def main() -> None:
        async with AsyncClient(key, url, timeout=TIMEOUT) as client:

            async def call(name: str, *args: Any, **kwargs: Any) -> Any:
                return await getattr(client.deployments, name)(*args, **kwargs)

            await asyncio.gather(*(worker.work(call) for worker in workers))

    asyncio.run(main())


def run_sync(url: str, key: str, workers: list[Worker]) -> None:
    """Each worker in a thread of its own."""
    with Client(key, url, timeout=TIMEOUT) as client, ThreadPoolExecutor(len(workers)) as pool:

        async def call(name: str, *args: Any, **kwargs: Any) -> Any:
            return getattr(client.deployments, name)(*args, **kwargs)

        for job in [pool.submit(asyncio.run, worker.work(call)) for worker in workers]:
            job.result()


def compare(database: Path, record: Record, *, keys: bool) -> list[str]:
    """What the server's own data say against what the client reported."""
    with closing(sqlite3.connect(database)) as db:
        rows = db.execute("SELECT id, name, dt_deleted IS NOT NULL FROM deployments").fetchall()
        specs = db.execute("SELECT deployment_id, data FROM deployment_specs ORDER BY seq").fetchall()
    deleted = {id_: bool(gone) for id_, _, gone in rows}
    history: dict[str, list[str]] = {}
    for id_, data in specs:
        history.setdefault(id_, []).append(json.loads(data)["image"])
    where = Counter(token for tokens in history.values() for token in set(tokens))
    times = Counter(token for tokens in history.values() for token in tokens)
    live = Counter(name for _, name, gone in rows if not gone)
    wrong = [f"{count} live deployments are named {name}" for name, count in live.items() if count > 1]
    if len(deleted) != sum(change.kind == "create" and where[change.token] > 0 for change in record.changes):
        wrong.append("there are deployments that nobody asked for")
    unsure = {change.id for change in record.changes if change.kind == "delete" and change.said == "unknown"}
    gone = {change.id for change in record.changes if change.kind == "delete" and change.said == "done"}
    for id_, is_deleted in deleted.items():
        if id_ not in unsure and is_deleted is not (id_ in gone) and known(record, id_):
            wrong.append(f"{id_} is {'gone' if is_deleted else 'there'}, and should not be")
    for change in record.changes:
        if change.kind == "delete":
            continue
        found = where[change.token]
        if change.said == "done":
            tokens = history.get(change.id or "", [])
            right = tokens[:1] == [change.token] if change.kind == "create" else change.token in tokens
            if not right:
                wrong.append(f"{change} is not what the server has: {tokens}")
        if found > (0 if change.said == "no" else 1) or (keys and times[change.token] > 1):
            wrong.append(f"{change} was carried out {times[change.token]} times, in {found} deployments")
    return wrong


def known(record: Record, id_: str) -> bool:
    """Whether the client was told of this deployment."""
    return any(change.id == id_ for change in record.changes if change.kind == "create" and change.said == "done")


def mixed(calls: int, seed: int, share: float, face: str, *, keys: bool) -> bool:
    """Random calls through the proxy; says whether everything was as it should be."""
    chance = random.Random(seed)  # a seed makes it reproducible

    def decide(_operation: str) -> Break:
        return chance.choices(FAULTS, WEIGHTS)[0] if chance.random() < share else Break.NONE

    record = Record()
    workers = [Worker(number, seed, record, calls // WORKERS) for number in range(WORKERS)]
    start = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        database = Path(folder) / "data.db"
        with LocalServer(database=database) as server, Proxy(server.url, decide, keys=keys) as proxy:
            (run_async if face == "async" else run_sync)(proxy.url, server.api_key, workers)
        wrong = record.wrong + compare(database, record, keys=keys)
    failed = sum(count for name, count in record.failures.items() if not name.startswith("("))
    sends, broken = sum(proxy.seen.values()), sum(proxy.seen[one] for one in FAULTS)
    print(
        f"{face}, {'with' if keys else 'without'} keys, seed {seed}: {record.calls} calls, {sends} sends, "
        f"{broken / sends:.0%} broken, {1 - failed / record.calls:.2%} successful, failures {dict(record.failures)}, "
        f"slowest {record.slowest:.2f} s, {time.monotonic() - start:.0f} s in all, {len(wrong)} wrong"
    )
    for line in wrong[:20]:
        print("  WRONG:", line)
    return not wrong and failed <= 0.002 * record.calls + 1


def main() -> int:
    """Runs the trials that are asked for."""
    parser = argparse.ArgumentParser(prog="scripts/chaos", description=main.__doc__)
    trials = ("mixed", "deadlines", "forks", "threads", "endurance")
    parser.add_argument("trials", nargs="*", default=["mixed"], help=f"of {', '.join(trials)}; mixed if none is named")
    parser.add_argument("--calls", type=int, default=10_000, help="of the trial (10000)")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--share", type=float, default=0.3, help="of the exchanges that the proxy breaks (0.3)")
    options = parser.parse_args()
    logging.getLogger("paperspace.gradient").setLevel(logging.WARNING)
    fine = True
    for trial in options.trials:
        if trial == "mixed":
            for face, keys in (("sync", True), ("async", True), ("sync", False), ("async", False)):
                fine &= mixed(options.calls // 4, options.seed, options.share, face, keys=keys)
        elif trial in trials:
            other = {"deadlines": deadlines, "forks": forks, "threads": threads, "endurance": endurance}[trial]
            fine &= other(options.calls)
        else:
            parser.error(f"there is no trial {trial!r}")
    return 0 if fine else 1


if __name__ == "__main__":
    sys.exit(main())
