# Generated from graphql/operations/DeploymentStatusesOnCluster.graphql by scripts/regenerate; change that file and run it again.
"""The operation `DeploymentStatusesOnCluster`: its variables and the data of its response."""

from __future__ import annotations

from typing import NotRequired

from typing_extensions import TypedDict

from paperspace.gradient._generated.any_spec_fields import DeploymentSpecConnection
from paperspace.gradient._generated.deployment_status_fields import Deployment as DeploymentStatusFields
from paperspace.gradient._generated.page_info_fields import PageInfo
from paperspace.gradient._shared.operation import Operation


class Deployment(DeploymentStatusFields):
    """A deployment: containers that host a model and serve inferences, behind one endpoint."""

    onCluster: DeploymentSpecConnection
    """The specs, newest first: the newest one is the spec to run, the others are the history."""


class DeploymentConnection(TypedDict):
    """A page of deployments."""

    nodes: list[Deployment]
    """The items of this page."""

    pageInfo: PageInfo
    """The position of this page in the list."""


class DeploymentStatusesOnClusterResult(TypedDict):
    """The data of the response to `DeploymentStatusesOnCluster`."""

    deployments: DeploymentConnection
    """The deployments that are not deleted and match all filters."""


class DeploymentStatusesOnClusterVariables(TypedDict):
    """The variables of `DeploymentStatusesOnCluster`."""

    clusterId: str
    name: NotRequired[str | None]
    projectId: NotRequired[str | None]
    first: NotRequired[int | None]
    after: NotRequired[str | None]
    instancesFirst: NotRequired[int | None]
    instancesAfter: NotRequired[str | None]


DEPLOYMENT_STATUSES_ON_CLUSTER = Operation(
    "DeploymentStatusesOnCluster",
    DeploymentStatusesOnClusterVariables,
    DeploymentStatusesOnClusterResult,
)
