# Generated from graphql/operations/DeploymentDetails.graphql by scripts/regenerate; change that file and run it again.
"""The operation `DeploymentDetails`: its variables and the data of its response."""

from __future__ import annotations

from typing import NotRequired

from typing_extensions import TypedDict

from paperspace.gradient._generated.deployment_spec_details_fields import DeploymentSpec
from paperspace.gradient._generated.page_info_fields import PageInfo
from paperspace.gradient._generated.scalars import UUID, DateTime
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

    name: str
    """The human-readable name, unique in its project among the deployments that are not deleted."""

    dtCreated: DateTime
    """When it was created."""

    deploymentSpecs: DeploymentSpecConnection
    """The specs, newest first: the newest one is the spec to run, the others are the history."""


class DeploymentDetailsResult(TypedDict):
    """The data of the response to `DeploymentDetails`."""

    deployment: Deployment | None
    """A deployment by id. Null: no deployment has this id, or it is deleted."""


class DeploymentDetailsVariables(TypedDict):
    """The variables of `DeploymentDetails`."""

    id: UUID
    first: NotRequired[int | None]
    after: NotRequired[str | None]


DEPLOYMENT_DETAILS = Operation("DeploymentDetails", DeploymentDetailsVariables, DeploymentDetailsResult)
