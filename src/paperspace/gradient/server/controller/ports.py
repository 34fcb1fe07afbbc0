"""Ports of 127.0.0.1 for containers."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Set as AbstractSet

DEFAULT_PORTS = range(21000, 23000)


def next_free_port(ports: range, used: AbstractSet[int], after: int | None) -> int | None:
    """Return a port that is not used; None if there is none.

    Ports are taken in turn: a port that has become free is not used again soon, in case something still connects to it.
    """
    start = ports.index(after) + 1 if after is not None and after in ports else 0
    turn = (*ports[start:], *ports[:start])
    return next((port for port in turn if port not in used), None)
