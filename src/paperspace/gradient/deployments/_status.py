"""The status of a deployment, computed from its runs and instances: pure functions over one response.

Only the newest spec and its run count. A deployment whose earlier run still serves is not ready until all its replicas
are. Otherwise, the replicas that autoscaling adds need not be ready: a deployment that is scaled is not interrupted.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from paperspace.gradient._shared.spec_rules import DEFAULT_REPLICAS
from paperspace.gradient.deployments._queries import parse_time

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from paperspace.gradient._generated.deployment_run_instance_fields import DeploymentRunInstance
    from paperspace.gradient._generated.deployment_status_fields import Deployment
    from paperspace.gradient._generated.newest_rollout_fields import DeploymentRun
    from paperspace.gradient.types import DeploymentStatus, WatchEvent

State = Literal["pending", "ready", "stopped", "failed"]
EventType = Literal["applied", "instance", "replicas", "ready", "stopped", "failed"]

FAILED_STATES = {"errored", "failed"}


def status_of(
    deployment: Deployment, instances: Sequence[DeploymentRunInstance], *, runs_remain: bool
) -> DeploymentStatus:
    """Return the status of a deployment.

    Args:
        deployment: The deployment with its newest spec.
        instances: All instances of the run of that spec that are not deleted.
        runs_remain: Whether a run of any spec has not ended. It counts only if nothing is to run.
    """
    spec = deployment["deploymentSpecs"]["nodes"][0]
    run = newest_run(deployment)
    status: DeploymentStatus = {
        "id": deployment["id"],
        "name": deployment["name"],
        "dtCreated": deployment["dtCreated"],
        "image": spec["data"]["image"],
        "specId": spec["id"],
        "state": "pending",
        "applied": spec["externalApplied"] is not None,
        "replicas": desired_replicas(deployment),
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
    enough = status["replicas"] if _earlier_run_remains(deployment) else _least(deployment)
    status["state"] = _state(status, enough, runs_remain=runs_remain)
    return status


def _state(status: DeploymentStatus, enough: int, *, runs_remain: bool) -> State:
    if status["error"] or any(instance["state"] in FAILED_STATES for instance in status["instances"]):
        return "failed"
    if not status["applied"]:
        return "pending"
    if status["replicas"] == 0:
        return "pending" if runs_remain else "stopped"
    return "ready" if status["readyReplicas"] >= enough else "pending"


def desired_replicas(deployment: Deployment) -> int:
    """Return the desired number of replicas: the newest spec's, or more if autoscaling has raised that of its run."""
    replicas, run = _least(deployment), newest_run(deployment)
    if deployment["deploymentSpecs"]["nodes"][0]["data"]["enabled"] is False:
        return 0
    return replicas if run is None or run["replicas"] is None else max(replicas, run["replicas"])


def _least(deployment: Deployment) -> int:
    """Return the number of replicas of the newest spec. Those that autoscaling adds come later, and may go again."""
    resources = deployment["deploymentSpecs"]["nodes"][0]["data"]["resources"]
    return DEFAULT_REPLICAS if resources is None else resources["replicas"]


def _earlier_run_remains(deployment: Deployment) -> bool:
    """Whether a rollout is in progress: an earlier run serves until the newest one has all its replicas."""
    newest = newest_run(deployment)
    connections = (rollout["deploymentRuns"] for rollout in deployment["deploymentRollouts"]["nodes"])
    remaining = {run["id"] for runs in connections if runs for run in runs["nodes"] if run["dtDeleted"] is None}
    return bool(remaining - {newest["id"] if newest else None})


def newest_run(deployment: Deployment) -> DeploymentRun | None:
    """Return the newest run of the newest spec. None: it has none yet."""
    [spec, *_] = deployment["deploymentSpecs"]["nodes"]
    for rollout in deployment["newestRollout"]["nodes"]:
        # A rollout does not name its spec. One that is older than the newest spec is of an earlier spec.
        is_current = spec["externalApplied"] and parse_time(rollout["dtCreated"]) >= parse_time(spec["dtCreated"])
        if is_current and rollout["deploymentRuns"]:
            return next(iter(rollout["deploymentRuns"]["nodes"]), None)
    return None


def events_between(before: DeploymentStatus | None, after: DeploymentStatus) -> Iterator[WatchEvent]:
    """Return the events that lead from one status to the next. `before` is None for the first status."""
    if before is not None and before["specId"] != after["specId"]:
        before = None
    if after["applied"] and not (before and before["applied"]):
        yield _event("applied", f"spec {after['specId']} is applied", after)
    known = {instance["name"]: instance for instance in before["instances"]} if before else {}
    for instance in after["instances"]:
        earlier = known.get(instance["name"])
        if earlier is None or earlier["state"] != instance["state"]:
            message = f": {instance['message']}" if instance["message"] else ""
            yield _event("instance", f"{instance['name']} is {instance['state']}{message}", after)
    counts = (after["readyReplicas"], after["replicas"])
    if before is None or counts != (before["readyReplicas"], before["replicas"]):
        yield _event("replicas", replica_counts(after), after)
    if after["state"] != "pending" and (before is None or before["state"] != after["state"]):
        yield _event(after["state"], _outcome(after), after)


def replica_counts(status: DeploymentStatus) -> str:
    """Describe how many replicas are ready."""
    return f"{status['readyReplicas']} of {status['replicas']} replicas ready"


def _outcome(status: DeploymentStatus) -> str:
    """Describe the state that a watch ends with."""
    if status["state"] == "failed":
        return failure_reason(status)
    if status["state"] == "ready":
        scaling = status["readyReplicas"] < status["replicas"]
        return f"{replica_counts(status)}; autoscaling adds the others" if scaling else "all replicas ready"
    return {"stopped": "stopped; all runs have ended"}.get(status["state"], "")


def failure_reason(status: DeploymentStatus) -> str:
    """Describe why a deployment failed, with the server's message."""
    if status["error"]:
        return f"spec {status['specId']} could not be applied: {status['error']}"
    for instance in status["instances"]:
        if instance["state"] in FAILED_STATES:
            message = f": {instance['message']}" if instance["message"] else ""
            return f"instance {instance['name']} is {instance['state']} (phase {instance['phase']}){message}"
    return "no reason is known"


def _event(kind: EventType, message: str, status: DeploymentStatus) -> WatchEvent:
    return {"type": kind, "message": message, "status": status}
