"""Growth: how long a start and calls take with a thousand to a million deployments. `scripts/benchmark --growth` runs it."""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from random import Random
from time import perf_counter

from tests.server.storage.many_deployments import (
    add_deployments,
    add_expired_responses,
    add_log_lines,
    add_revisions,
    deployment_id,
    fast_writer,
    indexes_created_afterwards,
)

from paperspace.gradient import Client
from paperspace.gradient.types import DeploymentSpecInput

from . import growth_report, page
from .child import child
from .timing import Measurement, Turn, interleaved, timed

SIZES = (1_000, 10_000, 100_000, 1_000_000)
KEY = "a-key-for-the-benchmark"
SPEC: DeploymentSpecInput = {"image": "tensorflow/serving", "resources": {"replicas": 1}}
REVISED, REVISIONS = 1, 10_000  # the number of a deployment, and of its earlier revisions
ON_CLUSTER = 50  # deployments on a cluster with few
CALLS = 20  # in a turn

Call = Callable[[], object]


def parser() -> argparse.ArgumentParser:
    """Make the parser of the options."""
    options = argparse.ArgumentParser(
        prog="scripts/benchmark --growth",
        description="Measure how long the start of the local server and calls take with different numbers of deployments. "
        "The largest database needs 4 GB in the folder for temporary files, and some minutes.",
    )
    options.add_argument(
        "--sizes",
        type=int,
        nargs="+",
        default=SIZES,
        metavar="NUMBER",
        help="numbers of deployments, at least 1000 each",
    )
    options.add_argument("--rounds", type=int, default=11, help="rounds of each measurement (default: 11)")
    options.add_argument("--json", action="store_true", help="print the results as JSON, in seconds")
    options.add_argument("--keep", action="store_true", help="write the results into docs/performance.md")
    return options


def main(arguments: Sequence[str]) -> int:
    """Run the measurements; the exit code is 1 if a goal is missed."""
    options = parser().parse_args(arguments)
    with tempfile.TemporaryDirectory() as folder:
        files = {size: Path(folder, f"{size}.db") for size in options.sizes}
        for size, file in files.items():
            start = perf_counter()
            _create(file, size)
            print(f"{size:,} deployments: created in {perf_counter() - start:.0f} s", file=sys.stderr)
        measured = []
        for measurement in _measurements(files, options.rounds):
            measured.append(measurement)
            print(f"{measurement.name}: done", file=sys.stderr)
    rows = [growth_report.Row(measurement) for measurement in measured]
    print(json.dumps(growth_report.data(rows), indent=2) if options.json else growth_report.text(rows))
    if options.keep:
        page.write(page.GROWTH, growth_report.markdown(rows))
    return 0 if all(row.reached for row in rows) else 1


def _create(file: Path, size: int) -> None:
    """Create a database, without the server: with it, a million deployments take most of an hour."""
    with fast_writer(file) as connection, indexes_created_afterwards(connection):
        add_deployments(connection, size)
        add_revisions(connection, REVISED, REVISIONS)
        add_log_lines(connection, REVISED, REVISIONS)


def _measurements(files: Mapping[int, Path], rounds: int) -> Iterator[Measurement]:
    _read(files)
    starts = {str(size): lambda file=file: _start_time(file) for size, file in files.items()}
    yield interleaved("start of the server", "a process", starts, rounds)
    with _clients(files) as clients:
        calls = {size: _calls(client, size) for size, client in clients.items()}
        for name in calls[min(calls)]:
            _read(files)
            yield _compared(name, {size: calls[size][name] for size in calls}, CALLS, rounds)
        calls = {size: _calls_with_history(client) for size, client in clients.items()}
        for name in calls[min(calls)]:
            yield _compared(name, {size: calls[size][name] for size in calls}, 1, rounds)
    for size, file in files.items():
        with fast_writer(file) as connection:
            add_expired_responses(connection, max(size, 10 * CALLS * (rounds + 1)))
    with _clients(files) as clients:
        _read(files)
        creates = {size: _create_call(client, "later") for size, client in clients.items()}
        yield _compared("create, with an expired response per deployment", creates, CALLS, rounds)


