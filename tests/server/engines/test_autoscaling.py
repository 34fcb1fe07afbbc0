"""The decisions of autoscaling, as tables and as properties."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from paperspace.gradient.server.engines.autoscaling import (
    MAX_ADDED,
    WINDOW,
    Autoscaling,
    Decision,
    Measured,
    Proposal,
    Target,
    autoscaling_of,
    decide,
    desired_replicas,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

NOW = datetime(2024, 5, 17, 9, 30, tzinfo=UTC)
INTERVAL = timedelta(seconds=10)


def cpu(*values: float | None) -> list[dict[str, float]]:
    """The ready replicas with these values of cpu. None: its value is missing."""
    return [{} if value is None else {"cpu": value} for value in values]


def scaling(minimum: int = 1, maximum: int = 100, **targets: float) -> Autoscaling:
    """A spec that scales by these targets; by 60 % of cpu without any."""
    return Autoscaling(minimum, maximum, tuple(Target(*target) for target in (targets or {"cpu": 60.0}).items()))


def decided(replicas: int, measured: Measured, autoscaling: Autoscaling | None = None) -> int:
    """The decision when there are proposals for as many as the load needs only."""
    window = [Proposal(NOW - INTERVAL, 0)]
    return decide(autoscaling or scaling(), replicas, measured, window, NOW).replicas


@pytest.mark.parametrize(
    ("replicas", "values", "expected"),
    [
        (1, [60], 1),
        (1, [66], 1),  # within 10 %
        (1, [54], 1),
        (1, [67], 2),
        (2, [90, 90], 3),
        (2, [180, 0], 3),  # the average counts
        (3, [19, 19, 19], 1),
        (3, [20, 20, 20], 1),
        (3, [21, 21, 21], 2),
        (4, [0, 0, 0, 0], 1),  # never below the minimum
        (4, [53, 53, 53, 53], 4),
        (10, [60.0000001] * 10, 10),
        (7, [180 / 7] * 7, 3),  # not 4, though the sum is a little more than 180
    ],
)
def test_values(replicas: int, values: list[float], expected: int) -> None:
    """The number of replicas follows the average value: ceil(replicas * value / target), with a tolerance of 10 %."""
    assert decided(replicas, Measured(cpu(*values))) == expected


@pytest.mark.parametrize(
    ("replicas", "measured", "expected"),
    [
        (3, Measured(cpu(90), starting=2), 3),  # they will take their part of the load
        (3, Measured(cpu(240), starting=2), 4),
        (3, Measured(cpu(59), starting=2), 3),
        (3, Measured(cpu(20), starting=2), 1),
        (2, Measured(cpu(90, None)), 2),  # above the target, a missing value is 0
        (2, Measured(cpu(150, None)), 3),
        (4, Measured(cpu(30, 30, 30, None)), 3),  # below it, it is the target
        (2, Measured(cpu(0, None)), 1),
        (2, Measured(cpu(None, None)), 2),  # nothing is known
        (2, Measured(), 2),
        (2, Measured(starting=2), 2),
        (2, Measured(cpu(65, 65, 65, 65, 65)), 2),  # during a rollout there are more replicas than there should be
        (2, Measured(cpu(50, 50, 50)), 2),  # too little load never adds replicas
        (4, Measured(cpu(70)), 4),  # too much never removes any
    ],
)
def test_replicas_without_values(replicas: int, measured: Measured, expected: int) -> None:
    """Replicas that are starting, and values that are missing, only make a change smaller."""
    assert decided(replicas, measured) == expected


@pytest.mark.parametrize(
    ("values", "expected", "unknown"),
    [
        ({"cpu": 60, "memory": 100, "requestDuration": 0.5}, 4, ()),
        ({"cpu": 120, "memory": 25, "requestDuration": 0.1}, 4, ()),
        ({"cpu": 6, "memory": 5, "requestDuration": 1.3}, 6, ()),
        ({"cpu": 6, "memory": 5, "requestDuration": 0.1}, 1, ()),
        ({"cpu": 6, "memory": 5}, 2, ("requestDuration",)),  # it may need two
        ({"cpu": 6, "memory": 100}, 4, ("requestDuration",)),
        ({}, 2, ("cpu", "memory", "requestDuration")),
    ],
)
def test_several_metrics(values: dict[str, float], expected: int, unknown: tuple[str, ...]) -> None:
    """The metric that proposes the most wins. One of which nothing is known prevents that replicas are removed."""
    autoscaling = scaling(cpu=60, memory=50, requestDuration=0.5)
    decision = decide(autoscaling, 2, Measured([values] * 2), [Proposal(NOW - INTERVAL, 0)], NOW)
    assert (decision.replicas, decision.unknown) == (expected, unknown)


def test_nothing_is_unknown_before_a_replica_is_ready() -> None:
    """While no replica is ready, no metric is reported as unknown."""
    assert decide(scaling(), 2, Measured(starting=2), (), NOW).unknown == ()


@pytest.mark.parametrize(
    ("replicas", "value", "maximum", "expected"),
    [
        (1, 6000, 100, 5),
        (4, 6000, 100, 8),
        (5, 6000, 100, 10),
        (30, 6000, 100, 60),
        (30, 6000, 40, 40),
        (1, 1e300, 2, 2),
    ],
)
def test_the_limit_of_one_decision(replicas: int, value: float, maximum: int, expected: int) -> None:
    """One decision adds four replicas, or as many as there are if that is more; never more than the maximum."""
    assert decided(replicas, Measured(cpu(*[value] * replicas)), scaling(maximum=maximum)) == expected


@pytest.mark.parametrize(
    ("replicas", "window", "expected"),
    [
        (4, [], 4),  # the window starts now
        (4, [(301, 4)], 4),  # so does it after a gap
        (4, [(299, 4)], 4),
        (4, [(300, 4), (290, 1)], 1),
        (4, [(290, 3), (200, 2), (10, 1)], 3),
        (4, [(290, 9)], 4),  # it never adds replicas
    ],
)
def test_the_window(replicas: int, window: list[tuple[int, int]], expected: int) -> None:
    """Replicas are removed down to the highest proposal of the last five minutes."""
    proposals = [Proposal(NOW - timedelta(seconds=age), proposed) for age, proposed in window]
    decision = decide(scaling(), replicas, Measured(cpu(*[0.0] * replicas)), proposals, NOW)
    assert decision.replicas == expected
    assert decision.window[-1] == Proposal(NOW, 1)
    assert all(proposal.at > NOW - WINDOW for proposal in decision.window)


NO_HIGHER = ", and in the last 5 minutes no metric needed more replicas"


@pytest.mark.parametrize(
    ("autoscaling", "replicas", "values", "message"),
    [
        (scaling(), 2, {"cpu": 92.4}, "cpu is 92.4 % (target: 60 %): 4 replicas instead of 2."),
        (scaling(1, 3), 2, {"cpu": 92.4}, "cpu is 92.4 % (target: 60 %): 3 replicas (the maximum) instead of 2."),
        (
            scaling(requestDuration=0.5),
            1,
            {"requestDuration": 1.0},
            "requestDuration is 1 s (target: 0.5 s): 2 replicas instead of 1.",
        ),
        (scaling(memory=50), 1, {"memory": 1234.5}, "memory is 1230 % (target: 50 %): 5 replicas instead of 1."),
        (
            scaling(),
            2,
            {"cpu": 0.1234},
            f"cpu is 0.123 % (target: 60 %){NO_HIGHER}: 1 replica (the minimum) instead of 2.",
        ),
        (scaling(1, 3), 4, {}, "The spec allows 1 to 3 replicas: 3 replicas (the maximum) instead of 4."),
    ],
)
def test_messages(autoscaling: Autoscaling, replicas: int, values: dict[str, float], message: str) -> None:
    """The message of a decision says which metric is the reason, and what changes."""
    decision = decide(autoscaling, replicas, Measured([values] * replicas), [Proposal(NOW - INTERVAL, 0)], NOW)
    assert decision.message == message


METRIC: dict[str, Any] = {"metric": "cpu", "value": 60}
ENABLED: dict[str, Any] = {"maxReplicas": 5, "metrics": [METRIC]}


@pytest.mark.parametrize(
    ("spec", "scale", "expected"),
    [
        ({}, 3, 1),
        ({"resources": {"replicas": 2}}, 3, 2),
        ({"resources": {"autoscaling": ENABLED}}, None, 1),
        ({"resources": {"autoscaling": ENABLED}}, 3, 3),
        ({"resources": {"autoscaling": ENABLED}}, 9, 5),
        ({"resources": {"replicas": 4, "autoscaling": ENABLED}}, 3, 4),
        ({"resources": {"replicas": 0, "autoscaling": ENABLED}}, 3, 0),
        ({"enabled": False, "resources": {"replicas": 2, "autoscaling": ENABLED}}, 3, 0),
        ({"resources": {"autoscaling": {**ENABLED, "enabled": False}}}, 3, 1),
        ({"resources": {"autoscaling": {**ENABLED, "enabled": None}}}, 3, 3),
        ({"resources": {"autoscaling": {**ENABLED, "metrics": []}}}, 3, 1),
        ({"resources": {"autoscaling": {"maxReplicas": 5}}}, 3, 1),
    ],
)
def test_desired_replicas(spec: dict[str, Any], scale: int | None, expected: int) -> None:
    """What autoscaling has decided counts within the limits of the spec, and not at all if the spec is not scaled."""
    assert desired_replicas({"image": "i", **spec}, scale) == expected
    assert (autoscaling_of(spec) is not None) == (desired_replicas(spec, 5) > desired_replicas(spec))


values = st.one_of(st.none(), st.floats(0, 1e9))
autoscalings = st.builds(
    lambda minimum, more, target: scaling(minimum, minimum + more, cpu=target),
    st.integers(1, 20),
    st.integers(0, 50),
    st.floats(1e-3, 1e6),
)
windows = st.lists(
    st.builds(
        lambda age, number: Proposal(NOW - timedelta(seconds=age), number), st.integers(1, 400), st.integers(0, 100)
    )
)


@given(autoscalings, st.integers(1, 100), st.lists(values), st.integers(0, 10), windows)
def test_bounds(
    autoscaling: Autoscaling, replicas: int, ready: list[float | None], starting: int, window: list[Proposal]
) -> None:
    """Whatever is measured, the decision is within the limits of the spec, and never adds more than one decision may."""
    decision = decide(autoscaling, replicas, Measured(cpu(*ready), starting), window, NOW)
    assert autoscaling.minimum <= decision.replicas <= autoscaling.maximum
    assert decision.replicas <= max(replicas + max(replicas, MAX_ADDED), autoscaling.minimum)


@given(autoscalings, st.integers(1, 100), st.lists(values, min_size=1), st.integers(0, 10), windows, st.floats(1, 100))
def test_more_load_never_needs_fewer_replicas(
    autoscaling: Autoscaling,
    replicas: int,
    ready: list[float | None],
    starting: int,
    window: list[Proposal],
    factor: float,
) -> None:
    """If all values are higher, there are as many replicas or more."""
    more = [None if value is None else value * factor for value in ready]
    low, high = (
        decide(autoscaling, replicas, Measured(cpu(*measured), starting), window, NOW) for measured in (ready, more)
    )
    assert low.replicas <= high.replicas


def history(autoscaling: Autoscaling, replicas: int, load: float, noise: Sequence[float]) -> list[Decision]:
    """The decisions under a load that all replicas share, with noise in the values."""
    decisions: list[Decision] = []
    window: tuple[Proposal, ...] = ()
    for number, factor in enumerate(noise):
        measured = Measured(cpu(*[load * factor / replicas] * replicas))
        decisions.append(decide(autoscaling, replicas, measured, window, NOW + number * INTERVAL))
        replicas, window = decisions[-1].replicas, decisions[-1].window
    return decisions


@given(autoscalings, st.integers(1, 100), st.floats(0, 1e6))
def test_a_steady_load_settles(autoscaling: Autoscaling, replicas: int, load: float) -> None:
    """Under a steady load, the number of replicas moves in one direction only, and then stays, with enough of them."""
    numbers = [decision.replicas for decision in history(autoscaling, replicas, load, [1.0] * 60)]
    assert numbers in (sorted(numbers), sorted(numbers, reverse=True))
    assert len(set(numbers[-20:])) == 1
    enough = load / numbers[-1] <= autoscaling.targets[0].value * 1.101
    assert enough or numbers[-1] == autoscaling.maximum


@given(
    st.integers(1, 50),
    st.floats(1, 1e3),
    st.lists(st.floats(0.91, 1.09), min_size=120, max_size=120),
)
def test_no_flapping_at_the_target(replicas: int, target: float, noise: list[float]) -> None:
    """Under a load at the target that varies by less than 10 %, nothing changes, for 20 minutes."""
    autoscaling = scaling(1, 100, cpu=target)
    assume(replicas <= autoscaling.maximum)
    decisions = history(autoscaling, replicas, replicas * target, noise)
    assert {decision.replicas for decision in decisions} == {replicas}


@given(st.integers(1, 20), st.lists(st.floats(0.0, 3.0), min_size=60, max_size=120))
def test_replicas_are_not_removed_soon(replicas: int, noise: list[float]) -> None:
    """However the load varies, no replicas are removed in the five minutes after their number was needed."""
    decisions = history(scaling(1, 50), replicas, replicas * 60.0, noise)
    for number, decision in enumerate(decisions):
        before = decisions[number - 1].replicas if number else replicas
        if decision.replicas < before:
            recent = [proposal.replicas for proposal in decision.window]
            assert decision.replicas == max(recent)
            assert len(recent) >= 30
