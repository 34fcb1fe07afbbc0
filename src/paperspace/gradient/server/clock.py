"""Times as text: readable, and sorted by time when sorted as text."""

from __future__ import annotations

from datetime import UTC, datetime


def utc_now() -> datetime:
    """Return the current time."""
    return datetime.now(UTC)


def iso(time: datetime) -> str:
    """Format a time in UTC with milliseconds, such as `2024-05-17T09:30:00.000Z`."""
    return time.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
