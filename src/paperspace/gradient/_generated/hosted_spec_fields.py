# Generated from graphql/operations/HostedSpecFields.graphql by scripts/regenerate; change that file and run it again.
"""The fragment `HostedSpecFields`: a selection of `DeploymentSpecData`."""

from __future__ import annotations

from typing_extensions import TypedDict

from paperspace.gradient._generated.enums import Protocol


class DeploymentSpecEnvVariable(TypedDict):
    """An environment variable."""

    name: str
    """The name."""

    value: str
    """The value."""


class DeploymentSpecModel(TypedDict):
    """A model of the model registry, mounted into the container."""

    id: str
    """The id of the model."""

    path: str | None
    """The mount path. Null: a folder named after the id, in the models folder."""


class DeploymentSpecRepository(TypedDict):
    """A git repository."""

    name: str
    """The name of the folder to clone into."""

    url: str
    """The URL to clone from."""

    ref: str | None
    """The branch, tag or commit. Null: the default branch."""

    username: str | None
    """The user name for cloning. Null: none."""

    password: str | None
    """The password or token for cloning, or a reference to a secret. Null: none."""


class DeploymentSpecRepositories(TypedDict):
    """The git repositories to clone before the container starts."""

    dataset: str | None
    """The name under which the server stores the cloned files; deployments with the same name share them. Null: each
    deployment has its own files.
    """

    mountPath: str | None
    """The folder in the container that has the cloned repositories. Null: the server chooses a folder."""

    repositories: list[DeploymentSpecRepository] | None
    """The repositories. Null: none."""


class DeploymentSpecAutoscalingMetricObject(TypedDict):
    """A metric to scale by, and its target."""

    metric: str
    """The metric: `cpu`, `memory` or `requestDuration`."""

    summary: str
    """How to combine the values of the replicas: `average`."""

    value: float
    """The target: percent for `cpu` and `memory`, seconds for `requestDuration`."""


class DeploymentSpecAutoscaling(TypedDict):
    """Autoscaling: the number of replicas follows the load, between `replicas` and `maxReplicas`. Scaling down
    considers the last 5 minutes.
    """

    enabled: bool | None
    """Whether autoscaling is enabled. Null: true."""

    maxReplicas: int
    """The maximum number of replicas. 1 if the spec omits it, which it may if `enabled` is false."""

    metrics: list[DeploymentSpecAutoscalingMetricObject]
    """The metrics to scale by. With several, the one that proposes the most replicas applies."""


class DeploymentSpecResources(TypedDict):
    """The hardware of a spec, and the number of replicas."""

    instanceType: str | None
    """The machine type, such as C4, P4000 or A100. Null: the cluster selects one."""

    replicas: int
    """The number of replicas; 0 stops the deployment. 1 if the spec omits it."""

    autoscaling: DeploymentSpecAutoscaling | None
    """Autoscaling by load. Null: always `replicas`."""


class DeploymentSpecData(TypedDict):
    """What to run. Omitted fields are null here; they run with their defaults."""

    image: str
    """The reference of the container image."""

    port: int | None
    """The port that the container listens on, 1 to 65535. Null: 80."""

    command: list[str] | None
    """The command to run instead of the image's. Null: the image's command."""

    containerRegistry: str | None
    """The name of the credentials for the image's private registry. Null: the image is public."""

    enabled: bool | None
    """Whether the deployment runs. Null: true."""

    env: list[DeploymentSpecEnvVariable] | None
    """The environment variables of the container. Null: none."""

    models: list[DeploymentSpecModel] | None
    """Models of the model registry to mount. Null: none."""

    protocol: Protocol | str | None
    """The protocol that the container speaks on its port. Null: http."""

    repositories: DeploymentSpecRepositories | None
    """Git repositories to clone before the container starts. Null: none."""

    resources: DeploymentSpecResources | None
    """The hardware, and the number of replicas. Null: one replica on a machine that the cluster selects."""
