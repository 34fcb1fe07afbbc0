# Generated from graphql/schema.graphql by scripts/regenerate; change that file and run it again.
"""What the operations take: the input types of the schema."""

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
    """The id of the project that it belongs to."""

    spec: DeploymentSpecDataInput
    """The spec to run."""


class DeleteDeploymentInput(TypedDict):
    """A deployment to delete."""

    id: UUID
    """The id of the deployment to delete."""


class DeploymentSpecAutoscalingInput(TypedDict, total=False):
    """How replicas are added and taken away by load, between `replicas` and `maxReplicas`."""

    enabled: bool | None
    """Whether it is in force. Null: true."""

    maxReplicas: int | None
    """How many replicas at most. Needed."""

    metrics: list[DeploymentSpecAutoscalingMetricInput] | None
    """The measures to scale by; of several, the highest proposal wins. Null: none."""


class DeploymentSpecAutoscalingMetricInput(TypedDict, total=False):
    """A measure to scale by, and its target."""

    metric: str | None
    """What is measured: `cpu`, `memory` or `requestDuration`. Needed."""

    summary: str | None
    """How the replicas' figures are combined. Null: `average`, the one there is."""

    value: float | None
    """The target: per cent of 100 for `cpu` and `memory`, seconds for `requestDuration`. Needed."""


class DeploymentSpecDataInput(TypedDict, total=False):
    """What to run. What is null is left to the defaults, apart from `image`, which the server demands."""

    command: list[str] | None
    """The command to run, in place of the image's own. Null: the image's own."""

    containerRegistry: str | None
    """The name of the credentials for the image's private registry. Null: the image is public."""

    enabled: bool | None
    """Whether it is to run at all. Null: true."""

    env: list[DeploymentSpecEnvVariableInput] | None
    """The environment variables of the container. Null: none."""

    image: str | None
    """The reference of the container image. Needed, though the type does not say so."""

    models: list[DeploymentSpecModelInput] | None
    """Models of the model registry to mount. Null: none."""

    port: int | None
    """The port that the container listens on, 1 to 65535. Null: 80."""

    protocol: Protocol | None
    """The protocol that the container speaks on its port. Null: http."""

    repositories: DeploymentSpecRepositoriesInput | None
    """Git repositories to clone before the start. Null: none."""

    resources: DeploymentSpecResourcesInput | None
    """The hardware to run on, and how many replicas. Null: one replica on a machine of the cluster's choice."""


class DeploymentSpecEnvVariableInput(TypedDict):
    """An environment variable."""

    name: str
    """Its name."""

    value: str
    """Its value."""


class DeploymentSpecModelInput(TypedDict, total=False):
    """A model of the model registry, to mount into the container."""

    id: str | None
    """The id of the model. Needed."""

    path: str | None
    """Where to mount it. Null: under the id, in the models folder."""


class DeploymentSpecRepositoriesInput(TypedDict, total=False):
    """The git repositories to clone before the start."""

    dataset: str | None
    """The dataset to clone them into. Null: the container's own disk."""

    mountPath: str | None
    """The folder to clone them under. Null: the repositories folder."""

    repositories: list[DeploymentSpecRepositoryInput] | None
    """The repositories. Null: none."""


class DeploymentSpecRepositoryInput(TypedDict):
    """A git repository."""

    name: str
    """The name of the folder that it is cloned into."""

    password: NotRequired[str | None]
    """The secret to clone with: a password or a token, or a reference to one. Null: none."""

    ref: NotRequired[str | None]
    """The branch, tag or commit. Null: the default branch."""

    url: str
    """The URL to clone from."""

    username: NotRequired[str | None]
    """The user to clone as. Null: nobody."""


class DeploymentSpecResourcesInput(TypedDict, total=False):
    """The hardware that a spec runs on, and how many replicas of it."""

    autoscaling: DeploymentSpecAutoscalingInput | None
    """How replicas are added and taken away by load. Null: always `replicas`."""

    instanceType: str | None
    """The machine type, such as C4, P4000 or A100. Null: the cluster chooses."""

    replicas: int | None
    """How many replicas to run, 0 to stop the deployment. Null: 1."""


class UpdateDeploymentInput(TypedDict):
    """A change of a deployment. What is null stays as it is."""

    clusterId: NotRequired[str | None]
    """The id of the cluster to deploy onto from now on; makes a new spec."""

    id: UUID
    """The id of the deployment to change."""

    name: NotRequired[str | None]
    """The new name: 1 to 255 printable characters, unique in its project among the deployments that are not deleted."""

    projectId: NotRequired[str | None]
    """The id of the project to move it to."""

    spec: NotRequired[DeploymentSpecDataInput | None]
    """The new spec, whole: what it leaves out is not taken from the earlier one."""
