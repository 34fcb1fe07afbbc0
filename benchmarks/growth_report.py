"""The goals of growth, and the results of a run: as text, as JSON, and as the table in the documentation."""

from __future__ import annotations

import os
import platform
import sqlite3
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from .timing import Measurement

MOST_GROWTH = 1.5  # times as long with the most deployments as with the fewest
MOST_START = 1.0  # seconds


class Row(NamedTuple):
    """A row of the table: the times of one call by the number of deployments."""

    measurement: Measurement

    @property
    def medians(self) -> dict[int, float]:
        """The median for each number of deployments."""
        return {int(size): self.measurement.spread(size).median for size in self.measurement.seconds}

    @property
    def growth(self) -> float:
        """How many times as long it takes with the most deployments as with the fewest."""
        sizes = sorted(self.measurement.seconds, key=int)
        return self.measurement.ratio(sizes[-1], sizes[0])

    @property
    def reached(self) -> bool:
        """Whether the goals are reached."""
        too_slow = self.measurement.unit == "a process" and max(self.medians.values()) > MOST_START
        return self.growth <= MOST_GROWTH and not too_slow


def text(rows: Sequence[Row]) -> str:
    """Format the results as text."""
    cells = [list(line) for line in _cells(rows)]
    return "\n".join(f"{name:44}" + "".join(f"{value:>14}" for value in values) for name, *values in cells)


def markdown(rows: Sequence[Row]) -> str:
    """Format the results as the table of docs/performance.md."""
    head, *body = ([*line] for line in _cells(rows))
    lines = [head, ["---", *["---:"] * (len(head) - 1)], *body]
    table = "\n".join(f"| {' | '.join(line)} |" for line in lines)
    return f"{table}\n\nMeasured on {_machine()}.\n"


def data(rows: Sequence[Row]) -> dict[str, Any]:
    """Format the results for JSON, in seconds."""
    return {
        "machine": _machine(),
        "rows": {
            row.measurement.name: {"seconds": row.medians, "growth": row.growth, "reached": row.reached} for row in rows
        },
    }


def _cells(rows: Sequence[Row]) -> Iterator[Sequence[str]]:
    yield ["deployments", *(f"{size:,}" for size in rows[0].medians), "growth"]
    for row in rows:
        times = (f"{seconds * 1e3:.1f} ms" for seconds in row.medians.values())
        yield [row.measurement.name, *times, f"{row.growth:.2f} times{'' if row.reached else ' (missed)'}"]


def _machine() -> str:
    return f"{os.cpu_count()} cores, Python {platform.python_version()}, SQLite {sqlite3.sqlite_version}"
