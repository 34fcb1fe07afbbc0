# Generated from graphql/operations/AnySpecFields.graphql by scripts/regenerate; change that file and run it again.
"""The fragment `AnySpecFields`: a selection of `DeploymentSpecConnection`."""

from __future__ import annotations

from typing_extensions import TypedDict

from paperspace.gradient._generated.scalars import UUID


class DeploymentSpec(TypedDict):
    """What a deployment is to run, as it was given at one moment. A spec never changes; each change makes a new one."""

    id: UUID
    """The id."""


class DeploymentSpecConnection(TypedDict):
    """A page of specs."""

    nodes: list[DeploymentSpec]
    """The items of this page."""
