# Generated from graphql/operations/NewestRolloutFields.graphql by scripts/regenerate; change that file and run it again.
"""The fragment `NewestRolloutFields`: a selection of `Deployment`."""

from __future__ import annotations

from typing_extensions import TypedDict

from paperspace.gradient._generated.deployment_run_instance_fields import DeploymentRunInstance
from paperspace.gradient._generated.page_info_fields import PageInfo
from paperspace.gradient._generated.scalars import UUID, DateTime


class DeploymentRunInstanceConnection(TypedDict):
    """A page of instances."""

    nodes: list[DeploymentRunInstance]
    """The items of this page."""

    pageInfo: PageInfo
    """The position of this page in the list."""


class DeploymentRun(TypedDict):
    """The instances of one spec."""

    id: UUID
    """The id."""

    replicas: int | None
    """The number of instances, or how many autoscaling has decided on if that is more. Null: not known yet."""

    readyReplicas: int | None
    """The number of instances that are ready to serve. Null: not known yet."""

    deploymentRunInstances: DeploymentRunInstanceConnection | None
    """The instances, and the newest removed instances: at most 100."""


class DeploymentRunConnection(TypedDict):
    """A page of runs."""

    nodes: list[DeploymentRun]
    """The items of this page."""


class DeploymentRollout(TypedDict):
    """The application of one spec of a deployment."""

    dtCreated: DateTime
    """When it started."""

    deploymentRuns: DeploymentRunConnection | None
    """The runs, newest first. Empty if there was nothing to run."""


class DeploymentRolloutConnection(TypedDict):
    """A page of rollouts."""

    nodes: list[DeploymentRollout]
    """The items of this page."""


class Deployment(TypedDict):
    """A deployment: containers that host a model and serve inferences, behind one endpoint."""

    newestRollout: DeploymentRolloutConnection
    """The rollouts, newest first: one for each spec that was applied."""
