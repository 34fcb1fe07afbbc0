"""Moments, as text that people can read and that sorts by time."""

from __future__ import annotations

from datetime import UTC, datetime


def utc_now() -> datetime:
    """The present moment."""
    return datetime.now(UTC)


def iso(moment: datetime) -> str:
    """The moment in UTC, to the millisecond, such as `2024-05-17T09:30:00.000Z`."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
