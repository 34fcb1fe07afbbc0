"""A simulation whose instances log lines at a steady rate, for tests of logs."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

from paperspace.gradient.server.engines.runtime import Event, LineLogged
from paperspace.gradient.server.engines.simulation import Simulation


class Talkative(Simulation):
    """Deployments whose name begins with `talk` log lines from their start on.

    Args:
        rate: Lines per second of each instance.
        lines: How many lines each instance logs.
        text: The text of a line. `{n}` is its number.
    """

    def __init__(self, rate: float, lines: int, text: str = "line {n}") -> None:
        super().__init__(step=timedelta(seconds=0.2))
        self.rate = rate
        self.lines = lines
        self.text = text

    def _start(self, desired: Any, instance: Any, now: datetime, creation_time: datetime) -> Iterator[Event]:
        yield from super()._start(desired, instance, now, creation_time)
        if desired.name.startswith("talk") and instance.state is None:
            for number in range(self.lines):
                at = creation_time + 2 * self.step + timedelta(seconds=number / self.rate)
                yield LineLogged(instance.id, at, self.text.format(n=number))
