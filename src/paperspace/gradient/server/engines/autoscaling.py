"""Autoscaling: how many replicas the load needs. Pure functions, which the controller and the simulation share.

The algorithm is that of the Horizontal Pod Autoscaler of Kubernetes, with its defaults:

- Each metric proposes `ceil(replicas * value / target)`, and the highest proposal wins. Within 10 % of the target, a
  metric proposes no change.
- Replicas that are starting count as without load if others have too much, and do not count otherwise. A value that is
  missing counts as 0 if the others are above the target, and as the target if they are below it. Neither can turn more
  replicas into fewer, or fewer into more.
- A metric of which nothing is known prevents that replicas are removed.
- While requests run and none has ended, their duration is not known yet: it proposes that no replica with a request is
  removed, and none is added.
- One decision adds at most as many replicas as there are, or 4 if that is more.
- Replicas are removed down to the highest proposal of the last 5 minutes.
"""

from __future__ import annotations

from datetime import timedelta
from math import ceil
from typing import TYPE_CHECKING, Any, NamedTuple

from paperspace.gradient._shared.counting import count
from paperspace.gradient._shared.spec_rules import DEFAULT_REPLICAS, MAX_INT

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from datetime import datetime

CPU, MEMORY, REQUEST_DURATION = "cpu", "memory", "requestDuration"

TOLERANCE = 0.1
WINDOW = timedelta(minutes=5)
MAX_ADDED = 4  # replicas, in one decision, or as many as there are
_DIGITS = 6  # of a ratio, before it is compared or rounded up: 3.0000000001 replicas are 3


class Target(NamedTuple):
    """The value that a metric should have."""

    metric: str
    value: float


class Autoscaling(NamedTuple):
    """How a spec scales."""

    minimum: int
    maximum: int
    targets: tuple[Target, ...]

    def limited(self, replicas: int) -> int:
        """Return the number of replicas that is closest to another one, and that the spec allows."""
        return max(self.minimum, min(replicas, self.maximum))

    def with_maximum(self, maximum: int) -> Autoscaling:
        """Return how the spec scales where no more than this many replicas can run."""
        return self._replace(maximum=max(self.minimum, min(self.maximum, maximum)))


class Measured(NamedTuple):
    """The load of a deployment."""

    replicas: Sequence[Mapping[str, float]] = ()
    """The values of each ready replica, by metric: percent for `cpu` and `memory`, seconds for `requestDuration`. A value
    that is not known is left out."""
    starting: int = 0
    """How many other replicas are starting."""
    unfinished: int = 0
    """How many replicas have to stay so that none with a request is removed, if no request has ended."""


class Proposal(NamedTuple):
    """How many replicas the load needed, at a time."""

    at: datetime
    replicas: int


class Decision(NamedTuple):
    """How many replicas there should be from now on."""

    replicas: int
    message: str
    """Why, as a sentence."""
    window: tuple[Proposal, ...]
    """The proposals of the last 5 minutes, for the next decision."""
    unknown: tuple[str, ...] = ()
    """The metrics of which nothing is known, although replicas are ready."""


def autoscaling_of(spec: Mapping[str, Any]) -> Autoscaling | None:
    """Return how a spec scales. None: the number of its replicas is fixed."""
    resources: Mapping[str, Any] = spec.get("resources") or {}
    autoscaling = resources.get("autoscaling")
    minimum = _minimum(resources)
    if autoscaling is None or autoscaling.get("enabled") is False or spec.get("enabled") is False or minimum == 0:
        return None
    targets = tuple(Target(metric["metric"], metric["value"]) for metric in autoscaling.get("metrics") or ())
    return Autoscaling(minimum, autoscaling["maxReplicas"], targets) if targets else None


