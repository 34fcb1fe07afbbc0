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
    """The position of this page in the list."""


class Deployment(TypedDict):
    """A deployment: containers that host a model and serve inferences, behind one endpoint."""

    id: UUID
    """The id."""

    name: str
    """The human-readable name, unique in its project among the deployments that are not deleted."""

    deploymentSpecs: DeploymentSpecConnection
    """The specs, newest first: the newest one is the spec to run, the others are the history."""
