# Generated from graphql/schema.graphql by scripts/regenerate; change that file and run it again.
"""The input types of the schema that the operations use."""

from __future__ import annotations

from typing import NotRequired

from typing_extensions import TypedDict

from paperspace.gradient._generated.enums import Protocol
from paperspace.gradient._generated.scalars import UUID


class CreateDeploymentInput(TypedDict):
    """A deployment to create."""

    clusterId: NotRequired[str | None]
    """The id of the cluster to deploy onto. Null: the default cluster."""

    name: str
    """The human-readable name: 1 to 255 printable characters, unique in its project among the deployments that are not
    deleted.
    """

    projectId: str
    """The id of the deployment's project."""

    spec: DeploymentSpecDataInput
    """The spec to run."""


class DeleteDeploymentInput(TypedDict):
    """A deployment to delete."""

    id: UUID
    """The id of the deployment to delete."""


class DeploymentSpecAutoscalingInput(TypedDict, total=False):
    """Autoscaling: the number of replicas follows the load, between `replicas` and `maxReplicas`."""

    enabled: bool | None
    """Whether autoscaling is enabled. Null: true."""

    maxReplicas: int | None
    """The maximum number of replicas. Required, unless `enabled` is false."""

    metrics: list[DeploymentSpecAutoscalingMetricInput] | None
    """The metrics to scale by. With several, the one that proposes the most replicas applies. Null: none."""


class DeploymentSpecAutoscalingMetricInput(TypedDict, total=False):
    """A metric to scale by, and its target."""

    metric: str | None
    """The metric: `cpu`, `memory` or `requestDuration`. Required."""

    summary: str | None
    """How to combine the values of the replicas. Null: `average`, the only option."""

    value: float | None
    """The target: percent for `cpu` and `memory`, seconds for `requestDuration`. Required."""


class DeploymentSpecDataInput(TypedDict, total=False):
    """What to run. Null fields have their defaults; `image` is required."""

    command: list[str] | None
    """The command to run instead of the image's. Null: the image's command."""

    containerRegistry: str | None
    """The name of the credentials for the image's private registry. Null: the image is public."""

    enabled: bool | None
    """Whether the deployment runs. Null: true."""

    endpointSecurity: DeploymentSpecEndpointSecurityInput | None
    """Who may use the endpoint. Null: everyone. The hosted API did not have this field."""

    env: list[DeploymentSpecEnvVariableInput] | None
    """The environment variables of the container. Null: none."""

    healthChecks: DeploymentSpecHealthChecksInput | None
    """The checks of the container. Null: none. The hosted API did not have them."""

    image: str | None
    """The reference of the container image. Required, although the type allows null."""

    models: list[DeploymentSpecModelInput] | None
    """Models of the model registry to mount. Null: none."""

    port: int | None
    """The port that the container listens on, 1 to 65535. Null: 80."""

    protocol: Protocol | None
    """The protocol that the container speaks on its port. Null: http."""

    repositories: DeploymentSpecRepositoriesInput | None
    """Git repositories to clone before the container starts. Null: none."""

    resources: DeploymentSpecResourcesInput | None
    """The hardware, and the number of replicas. Null: one replica on a machine that the cluster selects."""


class DeploymentSpecEndpointSecurityInput(TypedDict):
    """Who may use the endpoint of a deployment."""

    protected: bool
    """Whether requests need the user name and the password."""

    secret: NotRequired[str | None]
    """The name of the secret with the password, of 20 to 1,024 characters. Null: the server generates one."""


class DeploymentSpecEnvVariableInput(TypedDict):
    """An environment variable."""

    name: str
    """The name."""

    value: str
    """The value."""


class DeploymentSpecHealthCheckExecInput(TypedDict):
    """A command that checks a container."""

    command: list[str]
    """The program and its arguments. No shell is involved."""


class DeploymentSpecHealthCheckHeaderInput(TypedDict):
    """A header of the request of a check."""

    name: str
    """The name."""

    value: str
    """The value."""


