# Generated from graphql/operations/DeploymentsOnCluster.graphql by scripts/regenerate; change that file and run it again.
"""The operation `DeploymentsOnCluster`: its variables and the data of its response."""

from __future__ import annotations

from typing import NotRequired

from typing_extensions import TypedDict

from paperspace.gradient._generated.deployment_fields import Deployment
from paperspace.gradient._generated.page_info_fields import PageInfo
from paperspace.gradient._shared.operation import Operation


class DeploymentConnection(TypedDict):
    """A page of deployments."""

    nodes: list[Deployment]
    """The items of this page."""

    pageInfo: PageInfo
    """The position of this page in the list."""


class DeploymentsOnClusterResult(TypedDict):
    """The data of the response to `DeploymentsOnCluster`."""

    deployments: DeploymentConnection
    """The deployments that are not deleted and match all filters."""


class DeploymentsOnClusterVariables(TypedDict):
    """The variables of `DeploymentsOnCluster`."""

    clusterId: str
    name: NotRequired[str | None]
    projectId: NotRequired[str | None]
    first: NotRequired[int | None]
    after: NotRequired[str | None]
    specsFirst: NotRequired[int | None]
    specsAfter: NotRequired[str | None]


DEPLOYMENTS_ON_CLUSTER = Operation("DeploymentsOnCluster", DeploymentsOnClusterVariables, DeploymentsOnClusterResult)
