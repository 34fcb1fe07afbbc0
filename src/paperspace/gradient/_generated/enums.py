# Generated from graphql/schema.graphql by scripts/regenerate; change that file and run it again.
"""The enums of the schema, closed: what a caller may send."""

from __future__ import annotations

from typing import Literal, TypeAlias

Protocol: TypeAlias = Literal["http", "http2"]
"""The protocol that the container speaks on its port."""
