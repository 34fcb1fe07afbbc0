# Generated from graphql/operations/DeploymentSpecFields.graphql by scripts/regenerate; change that file and run it again.
"""The fragment `DeploymentSpecFields`: a selection of `DeploymentSpec`."""

from __future__ import annotations

from typing_extensions import TypedDict

from paperspace.gradient._generated.scalars import UUID


class DeploymentSpecResources(TypedDict):
    """The hardware that a spec runs on, and how many replicas of it."""

    instanceType: str | None
    """The machine type, such as C4, P4000 or A100. Null: the cluster chooses."""

    replicas: int
    """How many replicas to run, 0 to stop the deployment. 1 where the spec did not say."""


class DeploymentSpecData(TypedDict):
    """What to run. Defaults say how a spec runs; what was left out reads back as null."""

    image: str
    """The reference of the container image."""

    port: int | None
    """The port that the container listens on, 1 to 65535. Null: 80."""

    resources: DeploymentSpecResources | None
    """The hardware to run on, and how many replicas. Null: one replica on a machine of the cluster's choice."""


class Actor(TypedDict):
    """Somebody who did something."""

    fullName: str | None
    """First and last name. Null: not known."""


class DeploymentSpec(TypedDict):
    """What a deployment is to run, as it was given at one moment. A spec never changes; each change makes a new one."""

    id: UUID
    """The id."""

    data: DeploymentSpecData
    """What to run."""

    endpointUrl: str
    """The URL that the deployment answers at: one for the deployment, in front of all its replicas."""

    actor: Actor
    """Who made this spec."""
