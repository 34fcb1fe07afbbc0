# Generated from graphql/operations/DeploymentRolloutsWithInstances.graphql by scripts/regenerate; change that file and run it again.
"""The operation `DeploymentRolloutsWithInstances`: its variables and the data of its response."""

from __future__ import annotations

from typing_extensions import TypedDict

from paperspace.gradient._generated.deployment_rollout_fields import DeploymentRollout
from paperspace.gradient._generated.scalars import UUID
from paperspace.gradient._shared.operation import Operation


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


class DeploymentRolloutsWithInstancesResult(TypedDict):
    """The data of the response to `DeploymentRolloutsWithInstances`."""

    deployment: Deployment | None
    """A deployment by id. Null: no deployment has this id, or it is deleted."""


class DeploymentRolloutsWithInstancesVariables(TypedDict):
    """The variables of `DeploymentRolloutsWithInstances`."""

    id: UUID


DEPLOYMENT_ROLLOUTS_WITH_INSTANCES = Operation(
    "DeploymentRolloutsWithInstances",
    DeploymentRolloutsWithInstancesVariables,
    DeploymentRolloutsWithInstancesResult,
)
