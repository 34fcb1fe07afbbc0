"""The goals, and the results of a run: as text, as JSON, and as the tables in the documentation."""

from __future__ import annotations

import os
import platform
from collections.abc import Iterable, Iterator, Mapping
from importlib.metadata import version
from typing import Any, NamedTuple

from .timing import Measurement

MOST_IMPORT_MS = 40
MOST_MEMORY_MB = 20


class Goal(NamedTuple):
    """The library may take at most so many times as long as a peer."""

    measurement: str
    peer: str
    most: float


GOALS = [
    Goal("import", "boto3", 0.3),
    Goal("first call", "gql with requests", 1.5),
    Goal("get, sync", "aiohttp, loop thread", 1.3),
    Goal("get, sync", "httpx", 1.0),
    Goal("get, sync", "official pattern", 1 / 5),
    Goal("get, async", "aiohttp and orjson", 1.25),
    Goal("get, 32 concurrent", "aiohttp and orjson", 1 / 0.75),
    Goal("list of 10,000", "aiohttp and orjson", 1.3),
    Goal("1,000 creates, 32 concurrent", "aiohttp and orjson", 1 / 0.7),
    Goal("local server: get", "plain graphql-core", 1 / 0.8),
    Goal("local server: list of 100", "plain graphql-core", 1 / 0.8),
    Goal("local server: create", "plain graphql-core", 1 / 0.8),
    Goal("gradient deployments list", "official command", 0.5),
]

MEMORY = "memory of 100,000"

# All measurements. Each has a goal.
NAMES = [*dict.fromkeys(goal.measurement for goal in GOALS), MEMORY]


class Result(NamedTuple):
    """A goal and the measured value."""

    what: str
    peer: str
    measured: float
    most: float
    unit: str = "times"

    @property
    def reached(self) -> bool:
        """Whether the goal is reached."""
        return self.measured <= self.most


def compare(measurements: Mapping[str, Measurement], memory_mb: float | None) -> Iterator[Result]:
    """Compare the measurements with their goals."""
    if "import" in measurements:
        yield Result(
            "import", "a bare interpreter", measurements["import"].spread("ours").median * 1e3, MOST_IMPORT_MS, "ms"
        )
    for goal in GOALS:
        if goal.measurement in measurements:
            yield Result(
                goal.measurement, goal.peer, measurements[goal.measurement].ratio("ours", goal.peer), goal.most
            )
    if memory_mb is not None:
        yield Result(MEMORY, "the first page", memory_mb, MOST_MEMORY_MB, "MB")


def text(measurements: Iterable[Measurement], results: Iterable[Result]) -> str:
    """Format the results as text."""
    lines = []
    for measurement in measurements:
        lines += [f"{measurement.name} ({measurement.unit})"]
        for client in measurement.seconds:
            middle, low, high = (_time(seconds) for seconds in measurement.spread(client))
            ratio = measurement.ratio("ours", client)
            comparison = "" if client == "ours" else f"   ours takes {ratio:.2f} times as long"
            lines.append(f"  {client:22} {middle:>9}   {low:>9} to {high:>9}{comparison}")
    lines += ["", f"{'goal':28} {'compared with':22} {'measured':>10} {'at most':>9}"]
    for result in results:
        measured, most = f"{result.measured:.2f} {result.unit}", f"{result.most:.2f}"
        lines.append(
            f"{result.what:28} {result.peer:22} {measured:>10} {most:>9}  {'' if result.reached else 'MISSED'}"
        )
    return "\n".join(line.rstrip() for line in lines)


def markdown(measurements: Iterable[Measurement], results: Iterable[Result]) -> str:
    """Format the results as the tables of docs/performance.md."""
    lines = ["| measurement | compared with | result | goal: at most |", "| --- | --- | ---: | ---: |"]
    for result in results:
        missed = "" if result.reached else " (missed)"
        measured = f"{result.measured:.3g} {result.unit}{missed}"
        lines.append(f"| {result.what} | {result.peer} | {measured} | {result.most:.2f} {result.unit} |")
    lines += ["", "| measurement | time of | client | median | quartiles |", "| --- | --- | --- | ---: | ---: |"]
    for measurement in measurements:
        for client in measurement.seconds:
            middle, low, high = (_time(seconds) for seconds in measurement.spread(client))
            lines.append(f"| {measurement.name} | {measurement.unit} | {client} | {middle} | {low} to {high} |")
    lines += ["", f"Measured on {_machine()}."]
    return "\n".join(lines) + "\n"


def data(measurements: Iterable[Measurement], results: Iterable[Result]) -> dict[str, Any]:
    """Format the results for JSON, in seconds."""
    return {
        "machine": _machine(),
        "measurements": {
            measurement.name: {
                "unit": measurement.unit,
                "seconds": {name: measurement.spread(name)._asdict() for name in measurement.seconds},
            }
            for measurement in measurements
        },
        "goals": [{**result._asdict(), "reached": result.reached} for result in results],
    }


def _time(seconds: float) -> str:
    return f"{seconds * 1e3:.2f} ms" if abs(seconds) < 1 else f"{seconds:.2f} s"


def _machine() -> str:
    libraries = ", ".join(f"{name} {version(name)}" for name in ("aiohttp", "gql", "pydantic", "httpx", "sgqlc"))
    return f"{os.cpu_count()} cores, Python {platform.python_version()}, {libraries}"
