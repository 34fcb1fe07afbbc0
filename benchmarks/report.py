"""The goals, and what a run came to: as a table, as JSON, and as the table that the documentation keeps."""

from __future__ import annotations

import os
import platform
from collections.abc import Iterable, Iterator, Mapping
from importlib.metadata import version
from typing import Any, NamedTuple

from .timing import Work

MOST_IMPORT_MS = 40
MOST_MEMORY_MB = 20


class Goal(NamedTuple):
    """Ours may take at most so many times as long as a peer."""

    work: str
    peer: str
    most: float


GOALS = [
    Goal("import", "boto3", 0.3),
    Goal("first call", "gql with requests", 1.5),
    Goal("get, synchronous", "aiohttp, loop thread", 1.3),
    Goal("get, synchronous", "httpx", 1.0),
    Goal("get, synchronous", "official pattern", 1 / 5),
    Goal("get, asynchronous", "aiohttp and orjson", 1.25),
    Goal("get, 32 at once", "aiohttp and orjson", 1 / 0.75),
    Goal("list of 10,000", "aiohttp and orjson", 1.3),
    Goal("1,000 creates, 32 at once", "aiohttp and orjson", 1 / 0.7),
    Goal("local server: get", "plain graphql-core", 1 / 0.8),
    Goal("local server: list of 100", "plain graphql-core", 1 / 0.8),
    Goal("local server: create", "plain graphql-core", 1 / 0.8),
    Goal("gradient deployments list", "official command", 0.5),
]

MEMORY = "memory of 100,000"

# Everything that can be measured: each work has a goal.
NAMES = [*dict.fromkeys(goal.work for goal in GOALS), MEMORY]


class Result(NamedTuple):
    """A goal, and what became of it."""

    what: str
    peer: str
    measured: float
    most: float
    unit: str = "times"

    @property
    def met(self) -> bool:
        """Whether it was reached."""
        return self.measured <= self.most


def results(works: Mapping[str, Work], memory_mb: float | None) -> Iterator[Result]:
    """What became of the goals whose works were measured."""
    if "import" in works:
        yield Result("import", "a bare interpreter", works["import"].spread("ours").median * 1e3, MOST_IMPORT_MS, "ms")
    for goal in GOALS:
        if goal.work in works:
            yield Result(goal.work, goal.peer, works[goal.work].ratio("ours", goal.peer), goal.most)
    if memory_mb is not None:
        yield Result(MEMORY, "the first page", memory_mb, MOST_MEMORY_MB, "MB")


def text(works: Iterable[Work], reached: Iterable[Result]) -> str:
    """The run, to be read."""
    lines = []
    for work in works:
        lines += [f"{work.name} ({work.unit})"]
        for contestant in work.seconds:
            middle, low, high = (_time(seconds) for seconds in work.spread(contestant))
            ratio = work.ratio("ours", contestant)
            beside = "" if contestant == "ours" else f"   ours takes {ratio:.2f} of it"
            lines.append(f"  {contestant:22} {middle:>9}   {low:>9} to {high:>9}{beside}")
    lines += ["", f"{'goal':28} {'beside':22} {'measured':>10} {'at most':>9}"]
    for result in reached:
        measured, most = f"{result.measured:.2f} {result.unit}", f"{result.most:.2f}"
        lines.append(f"{result.what:28} {result.peer:22} {measured:>10} {most:>9}  {'' if result.met else 'MISSED'}")
    return "\n".join(line.rstrip() for line in lines)


def markdown(works: Iterable[Work], reached: Iterable[Result]) -> str:
    """The run, as the documentation keeps it."""
    lines = ["| work | beside | ours takes | goal: at most |", "| --- | --- | ---: | ---: |"]
    for result in reached:
        missed = "" if result.met else " (missed)"
        measured = f"{result.measured:.2f} {result.unit}{missed}"
        lines.append(f"| {result.what} | {result.peer} | {measured} | {result.most:.2f} {result.unit} |")
    lines += ["", "| work | who | median | quarters |", "| --- | --- | ---: | ---: |"]
    for work in works:
        for contestant in work.seconds:
            middle, low, high = (_time(seconds) for seconds in work.spread(contestant))
            lines.append(f"| {work.name} | {contestant} | {middle} | {low} to {high} |")
    lines += ["", f"Measured on {_machine()}."]
    return "\n".join(lines) + "\n"


def data(works: Iterable[Work], reached: Iterable[Result]) -> dict[str, Any]:
    """The run, for machines: seconds."""
    return {
        "machine": _machine(),
        "works": {
            work.name: {"unit": work.unit, "seconds": {name: work.spread(name)._asdict() for name in work.seconds}}
            for work in works
        },
        "goals": [{**result._asdict(), "met": result.met} for result in reached],
    }


def _time(seconds: float) -> str:
    return f"{seconds * 1e3:.2f} ms" if abs(seconds) < 1 else f"{seconds:.2f} s"


def _machine() -> str:
    libraries = ", ".join(f"{name} {version(name)}" for name in ("aiohttp", "gql", "pydantic", "httpx", "sgqlc"))
    return f"{os.cpu_count()} cores, Python {platform.python_version()}, {libraries}"
