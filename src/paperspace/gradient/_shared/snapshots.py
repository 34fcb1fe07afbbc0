"""Copies of arguments as they are when a call begins: their owner may change them in another thread, or before a retry."""

from __future__ import annotations

from typing import Any

# Deeper than any spec. It bounds the work for a value that nests without an end.
_MAX_DEPTH = 10


def snapshot(value: Any) -> Any:
    """Copy the dicts and lists in a value; other values are not copied.

    Each of them is copied in one step, which another thread cannot interrupt. What is shared stays shared, so that the work is
    linear.
    """
    return _copy(value, _MAX_DEPTH, {})


def _copy(value: Any, depth: int, copies: dict[int, tuple[Any, Any]]) -> Any:
    """Copy a value, unless `copies` has it, by id. They keep the original, so that its id is not given to another one."""
    if id(value) in copies:
        return copies[id(value)][1]
    if depth == 0 or not isinstance(value, dict | list):
        return value
    copied: Any = dict(value) if isinstance(value, dict) else list(value)
    copies[id(value)] = value, copied
    for key, entry in copied.items() if isinstance(copied, dict) else enumerate(copied):
        copied[key] = _copy(entry, depth - 1, copies)
    return copied
