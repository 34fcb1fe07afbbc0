"""The history of each replica, for the drawing of the page: pure functions over the events and the status."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence

    from paperspace.gradient.types import DeploymentEvent, DeploymentStatus

Lane = dict[str, Any]

REMOVED = 8  # replicas that were removed, at most

# The phase that begins with an event, and the phase of a state.
_PHASES = {
    **dict.fromkeys(("Pulling", "Cloning", "Started", "NoFreePort"), "pending"),
    **dict.fromkeys(("PullFailed", "CloneFailed", "StartFailed"), "failed"),
    **dict.fromkeys(("Unready", "Unhealthy", "Crashed", "Ended", "Lost"), "retrying"),
    "Ready": "healthy",
    "Stopping": "stopping",
}
_STATES = {"pending": "pending", "healthy": "healthy", "retrying": "retrying", "errored": "failed", "failed": "failed"}


def lanes_of(status: DeploymentStatus, events: Sequence[DeploymentEvent]) -> list[Lane]:
    """Return a lane for each replica: those of the newest revision, then the others, newest first.

    Args:
        status: The status of the deployment.
        events: Its events, newest first.

    Returns:
        Dicts with `name`, `state` (that of now, or `removed`), `message`, `restarts`, `current` (whether it is of the newest
        revision, and not removed), `phases` (with `from`, `to` and `phase`; `to` is None if it lasts) and `marks`: the events
        with their times.
    """
    by_name: dict[str, list[DeploymentEvent]] = {}
    for event in events:
        if event["instanceName"]:
            by_name.setdefault(event["instanceName"], []).append(event)
    rollouts = [event for event in events if event["reason"] == "RolloutStarted"]
    starts = [event["dtCreated"] for event in rollouts if event["deploymentSpecId"] == status["specId"]]
    current = []
    for number, instance in enumerate(status["instances"], start=1):
        own = by_name.pop(instance["name"] or "", [])
        lane = _lane(instance["name"] or f"not scheduled yet ({number})", own, [*starts, status["dtCreated"]][0])
        state = instance["state"] or "pending"
        lane["phases"][-1]["phase"] = _STATES.get(state, "pending")  # also if no event says it
        current.append({**lane, "state": state, "message": instance["message"] or "", "current": True})
    others = [_lane(name, own, own[-1]["dtCreated"]) for name, own in by_name.items()]
    removed = [lane for lane in others if lane["state"] == "removed"]
    return [*current, *(lane for lane in others if lane["state"] != "removed"), *removed[:REMOVED]]


def _lane(name: str, events: Sequence[DeploymentEvent], start: str) -> Lane:
    """Return the lane of a replica. `start` is when it began, if no event says it."""
    # An event that happened several times is known by its first and its last time.
    times = sorted(
        ((time, event) for event in reversed(events) for time in {event["dtCreated"], event["dtLast"]}),
        key=lambda entry: entry[0],
    )
    end = next((time for time, event in times if event["reason"] == "Removed"), None)
    changes = [(time, _PHASES[event["reason"]]) for time, event in times if event["reason"] in _PHASES]
    if not changes:
        changes = [(times[0][0] if times else start, "pending")]
    ends = [*(time for time, _ in changes[1:]), end]
    last = events[0] if events else None
    counts = {event["reason"]: event["count"] for event in reversed(events)}
    crashes = counts.get("Crashed", 0) + counts.get("Ended", 0) - (last is not None and last["reason"] == "Crashed")
    return {
        "name": name,
        "state": "removed" if end else changes[-1][1],
        "message": last["message"] if last else "",
        "restarts": max(0, counts.get("Started", 0) - 1, crashes),
        "current": False,
        "phases": [
            {"from": time, "to": until, "phase": phase} for (time, phase), until in zip(changes, ends, strict=True)
        ],
        "marks": [
            {"time": time} | {field: event[field] for field in ("severity", "reason", "message", "count")}
            for time, event in times
        ],
    }
