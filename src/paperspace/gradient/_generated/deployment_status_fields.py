# Generated from graphql/operations/DeploymentStatusFields.graphql by scripts/regenerate; change that file and run it again.
"""The fragment `DeploymentStatusFields`: a selection of `Deployment`."""

from __future__ import annotations

from typing_extensions import TypedDict

from paperspace.gradient._generated.deployment_rollout_fields import DeploymentRollout
from paperspace.gradient._generated.deployment_run_instance_fields import DeploymentRunInstance
from paperspace.gradient._generated.page_info_fields import PageInfo
from paperspace.gradient._generated.scalars import UUID, DateTime


class DeploymentSpecResources(TypedDict):
    """The hardware that a spec runs on, and how many replicas of it."""

    replicas: int
    """How many replicas to run, 0 to stop the deployment. 1 where the spec did not say."""


class DeploymentSpecData(TypedDict):
    """What to run. Defaults say how a spec runs; what was left out reads back as null."""

    image: str
    """The reference of the container image."""

    enabled: bool | None
    """Whether it is to run at all. Null: true."""

    resources: DeploymentSpecResources | None
    """The hardware to run on, and how many replicas. Null: one replica on a machine of the cluster's choice."""


class DeploymentRunInstanceConnection(TypedDict):
    """A page of instances."""

    nodes: list[DeploymentRunInstance]
    """The items of this page."""

    pageInfo: PageInfo
    """Where this page stands in the whole list."""


class DeploymentRun(TypedDict):
    """A spec at work: a set of like instances."""

    id: UUID
    """The id."""

    replicas: int | None
    """How many instances it is to have. Null: not known yet."""

    readyReplicas: int | None
    """How many instances are ready to serve. Null: not known yet."""

    deploymentRunInstances: DeploymentRunInstanceConnection | None
    """Its instances, also those that are gone."""


class DeploymentRunConnection(TypedDict):
    """A page of runs."""

    nodes: list[DeploymentRun]
    """The items of this page."""


class DeploymentSpec(TypedDict):
    """What a deployment is to run, as it was given at one moment. A spec never changes; each change makes a new one."""

    id: UUID
    """The id."""

    endpointUrl: str
    """The URL that the deployment answers at: one for the deployment, in front of all its replicas."""

    error: str | None
    """Why it could not be applied. Null: nothing went wrong."""

    externalApplied: DateTime | None
    """When the cluster took it over. Null: not yet."""

    data: DeploymentSpecData
    """What to run."""

    deploymentRuns: DeploymentRunConnection | None
    """The runs of this spec: none where nothing was to run."""


class DeploymentSpecConnection(TypedDict):
    """A page of specs."""

    nodes: list[DeploymentSpec]
    """The items of this page."""


class DeploymentRolloutConnection(TypedDict):
    """A page of rollouts."""

    nodes: list[DeploymentRollout]
    """The items of this page."""


class Deployment(TypedDict):
    """A deployment: containers that host a model and serve inferences, behind one endpoint."""

    id: UUID
    """The id."""

    name: str
    """The human-readable name, unique in its project among the deployments that are not deleted."""

    dtCreated: DateTime
    """When it was created."""

    deploymentSpecs: DeploymentSpecConnection
    """Its specs: the newest is the one to run, the others are its history."""

    deploymentRollouts: DeploymentRolloutConnection
    """Its rollouts: one for each time that a spec was put to work, newest first."""