def desired_replicas(spec: Mapping[str, Any], scale: int | None = None) -> int:
    """Return how many replicas of a spec should run.

    Args:
        spec: The data of the spec.
        scale: How many autoscaling has decided on. None: it has not decided yet. Without autoscaling, it has no effect.
    """
    if spec.get("enabled") is False:
        return 0
    autoscaling = autoscaling_of(spec)
    if autoscaling is None or scale is None:
        return _minimum(spec.get("resources") or {})
    return autoscaling.limited(scale)


def decide(
    autoscaling: Autoscaling, replicas: int, measured: Measured, window: Sequence[Proposal], now: datetime
) -> Decision:
    """Decide how many replicas there should be.

    Args:
        autoscaling: How the spec scales.
        replicas: How many there should be so far.
        measured: The load now.
        window: The proposals before. If none is in the last 5 minutes, the window starts now, with as many replicas as there
            should be so far.
        now: The time.
    """
    proposals = {target: _proposal(target, replicas, measured) for target in autoscaling.targets}
    known = {target: proposed for target, proposed in proposals.items() if proposed is not None}
    reason = max(known, key=lambda target: known[target], default=None)
    proposed = known[reason] if reason else replicas
    if len(known) < len(proposals):
        proposed = max(proposed, replicas)
    proposed = autoscaling.limited(proposed)

    before = [proposal for proposal in window if proposal.at > now - WINDOW] or [Proposal(now, replicas)]
    recent = (*before, Proposal(now, proposed))
    wanted = min(proposed, replicas + max(replicas, MAX_ADDED))
    if proposed < replicas:
        wanted = min(replicas, max(proposal.replicas for proposal in recent))
    wanted = autoscaling.limited(wanted)
    return Decision(
        wanted,
        _message(autoscaling, replicas, wanted, reason, measured),
        recent,
        tuple(target.metric for target in proposals if target not in known) if measured.replicas else (),
    )


def _minimum(resources: Mapping[str, Any]) -> int:
    replicas: int | None = resources.get("replicas")
    return DEFAULT_REPLICAS if replicas is None else replicas


def _proposal(target: Target, replicas: int, measured: Measured) -> int | None:
    """Return how many replicas a metric proposes. None: nothing is known of it."""
    values = _values(target.metric, measured.replicas)
    if not values:
        return None
    if target.metric == REQUEST_DURATION and measured.unfinished:
        return min(measured.unfinished, replicas)
    missing = len(measured.replicas) - len(values)
    too_high = _mean(values) > target.value
    if too_high:
        total, number = sum(values), len(values) + missing + measured.starting
    else:
        total, number = sum(values) + missing * target.value, len(values) + missing
    ratio = total / number / target.value
    if round(abs(ratio - 1), _DIGITS) <= TOLERANCE or (ratio > 1) != too_high:
        return replicas
    proposed = ceil(min(round(ratio * number, _DIGITS), MAX_INT))
    return max(proposed, replicas) if too_high else min(proposed, replicas)


def _message(autoscaling: Autoscaling, before: int, after: int, reason: Target | None, measured: Measured) -> str:
    if reason is None:
        change = f"The spec allows {autoscaling.minimum} to {autoscaling.maximum} replicas"
    else:
        value, unit = (
            _mean(_values(reason.metric, measured.replicas)),
            "s" if reason.metric == REQUEST_DURATION else "%",
        )
        change = f"{reason.metric} is {_number(value)} {unit} (target: {_number(reason.value)} {unit})"
        if after < before:
            change += ", and in the last 5 minutes no metric needed more replicas"
    limit = {autoscaling.maximum: " (the maximum)", autoscaling.minimum: " (the minimum)"}.get(after, "")
    return f"{change}: {count(after, 'replica')}{limit} instead of {before}."


def _values(metric: str, replicas: Iterable[Mapping[str, float]]) -> list[float]:
    return [values[metric] for values in replicas if metric in values]


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)


def _number(value: float) -> str:
    """Return a number with three digits."""
    return f"{float(f'{value:.3g}'):g}"
