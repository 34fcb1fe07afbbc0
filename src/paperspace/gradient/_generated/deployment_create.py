# Generated from graphql/operations/DeploymentCreate.graphql by scripts/regenerate; change that file and run it again.
"""The operation `DeploymentCreate`: its variables and the data of its response."""

from __future__ import annotations

from typing_extensions import TypedDict

from paperspace.gradient._generated.inputs import CreateDeploymentInput
from paperspace.gradient._generated.scalars import UUID
from paperspace.gradient._shared.operation import Operation


class Deployment(TypedDict):
    """A deployment: containers that host a model and serve inferences, behind one endpoint."""

    id: UUID
    """The id."""


class CreateDeploymentPayload(TypedDict):
    """The result of `createDeployment`."""

    deployment: Deployment
    """The deployment that was created."""


class DeploymentCreateResult(TypedDict):
    """The data of the response to `DeploymentCreate`."""

    createDeployment: CreateDeploymentPayload
    """Create a deployment with its first spec."""


class DeploymentCreateVariables(TypedDict):
    """The variables of `DeploymentCreate`."""

    input: CreateDeploymentInput


DEPLOYMENT_CREATE = Operation("DeploymentCreate", DeploymentCreateVariables, DeploymentCreateResult)
