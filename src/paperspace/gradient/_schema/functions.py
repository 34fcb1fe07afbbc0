"""The functions that need each operation.

An argument in parentheses says that only calls with this argument need it. What explains an error is not listed: the
look-up after a rejected create or update, and the logs and events of a deployment whose wait failed. If it cannot be read,
the error is raised without it.
"""

from __future__ import annotations

_REVISE = (
    "patch_deployment",
    "restart_deployment",
    "rollback_deployment",
    "scale_deployment",
    "start_deployment",
    "stop_deployment",
)
_STATUS = (
    "wait_for_deployment",
    "apply_deployment(wait=True)",
    "create_deployment(wait=True)",
    "update_deployment(wait=True)",
    *(f"{function}(wait=True)" for function in _REVISE),
    "get_deployment_logs(follow=True)",
    "get_deployment_status",
    "list_deployment_statuses",
    "watch_deployment",
)
_GET_COMMAND = ("gradient deployments get",)

FUNCTIONS: dict[str, tuple[str, ...]] = {
    "Deployment": ("get_deployment", "iter_deployments", "list_deployments"),
    "DeploymentCreate": ("create_deployment", "apply_deployment"),
    "DeploymentCreated": ("create_deployment", "apply_deployment"),
    "DeploymentDelete": ("delete_deployment",),
    "DeploymentDetails": _GET_COMMAND,
    "DeploymentEvents": ("get_deployment_events", "gradient deployments events"),
    "DeploymentHistory": (*_REVISE, "get_deployment_history", "get_deployment_spec", "iter_deployment_history"),
    "DeploymentLogLines": ("get_deployment_logs",),
    "DeploymentLogs": ("get_deployment_logs",),
    "DeploymentMetrics": ("get_deployment_metrics", "gradient deployments top"),
    "DeploymentRuns": (*_GET_COMMAND, *_STATUS),
    "DeploymentStatus": _STATUS,
    "DeploymentStatuses": ("list_deployment_statuses",),
    "DeploymentUpdate": ("update_deployment", "apply_deployment", *_REVISE),
    "Deployments": (
        "iter_deployments",
        "list_deployments",
        "update_deployment",
        "any call with name= in place of an id",
    ),
    "DeploymentsCurrent": ("apply_deployment", "diff_deployment"),
    "DeploymentsMetrics": ("gradient deployments top",),
}

# Operations that a server may reject: the functions then run others, which are listed above.
OPTIONAL = {"DeploymentRolloutsWithInstances", "DeploymentStatusesOnCluster", "DeploymentsOnCluster"}

# Operations that the hosted API did not have: with such a server, their functions raise an error that says so.
ADDED = {"DeploymentEvents", "DeploymentMetrics", "DeploymentsMetrics"}

# Fields of inputs that the hosted API did not have: with such a server, a spec that has one is refused.
ADDED_INPUTS = {"DeploymentSpecDataInput.endpointSecurity", "DeploymentSpecDataInput.healthChecks"}
