"""The figures that two readings make, as tables."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from paperspace.gradient.server.usage import (
    BOUNDS,
    NO_TRAFFIC,
    Load,
    Reading,
    Traffic,
    Usage,
    add,
    cpu_fractions,
    cpus_by_instance,
    increase,
    mean_duration,
    memory_fractions,
    percentile,
    requests_between,
)

START = datetime(2024, 5, 17, tzinfo=UTC)


def durations(**counts: int) -> tuple[int, ...]:
    """Return how many requests took at most so many milliseconds: `up_to_100=3`."""
    found = [0] * (len(BOUNDS) + 1)
    for name, count in counts.items():
        found[BOUNDS.index(int(name.removeprefix("up_to_")) / 1000)] = count
    return tuple(found)


LONGER = (0,) * len(BOUNDS) + (1,)
FEW = Traffic(4, 1, 0.5, durations(up_to_100=3, up_to_250=1))
MORE = Traffic(6, 1, 0.75, durations(up_to_100=4, up_to_250=2))


def usage(seconds: float, cpu_seconds: float, memory: int = 0, cpus: float = 2.0) -> Usage:
    return Usage(START + timedelta(seconds=seconds), cpu_seconds, memory, cpus, 1000)


def asked(asked: float, received: float, usage: Usage) -> Usage:
    """Return the same, with the times when the engine was asked for it and responded."""
    return usage._replace(asked=asked, received=received)


def reading(traffic: Traffic | None = None, usages: dict[str, Usage | None] | None = None) -> Reading:
    """Return a reading with replicas, by `instance_container`."""
    usages = usages or {}
    loads = {name.partition("_")[0]: Load(name.partition("_")[2], used, 0) for name, used in usages.items()}
    return Reading(START, loads, traffic)


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        pytest.param(FEW, MORE, Traffic(2, 0, 0.25, durations(up_to_100=1, up_to_250=1)), id="more requests"),
        pytest.param(MORE, MORE, NO_TRAFFIC, id="none"),
        pytest.param(NO_TRAFFIC, FEW, FEW, id="the first ones"),
        pytest.param(MORE, FEW, FEW, id="the counters were started again"),
        pytest.param(FEW, MORE._replace(errors=0), MORE._replace(errors=0), id="only one counter shows it"),
        pytest.param(FEW, FEW._replace(seconds=0.4), NO_TRAFFIC, id="sums of Envoy are estimates, and can be lower"),
    ],
)
def test_increase(before: Traffic, after: Traffic, expected: Traffic) -> None:
    """The requests between two readings are never negative, also if Envoy was started again."""
    assert increase(before, after) == expected


def test_add() -> None:
    """What was counted before a restart is added to what was counted since."""
    assert add(FEW, Traffic(2, 0, 0.25, durations(up_to_100=1, up_to_250=1))) == MORE


def test_unknown_requests() -> None:
    """Without one of the two readings of the gateway, the requests between them are unknown, not zero."""
    assert requests_between(reading(), reading(FEW)) is None
    assert requests_between(reading(FEW), reading()) is None
    assert requests_between(reading(NO_TRAFFIC), reading(FEW)) == FEW


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        pytest.param({"a_1": usage(0, 5)}, {"a_1": usage(10, 10)}, {"a": 0.5}, id="half a CPU"),
        pytest.param({"a_1": usage(0, 5)}, {"a_2": usage(10, 6)}, {}, id="another container"),
        pytest.param({"a_1": usage(0, 5)}, {"a_1": usage(10, 4)}, {}, id="the container was started again"),
        pytest.param({"a_1": usage(0, 5)}, {"a_1": usage(0, 5)}, {}, id="the same reading"),
        pytest.param(
            {"a_1": asked(100, 104, usage(0, 5))},
            {"a_1": asked(110, 113, usage(10, 10))},
            {"a": 0.5},
            id="the engine says when it has read them, although it responds later",
        ),
        pytest.param(
            {"a_1": asked(100, 100, usage(0, 5))},
            {"a_1": asked(110, 110, usage(0.5, 10))},
            {"a": 0.5},
            id="the clock of the engine was set back by less than the interval",
        ),
        pytest.param(
            {"a_1": asked(100, 100, usage(0, 5))},
            {"a_1": asked(110, 110, usage(-3590, 10))},
            {"a": 0.5},
            id="the clock of the engine was set back",
        ),
        pytest.param(
            {"a_1": asked(100, 100, usage(0, 5))},
            {"a_1": asked(110, 110, usage(3610, 10))},
            {"a": 0.5},
            id="the clock of the engine was set forward",
        ),
        pytest.param({"a_1": None}, {"a_1": usage(10, 4)}, {}, id="unknown before"),
        pytest.param({"a_1": usage(0, 5)}, {"a_1": None}, {}, id="unknown now"),
        pytest.param({}, {"a_1": usage(10, 4)}, {}, id="new"),
        pytest.param({"a_1": usage(0, 5)}, {}, {}, id="gone"),
    ],
)
def test_cpus(before: dict[str, Usage | None], after: dict[str, Usage | None], expected: dict[str, float]) -> None:
    """A replica has a figure if its container was read twice. It is in CPUs, and as a fraction of its limit."""
    readings = reading(None, before), reading(None, after)
    assert cpus_by_instance(*readings) == expected
    assert cpu_fractions(*readings) == {id_: cpus / 2 for id_, cpus in expected.items()}


def test_memory() -> None:
    """Memory is a fraction of the limit; a replica without a limit or a reading has no fraction."""
    unlimited = usage(0, 0, 500)._replace(memory_limit=0)
    assert memory_fractions(reading(None, {"a_1": usage(0, 0, 250), "b_2": None, "c_3": unlimited})) == {"a": 0.25}


@pytest.mark.parametrize(
    ("counts", "fraction", "expected"),
    [
        pytest.param((0,) * (len(BOUNDS) + 1), 0.5, None, id="no requests"),
        pytest.param(durations(up_to_100=10), 0.5, 0.075, id="in the middle between 50 and 100 ms"),
        pytest.param(durations(up_to_1=4), 0.5, 0.0005, id="below the first bound"),
        pytest.param(durations(up_to_50=5, up_to_100=5), 0.5, 0.05, id="at a bound"),
        pytest.param(durations(up_to_10=95, up_to_1000=5), 0.95, 0.01, id="95 of 100 are fast"),
        pytest.param(durations(up_to_10=90, up_to_1000=10), 0.95, 0.75, id="90 of 100 are fast"),
        pytest.param(LONGER, 0.5, BOUNDS[-1], id="above the last bound"),
        pytest.param(durations(up_to_10=1, up_to_1000=1), 0.0, 0.005, id="the shortest"),
        pytest.param(durations(up_to_10=1, up_to_1000=1), 1.0, 1.0, id="the longest"),
    ],
)
def test_percentile(counts: tuple[int, ...], fraction: float, expected: float | None) -> None:
    """A percentile is interpolated within two bounds."""
    assert percentile(counts, fraction) == (expected and pytest.approx(expected))


def test_mean_duration() -> None:
    """The mean duration counts the requests whose duration is known."""
    assert mean_duration(NO_TRAFFIC) is None
    assert mean_duration(FEW._replace(requests=100)) == 0.125
