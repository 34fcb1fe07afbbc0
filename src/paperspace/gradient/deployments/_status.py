"""What the runs and instances of a deployment say about how it is doing: pure functions over one reply.

Only the newest spec and its own run count. A deployment whose earlier run still serves is not ready.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from paperspace.gradient._generated.deployment_run_instance_fields import DeploymentRunInstance
    from paperspace.gradient._generated.deployment_status_fields import Deployment, DeploymentRun, DeploymentSpec
    from paperspace.gradient.types import DeploymentEvent, DeploymentStatus

State = Literal["pending", "ready", "stopped", "failed"]
EventType = Literal["applied", "instance", "replicas", "ready", "stopped", "failed"]

FAILED_STATES = {"errored", "failed"}


def status_of(deployment: Deployment, instances: Sequence[DeploymentRunInstance]) -> DeploymentStatus:
    """How a deployment is doing, with the instances of its own run that are there."""
    spec = deployment["deploymentSpecs"]["nodes"][0]
    run = own_run(deployment)
    wanted = _wanted(spec, run)
    status: DeploymentStatus = {
        "id": deployment["id"],
        "name": deployment["name"],
        "dtCreated": deployment["dtCreated"],
        "image": spec["data"]["image"],
        "specId": spec["id"],
        "state": "pending",
        "applied": spec["externalApplied"] is not None,
        "replicas": wanted,
        "readyReplicas": (run and run["readyReplicas"]) or 0,
        "endpointUrl": spec["endpointUrl"],
        "error": spec["error"],
        "instances": [
            {
                "name": instance["instanceId"],
                "phase": instance["phase"],
                "state": instance["state"],
                "message": instance["stateMessage"],
            }
            for instance in instances
        ],
    }
    status["state"] = _state(status, remains=_runs_remain(deployment))
    return status


def _state(status: DeploymentStatus, *, remains: bool) -> State:
    if status["error"] or any(instance["state"] in FAILED_STATES for instance in status["instances"]):
        return "failed"
    if not status["applied"]:
        return "pending"
    if status["replicas"] == 0:
        return "pending" if remains else "stopped"
    return "ready" if status["readyReplicas"] >= status["replicas"] else "pending"


def _wanted(spec: DeploymentSpec, run: DeploymentRun | None) -> int:
    """How many replicas there are to be: what the run says, as it knows about load, and until then what the spec says."""
    if spec["data"]["enabled"] is False:
        return 0
    resources = spec["data"]["resources"]
    said = 1 if resources is None else resources["replicas"]
    return said if run is None or run["replicas"] is None else max(said, run["replicas"])


def own_run(deployment: Deployment) -> DeploymentRun | None:
    """The run of the newest spec, if there is one yet."""
    runs = deployment["deploymentSpecs"]["nodes"][0]["deploymentRuns"]
    return runs["nodes"][0] if runs and runs["nodes"] else None


def _runs_remain(deployment: Deployment) -> bool:
    return any(
        run["dtDeleted"] is None
        for rollout in deployment["deploymentRollouts"]["nodes"]
        for run in (rollout["deploymentRuns"] or {"nodes": []})["nodes"]
    )


def events_between(before: DeploymentStatus | None, after: DeploymentStatus) -> Iterator[DeploymentEvent]:
    """What happened from one look to the next."""
    if before is not None and before["specId"] != after["specId"]:
        before = None
    if after["applied"] and not (before and before["applied"]):
        yield _event("applied", f"the spec {after['specId']} is applied", after)
    known = {instance["name"]: instance for instance in before["instances"]} if before else {}
    for instance in after["instances"]:
        earlier = known.get(instance["name"])
        if earlier is None or earlier["state"] != instance["state"]:
            message = f": {instance['message']}" if instance["message"] else ""
            yield _event("instance", f"{instance['name']} is {instance['state']}{message}", after)
    counts = (after["readyReplicas"], after["replicas"])
    if before is None or counts != (before["readyReplicas"], before["replicas"]):
        yield _event("replicas", f"{counts[0]} of {counts[1]} replicas are ready", after)
    if after["state"] != "pending" and (before is None or before["state"] != after["state"]):
        yield _event(after["state"], _outcome(after), after)


def _outcome(status: DeploymentStatus) -> str:
    """The state a deployment has come to, in words."""
    if status["state"] == "failed":
        return reason(status)
    return {"ready": "all replicas are ready", "stopped": "it is stopped, and no run remains"}.get(status["state"], "")


def reason(status: DeploymentStatus) -> str:
    """Why a deployment failed, in the words of the server."""
    if status["error"]:
        return f"the spec {status['specId']} could not be applied: {status['error']}"
    for instance in status["instances"]:
        if instance["state"] in FAILED_STATES:
            message = f": {instance['message']}" if instance["message"] else ""
            return f"the instance {instance['name']} is {instance['state']} (phase {instance['phase']}){message}"
    return "it failed"


def _event(kind: EventType, message: str, status: DeploymentStatus) -> DeploymentEvent:
    return {"type": kind, "message": message, "status": status}
