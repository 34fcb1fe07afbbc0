"""Types of what the functions take and return, for annotations, editors and type checkers.

At run time, everything is a plain `dict`. Most types are generated from the GraphQL schema and only named here;
`tests/test_types.py` compares both.

    from paperspace.gradient.types import Deployment

    def image(deployment: Deployment) -> str:
        return deployment["deploymentSpecs"]["nodes"][0]["data"]["image"]
"""

from __future__ import annotations

from collections.abc import Iterable  # noqa: TC003  # tools evaluate the annotations
from typing import Literal

from typing_extensions import TypedDict

from paperspace.gradient._generated.deployment_delete import Deployment as DeploymentRef
from paperspace.gradient._generated.deployment_events import DeploymentEvent
from paperspace.gradient._generated.deployment_log_lines import DeploymentLogLine as LogLine
from paperspace.gradient._generated.deployment_metrics_fields import DeploymentMetrics
from paperspace.gradient._generated.deployment_revision_fields import Cluster
from paperspace.gradient._generated.deployment_revision_fields import DeploymentSpec as _Revision
from paperspace.gradient._generated.deployment_spec_fields import Actor, DeploymentSpec, DeploymentSpecData
from paperspace.gradient._generated.deployment_spec_fields import DeploymentSpecResources as DeploymentResources
from paperspace.gradient._generated.enums import Protocol
from paperspace.gradient._generated.inputs import DeploymentSpecAutoscalingInput as AutoscalingInput
from paperspace.gradient._generated.inputs import DeploymentSpecAutoscalingMetricInput as AutoscalingMetricInput
from paperspace.gradient._generated.inputs import DeploymentSpecDataInput as DeploymentSpecInput
from paperspace.gradient._generated.inputs import DeploymentSpecEndpointSecurityInput as EndpointSecurityInput
from paperspace.gradient._generated.inputs import DeploymentSpecEnvVariableInput as EnvVariableInput
from paperspace.gradient._generated.inputs import DeploymentSpecHealthCheckExecInput as HealthCheckExecInput
from paperspace.gradient._generated.inputs import DeploymentSpecHealthCheckHeaderInput as HealthCheckHeaderInput
from paperspace.gradient._generated.inputs import DeploymentSpecHealthCheckInput as HealthCheckInput
from paperspace.gradient._generated.inputs import DeploymentSpecHealthChecksInput as HealthChecksInput
from paperspace.gradient._generated.inputs import DeploymentSpecModelInput as ModelInput
from paperspace.gradient._generated.inputs import DeploymentSpecRepositoriesInput as RepositoriesInput
from paperspace.gradient._generated.inputs import DeploymentSpecRepositoryInput as RepositoryInput
from paperspace.gradient._generated.inputs import DeploymentSpecResourcesInput as DeploymentResourcesInput

__all__ = [
    "Actor",
    "AppliedDeployment",
    "AutoscalingInput",
    "AutoscalingMetricInput",
    "ClientOptions",
    "Cluster",
    "Deployment",
    "DeploymentEvent",
    "DeploymentMetrics",
    "DeploymentRef",
    "DeploymentResources",
    "DeploymentResourcesInput",
    "DeploymentRevision",
    "DeploymentSpec",
    "DeploymentSpecData",
    "DeploymentSpecInput",
    "DeploymentSpecs",
    "DeploymentStatus",
    "EndpointSecurityInput",
    "EnvVariableInput",
    "HealthCheckExecInput",
    "HealthCheckHeaderInput",
    "HealthCheckInput",
    "HealthChecksInput",
    "InstanceStatus",
    "LogLine",
    "ModelInput",
    "NamedSpec",
    "PlannedDeployment",
    "Protocol",
    "RepositoriesInput",
    "RepositoryInput",
    "RevisedDeployment",
    "ServingRevision",
    "SpecChange",
    "SpecDifference",
    "WatchEvent",
]


class DeploymentSpecs(TypedDict):
    """All specs of a deployment."""

    nodes: list[DeploymentSpec]
    """The specs, newest first. The first is the one to run; the others are the history."""


class Deployment(TypedDict):
    """A deployment, as `list_deployments` and `get_deployment` return it."""

    id: str
    """The id, a UUID."""

    name: str
    """The name, unique among the deployments of its project that are not deleted."""

    deploymentSpecs: DeploymentSpecs
    """All its specs, newest first."""


class SpecChange(TypedDict):
    """One field in which two specs differ."""

    path: str
    """The path of the field, such as `resources.replicas` or `env.NAME`."""

    before: object
    """The value before; `(hidden)` in place of a secret. None: not set."""

    after: object
    """The value afterwards; `(hidden)` in place of a secret. None: not set."""


class SpecDifference(TypedDict):
    """The difference between two specs, compared by their meaning."""

    changes: list[SpecChange]
    """The fields that differ. Empty if both specs mean the same."""

    text: str
    """The same changes as text, one line each."""


