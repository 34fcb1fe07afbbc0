# Generated from graphql/operations/DeploymentDelete.graphql by scripts/regenerate; change that file and run it again.
"""The operation `DeploymentDelete`: its variables and the data of its response."""

from __future__ import annotations

from typing_extensions import TypedDict

from paperspace.gradient._generated.inputs import DeleteDeploymentInput
from paperspace.gradient._generated.scalars import UUID
from paperspace.gradient._shared.operation import Operation


class Deployment(TypedDict):
    """A deployment: containers that host a model and serve inferences, behind one endpoint."""

    id: UUID
    """The id."""


class DeleteDeploymentPayload(TypedDict):
    """The result of `deleteDeployment`."""

    deployment: Deployment
    """The deployment as it was before it was deleted."""


class DeploymentDeleteResult(TypedDict):
    """The data of the response to `DeploymentDelete`."""

    deleteDeployment: DeleteDeploymentPayload
    """Delete a deployment: it stops serving, is no longer listed, and its name can be used again."""


class DeploymentDeleteVariables(TypedDict):
    """The variables of `DeploymentDelete`."""

    input: DeleteDeploymentInput


DEPLOYMENT_DELETE = Operation("DeploymentDelete", DeploymentDeleteVariables, DeploymentDeleteResult)