def _read(files: Mapping[int, Path]) -> None:
    """Read the files, so that the system has them in memory, as after their normal use."""
    for file in files.values():
        with file.open("rb") as stream:
            while stream.read(2**24):
                pass


def _compared(name: str, calls: Mapping[int, Call], times: int, rounds: int) -> Measurement:
    turns: dict[str, Turn] = {str(size): timed(times, call) for size, call in calls.items()}
    return interleaved(name, "a call", turns, rounds)


def _server(file: Path, *options: str) -> list[str | Path]:
    gradient = Path(sys.executable).with_name("gradient")
    return [gradient, "server", "--port", "0", "--database", file, "--engine", "simulated", *options]


def _start_time(file: Path) -> float:
    """Return the seconds from the start of the process until the server listens."""
    start = perf_counter()
    with child(*_server(file, "--api-key", KEY), ready="Listening"):
        return perf_counter() - start


@contextmanager
def _clients(files: Mapping[int, Path]) -> Iterator[dict[int, Client]]:
    """Run a server for each database, and yield a client for each server."""
    with ExitStack() as stack:
        yield {
            size: stack.enter_context(
                closing(Client(KEY, stack.enter_context(child(*_server(file, "--api-key", KEY), ready="Listening"))))
            )
            for size, file in files.items()
        }


def _create_call(client: Client, word: str) -> Call:
    numbers = iter(range(10**6))
    return lambda: client.deployments.create_deployment(f"{word}-{next(numbers)}", "p1", SPEC)


def _calls(client: Client, size: int) -> dict[str, Call]:
    """Return the calls to measure; each time, they are about other deployments."""
    deployments, random = client.deployments, Random(0)  # noqa: S311
    deletable = iter(range(2, size // 2))

    def number() -> int:
        return random.randint(size // 2, size)

    for _ in range(ON_CLUSTER):
        deployments.update_deployment(id=deployment_id(number()), cluster_id="few")
    return {
        "list: first page": lambda: deployments.list_deployments(first=100),
        "list by name": lambda: deployments.list_deployments(name=f"d{number()}"),
        "list by an unknown name": lambda: deployments.list_deployments(name="unknown"),
        f"list on a cluster with {ON_CLUSTER}": lambda: deployments.list_deployments(cluster_id="few"),
        "list on an unknown cluster": lambda: deployments.list_deployments(cluster_id="unknown"),
        "get": lambda: deployments.get_deployment(deployment_id(number())),
        "status": lambda: deployments.get_deployment_status(deployment_id(number())),
        "logs": lambda: list(deployments.get_deployment_logs(deployment_id(number()))),
        "create": _create_call(client, "new"),
        "update": lambda: deployments.update_deployment(id=deployment_id(number()), spec=SPEC),
        "delete": lambda: deployments.delete_deployment(deployment_id(next(deletable))),
    }


def _calls_with_history(client: Client) -> dict[str, Call]:
    """Return the calls about a deployment with many revisions, log lines and removed instances. At the end, stop it."""
    deployments, id_ = client.deployments, deployment_id(REVISED)
    updates = iter(range(10**6))

    def spec() -> DeploymentSpecInput:
        return {**SPEC, "env": [{"name": "N", "value": str(next(updates))}]}

    deployments.update_deployment(id=id_, spec=spec())
    deployments.wait_for_deployment(id_)

    def stopped_status() -> object:
        status = deployments.get_deployment_status(id_)
        if status["replicas"]:
            deployments.update_deployment(id=id_, spec={**SPEC, "resources": {"replicas": 0}})
            return deployments.wait_for_deployment(id_)
        return status

    return {
        f"{REVISIONS:,} revisions: get, all of them": lambda: deployments.get_deployment(id_),
        f"{REVISIONS:,} revisions: status": lambda: deployments.get_deployment_status(id_),
        f"{REVISIONS:,} revisions: last 100 log lines": lambda: list(deployments.get_deployment_logs(id_, tail=100)),
        f"{REVISIONS:,} revisions: update": lambda: deployments.update_deployment(id=id_, spec=spec()),
        f"{REVISIONS:,} revisions: status when stopped": stopped_status,
    }


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
