# Generated from graphql/operations/DeploymentStatus.graphql by scripts/regenerate; change that file and run it again.
"""The operation `DeploymentStatus`: its variables and the data of its response."""

from __future__ import annotations

from typing import NotRequired

from typing_extensions import TypedDict

from paperspace.gradient._generated.deployment_status_fields import Deployment
from paperspace.gradient._generated.scalars import UUID
from paperspace.gradient._shared.operation import Operation


class DeploymentStatusResult(TypedDict):
    """The data of the response to `DeploymentStatus`."""

    deployment: Deployment | None
    """A deployment by id. Null: no deployment has this id, or it is deleted."""


class DeploymentStatusVariables(TypedDict):
    """The variables of `DeploymentStatus`."""

    id: UUID
    instancesFirst: NotRequired[int | None]
    instancesAfter: NotRequired[str | None]


DEPLOYMENT_STATUS = Operation("DeploymentStatus", DeploymentStatusVariables, DeploymentStatusResult)
