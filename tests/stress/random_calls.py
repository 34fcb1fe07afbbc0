"""Random calls through a proxy that breaks exchanges; then the reports of the client are compared with the database."""

from __future__ import annotations

import asyncio
import json
import random
import sqlite3
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.stress.fault_proxy import FAULTS, Proxy, ProxyFault

from paperspace.gradient import APIError, AsyncClient, Client, ConflictError, GradientError, OutcomeUnknownError
from paperspace.gradient.server import LocalServer
from paperspace.gradient.server.storage import purge

WORKERS = 8
TIMEOUT = 30.0
# NOT_JSON is rarer: it replaces the response instead of breaking the connection, and the client retries it only once.
WEIGHTS = [1 if fault is ProxyFault.NOT_JSON else 3 for fault in FAULTS]
CONTESTED = 0.1  # share of the creates that use a name which other workers use too

Call = Callable[..., Coroutine[Any, Any, Any]]


@dataclass
class Change:
    """A change that a worker requested, and what the client reported."""

    kind: str
    image: str  # the image of the spec, unique to this change
    id: str | None
    outcome: str  # done, no, unknown
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
    """Makes random calls about its own deployments, and sometimes about a name that several workers use."""

    def __init__(self, number: int, seed: int, record: Record, calls: int, *, keys: bool) -> None:
        self.random = random.Random(f"{seed}-{number}")  # reproducible
        self.number = number
        self.record = record
        self.calls = calls
        self.keys = keys
        self.ids: list[str] = []

    async def work(self, call: Call) -> None:
        """Make the calls, and record the outcome of each."""
        for number in range(self.calls):
            kind = self.random.choices(("create", "update", "delete", "get", "list"), (30, 25, 20, 15, 10))[0]
            if kind in {"update", "delete", "get"} and not self.ids:
                kind = "create"
            change = Change(kind, f"image-{self.number}-{number}", None, "done")
            if kind == "create":
                contested = self.random.random() < CONTESTED
                change.name = f"all-{number % 7}" if contested else f"own-{self.number}-{number}"
            elif kind != "list":
                change.id = self.random.choice(self.ids)
            start = time.monotonic()
            self.record.calls += 1
            try:
                await self._make(call, change)
            except APIError as error:
                change.outcome = error.may_have_executed
                self.record.failures[self._failure(error, change)] += 1
            except GradientError as error:
                self.record.wrong.append(f"{change}: {error!r}")
            self.record.slowest = max(self.record.slowest, time.monotonic() - start)
            if kind in {"create", "update", "delete"}:
                self.record.changes.append(change)

    def _failure(self, error: APIError, change: Change) -> str:
        """Name a failure. A name that others use too explains those in parentheses."""
        contested = change.name.startswith("all-")
        if contested and isinstance(error, ConflictError):
            return "(a name that is taken)"
        # Without keys, a deployment of the last minute may be what a lost attempt has created.
        if contested and not self.keys and isinstance(error, OutcomeUnknownError) and error.code == "CONFLICT":
            return "(a name that is taken, perhaps by this call)"
        return type(error).__name__

    async def _make(self, call: Call, change: Change) -> None:
        spec = {"image": change.image, "port": 80, "env": [{"name": "A", "value": change.image}]}
        match change.kind:
            case "create":
                change.id = (await call("create_deployment", change.name, "p", spec))["id"]
                self.ids.append(change.id or "")
            case "update":
                await call("update_deployment", id=change.id, spec=spec)
            case "delete":
                self.ids.remove(change.id or "")
                await call("delete_deployment", change.id)
            case "get":
                deployment = await call("get_deployment", change.id)
                if deployment["id"] != change.id:
                    self.record.wrong.append(f"asked for {change.id}, got {deployment['id']}")
            case _:
                await call("list_deployments", project_id="p", first=20)


def run_async(url: str, key: str, workers: list[Worker]) -> None:
    """Run all workers as tasks of one event loop, on one AsyncClient."""

    async def main() -> None:
        async with AsyncClient(key, url, timeout=TIMEOUT) as client:

            async def call(name: str, *args: Any, **kwargs: Any) -> Any:
                return await getattr(client.deployments, name)(*args, **kwargs)

            await asyncio.gather(*(worker.work(call) for worker in workers))

    asyncio.run(main())


