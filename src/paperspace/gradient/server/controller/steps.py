"""The output of the rule: the next steps of one deployment.

Each step can be repeated without harm. Changes are stored; the rest is done by the engine and the gateway.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from paperspace.gradient.server.controller.checks import NO_CHECKS

if TYPE_CHECKING:
    from datetime import datetime

    from paperspace.gradient.server.controller.checks import Checks
    from paperspace.gradient.server.engines.reasons import Reason

# Dataclasses rather than tuples: steps of different classes are never equal.


@dataclass(frozen=True, slots=True)
class Serve:
    """The revision is the one that serves from now on."""

    spec_id: str


@dataclass(frozen=True, slots=True)
class Fail:
    """The revision has failed, and is not tried again."""

    spec_id: str
    reason: str


@dataclass(frozen=True, slots=True)
class Adopt:
    """The instance belongs to another revision from now on, which has the same template."""

    instance_id: str
    spec_id: str


@dataclass(frozen=True, slots=True)
class Add:
    """The revision gets more instances."""

    spec_id: str
    number: int


@dataclass(frozen=True, slots=True)
class Leave:
    """The instance is to be removed."""

    instance_id: str


@dataclass(frozen=True, slots=True)
class Gone:
    """The instance is removed; nothing of it is left."""

    instance_id: str


@dataclass(frozen=True, slots=True)
class AssignPort:
    """The instance needs another port, for a new attempt."""

    instance_id: str


@dataclass(frozen=True, slots=True)
class Restart:
    """The instance needs a new attempt, at this time."""

    instance_id: str
    crashes: int
    at: datetime


@dataclass(frozen=True, slots=True)
class Started:
    """The container of the attempt runs. Its restart, if it is one, is no longer pending."""

    instance_id: str


@dataclass(frozen=True, slots=True)
class SetState:
    """The instance enters a state."""

    instance_id: str
    phase: str
    state: str
    message: str
    reason: Reason | None = None
    """The reason of the event of the deployment. None: there is no such event."""


Change = Serve | Fail | Adopt | Add | Leave | Gone | AssignPort | Restart | Started | SetState


@dataclass(frozen=True, slots=True)
class Route:
    """Let the gateway send requests to the instance."""

    instance_id: str


@dataclass(frozen=True, slots=True)
class Unroute:
    """Let the gateway send no new requests to the instance."""

    instance_id: str


@dataclass(frozen=True, slots=True)
class Start:
    """Start a container for an attempt of the instance; pull its image first if needed."""

    instance_id: str
    attempt: int


@dataclass(frozen=True, slots=True)
class Probe:
    """Wait until the container is ready. With health checks, continue to run them."""

    instance_id: str
    attempt: int
    port: int
    checks: Checks = NO_CHECKS
    check_ports: tuple[tuple[int, int], ...] = ()
    """The published ports of the container for checks, as in `Container`. They are others after `docker restart`."""


@dataclass(frozen=True, slots=True)
class Explain:
    """Find out why the container has exited."""

    instance_id: str
    container_id: str


@dataclass(frozen=True, slots=True)
class Drain:
    """Wait until the instance has no active requests."""

    instance_id: str
    attempt: int


@dataclass(frozen=True, slots=True)
class Stop:
    """Stop the container."""

    container_id: str


@dataclass(frozen=True, slots=True)
class Remove:
    """Remove the container."""

    container_id: str


@dataclass(frozen=True, slots=True)
class Wake:
    """Apply the rule again after this time."""

    seconds: float


Routing = Route | Unroute
Work = Start | Probe | Explain | Drain | Stop | Remove
Step = Change | Routing | Work | Wake
