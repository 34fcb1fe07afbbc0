# Generated from graphql/operations/DeploymentCreate.graphql by scripts/regenerate; change that file and run it again.
"""The operation `DeploymentCreate`: its variables and the data of its response."""

from __future__ import annotations

from typing import NotRequired

from typing_extensions import TypedDict

from paperspace.gradient._generated.inputs import CreateDeploymentInput
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
    withSpecs: NotRequired[bool | None]


DEPLOYMENT_CREATE = Operation("DeploymentCreate", DeploymentCreateVariables, DeploymentCreateResult)
