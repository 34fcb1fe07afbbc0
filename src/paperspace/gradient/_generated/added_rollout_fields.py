# Generated from graphql/operations/AddedRolloutFields.graphql by scripts/regenerate; change that file and run it again.
"""The fragment `AddedRolloutFields`: a selection of `DeploymentRollout`."""

from __future__ import annotations

from typing_extensions import TypedDict

from paperspace.gradient._generated.scalars import UUID


class DeploymentRollout(TypedDict, total=False):
    """The application of one spec of a deployment."""

    deploymentSpecId: UUID
    """The id of the spec that was applied. The hosted API did not have this field."""
