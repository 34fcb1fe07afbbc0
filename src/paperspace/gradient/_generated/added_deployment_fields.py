# Generated from graphql/operations/AddedDeploymentFields.graphql by scripts/regenerate; change that file and run it again.
"""The fragment `AddedDeploymentFields`: a selection of `Deployment`."""

from __future__ import annotations

from typing_extensions import TypedDict


class Deployment(TypedDict, total=False):
    """A deployment: containers that host a model and serve inferences, behind one endpoint."""

    projectId: str
    """The id of its project."""
