"""The history of replicas that the page draws, and the state in words: pure functions."""

from __future__ import annotations

from typing import Any

import pytest

from paperspace.gradient.console.lanes import REMOVED, lanes_of
from paperspace.gradient.console.summary import reason_of, sentence_of

SPEC = "spec-2"


def at(second: int) -> str:
    return f"2024-05-17T09:30:{second:02}.000Z"


def event(reason: str, first: int, last: int | None = None, name: str | None = "a", **fields: Any) -> Any:
    times = {"dtCreated": at(first), "dtLast": at(first if last is None else last)}
    known = {"severity": "NORMAL", "message": reason.lower(), "count": 1, "deploymentSpecId": SPEC}
    return {"id": f"{reason} {first}", "reason": reason, "instanceName": name, **known, **times, **fields}


def status(*instances: tuple[str | None, str | None], **fields: Any) -> Any:
    shown = [{"name": name, "state": state, "message": "m", "phase": None} for name, state in instances]
    known = {"specId": SPEC, "dtCreated": at(0), "applied": True, "replicas": 2, "readyReplicas": 1, "serving": None}
    return {**known, "error": None, "state": "pending", "instances": shown, **fields}


def phases(lane: Any) -> list[tuple[str, int, int | None]]:
    """The phases of a lane, with the seconds of their times."""
    return [
        (phase["phase"], int(phase["from"][17:19]), phase["to"] and int(phase["to"][17:19])) for phase in lane["phases"]
    ]


def test_phases_follow_the_events() -> None:
    """Each phase lasts until the next one; the last one has no end. An event that was repeated counts at both times."""
    events = [event("Ready", 9), event("Crashed", 5, 7, count=2), event("Ready", 4), event("Started", 3, 8, count=3)]
    [lane] = lanes_of(status(("a", "healthy")), events)
    assert phases(lane) == [
        ("pending", 3, 4),
        ("healthy", 4, 5),
        ("retrying", 5, 7),
        ("retrying", 7, 8),
        ("pending", 8, 9),
        ("healthy", 9, None),
    ]
    assert (lane["state"], lane["restarts"], lane["current"], lane["message"]) == ("healthy", 2, True, "m")
    assert [mark["reason"] for mark in lane["marks"]] == ["Started", "Ready", "Crashed", "Crashed", "Started", "Ready"]


def test_the_state_is_that_of_the_status() -> None:
    """The last phase is that of the state, also if no event says it; without events, it begins with the rollout."""
    rollout = event("RolloutStarted", 2, name=None)
    lanes = lanes_of(status(("a", "errored"), (None, None)), [rollout])
    assert [phases(lane) for lane in lanes] == [[("failed", 2, None)], [("pending", 2, None)]]
    assert [lane["name"] for lane in lanes] == ["a", "not scheduled yet (2)"]
    [lane] = lanes_of(status(("a", "healthy")), [])
    assert phases(lane) == [("healthy", 0, None)]


def test_earlier_replicas_come_last() -> None:
    """Replicas of earlier revisions follow, those that still run first, and of the removed ones only the newest."""
    removed = [event("Removed", 40 - number, name=f"removed-{number}") for number in range(REMOVED + 2)]
    events = [*removed[:1], event("Stopping", 30, name="old"), *removed[1:], event("Ready", 1)]
    lanes = lanes_of(status(("a", "healthy")), events)
    assert [lane["name"] for lane in lanes] == ["a", "old", *(f"removed-{number}" for number in range(REMOVED))]
    assert [(lane["state"], lane["current"]) for lane in lanes[:3]] == [
        ("healthy", True),
        ("stopping", False),
        ("removed", False),
    ]
    assert phases(lanes[2]) == [("pending", 40, 40)]


SERVING = {"specId": "spec-1", "replicas": 1, "readyReplicas": 1}


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({"state": "ready", "readyReplicas": 2}, "2 of 2 replicas ready"),
        ({"state": "ready"}, "1 of 2 replicas ready; autoscaling is still adding replicas"),
        ({"state": "stopped", "replicas": 0}, "no replicas run"),
        ({"state": "failed"}, "the newest revision does not run; 1 of 2 replicas ready"),
        (
            {"state": "failed", "serving": SERVING},
            "the newest revision does not run; revision 1 serves, with 1 ready replica",
        ),
        (
            {"serving": {**SERVING, "specId": None}},
            "a rollout is in progress; 1 of 2 replicas ready; an earlier revision serves, with 1 ready replica",
        ),
        ({"applied": False}, "the newest revision is not applied yet"),
        ({"replicas": 0}, "replicas finish their requests, and stop"),
    ],
)
def test_the_state_in_words(fields: Any, sentence: str) -> None:
    """A sentence says what the state means, and what serves meanwhile."""
    assert sentence_of(status(**fields), [{"id": SPEC, "number": 2}, {"id": "spec-1", "number": 1}]) == sentence


def test_the_reason() -> None:
    """The error, or else what an instance reports, or else the newest warning of the revision; nothing if all is well."""
    warnings = [
        event("NoFreePort", 3, severity="WARNING", deploymentSpecId="spec-1"),
        event("PullFailed", 2, severity="WARNING"),
    ]
    assert reason_of(status(("a", "pending"), error="no image"), warnings) == "no image"
    assert reason_of(status(("a", "healthy"), ("b", "pending")), warnings) == "b: m"
    assert reason_of(status(("a", "healthy")), warnings) == "pullfailed"
    assert reason_of(status(("a", "healthy")), []) == ""
    assert reason_of(status(("b", "pending"), state="ready"), warnings) == ""
