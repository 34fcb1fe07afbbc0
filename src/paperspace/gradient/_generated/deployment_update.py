# Generated from graphql/operations/DeploymentUpdate.graphql by scripts/regenerate; change that file and run it again.
"""The operation `DeploymentUpdate`: its variables and the data of its response."""

from __future__ import annotations

from typing_extensions import TypedDict

from paperspace.gradient._generated.inputs import UpdateDeploymentInput
from paperspace.gradient._generated.scalars import UUID
from paperspace.gradient._shared.operation import Operation


class Deployment(TypedDict):
    """A deployment: containers that host a model and serve inferences, behind one endpoint."""

    id: UUID
    """The id."""


class UpdateDeploymentPayload(TypedDict):
    """The result of `updateDeployment`."""

    deployment: Deployment
    """The deployment after the change."""


class DeploymentUpdateResult(TypedDict):
    """The data of the response to `DeploymentUpdate`."""

    updateDeployment: UpdateDeploymentPayload
    """Change the given fields of a deployment. A changed spec is added as a new spec; earlier specs remain as history.
    """


class DeploymentUpdateVariables(TypedDict):
    """The variables of `DeploymentUpdate`."""

    input: UpdateDeploymentInput


DEPLOYMENT_UPDATE = Operation("DeploymentUpdate", DeploymentUpdateVariables, DeploymentUpdateResult)
