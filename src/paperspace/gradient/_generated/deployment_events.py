# Generated from graphql/operations/DeploymentEvents.graphql by scripts/regenerate; change that file and run it again.
"""The operation `DeploymentEvents`: its variables and the data of its response."""

from __future__ import annotations

from typing import NotRequired

from typing_extensions import TypedDict

from paperspace.gradient._generated.enums import DeploymentEventSeverity
from paperspace.gradient._generated.page_info_fields import PageInfo
from paperspace.gradient._generated.scalars import UUID, DateTime
from paperspace.gradient._shared.operation import Operation


class DeploymentEvent(TypedDict):
    """An event of a deployment: something that happened to it, when it happened, why, and how often."""

    id: UUID
    """The id. It stays the same when the event happens again."""

    dtCreated: DateTime
    """When it happened first."""

    dtLast: DateTime
    """When it happened last."""

    count: int
    """How often it has happened."""

    severity: DeploymentEventSeverity | str
    """Whether it needs attention."""

    reason: str
    """The reason for programs: one word in Pascal case, such as `Crashed`. There may be new ones."""

    message: str
    """A description for people, of the last time that it happened."""

    deploymentSpecId: UUID | None
    """The id of the spec that it is about. Null: it is not about one spec."""

    instanceName: str | None
    """The `instanceId` of the instance that it is about. Null: it is not about one instance."""


class DeploymentEventConnection(TypedDict):
    """A page of events."""

    nodes: list[DeploymentEvent]
    """The items of this page."""

    pageInfo: PageInfo
    """The position of this page in the list."""


class Deployment(TypedDict):
    """A deployment: containers that host a model and serve inferences, behind one endpoint."""

    id: UUID
    """The id."""

    events: DeploymentEventConnection
    """The events, newest first. Only the newest ones are kept. An event that happens again moves to the start of the
    list.
    """


class DeploymentEventsResult(TypedDict):
    """The data of the response to `DeploymentEvents`."""

    deployment: Deployment | None
    """A deployment by id. Null: no deployment has this id, or it is deleted."""


class DeploymentEventsVariables(TypedDict):
    """The variables of `DeploymentEvents`."""

    id: UUID
    first: NotRequired[int | None]
    after: NotRequired[str | None]


DEPLOYMENT_EVENTS = Operation("DeploymentEvents", DeploymentEventsVariables, DeploymentEventsResult)
