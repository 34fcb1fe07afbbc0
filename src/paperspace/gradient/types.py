"""What the functions take and return: the shapes of the plain dicts, for editors and type checkers.

They are made from the GraphQL schema and named here; `tests/test_types.py` ties the two. Every dict is an ordinary
`dict`: these names are for annotations.

    from paperspace.gradient.types import Deployment

    def image(deployment: Deployment) -> str:
        return deployment["deploymentSpecs"]["nodes"][0]["data"]["image"]
"""

from __future__ import annotations

from typing_extensions import TypedDict

from paperspace.gradient._generated.deployment_create import Deployment as DeploymentRef
from paperspace.gradient._generated.deployment_spec_fields import Actor, DeploymentSpec, DeploymentSpecData
from paperspace.gradient._generated.deployment_spec_fields import DeploymentSpecResources as DeploymentResources
from paperspace.gradient._generated.enums import Protocol
from paperspace.gradient._generated.inputs import DeploymentSpecAutoscalingInput as AutoscalingInput
from paperspace.gradient._generated.inputs import DeploymentSpecAutoscalingMetricInput as AutoscalingMetricInput
from paperspace.gradient._generated.inputs import DeploymentSpecDataInput as DeploymentSpecInput
from paperspace.gradient._generated.inputs import DeploymentSpecEnvVariableInput as EnvVariableInput
from paperspace.gradient._generated.inputs import DeploymentSpecModelInput as ModelInput
from paperspace.gradient._generated.inputs import DeploymentSpecRepositoriesInput as RepositoriesInput
from paperspace.gradient._generated.inputs import DeploymentSpecRepositoryInput as RepositoryInput
from paperspace.gradient._generated.inputs import DeploymentSpecResourcesInput as DeploymentResourcesInput

__all__ = [
    "Actor",
    "AutoscalingInput",
    "AutoscalingMetricInput",
    "Deployment",
    "DeploymentRef",
    "DeploymentResources",
    "DeploymentResourcesInput",
    "DeploymentSpec",
    "DeploymentSpecData",
    "DeploymentSpecInput",
    "DeploymentSpecs",
    "EnvVariableInput",
    "ModelInput",
    "Protocol",
    "RepositoriesInput",
    "RepositoryInput",
]


class DeploymentSpecs(TypedDict):
    """The specs of a deployment, all of them."""

    nodes: list[DeploymentSpec]
    """The specs, newest first: the first is the one to run, the others are its history."""


class Deployment(TypedDict):
    """A deployment, as `list_deployments` and `get_deployment` return it."""

    id: str
    """The id."""

    name: str
    """The human-readable name, unique in its project among the deployments that are not deleted."""

    deploymentSpecs: DeploymentSpecs
    """Its specs, newest first."""
