# Generated from graphql/operations/DeploymentRevise.graphql by scripts/regenerate; change that file and run it again.
"""The operation `DeploymentRevise`: its variables and the data of its response."""

from __future__ import annotations

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

    deploymentSpecs: DeploymentSpecConnection
    """The specs, newest first: the newest one is the spec to run, the others are the history."""


class UpdateDeploymentPayload(TypedDict):
    """The result of `updateDeployment`."""

    deployment: Deployment
    """The deployment after the change."""


class DeploymentReviseResult(TypedDict):
    """The data of the response to `DeploymentRevise`."""

    updateDeployment: UpdateDeploymentPayload
    """Change the given fields of a deployment. A changed spec is added as a new spec; earlier specs remain as history.
    """


class DeploymentReviseVariables(TypedDict):
    """The variables of `DeploymentRevise`."""

    input: UpdateDeploymentInput


DEPLOYMENT_REVISE = Operation("DeploymentRevise", DeploymentReviseVariables, DeploymentReviseResult)
