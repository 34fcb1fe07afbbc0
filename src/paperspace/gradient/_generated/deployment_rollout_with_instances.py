# Generated from graphql/operations/DeploymentRolloutWithInstances.graphql by scripts/regenerate; change that file and run it again.
"""The operation `DeploymentRolloutWithInstances`: its variables and the data of its response."""

from __future__ import annotations

from typing_extensions import TypedDict

from paperspace.gradient._generated.scalars import UUID
from paperspace.gradient._shared.operation import Operation


class DeploymentRollout(TypedDict):
    """The application of one spec of a deployment."""

    id: UUID
    """The id."""


class DeploymentRolloutConnection(TypedDict):
    """A page of rollouts."""

    nodes: list[DeploymentRollout]
    """The items of this page."""


class Deployment(TypedDict):
    """A deployment: containers that host a model and serve inferences, behind one endpoint."""

    id: UUID
    """The id."""

    deploymentRollouts: DeploymentRolloutConnection
    """The rollouts, newest first: one for each spec that was applied."""


class DeploymentRolloutWithInstancesResult(TypedDict):
    """The data of the response to `DeploymentRolloutWithInstances`."""

    deployment: Deployment | None
    """A deployment by id. Null: no deployment has this id, or it is deleted."""


class DeploymentRolloutWithInstancesVariables(TypedDict):
    """The variables of `DeploymentRolloutWithInstances`."""

    id: UUID


DEPLOYMENT_ROLLOUT_WITH_INSTANCES = Operation(
    "DeploymentRolloutWithInstances",
    DeploymentRolloutWithInstancesVariables,
    DeploymentRolloutWithInstancesResult,
)
