# Generated from graphql/operations/DeploymentsCurrent.graphql by scripts/regenerate; change that file and run it again.
"""The operation `DeploymentsCurrent`: its variables and the data of its response."""

from __future__ import annotations

from typing import NotRequired

from typing_extensions import TypedDict

from paperspace.gradient._generated.deployment_revision_fields import DeploymentSpec
from paperspace.gradient._generated.page_info_fields import PageInfo
from paperspace.gradient._generated.scalars import UUID
from paperspace.gradient._shared.operation import Operation


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

    deploymentSpecs: DeploymentSpecConnection
    """The specs, newest first: the newest one is the spec to run, the others are the history."""


class DeploymentConnection(TypedDict):
    """A page of deployments."""

    nodes: list[Deployment]
    """The items of this page."""

    pageInfo: PageInfo
    """The position of this page in the list."""


class DeploymentsCurrentResult(TypedDict):
    """The data of the response to `DeploymentsCurrent`."""

    deployments: DeploymentConnection
    """The deployments that are not deleted and match all filters."""


class DeploymentsCurrentVariables(TypedDict):
    """The variables of `DeploymentsCurrent`."""

    name: str
    projectId: str
    first: NotRequired[int | None]
    after: NotRequired[str | None]


DEPLOYMENTS_CURRENT = Operation("DeploymentsCurrent", DeploymentsCurrentVariables, DeploymentsCurrentResult)
