# Generated from graphql/operations/DeploymentRolloutFields.graphql by scripts/regenerate; change that file and run it again.
"""The fragment `DeploymentRolloutFields`: a selection of `DeploymentRollout`."""

from __future__ import annotations

from typing_extensions import TypedDict

from paperspace.gradient._generated.scalars import UUID, DateTime


class DeploymentRun(TypedDict):
    """A spec at work: a set of like instances."""

    id: UUID
    """The id."""

    dtDeleted: DateTime | None
    """When its last instance was gone. Null: it still has some, or may get some."""


class DeploymentRunConnection(TypedDict):
    """A page of runs."""

    nodes: list[DeploymentRun]
    """The items of this page."""


class DeploymentRollout(TypedDict):
    """One time that a spec of the deployment was put to work."""

    deploymentRuns: DeploymentRunConnection | None
    """Its runs, newest first: none where nothing was to run."""
