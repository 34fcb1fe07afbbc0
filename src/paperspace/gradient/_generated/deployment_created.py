# Generated from graphql/operations/DeploymentCreated.graphql by scripts/regenerate; change that file and run it again.
"""The operation `DeploymentCreated`: its variables and the data of its response."""

from __future__ import annotations

from typing import NotRequired

from typing_extensions import TypedDict

from paperspace.gradient._generated.deployment_spec_data_fields import DeploymentSpecData
from paperspace.gradient._generated.page_info_fields import PageInfo
from paperspace.gradient._generated.scalars import UUID, DateTime
from paperspace.gradient._shared.operation import Operation


class Cluster(TypedDict):
    """A cluster: the machines that deployments run on."""

    id: str
    """The id."""


class DeploymentSpec(TypedDict):
    """What a deployment runs. A spec never changes; each change of the deployment adds a new spec."""

    id: UUID
    """The id."""

    cluster: Cluster | None
    """The cluster to run on. Null: the cluster no longer exists."""

    data: DeploymentSpecData
    """What to run."""


class DeploymentSpecConnection(TypedDict):
    """A page of specs."""

    nodes: list[DeploymentSpec]
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
    """The specs, newest first: the newest one is the spec to run, the others are the history."""


class DeploymentConnection(TypedDict):
    """A page of deployments."""

    nodes: list[Deployment]
    """The items of this page."""

    pageInfo: PageInfo
    """The position of this page in the list."""


class DeploymentCreatedResult(TypedDict):
    """The data of the response to `DeploymentCreated`."""

    deployments: DeploymentConnection
    """The deployments that are not deleted and match all filters."""


class DeploymentCreatedVariables(TypedDict):
    """The variables of `DeploymentCreated`."""

    name: str
    projectId: str
    first: NotRequired[int | None]
    after: NotRequired[str | None]


DEPLOYMENT_CREATED = Operation("DeploymentCreated", DeploymentCreatedVariables, DeploymentCreatedResult)
