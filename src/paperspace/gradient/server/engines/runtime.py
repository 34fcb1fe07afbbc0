"""Runtime: the interface of what runs deployments, the simulation or an engine.

A runtime gets the desired state of a deployment and its observed instances, and returns events. Each event has a time.
The simulation returns all future events at once: readers see an event when its time has come, and a change of the
desired state discards those still in the future. A runtime that runs containers returns the events so far and records
later ones as they happen.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from paperspace.gradient.server.engines.reasons import Reason

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from datetime import datetime

PENDING, HEALTHY, RETRYING, FAILED, ERRORED = "pending", "healthy", "retrying", "failed", "errored"


class UnsupportedSpecError(Exception):
    """The runtime cannot run the spec; the message is stored as the spec's `error`."""


class DesiredState(NamedTuple):
    """What to run for a deployment: its name, and the id and the data of its newest spec."""

    name: str
    spec_id: str
    spec: Mapping[str, Any]
    scale: int | None = None
    """How many replicas autoscaling has decided on so far. None: it has not decided."""


class Instance(NamedTuple):
    """An observed instance that is not removed.

    `current`: whether it belongs to the newest spec. `state` is None if the instance is new.
    """

    id: str
    current: bool
    state: str | None


class StateChanged(NamedTuple):
    """The instance entered a state."""

    instance_id: str
    at: datetime
    phase: str
    state: str
    message: str
    reason: Reason | None = None
    """The reason of the event of the deployment. None: there is no such event."""


class LineLogged(NamedTuple):
    """The instance wrote a line to its log."""

    instance_id: str
    at: datetime
    message: str


class InstanceAdded(NamedTuple):
    """The spec got another instance. Its state follows."""

    instance_id: str
    at: datetime
    spec_id: str


class InstanceRemoved(NamedTuple):
    """The instance was removed."""

    instance_id: str
    at: datetime
    message: str = "The instance was removed."
    reason: Reason = Reason.REMOVED


class InstanceNoted(NamedTuple):
    """Something happened to the instance that does not change its state. It is only an event of the deployment."""

    instance_id: str
    at: datetime
    reason: Reason
    message: str


class SpecNoted(NamedTuple):
    """Something happened to the spec. It is only an event of the deployment."""

    spec_id: str
    at: datetime
    reason: Reason
    message: str


class Scaled(NamedTuple):
    """Autoscaling decided how many replicas of the spec there are from then on."""

    spec_id: str
    at: datetime
    before: int
    replicas: int
    message: str
    """Why, as a sentence."""

    @property
    def reason(self) -> Reason:
        """Its reason among the events of the deployment."""
        return Reason.SCALED_UP if self.replicas > self.before else Reason.SCALED_DOWN


Event = StateChanged | LineLogged | InstanceAdded | InstanceRemoved | InstanceNoted | SpecNoted | Scaled


class Runtime(Protocol):
    """Runs deployments, or simulates it."""

    simulated: bool

    def replicas(self, desired: DesiredState) -> int:
        """Return the number of instances to run.

        Raises:
            UnsupportedSpecError: the runtime cannot run the spec.
        """
        ...

    def initial_instances(self, replicas: int) -> int:
        """Return how many instances a new run gets at once. The runtime adds the others itself."""
        ...

    def run(self, desired: DesiredState | None, instances: Sequence[Instance], now: datetime) -> Iterable[Event]:
        """Make the instances match the desired state (None: remove all of them) and return the events, from now on."""
        ...
