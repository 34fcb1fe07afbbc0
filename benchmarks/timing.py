"""Interleaved rounds: every contestant has its turn in each, so that a slow moment of the machine hits all of them."""

from __future__ import annotations

import gc
from collections.abc import Callable, Mapping
from statistics import median, quantiles
from time import perf_counter
from typing import NamedTuple

# A turn of a contestant: does its share of the work and returns the seconds of one unit.
Turn = Callable[[], float]


class Spread(NamedTuple):
    """The middle of several measurements, and the quarters on either side of it."""

    median: float
    low: float
    high: float

    @classmethod
    def of(cls, values: list[float]) -> Spread:
        """That of the values."""
        low, _, high = quantiles(values, n=4) if len(values) > 1 else (values[0],) * 3
        return cls(median(values), low, high)


class Work(NamedTuple):
    """A work that was measured: the seconds of each contestant, a value for each round."""

    name: str
    unit: str
    seconds: Mapping[str, list[float]]

    def spread(self, contestant: str) -> Spread:
        """The seconds of a contestant."""
        return Spread.of(self.seconds[contestant])

    def ratio(self, ours: str, theirs: str) -> float:
        """How many times as long one takes as another, by the rounds: both had the same moments."""
        return median(a / b for a, b in zip(self.seconds[ours], self.seconds[theirs], strict=True))


def interleaved(name: str, unit: str, turns: Mapping[str, Turn], rounds: int) -> Work:
    """Measures a work. One round more goes before, in which everything is loaded, connected and warm."""
    seconds: dict[str, list[float]] = {contestant: [] for contestant in turns}
    order = list(turns)
    for number in range(rounds + 1):
        for contestant in order:
            gc.collect()
            taken = turns[contestant]()
            if number:
                seconds[contestant].append(taken)
        order.append(order.pop(0))  # nobody always comes behind the same one
    return Work(name, unit, seconds)


def timed(times: int, call: Callable[[], object]) -> Turn:
    """A turn of so many calls."""

    def turn() -> float:
        began = perf_counter()
        for _ in range(times):
            call()
        return (perf_counter() - began) / times

    return turn
