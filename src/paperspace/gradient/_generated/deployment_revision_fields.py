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
    """Somebody who did something."""

    fullName: str | None
    """First and last name. Null: not known."""


class DeploymentSpec(TypedDict):
    """What a deployment is to run, as it was given at one moment. A spec never changes; each change makes a new one."""

    id: UUID
    """The id."""

    dtCreated: DateTime
    """When it was made."""

    cluster: Cluster | None
    """The cluster that it is for. Null: the cluster is not known any more."""

    actor: Actor
    """Who made this spec."""

    data: DeploymentSpecData
    """What to run."""
