"""How the page says the state of a deployment in words: pure functions over the status, the events and the revisions."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from paperspace.gradient._shared.counting import count

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from paperspace.gradient.types import DeploymentEvent, DeploymentStatus


def sentence_of(status: DeploymentStatus, revisions: Sequence[Mapping[str, Any]]) -> str:
    """Say what the state means.

    Args:
        status: The status of the deployment.
        revisions: Its revisions, with `id` and `number`.
    """
    ready, replicas, serving = status["readyReplicas"], status["replicas"], status["serving"]
    progress = f"{ready} of {count(replicas, 'replica')} ready"
    if status["state"] == "stopped":
        return "no replicas run"
    if status["state"] == "ready":
        return f"{progress}; autoscaling is still adding replicas" if ready < replicas else progress
    meanwhile = ""
    if serving:
        numbers = {revision["id"]: f"revision {revision['number']}" for revision in revisions}
        name = numbers.get(serving["specId"], "an earlier revision")
        meanwhile = f"; {name} serves, with {count(serving['readyReplicas'], 'ready replica')}"
    if status["state"] == "failed":
        return f"the newest revision does not run{meanwhile or f'; {progress}'}"
    if not status["applied"]:
        return f"the newest revision is not applied yet{meanwhile}"
    if replicas == 0:
        return "replicas finish their requests, and stop"
    return f"a rollout is in progress; {progress}{meanwhile}"


def reason_of(status: DeploymentStatus, events: Sequence[DeploymentEvent]) -> str:
    """Say why the deployment has failed, or is not ready yet; "" if there is nothing to say."""
    if status["state"] in {"ready", "stopped"}:
        return ""
    if status["error"]:
        return status["error"]
    for instance in status["instances"]:
        if instance["state"] != "healthy" and instance["message"]:
            return f"{instance['name']}: {instance['message']}"
    of_newest = (event for event in events if event["deploymentSpecId"] == status["specId"])
    return next((event["message"] for event in of_newest if event["severity"] == "WARNING"), "")
