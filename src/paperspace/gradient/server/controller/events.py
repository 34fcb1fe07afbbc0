"""What changes mean to users: the events of deployments."""

from __future__ import annotations

from typing import TYPE_CHECKING

from paperspace.gradient.server.controller.steps import Fail, Gone, Leave, Serve, SetState, Started
from paperspace.gradient.server.engines.reasons import Reason
from paperspace.gradient.server.engines.runtime import InstanceNoted, InstanceRemoved, SpecNoted, StateChanged

if TYPE_CHECKING:
    from datetime import datetime

    from paperspace.gradient.server.controller.steps import Change
    from paperspace.gradient.server.engines.runtime import Event

_SERVING = "The endpoint belongs to this revision now."
_STARTED = "The container runs."
_STOPPING = "The instance is not needed any more. It gets no new requests, and stops when its active ones have ended."


def event_of(change: Change, now: datetime) -> Event | None:
    """Return the event that a change is. None: it is none."""
    event: Event | None = None
    match change:
        case Serve(spec_id):
            event = SpecNoted(spec_id, now, Reason.SERVING, _SERVING)
        case Fail(spec_id, reason):
            event = SpecNoted(spec_id, now, Reason.ROLLOUT_FAILED, reason)
        case Started(instance_id):
            event = InstanceNoted(instance_id, now, Reason.STARTED, _STARTED)
        case Leave(instance_id):
            event = InstanceNoted(instance_id, now, Reason.STOPPING, _STOPPING)
        case Gone(instance_id):
            event = InstanceRemoved(instance_id, now)
        case SetState(instance_id, phase, state, message, reason):
            event = StateChanged(instance_id, now, phase, state, message, reason)
    return event