def run_sync(url: str, key: str, workers: list[Worker]) -> None:
    """Run each worker in a thread, all on one Client."""
    with Client(key, url, timeout=TIMEOUT) as client, ThreadPoolExecutor(len(workers)) as pool:

        async def call(name: str, *args: Any, **kwargs: Any) -> Any:
            return getattr(client.deployments, name)(*args, **kwargs)

        for job in [pool.submit(asyncio.run, worker.work(call)) for worker in workers]:
            job.result()


def compare(database: Path, record: Record, *, keys: bool) -> list[str]:
    """Compare the data of the server with what the client reported; return the contradictions."""
    with closing(sqlite3.connect(database)) as db:
        rows = db.execute("SELECT id, name, dt_deleted IS NOT NULL FROM deployments").fetchall()
        specs = db.execute("SELECT deployment_id, data FROM deployment_specs ORDER BY seq").fetchall()
    is_deleted = {id_: bool(deleted) for id_, _, deleted in rows}
    history: dict[str, list[str]] = {}
    for id_, data in specs:
        history.setdefault(id_, []).append(json.loads(data)["image"])
    deployments_with = Counter(image for images in history.values() for image in set(images))
    specs_with = Counter(image for images in history.values() for image in images)
    live = Counter(name for _, name, deleted in rows if not deleted)
    wrong = [f"{count} live deployments are named {name}" for name, count in live.items() if count > 1]
    if len(is_deleted) != sum(change.kind == "create" and specs_with[change.image] > 0 for change in record.changes):
        wrong.append("the server has deployments that no worker created")
    unknown = {change.id for change in record.changes if change.kind == "delete" and change.outcome == "unknown"}
    deleted = {change.id for change in record.changes if change.kind == "delete" and change.outcome == "done"}
    created = {change.id for change in record.changes if change.kind == "create" and change.outcome == "done"}
    wrong += [
        f"{id_} is {'' if is_deleted[id_] else 'not '}deleted, but the client reported the opposite"
        for id_ in is_deleted
        if id_ in created - unknown and is_deleted[id_] is not (id_ in deleted)
    ]
    for change in record.changes:
        if change.kind == "delete":
            continue
        if change.outcome == "done":
            images = history.get(change.id or "", [])
            correct = images[:1] == [change.image] if change.kind == "create" else change.image in images
            if not correct:
                wrong.append(f"{change}: the server has {images}")
        most = 0 if change.outcome == "no" else 1
        if deployments_with[change.image] > most or (keys and specs_with[change.image] > 1):
            wrong.append(
                f"{change}: applied {specs_with[change.image]} times, to {deployments_with[change.image]} deployments"
            )
    return wrong


def random_calls(calls: int, seed: int, share: float, version: str, *, keys: bool) -> bool:
    """Make random calls through the proxy; return whether all reports are true and nearly all calls succeed.

    Args:
        calls: The number of calls.
        seed: Makes the calls and faults reproducible.
        share: The share of the exchanges that the proxy breaks.
        version: "sync" or "async".
        keys: Whether the server sees idempotency keys.
    """
    numbers = random.Random(seed)

    def decide(_operation: str) -> ProxyFault:
        return numbers.choices(FAULTS, WEIGHTS)[0] if numbers.random() < share else ProxyFault.NONE

    record = Record()
    workers = [Worker(number, seed, record, calls // WORKERS, keys=keys) for number in range(WORKERS)]
    purge.DELAY = 3600.0  # what is deleted is compared too
    start = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        database = Path(folder) / "data.db"
        with LocalServer(database=database) as server, Proxy(server.url, decide, keys=keys) as proxy:
            (run_async if version == "async" else run_sync)(proxy.url, server.api_key, workers)
        wrong = record.wrong + compare(database, record, keys=keys)
    failed = sum(count for name, count in record.failures.items() if not name.startswith("("))
    attempts, broken = sum(proxy.seen.values()), sum(proxy.seen[fault] for fault in FAULTS)
    print(
        f"faults ({version}, {'with' if keys else 'without'} keys, seed {seed}): {record.calls} calls, {attempts} attempts, "
        f"{broken / attempts:.0%} broken, {1 - failed / record.calls:.2%} of calls successful, "
        f"failures {dict(record.failures)}, slowest {record.slowest:.2f} s, {time.monotonic() - start:.0f} s in total, "
        f"{len(wrong)} contradictions"
    )
    for line in wrong[:20]:
        print("  WRONG:", line)
    return not wrong and failed <= 0.002 * record.calls + 1
