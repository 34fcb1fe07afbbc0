"""The status of a deployment, computed from its runs and instances: pure functions over one response.

Only the newest spec and its run count. A deployment whose earlier run still serves is not ready until all its replicas
are. Otherwise, the replicas that autoscaling adds need not be ready: a deployment that is scaled is not interrupted.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from paperspace.gradient._shared.spec_rules import DEFAULT_REPLICAS
from paperspace.gradient.deployments._queries import parse_time

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from paperspace.gradient._generated.deployment_run_instance_fields import DeploymentRunInstance
    from paperspace.gradient._generated.deployment_status_fields import Deployment, DeploymentSpecData
    from paperspace.gradient._generated.newest_rollout_fields import DeploymentRun
    from paperspace.gradient.types import DeploymentStatus, ServingRevision, WatchEvent

State = Literal["pending", "ready", "stopped", "failed"]
EventType = Literal["applied", "instance", "replicas", "ready", "stopped", "failed"]

FAILED_STATES = {"errored", "failed"}


class RemainingRun(NamedTuple):
    """A run that has not ended."""

    id: str
    spec_id: str | None
    """The id of its spec. None: the server does not say."""
    replicas: int
    ready_replicas: int


def remaining_runs(rollouts: Iterable[Mapping[str, Any]]) -> list[RemainingRun]:
    """Return the runs of rollouts that have not ended, in the order of the rollouts."""
    return [
        RemainingRun(run["id"], rollout.get("deploymentSpecId"), run["replicas"] or 0, run["readyReplicas"] or 0)
        for rollout in rollouts
        for run in (rollout["deploymentRuns"] or {"nodes": ()})["nodes"]
        if run["dtDeleted"] is None
    ]


def status_of(
    deployment: Deployment, instances: Sequence[DeploymentRunInstance], remaining: Sequence[RemainingRun]
) -> DeploymentStatus:
    """Return the status of a deployment.

    Args:
        deployment: The deployment with its newest spec.
        instances: All instances of the run of that spec that are not deleted.
        remaining: The runs of any spec that have not ended, newest first. If the deployment is ready, those of the newest
            rollouts are enough.
    """
    spec = deployment["deploymentSpecs"]["nodes"][0]
    run = newest_run(deployment)
    earlier = [other for other in remaining if run is None or other.id != run["id"]]
    status: DeploymentStatus = {
        "id": deployment["id"],
        "name": deployment["name"],
        "projectId": deployment.get("projectId"),
        "dtCreated": deployment["dtCreated"],
        "image": spec["data"]["image"],
        "specId": spec["id"],
        "dtSpecCreated": spec["dtCreated"],
        "state": "pending",
        "applied": spec["externalApplied"] is not None,
        "replicas": desired_replicas(deployment),
        "readyReplicas": (run and run["readyReplicas"]) or 0,
        "serving": None,
        "endpointUrl": spec["endpointUrl"],
        "protected": _is_protected(spec["data"]),
        "error": spec["error"] or _instance_error(instances),
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
    enough = status["replicas"] if earlier else _least(deployment)
    status["state"] = _state(status, enough, runs_remain=bool(remaining))
    if status["state"] in {"pending", "failed"}:
        status["serving"] = next((_serving(run) for run in earlier if run.ready_replicas), None)
    return status


def _is_protected(data: DeploymentSpecData) -> bool | None:
    if "endpointSecurity" not in data:  # of a server without it
        return None
    security = data["endpointSecurity"]
    return security is not None and security["protected"]


def _instance_error(instances: Sequence[DeploymentRunInstance]) -> str | None:
    """Return why an instance has failed. None: none has."""
    for instance in instances:
        if instance["state"] in FAILED_STATES:
            return instance["stateMessage"] or f"instance {instance['instanceId']} is {instance['state']}"
    return None


def _serving(run: RemainingRun) -> ServingRevision:
    return {"specId": run.spec_id, "replicas": run.replicas, "readyReplicas": run.ready_replicas}


def _state(status: DeploymentStatus, enough: int, *, runs_remain: bool) -> State:
    if status["error"]:
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


def newest_run(deployment: Deployment) -> DeploymentRun | None:
    """Return the newest run of the newest spec. None: it has none yet."""
    [spec, *_] = deployment["deploymentSpecs"]["nodes"]
    for rollout in deployment["newestRollout"]["nodes"]:
        # Not every server says which spec a rollout is of. One that is older than the newest spec is of an earlier spec.
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
            # The last event says why the deployment failed.
            reason = None if instance["state"] in FAILED_STATES else instance["message"]
            message = f": {reason}" if reason else ""
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
        return failure_text(status)
    if status["state"] == "ready":
        scaling = status["readyReplicas"] < status["replicas"]
        return f"{replica_counts(status)}; autoscaling is still adding replicas" if scaling else "all replicas ready"
    return {"stopped": "stopped; no instances run"}.get(status["state"], "")


def failure_text(status: DeploymentStatus) -> str:
    """Describe that a deployment failed, why, and what still serves."""
    text = f"{status['state']}: {status['error']}"
    if not status["serving"]:
        return text
    serving = serving_text(status["serving"])
    return f"{text.rstrip('.')}. {serving[0].upper()}{serving[1:]}."


def state_text(status: DeploymentStatus) -> str:
    """Describe the state, and what serves instead of the newest spec."""
    serving = status["serving"]
    return f"{status['state']}; {serving_text(serving)}" if serving else status["state"]


def serving_text(serving: ServingRevision) -> str:
    """Describe what serves instead of the newest spec."""
    revision = f"revision {serving['specId']}" if serving["specId"] else "an earlier revision"
    return f"{revision} still serves ({serving['readyReplicas']} of {serving['replicas']} replicas ready)"


def _event(kind: EventType, message: str, status: DeploymentStatus) -> WatchEvent:
    return {"type": kind, "message": message, "status": status}
