# Generated from graphql/operations/DeploymentsMetrics.graphql by scripts/regenerate; change that file and run it again.
"""The operation `DeploymentsMetrics`: its variables and the data of its response."""

from __future__ import annotations

from typing import NotRequired

from typing_extensions import TypedDict

from paperspace.gradient._generated.deployment_metrics_fields import DeploymentMetrics
from paperspace.gradient._generated.page_info_fields import PageInfo
from paperspace.gradient._generated.scalars import UUID
from paperspace.gradient._shared.operation import Operation


class Deployment(TypedDict):
    """A deployment: containers that host a model and serve inferences, behind one endpoint."""

    id: UUID
    """The id."""

    name: str
    """The human-readable name, unique in its project among the deployments that are not deleted."""

    metrics: list[DeploymentMetrics]
    """What it used, and which requests it got, oldest first: at most 360 points of the last day. The simulation has
    none.
    """


class DeploymentConnection(TypedDict):
    """A page of deployments."""

    nodes: list[Deployment]
    """The items of this page."""

    pageInfo: PageInfo
    """The position of this page in the list."""


class DeploymentsMetricsResult(TypedDict):
    """The data of the response to `DeploymentsMetrics`."""

    deployments: DeploymentConnection
    """The deployments that are not deleted and match all filters."""


class DeploymentsMetricsVariables(TypedDict):
    """The variables of `DeploymentsMetrics`."""

    projectId: NotRequired[str | None]
    first: NotRequired[int | None]
    after: NotRequired[str | None]


DEPLOYMENTS_METRICS = Operation("DeploymentsMetrics", DeploymentsMetricsVariables, DeploymentsMetricsResult)
