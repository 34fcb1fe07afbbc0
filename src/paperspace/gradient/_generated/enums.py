# Generated from graphql/schema.graphql by scripts/regenerate; change that file and run it again.
"""The enums of the schema: the values that a caller may send."""

from __future__ import annotations

from typing import Literal, TypeAlias

DeploymentEventSeverity: TypeAlias = Literal["NORMAL", "WARNING"]
"""Whether an event needs attention."""

DeploymentRunInstanceState: TypeAlias = Literal["errored", "failed", "healthy", "pending", "retrying"]
"""The state of an instance."""

InstancePhase: TypeAlias = Literal["Failed", "Pending", "Running", "Succeeded", "Unknown"]
"""The phase of an instance's container, as the cluster's scheduler reports it."""

Protocol: TypeAlias = Literal["http", "http2"]
"""The protocol that the container speaks on its port."""
