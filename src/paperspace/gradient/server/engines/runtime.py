"""What runs deployments, seen from the rest of the server: it is told what is wanted and answers with what happens.

Each event has a moment. A runtime that knows the future, as the simulation does, gives it beforehand: readers see an
event once its moment has come, and what is still to come is forgotten when something else is wanted. A runtime
that does the work for real answers with what it began, and has the rest recorded as it happens.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from paperspace.gradient._shared.spec_rules import DEFAULT_REPLICAS

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from datetime import datetime

PENDING, HEALTHY, RETRYING, FAILED, ERRORED = "pending", "healthy", "retrying", "failed", "errored"


class CannotRunError(Exception):
    """The spec cannot be put to work, for this reason."""


class Work(NamedTuple):
    """What is to be run: the data of the newest spec of the deployment of this name."""

    name: str
    data: Mapping[str, Any]


class Instance(NamedTuple):
    """An instance that is there. `current`: of the spec that is wanted; without a state it was made just now."""

    id: str
    current: bool
    state: str | None


class State(NamedTuple):
    """The instance comes into a state."""

    instance: str
    at: datetime
    phase: str
    state: str
    message: str


class Line(NamedTuple):
    """The instance writes a line to its log."""

    instance: str
    at: datetime
    message: str


class Gone(NamedTuple):
    """The instance is taken away."""

    instance: str
    at: datetime


Event = State | Line | Gone


class Runtime(Protocol):
    """Runs deployments, or pretends to."""

    simulated: bool

    def replicas(self, work: Work) -> int:
        """How many instances the work is to have.

        Raises:
            CannotRunError: It cannot be run.
        """
        ...

    def events(self, work: Work | None, instances: Sequence[Instance], moment: datetime) -> Iterable[Event]:
        """What happens from this moment on, so that there is what is wanted; without work, nothing is."""
        ...


def replicas_of(data: Mapping[str, Any], proposed: int = 0) -> int:
    """How many instances a spec asks for, if the load proposes a number: autoscaling keeps it within its bounds."""
    resources: Mapping[str, Any] = data.get("resources") or {}
    least = resources.get("replicas")
    least = DEFAULT_REPLICAS if least is None else least
    if data.get("enabled") is False or least == 0:
        return 0
    autoscaling = resources.get("autoscaling")
    if autoscaling is None or autoscaling.get("enabled") is False:
        return int(least)
    return int(max(least, min(proposed, autoscaling["maxReplicas"])))
