# Generated from graphql/operations/DeploymentMetrics.graphql by scripts/regenerate; change that file and run it again.
"""The operation `DeploymentMetrics`: its variables and the data of its response."""

from __future__ import annotations

from typing import NotRequired

from typing_extensions import TypedDict

from paperspace.gradient._generated.deployment_metrics_fields import DeploymentMetrics
from paperspace.gradient._generated.scalars import UUID, DateTime
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


class DeploymentMetricsResult(TypedDict):
    """The data of the response to `DeploymentMetrics`."""

    deployment: Deployment | None
    """A deployment by id. Null: no deployment has this id, or it is deleted."""


class DeploymentMetricsVariables(TypedDict):
    """The variables of `DeploymentMetrics`."""

    id: UUID
    since: NotRequired[DateTime | None]
    step: NotRequired[int | None]
    last: NotRequired[int | None]


DEPLOYMENT_METRICS = Operation("DeploymentMetrics", DeploymentMetricsVariables, DeploymentMetricsResult)
