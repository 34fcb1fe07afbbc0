"""What the functions take and return: the shapes of the plain dicts, for editors and type checkers.

They are made from the GraphQL schema and named here; `tests/test_types.py` ties the two. Every dict is an ordinary
`dict`: these names are for annotations.

    from paperspace.gradient.types import Deployment

    def image(deployment: Deployment) -> str:
        return deployment["deploymentSpecs"]["nodes"][0]["data"]["image"]
"""

from __future__ import annotations

from collections.abc import Iterable  # noqa: TC003  # tools evaluate the annotations
from typing import Literal

from typing_extensions import TypedDict

from paperspace.gradient._generated.deployment_create import Deployment as DeploymentRef
from paperspace.gradient._generated.deployment_log_lines import DeploymentLogLine as LogLine
from paperspace.gradient._generated.deployment_revision_fields import Cluster
from paperspace.gradient._generated.deployment_revision_fields import DeploymentSpec as _Revision
from paperspace.gradient._generated.deployment_spec_fields import Actor, DeploymentSpec, DeploymentSpecData
from paperspace.gradient._generated.deployment_spec_fields import DeploymentSpecResources as DeploymentResources
from paperspace.gradient._generated.enums import Protocol
from paperspace.gradient._generated.inputs import DeploymentSpecAutoscalingInput as AutoscalingInput
from paperspace.gradient._generated.inputs import DeploymentSpecAutoscalingMetricInput as AutoscalingMetricInput
from paperspace.gradient._generated.inputs import DeploymentSpecDataInput as DeploymentSpecInput
from paperspace.gradient._generated.inputs import DeploymentSpecEnvVariableInput as EnvVariableInput
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
    "DeploymentRef",
    "DeploymentResources",
    "DeploymentResourcesInput",
    "DeploymentRevision",
    "DeploymentSpec",
    "DeploymentSpecData",
    "DeploymentSpecInput",
    "DeploymentSpecs",
    "DeploymentStatus",
    "EnvVariableInput",
    "InstanceStatus",
    "LogLine",
    "ModelInput",
    "Protocol",
    "RepositoriesInput",
    "RepositoryInput",
    "SpecChange",
    "SpecDifference",
]


class DeploymentSpecs(TypedDict):
    """The specs of a deployment, all of them."""

    nodes: list[DeploymentSpec]
    """The specs, newest first: the first is the one to run, the others are its history."""


class Deployment(TypedDict):
    """A deployment, as `list_deployments` and `get_deployment` return it."""

    id: str
    """The id."""

    name: str
    """The human-readable name, unique in its project among the deployments that are not deleted."""

    deploymentSpecs: DeploymentSpecs
    """Its specs, newest first."""


class SpecChange(TypedDict):
    """A place at which two specs differ."""

    path: str
    """The place, such as `resources.replicas` or `env.NAME`."""

    before: object
    """What is said there before. None: nothing."""

    after: object
    """What is said there afterwards. None: nothing."""


class SpecDifference(TypedDict):
    """How two specs differ in what they mean."""

    changes: list[SpecChange]
    """The places at which they differ; none where they mean the same."""

    text: str
    """The same to be read, a line for each place."""


class AppliedDeployment(TypedDict):
    """What `apply_deployment` did, or would do."""

    id: str | None
    """The id of the deployment. None: it is yet to be created, in a dry run."""

    action: Literal["created", "updated", "unchanged"]
    """What was done."""

    difference: SpecDifference
    """What that changed."""


class DeploymentRevision(_Revision):
    """A spec in the history of its deployment."""

    difference: SpecDifference
    """What it changed of the one before."""


class InstanceStatus(TypedDict):
    """How one replica is doing."""

    name: str | None
    """The name that the cluster knows it by, and its log. None: it is not placed yet."""

    phase: str | None
    """The phase of its container, such as `Running`. None: not known yet."""

    state: str | None
    """How it is doing, such as `healthy`. None: not known yet."""

    message: str | None
    """What is to be said about its state. None: nothing."""


class DeploymentStatus(TypedDict):
    """How a deployment is doing, by its newest spec and that spec's own run."""

    id: str
    """The id of the deployment."""

    name: str
    """Its name."""

    dtCreated: str
    """When it was created, in ISO 8601."""

    specId: str
    """The id of its newest spec."""

    image: str
    """The container image of that spec."""

    state: Literal["pending", "ready", "stopped", "failed"]
    """What it has come to: `ready` with all its replicas, `stopped` with none and none to come."""

    applied: bool
    """Whether the cluster has taken the newest spec over."""

    replicas: int
    """How many replicas there are to be."""

    readyReplicas: int
    """How many of them are ready to serve."""

    endpointUrl: str
    """The URL that it answers at."""

    error: str | None
    """Why the newest spec could not be applied. None: nothing went wrong."""

    instances: list[InstanceStatus]
    """The replicas of the newest spec that are there."""


class DeploymentEvent(TypedDict):
    """Something that happened to a deployment while it was watched."""

    type: Literal["applied", "instance", "replicas", "ready", "stopped", "failed"]
    """What happened. The last three end the watch."""

    message: str
    """The same, to be read."""

    status: DeploymentStatus
    """How the deployment is doing now."""


class ClientOptions(TypedDict, total=False):
    """The options of `Client`, `AsyncClient` and `configure`. All of them are optional."""

    timeout: float
    """Seconds for a whole call with its retries; each page of a list has as many. Default: 30."""

    max_retries: int
    """Retries after the first attempt. Default: 5."""

    max_response_bytes: int
    """The largest response in bytes, decompressed. Default: 32 MiB."""

    allow_http_hosts: Iterable[str]
    """Hosts to which the API key may be sent over plain http. Loopback addresses are always allowed. Default: none."""
