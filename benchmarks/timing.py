"""Interleaved rounds: each client has a turn in each round, so that a slow moment of the machine affects all."""

from __future__ import annotations

import gc
from collections.abc import Callable, Mapping
from statistics import median, quantiles
from time import perf_counter
from typing import NamedTuple

# A turn of a client: does a number of units of work, and returns the seconds of one unit.
Turn = Callable[[], float]


class Spread(NamedTuple):
    """The median and the quartiles of several values."""

    median: float
    low: float
    high: float

    @classmethod
    def of(cls, values: list[float]) -> Spread:
        """Compute them."""
        low, _, high = quantiles(values, n=4) if len(values) > 1 else (values[0],) * 3
        return cls(median(values), low, high)


class Measurement(NamedTuple):
    """A measurement: the seconds of each client, one value for each round."""

    name: str
    unit: str
    seconds: Mapping[str, list[float]]

    def spread(self, client: str) -> Spread:
        """Return the median and the quartiles of a client."""
        return Spread.of(self.seconds[client])

    def ratio(self, ours: str, theirs: str) -> float:
        """Return the median, over the rounds, of the ratio of two clients."""
        return median(a / b for a, b in zip(self.seconds[ours], self.seconds[theirs], strict=True))


def interleaved(name: str, unit: str, turns: Mapping[str, Turn], rounds: int) -> Measurement:
    """Run the rounds of a measurement, after a first round that does not count: it imports, connects and warms up."""
    seconds: dict[str, list[float]] = {client: [] for client in turns}
    order = list(turns)
    for number in range(rounds + 1):
        for client in order:
            gc.collect()
            taken = turns[client]()
            if number:
                seconds[client].append(taken)
        order.append(order.pop(0))  # no client always follows the same one
    return Measurement(name, unit, seconds)


def timed(times: int, call: Callable[[], object]) -> Turn:
    """Make a turn of so many calls."""

    def turn() -> float:
        start = perf_counter()
        for _ in range(times):
            call()
        return (perf_counter() - start) / times

    return turn
