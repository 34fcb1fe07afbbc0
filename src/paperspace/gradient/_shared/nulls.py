"""Plain data without fields that are null: they mean the same as fields that are left out."""

from __future__ import annotations

from typing import Any


def without_nulls(value: Any) -> Any:
    """Return a copy of plain data without the fields of dicts that are null, however deep. Items of lists stay."""
    match value:
        case dict():
            return {name: without_nulls(field) for name, field in value.items() if field is not None}
        case list():
            return [without_nulls(item) for item in value]
        case _:
            return value
