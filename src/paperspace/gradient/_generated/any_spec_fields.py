# Generated from graphql/operations/AnySpecFields.graphql by scripts/regenerate; change that file and run it again.
"""The fragment `AnySpecFields`: a selection of `DeploymentSpecConnection`."""

from __future__ import annotations

from typing_extensions import TypedDict

from paperspace.gradient._generated.scalars import UUID


class DeploymentSpec(TypedDict):
    """What a deployment runs. A spec never changes; each change of the deployment adds a new spec."""

    id: UUID
    """The id."""


class DeploymentSpecConnection(TypedDict):
    """A page of specs."""

    nodes: list[DeploymentSpec]
    """The items of this page."""
