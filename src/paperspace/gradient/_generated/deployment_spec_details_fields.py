# Generated from graphql/operations/DeploymentSpecDetailsFields.graphql by scripts/regenerate; change that file and run it again.
"""The fragment `DeploymentSpecDetailsFields`: a selection of `DeploymentSpec`."""

from __future__ import annotations

from typing_extensions import TypedDict

from paperspace.gradient._generated.deployment_spec_data_fields import DeploymentSpecData
from paperspace.gradient._generated.scalars import UUID, DateTime


class Actor(TypedDict):
    """The author of a change."""

    avatarUrl: str | None
    """The URL of a picture. Null: no picture."""

    fullName: str | None
    """First and last name. Null: unknown."""


class Cluster(TypedDict):
    """A cluster: the machines that deployments run on."""

    id: str
    """The id."""


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

    cluster: Cluster | None
    """The cluster to run on. Null: the cluster no longer exists."""

    dtCreated: DateTime
    """When the spec was created."""

    externalApplied: DateTime | None
    """When the cluster applied the spec. Null: not applied."""

    error: str | None
    """Why the spec could not be applied. Null: no error."""
