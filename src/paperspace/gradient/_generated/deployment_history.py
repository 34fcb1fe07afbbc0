# Generated from graphql/operations/DeploymentHistory.graphql by scripts/regenerate; change that file and run it again.
"""The operation `DeploymentHistory`: its variables and the data of its response."""

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

    pageInfo: PageInfo
    """The position of this page in the list."""


class Deployment(TypedDict):
    """A deployment: containers that host a model and serve inferences, behind one endpoint."""

    id: UUID
    """The id."""

    deploymentSpecs: DeploymentSpecConnection
    """The specs, newest first: the newest one is the spec to run, the others are the history."""


class DeploymentHistoryResult(TypedDict):
    """The data of the response to `DeploymentHistory`."""

    deployment: Deployment | None
    """A deployment by id. Null: no deployment has this id, or it is deleted."""


class DeploymentHistoryVariables(TypedDict):
    """The variables of `DeploymentHistory`."""

    id: UUID
    first: NotRequired[int | None]
    after: NotRequired[str | None]


DEPLOYMENT_HISTORY = Operation("DeploymentHistory", DeploymentHistoryVariables, DeploymentHistoryResult)
