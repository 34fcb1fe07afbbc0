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
    """The name of the instance on the cluster, and of its log. Null: not scheduled yet."""

    phase: InstancePhase | str | None
    """The phase of the container. Null: not known yet."""

    state: DeploymentRunInstanceState | str | None
    """The state. Null: not known yet."""

    stateMessage: str | None
    """An explanation of the state. Null: no explanation."""

    dtDeleted: DateTime | None
    """When the instance was removed. Null: not removed."""
