# Generated from graphql/operations/DeploymentFields.graphql by scripts/regenerate; change that file and run it again.
"""The fragment `DeploymentFields`: a selection of `Deployment`."""

from __future__ import annotations

from typing_extensions import TypedDict

from paperspace.gradient._generated.deployment_spec_fields import DeploymentSpec
from paperspace.gradient._generated.page_info_fields import PageInfo
from paperspace.gradient._generated.scalars import UUID


class DeploymentSpecConnection(TypedDict):
    """A page of specs."""

    nodes: list[DeploymentSpec]
    """The items of this page."""

    pageInfo: PageInfo
    """Where this page stands in the whole list."""


class Deployment(TypedDict):
    """A deployment: containers that host a model and serve inferences, behind one endpoint."""

    id: UUID
    """The id."""

    name: str
    """The human-readable name, unique in its project among the deployments that are not deleted."""

    deploymentSpecs: DeploymentSpecConnection
    """Its specs: the newest is the one to run, the others are its history."""