class RevisedDeployment(TypedDict):
    """The result of a function that changes parts of a spec: the deployment and its revision."""

    id: str
    """The id of the deployment."""

    specId: str
    """The id of the spec that the call added; if nothing had to change, of the newest spec."""


class AppliedDeployment(TypedDict):
    """The result of `apply_deployment`: what it did."""

    id: str
    """The id of the deployment."""

    specId: str
    """The id of the spec that the call added; if it changed nothing, of the newest spec."""

    action: Literal["created", "updated", "unchanged"]
    """The action."""

    difference: SpecDifference
    """The difference between the spec before the call and the spec after it."""


class PlannedDeployment(TypedDict):
    """The result of `apply_deployment` in a dry run: what it would do."""

    id: str | None
    """The id of the deployment. None: it does not exist."""

    specId: str | None
    """The id of its newest spec. None: as for `id`."""

    action: Literal["created", "updated", "unchanged"]
    """The action."""

    difference: SpecDifference
    """The difference between the newest spec and the desired one."""


class NamedSpec(TypedDict):
    """A spec file, as `load_specs` returns it: the spec, and the deployment that it describes."""

    path: str
    """The path of the file."""

    name: str
    """The name of the deployment, as the file sets it."""

    projectId: str
    """The id of the project: the argument of `load_specs`, or what the file sets."""

    spec: DeploymentSpecInput
    """The spec."""


class DeploymentRevision(_Revision):
    """A revision: a spec in the history of its deployment, as `get_deployment_history` returns it."""

    difference: SpecDifference
    """The difference to the revision before."""


class InstanceStatus(TypedDict):
    """The status of an instance: one running container of a deployment."""

    name: str | None
    """The name of the instance in the cluster, and of its log. None: not scheduled yet."""

    phase: str | None
    """The phase of the container, such as `Running`. None: not known yet."""

    state: str | None
    """The state of the instance, such as `healthy`. None: not known yet."""

    message: str | None
    """The reason for the state. None: no reason is known."""


class ServingRevision(TypedDict):
    """An earlier revision that still serves, because the newest one is not ready or has failed."""

    specId: str | None
    """The id of its spec. None: the server does not say, like the hosted API."""

    replicas: int
    """The number of its instances."""

    readyReplicas: int
    """The number of its instances that are ready."""


class DeploymentStatus(TypedDict):
    """The status of a deployment: that of its newest spec."""

    id: str
    """The id of the deployment."""

    name: str
    """The name of the deployment."""

    projectId: str | None
    """The id of its project. None: the server does not say it. The hosted API did not."""

    dtCreated: str
    """When the deployment was created, in ISO 8601."""

    specId: str
    """The id of the newest spec."""

    dtSpecCreated: str
    """When the newest spec was created, in ISO 8601."""

    image: str
    """The container image of the newest spec."""

    state: Literal["pending", "ready", "stopped", "failed"]
    """`ready`: all replicas are ready, possibly except those that autoscaling adds. `stopped`: 0 replicas, and nothing runs
    any more. `failed`: the spec could not be applied, or an instance failed. `pending`: all other cases."""

    applied: bool
    """Whether the newest spec is applied to the cluster."""

    replicas: int
    """The desired number of replicas after autoscaling, plus the replicas that are being removed but still run."""

    readyReplicas: int
    """The number of replicas that are ready to serve."""

    serving: ServingRevision | None
    """The earlier revision that still serves, if the state is `pending` or `failed`. None: none does."""

    endpointUrl: str
    """The URL of the endpoint of the deployment."""

    protected: bool | None
    """Whether the newest spec protects the endpoint: requests need a user name and a password. None: the server does not say it."""

    error: str | None
    """Why the deployment failed: the error of the newest spec, or the message of an instance. None: it has not failed."""

    instances: list[InstanceStatus]
    """The instances of the newest spec that are not deleted."""


class WatchEvent(TypedDict):
    """An event of `watch_deployment`."""

    type: Literal["applied", "instance", "replicas", "ready", "stopped", "failed"]
    """`applied`: the newest spec is applied. `instance`: the state of an instance changed. `replicas`: the number of ready
    or desired replicas changed. `ready`, `stopped` and `failed` are the last event, and name the state of the deployment."""

    message: str
    """A description of the event."""

    status: DeploymentStatus
    """The status of the deployment after the event."""


class ClientOptions(TypedDict, total=False):
    """The options of `Client`, `AsyncClient` and `configure`. All of them are optional."""

    timeout: float
    """Seconds for a whole call with its retries; for a list, the timeout applies to each page separately. Default: 30."""

    max_retries: int
    """Retries after the first attempt. Default: 5."""

    max_response_bytes: int
    """The largest response in bytes, decompressed. Default: 32 MiB."""

    allow_http_hosts: Iterable[str]
    """Hosts to which the API key may be sent over plain http. Loopback addresses are always allowed. Default: none."""

    max_poll_interval: float
    """Seconds between two polls of a wait or a log, at most; they are shorter at first. Default:
    `PAPERSPACE_MAX_POLL_INTERVAL`, or 5."""
