# Generated from graphql/operations/DeploymentLogLines.graphql by scripts/regenerate; change that file and run it again.
"""The operation `DeploymentLogLines`: its variables and the data of its response."""

from __future__ import annotations

from typing import NotRequired

from typing_extensions import TypedDict

from paperspace.gradient._generated.scalars import UUID, DateTime
from paperspace.gradient._shared.operation import Operation


class DeploymentLogLine(TypedDict):
    """A line of a log."""

    instanceName: str
    """The `instanceId` of the instance."""

    line: int
    """The number of the line in its log, from 1."""

    message: str
    """The text, without a line ending."""

    dtCreated: DateTime
    """When it was written."""


class PageInfo(TypedDict):
    """Where a page stands in the whole list."""

    hasNextPage: bool
    """Whether the list has items after this page."""

    hasPreviousPage: bool
    """Whether the list has items before this page."""

    startCursor: str | None
    """The cursor of the first item. Null: the page is empty."""

    endCursor: str | None
    """The cursor of the last item. Null: the page is empty."""


class DeploymentLogLineConnection(TypedDict):
    """A page of log lines."""

    nodes: list[DeploymentLogLine]
    """The items of this page."""

    pageInfo: PageInfo
    """The position of this page in the list."""


class DeploymentLog(TypedDict):
    """The log of one instance."""

    instanceStopped: DateTime | None
    """When the instance stopped. Null: not stopped."""

    lines: DeploymentLogLineConnection
    """The lines."""


class Deployment(TypedDict):
    """A deployment: containers that host a model and serve inferences, behind one endpoint."""

    id: UUID
    """The id."""

    log: DeploymentLog | None
    """The log of one instance. Null: no instance has this name, or it has not logged anything."""


class DeploymentLogLinesResult(TypedDict):
    """The data of the response to `DeploymentLogLines`."""

    deployment: Deployment | None
    """A deployment by id. Null: no deployment has this id, or it is deleted."""


class DeploymentLogLinesVariables(TypedDict):
    """The variables of `DeploymentLogLines`."""

    id: UUID
    instanceName: str
    first: NotRequired[int | None]
    after: NotRequired[str | None]
    last: NotRequired[int | None]
    before: NotRequired[str | None]


DEPLOYMENT_LOG_LINES = Operation("DeploymentLogLines", DeploymentLogLinesVariables, DeploymentLogLinesResult)
