# Generated from graphql/operations/DeploymentRolloutFields.graphql by scripts/regenerate; change that file and run it again.
"""The fragment `DeploymentRolloutFields`: a selection of `DeploymentRollout`."""

from __future__ import annotations

from typing_extensions import TypedDict

from paperspace.gradient._generated.added_rollout_fields import DeploymentRollout as AddedRolloutFields
from paperspace.gradient._generated.scalars import UUID, DateTime


class DeploymentRun(TypedDict):
    """The instances of one spec."""

    id: UUID
    """The id."""

    dtDeleted: DateTime | None
    """When the last instance was removed. Null: the run has instances, or can still get some."""

    replicas: int | None
    """The number of instances, or how many autoscaling has decided on if that is more. Null: not known yet."""

    readyReplicas: int | None
    """The number of instances that are ready to serve. Null: not known yet."""


class DeploymentRunConnection(TypedDict):
    """A page of runs."""

    nodes: list[DeploymentRun]
    """The items of this page."""


class DeploymentRollout(AddedRolloutFields):
    """The application of one spec of a deployment."""

    id: UUID
    """The id."""

    deploymentRuns: DeploymentRunConnection | None
    """The runs, newest first. Empty if there was nothing to run."""