class DeploymentSpecHealthCheckInput(TypedDict, total=False):
    """A check of a container: an HTTP request to `path`, or a command. It passes with a status of 200 to 399, or with
    exit code 0.
    """

    exec: DeploymentSpecHealthCheckExecInput | None
    """The command to run in the container. Null: the check is an HTTP request. Exactly one of `exec` and `path` is
    required.
    """

    failureThreshold: int | None
    """The number of failures in a row after which the check has failed, 1 or more. Null: 3."""

    headers: list[DeploymentSpecHealthCheckHeaderInput] | None
    """The headers of the request. With the path and the host, they have at most 16384 characters. Null: none."""

    host: str | None
    """The `Host` header of the request. The connection is to the container, whatever it is. Null: the address of the
    container.
    """

    initialDelaySeconds: int | None
    """The seconds between the start of the container and the first check, 0 or more. Null: 0."""

    path: str | None
    """The path of the request, with its query; it starts with `/`. Null: the check is a command."""

    periodSeconds: int | None
    """The seconds between two checks, 1 or more. Null: 10."""

    port: int | None
    """The port of the request, 1 to 65535. Null: the port of the spec."""

    timeoutSeconds: int | None
    """The seconds that a check may take, 1 or more. Null: 1."""


class DeploymentSpecHealthChecksInput(TypedDict, total=False):
    """The checks of a container."""

    liveness: DeploymentSpecHealthCheckInput | None
    """If it fails, the container is restarted. Null: no check."""

    readiness: DeploymentSpecHealthCheckInput | None
    """While it fails, the replica gets no requests. Null: a replica gets requests after its first HTTP response."""

    startup: DeploymentSpecHealthCheckInput | None
    """The other checks begin when it has passed once. If it fails, the container is restarted. Null: they begin at
    once.
    """


class DeploymentSpecModelInput(TypedDict, total=False):
    """A model of the model registry, to mount into the container."""

    id: str | None
    """The id of the model. Required."""

    path: str | None
    """The mount path. Null: a folder named after the id, in the models folder."""


class DeploymentSpecRepositoriesInput(TypedDict, total=False):
    """The git repositories to clone before the container starts."""

    dataset: str | None
    """The name under which the server stores the cloned files; deployments with the same name share them. Null: each
    deployment has its own files.
    """

    mountPath: str | None
    """The folder in the container that has the cloned repositories. Null: the server chooses a folder."""

    repositories: list[DeploymentSpecRepositoryInput] | None
    """The repositories. Null: none."""


class DeploymentSpecRepositoryInput(TypedDict):
    """A git repository."""

    name: str
    """The name of the folder to clone into."""

    password: NotRequired[str | None]
    """The password or token for cloning, or a reference to a secret. Null: none."""

    ref: NotRequired[str | None]
    """The branch, tag or commit. Null: the default branch."""

    url: str
    """The URL to clone from."""

    username: NotRequired[str | None]
    """The user name for cloning. Null: none."""


class DeploymentSpecResourcesInput(TypedDict, total=False):
    """The hardware of a spec, and the number of replicas."""

    autoscaling: DeploymentSpecAutoscalingInput | None
    """Autoscaling by load. Null: always `replicas`."""

    instanceType: str | None
    """The machine type, such as C4, P4000 or A100. Null: the cluster selects one."""

    replicas: int | None
    """The number of replicas; 0 stops the deployment. Null: 1."""


class UpdateDeploymentInput(TypedDict):
    """A change of a deployment. Null fields stay unchanged."""

    clusterId: NotRequired[str | None]
    """The id of the cluster to deploy onto; a different cluster adds a new spec."""

    id: UUID
    """The id of the deployment to change."""

    name: NotRequired[str | None]
    """The new name: 1 to 255 printable characters, unique in its project among the deployments that are not deleted."""

    projectId: NotRequired[str | None]
    """The id of the project to move it to."""

    spec: NotRequired[DeploymentSpecDataInput | None]
    """The new spec, complete: omitted fields are not taken from the previous spec."""
