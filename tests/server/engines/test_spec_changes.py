"""The event of a new spec: a table of what changes, and the reason and message."""

from __future__ import annotations

from typing import Any

import pytest

from paperspace.gradient.server.engines.reasons import Reason
from paperspace.gradient.server.engines.spec_changes import Revision, change_of

ONE: dict[str, Any] = {"image": "nginx:1", "resources": {"replicas": 1}}
THREE = {**ONE, "resources": {"replicas": 3}}

CHANGES: dict[str, tuple[dict[str, Any] | None, dict[str, Any], Reason, str]] = {
    "first": (None, ONE, Reason.ROLLOUT_STARTED, "created the deployment: nginx:1, 1 replica."),
    "first, with nothing to run": (
        None,
        {**ONE, "enabled": False},
        Reason.ROLLOUT_STARTED,
        "created the deployment: nginx:1, 0 replicas.",
    ),
    "scaled up": (ONE, THREE, Reason.SCALED, "changed the number of replicas from 1 to 3."),
    "scaled from the default": (
        {"image": "nginx:1"},
        THREE,
        Reason.SCALED,
        "changed the number of replicas from 1 to 3.",
    ),
    "scaled to zero": (THREE, {**ONE, "resources": {"replicas": 0}}, Reason.STOPPED, "stopped the deployment."),
    "disabled": (THREE, {**THREE, "enabled": False}, Reason.STOPPED, "stopped the deployment."),
    "enabled": (
        {**THREE, "enabled": False},
        {**THREE, "enabled": True},
        Reason.ROLLOUT_STARTED,
        "started the deployment: nginx:1, 3 replicas.",
    ),
    "the same": (ONE, ONE, Reason.ROLLOUT_STARTED, "restarted the deployment."),
    "null is not set": (ONE, {**ONE, "env": None}, Reason.ROLLOUT_STARTED, "restarted the deployment."),
    "a default is not a change": ({"image": "nginx:1"}, ONE, Reason.ROLLOUT_STARTED, "restarted the deployment."),
    "image and more": (
        ONE,
        {"image": "nginx:2", "port": 80, "resources": {"replicas": 3}},
        Reason.ROLLOUT_STARTED,
        "changed image (nginx:1 to nginx:2), port, resources.replicas.",
    ),
    "a secret": (
        {**ONE, "env": [{"name": "A", "value": "hunter2"}]},
        {**ONE, "env": [{"name": "A", "value": "hunter3"}]},
        Reason.ROLLOUT_STARTED,
        "changed env.",
    ),
}


@pytest.mark.parametrize("name", CHANGES)
def test_change(name: str) -> None:
    """The event says who changed what, without the values of fields that can be secret."""
    before, after, reason, message = CHANGES[name]
    revision = None if before is None else Revision(before, "local")
    assert change_of(revision, Revision(after, "local"), "Ada") == (reason, f"Ada {message}")


def test_another_cluster() -> None:
    """A move to another cluster is a change."""
    expected = (Reason.ROLLOUT_STARTED, "Ada changed cluster.")
    assert change_of(Revision(ONE, "local"), Revision(ONE, "other"), "Ada") == expected
