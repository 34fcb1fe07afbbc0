# Generated from graphql/operations/Deployment.graphql by scripts/regenerate; change that file and run it again.
"""The operation `Deployment`: its variables and the data of its response."""

from __future__ import annotations

from typing import NotRequired

from typing_extensions import TypedDict

from paperspace.gradient._generated.deployment_fields import Deployment
from paperspace.gradient._generated.scalars import UUID
from paperspace.gradient._shared.operation import Operation


class DeploymentResult(TypedDict):
    """The data of the response to `Deployment`."""

    deployment: Deployment | None
    """A deployment by id. Null: no deployment has this id, or it is deleted."""


class DeploymentVariables(TypedDict):
    """The variables of `Deployment`."""

    id: UUID
    clusterId: NotRequired[str | None]
    specsFirst: NotRequired[int | None]
    specsAfter: NotRequired[str | None]


DEPLOYMENT = Operation("Deployment", DeploymentVariables, DeploymentResult)
