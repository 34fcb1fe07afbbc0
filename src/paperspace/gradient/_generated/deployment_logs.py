# Generated from graphql/operations/DeploymentLogs.graphql by scripts/regenerate; change that file and run it again.
"""The operation `DeploymentLogs`: its variables and the data of its response."""

from __future__ import annotations

from typing import NotRequired

from typing_extensions import TypedDict

from paperspace.gradient._generated.page_info_fields import PageInfo
from paperspace.gradient._generated.scalars import UUID, DateTime
from paperspace.gradient._shared.operation import Operation


class DeploymentLogLine(TypedDict):
    """A line of a log."""

    line: int
    """The number of the line in its log, from 1."""

    dtCreated: DateTime
    """When it was written."""


class DeploymentLogLineConnection(TypedDict):
    """A page of log lines."""

    nodes: list[DeploymentLogLine]
    """The items of this page."""


class DeploymentLog(TypedDict):
    """The log of one instance."""

    instanceName: str
    """The `instanceId` of the instance."""

    instanceStopped: DateTime | None
    """When the instance stopped. Null: not stopped."""

    lines: DeploymentLogLineConnection
    """The lines."""


class DeploymentLogConnection(TypedDict):
    """A page of logs."""

    nodes: list[DeploymentLog]
    """The items of this page."""

    pageInfo: PageInfo
    """The position of this page in the list."""


class Deployment(TypedDict):
    """A deployment: containers that host a model and serve inferences, behind one endpoint."""

    id: UUID
    """The id."""

    logs: DeploymentLogConnection
    """The logs of the instances, one for each instance that has logged something."""


class DeploymentLogsResult(TypedDict):
    """The data of the response to `DeploymentLogs`."""

    deployment: Deployment | None
    """A deployment by id. Null: no deployment has this id, or it is deleted."""


class DeploymentLogsVariables(TypedDict):
    """The variables of `DeploymentLogs`."""

    id: UUID
    first: NotRequired[int | None]
    after: NotRequired[str | None]


DEPLOYMENT_LOGS = Operation("DeploymentLogs", DeploymentLogsVariables, DeploymentLogsResult)
