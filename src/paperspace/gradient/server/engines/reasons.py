"""The reasons of events: what can happen to a deployment. `docs/containers.md` has the same table for users."""

from __future__ import annotations

from enum import StrEnum


class Severity(StrEnum):
    """Whether an event needs attention."""

    NORMAL = "NORMAL"
    WARNING = "WARNING"


class Reason(StrEnum):
    """Why an event is recorded. A reason that was released keeps its name: programs know it."""

    # A change of the spec
    ROLLOUT_STARTED = "RolloutStarted"
    SCALED = "Scaled"
    STOPPED = "Stopped"
    SPEC_REJECTED = "SpecRejected"

    # Autoscaling
    SCALED_UP = "ScaledUp"
    SCALED_DOWN = "ScaledDown"
    METRIC_UNKNOWN = "MetricUnknown"

    # A revision
    PULLED = "Pulled"
    CLONED = "Cloned"
    LIMITS_REDUCED = "LimitsReduced"
    SERVING = "Serving"
    ROLLOUT_FAILED = "RolloutFailed"

    # An instance
    PULLING = "Pulling"
    PULL_FAILED = "PullFailed"
    CLONING = "Cloning"
    CLONE_FAILED = "CloneFailed"
    NO_FREE_PORT = "NoFreePort"
    STARTED = "Started"
    START_FAILED = "StartFailed"
    READY = "Ready"
    UNREADY = "Unready"
    UNHEALTHY = "Unhealthy"
    CHECK_UNKNOWN = "CheckUnknown"
    CRASHED = "Crashed"
    ENDED = "Ended"
    LOST = "Lost"
    SERVER_DOWN = "ServerDown"
    STOPPING = "Stopping"
    REMOVED = "Removed"

    # What instances depend on
    ENGINE_UNAVAILABLE = "EngineUnavailable"
    GATEWAY_UNAVAILABLE = "GatewayUnavailable"

    @property
    def severity(self) -> Severity:
        """Whether an event with this reason needs attention."""
        return Severity.WARNING if self in _WARNINGS else Severity.NORMAL


_WARNINGS = {
    Reason.SPEC_REJECTED,
    Reason.METRIC_UNKNOWN,
    Reason.LIMITS_REDUCED,
    Reason.ROLLOUT_FAILED,
    Reason.PULL_FAILED,
    Reason.CLONE_FAILED,
    Reason.NO_FREE_PORT,
    Reason.START_FAILED,
    Reason.UNREADY,
    Reason.UNHEALTHY,
    Reason.CHECK_UNKNOWN,
    Reason.CRASHED,
    Reason.ENDED,
    Reason.LOST,
    Reason.ENGINE_UNAVAILABLE,
    Reason.GATEWAY_UNAVAILABLE,
}

# What takes a while is reported many times with its progress, and is one event for each instance.
ONCE = {Reason.PULLING, Reason.CLONING}
