# Generated from graphql/operations/DeploymentRevisionFields.graphql by scripts/regenerate; change that file and run it again.
"""The fragment `DeploymentRevisionFields`: a selection of `DeploymentSpec`."""

from __future__ import annotations

from typing_extensions import TypedDict

from paperspace.gradient._generated.deployment_spec_data_fields import DeploymentSpecData
from paperspace.gradient._generated.scalars import UUID, DateTime


class Cluster(TypedDict):
    """A cluster: the machines that deployments run on."""

    id: str
    """The id."""


class Actor(TypedDict):
    """The author of a change."""

    fullName: str | None
    """First and last name. Null: unknown."""


class DeploymentSpec(TypedDict):
    """What a deployment runs. A spec never changes; each change of the deployment adds a new spec."""

    id: UUID
    """The id."""

    dtCreated: DateTime
    """When the spec was created."""

    cluster: Cluster | None
    """The cluster to run on. Null: the cluster no longer exists."""

    actor: Actor
    """The author of the spec."""

    data: DeploymentSpecData
    """What to run."""
