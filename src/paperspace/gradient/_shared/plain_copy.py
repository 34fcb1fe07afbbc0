"""Copy arguments before they are checked: their owner may change them in another thread, or before a retry."""

from __future__ import annotations

from typing import Any

# Deeper than any argument. The limit bounds the work for a value that nests without an end.
_MAX_DEPTH = 10


def plain_copy(value: Any) -> Any:
    """Copy the dicts, lists and sets in a value. Each step is atomic: a change by another thread is copied or not.

    What is shared stays shared, so that the work is linear. Values of other types are not copied.
    """
    return _copy(value, _MAX_DEPTH, {})


def _copy(value: Any, depth: int, copies: dict[int, tuple[Any, Any]]) -> Any:
    """Copy a value, unless `copies` has it, by id. They keep the original, so that its id is not given to another one."""
    if id(value) in copies:
        return copies[id(value)][1]
    if isinstance(value, set):
        return set(value)
    if depth == 0 or not isinstance(value, dict | list):
        return value
    if isinstance(value, dict):
        copied: Any = dict(value)
        entries: Any = list(copied.items())
    else:
        copied = list(value)
        entries = list(enumerate(copied))
    copies[id(value)] = value, copied
    for key, entry in entries:
        copied[key] = _copy(entry, depth - 1, copies)
    return copied
