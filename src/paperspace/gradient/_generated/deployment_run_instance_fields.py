# Generated from graphql/operations/DeploymentRunInstanceFields.graphql by scripts/regenerate; change that file and run it again.
"""The fragment `DeploymentRunInstanceFields`: a selection of `DeploymentRunInstance`."""

from __future__ import annotations

from typing_extensions import TypedDict

from paperspace.gradient._generated.enums import DeploymentRunInstanceState, InstancePhase
from paperspace.gradient._generated.scalars import UUID, DateTime


class DeploymentRunInstance(TypedDict):
    """One replica of a run."""

    id: UUID
    """The id."""

    instanceId: str | None
    """The name that the cluster knows it by, and its log. Null: not placed yet."""

    phase: InstancePhase | str | None
    """The phase of its container. Null: not known yet."""

    state: DeploymentRunInstanceState | str | None
    """How it is doing. Null: not known yet."""

    stateMessage: str | None
    """What is to be said about its state. Null: nothing."""

    dtDeleted: DateTime | None
    """When it was taken away. Null: it is still there."""
