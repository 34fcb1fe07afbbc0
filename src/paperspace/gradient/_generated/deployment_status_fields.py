# Generated from graphql/operations/DeploymentStatusFields.graphql by scripts/regenerate; change that file and run it again.
"""The fragment `DeploymentStatusFields`: a selection of `Deployment`."""

from __future__ import annotations

from typing_extensions import TypedDict

from paperspace.gradient._generated.added_deployment_fields import Deployment as AddedDeploymentFields
from paperspace.gradient._generated.added_security_fields import DeploymentSpecData as AddedSecurityFields
from paperspace.gradient._generated.deployment_rollout_fields import DeploymentRollout
from paperspace.gradient._generated.newest_rollout_fields import Deployment as NewestRolloutFields
from paperspace.gradient._generated.page_info_fields import PageInfo
from paperspace.gradient._generated.scalars import UUID, DateTime


class DeploymentSpecResources(TypedDict):
    """The hardware of a spec, and the number of replicas."""

    replicas: int
    """The number of replicas; 0 stops the deployment. 1 if the spec omits it."""


class DeploymentSpecData(AddedSecurityFields):
    """What to run. Omitted fields are null here; they run with their defaults."""

    image: str
    """The reference of the container image."""

    enabled: bool | None
    """Whether the deployment runs. Null: true."""

    resources: DeploymentSpecResources | None
    """The hardware, and the number of replicas. Null: one replica on a machine that the cluster selects."""


class DeploymentSpec(TypedDict):
    """What a deployment runs. A spec never changes; each change of the deployment adds a new spec."""

    id: UUID
    """The id."""

    dtCreated: DateTime
    """When the spec was created."""

    endpointUrl: str
    """The URL of the deployment's endpoint, the same for all specs and replicas."""

    error: str | None
    """Why the spec could not be applied. Null: no error."""

    externalApplied: DateTime | None
    """When the cluster applied the spec. Null: not applied."""

    data: DeploymentSpecData
    """What to run."""


class DeploymentSpecConnection(TypedDict):
    """A page of specs."""

    nodes: list[DeploymentSpec]
    """The items of this page."""


class DeploymentRolloutConnection(TypedDict):
    """A page of rollouts."""

    nodes: list[DeploymentRollout]
    """The items of this page."""

    pageInfo: PageInfo
    """The position of this page in the list."""


class Deployment(AddedDeploymentFields, NewestRolloutFields):
    """A deployment: containers that host a model and serve inferences, behind one endpoint."""

    id: UUID
    """The id."""

    name: str
    """The human-readable name, unique in its project among the deployments that are not deleted."""

    dtCreated: DateTime
    """When it was created."""

    deploymentSpecs: DeploymentSpecConnection
    """The specs, newest first: the newest one is the spec to run, the others are the history."""

    deploymentRollouts: DeploymentRolloutConnection
    """The rollouts, newest first: one for each spec that was applied."""
