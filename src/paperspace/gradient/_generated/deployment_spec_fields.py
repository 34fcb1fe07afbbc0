# Generated from graphql/operations/DeploymentSpecFields.graphql by scripts/regenerate; change that file and run it again.
"""The fragment `DeploymentSpecFields`: a selection of `DeploymentSpec`."""

from __future__ import annotations

from typing_extensions import TypedDict

from paperspace.gradient._generated.scalars import UUID


class DeploymentSpecResources(TypedDict):
    """The hardware of a spec, and the number of replicas."""

    instanceType: str | None
    """The machine type, such as C4, P4000 or A100. Null: the cluster selects one."""

    replicas: int
    """The number of replicas; 0 stops the deployment. 1 if the spec omits it."""


class DeploymentSpecData(TypedDict):
    """What to run. Omitted fields are null here; they run with their defaults."""

    image: str
    """The reference of the container image."""

    port: int | None
    """The port that the container listens on, 1 to 65535. Null: 80."""

    resources: DeploymentSpecResources | None
    """The hardware, and the number of replicas. Null: one replica on a machine that the cluster selects."""


class Actor(TypedDict):
    """The author of a change."""

    fullName: str | None
    """First and last name. Null: unknown."""


class DeploymentSpec(TypedDict):
    """What a deployment runs. A spec never changes; each change of the deployment adds a new spec."""

    id: UUID
    """The id."""

    data: DeploymentSpecData
    """What to run."""

    endpointUrl: str
    """The URL of the deployment's endpoint, the same for all specs and replicas."""

    actor: Actor
    """The author of the spec."""
