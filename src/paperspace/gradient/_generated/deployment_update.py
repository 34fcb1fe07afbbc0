# Generated from graphql/operations/DeploymentUpdate.graphql by scripts/regenerate; change that file and run it again.
"""The operation `DeploymentUpdate`: its variables and the data of its response."""

from __future__ import annotations

from typing import NotRequired

from typing_extensions import TypedDict

from paperspace.gradient._generated.inputs import UpdateDeploymentInput
from paperspace.gradient._generated.scalars import UUID
from paperspace.gradient._shared.operation import Operation


class DeploymentSpec(TypedDict):
    """What a deployment runs. A spec never changes; each change of the deployment adds a new spec."""

    id: UUID
    """The id."""


class DeploymentSpecConnection(TypedDict):
    """A page of specs."""

    nodes: list[DeploymentSpec]
    """The items of this page."""


class Deployment(TypedDict):
    """A deployment: containers that host a model and serve inferences, behind one endpoint."""

    id: UUID
    """The id."""

    deploymentSpecs: NotRequired[DeploymentSpecConnection]
    """The specs, newest first: the newest one is the spec to run, the others are the history."""


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
    withSpecs: NotRequired[bool | None]


DEPLOYMENT_UPDATE = Operation("DeploymentUpdate", DeploymentUpdateVariables, DeploymentUpdateResult)
