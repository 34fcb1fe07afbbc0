# Generated from graphql/operations/DeploymentSpecDataFields.graphql by scripts/regenerate; change that file and run it again.
"""The fragment `DeploymentSpecDataFields`: a selection of `DeploymentSpecData`."""

from __future__ import annotations

from typing_extensions import TypedDict

from paperspace.gradient._generated.enums import Protocol


class DeploymentSpecEnvVariable(TypedDict):
    """An environment variable."""

    name: str
    """Its name."""

    value: str
    """Its value."""


class DeploymentSpecModel(TypedDict):
    """A model of the model registry, mounted into the container."""

    id: str
    """The id of the model."""

    path: str | None
    """Where to mount it. Null: under the id, in the models folder."""


class DeploymentSpecRepository(TypedDict):
    """A git repository."""

    name: str
    """The name of the folder that it is cloned into."""

    url: str
    """The URL to clone from."""

    ref: str | None
    """The branch, tag or commit. Null: the default branch."""

    username: str | None
    """The user to clone as. Null: nobody."""

    password: str | None
    """The secret to clone with: a password or a token, or a reference to one. Null: none."""


class DeploymentSpecRepositories(TypedDict):
    """The git repositories to clone before the start."""

    dataset: str | None
    """The dataset to clone them into. Null: the container's own disk."""

    mountPath: str | None
    """The folder to clone them under. Null: the repositories folder."""

    repositories: list[DeploymentSpecRepository] | None
    """The repositories. Null: none."""


class DeploymentSpecAutoscalingMetricObject(TypedDict):
    """A measure to scale by, and its target."""

    metric: str
    """What is measured: `cpu`, `memory` or `requestDuration`."""

    summary: str
    """How the replicas' figures are combined: `average`."""

    value: float
    """The target: per cent of 100 for `cpu` and `memory`, seconds for `requestDuration`."""


class DeploymentSpecAutoscaling(TypedDict):
    """How replicas are added and taken away by load, between `replicas` and `maxReplicas`. Scaling down looks back 5
    minutes.
    """

    enabled: bool | None
    """Whether it is in force. Null: true."""

    maxReplicas: int
    """How many replicas at most."""

    metrics: list[DeploymentSpecAutoscalingMetricObject]
    """The measures to scale by; of several, the highest proposal wins."""


class DeploymentSpecResources(TypedDict):
    """The hardware that a spec runs on, and how many replicas of it."""

    instanceType: str | None
    """The machine type, such as C4, P4000 or A100. Null: the cluster chooses."""

    replicas: int
    """How many replicas to run, 0 to stop the deployment. 1 where the spec did not say."""

    autoscaling: DeploymentSpecAutoscaling | None
    """How replicas are added and taken away by load. Null: always `replicas`."""


class DeploymentSpecData(TypedDict):
    """What to run. Defaults say how a spec runs; what was left out reads back as null."""

    image: str
    """The reference of the container image."""

    port: int | None
    """The port that the container listens on, 1 to 65535. Null: 80."""

    command: list[str] | None
    """The command to run, in place of the image's own. Null: the image's own."""

    containerRegistry: str | None
    """The name of the credentials for the image's private registry. Null: the image is public."""

    enabled: bool | None
    """Whether it is to run at all. Null: true."""

    env: list[DeploymentSpecEnvVariable] | None
    """The environment variables of the container. Null: none."""

    models: list[DeploymentSpecModel] | None
    """Models of the model registry to mount. Null: none."""

    protocol: Protocol | str | None
    """The protocol that the container speaks on its port. Null: http."""

    repositories: DeploymentSpecRepositories | None
    """Git repositories to clone before the start. Null: none."""

    resources: DeploymentSpecResources | None
    """The hardware to run on, and how many replicas. Null: one replica on a machine of the cluster's choice."""
