# Generated from graphql/operations/DeploymentHistory.graphql by scripts/regenerate; change that file and run it again.
"""The operation `DeploymentHistory`: its variables and the shape of its reply."""

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
    """Where this page stands in the whole list."""


class Deployment(TypedDict):
    """A deployment: containers that host a model and serve inferences, behind one endpoint."""

    id: UUID
    """The id."""

    deploymentSpecs: DeploymentSpecConnection
    """Its specs: the newest is the one to run, the others are its history."""


class DeploymentHistoryResult(TypedDict):
    """The reply to `DeploymentHistory`."""

    deployment: Deployment | None
    """A deployment by its id. Null: there is none with this id, or it is deleted."""


class DeploymentHistoryVariables(TypedDict):
    """The variables of `DeploymentHistory`."""

    id: UUID
    first: NotRequired[int | None]
    after: NotRequired[str | None]


DEPLOYMENT_HISTORY = Operation("DeploymentHistory", DeploymentHistoryVariables, DeploymentHistoryResult)
