# Generated from graphql/schema.graphql by scripts/regenerate; change that file and run it again.
"""The scalars of the schema, as JSON carries them."""

from __future__ import annotations

from typing import TypeAlias

DateTime: TypeAlias = str
"""A date and time in ISO 8601 format, in UTC, such as `2024-05-17T09:30:00.000Z`."""

UUID: TypeAlias = str
"""A universally unique identifier in its 36-character form, such as `d4e74a9c-b125-4bd7-b143-8f5c386df8a9`."""
