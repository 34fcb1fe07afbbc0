"""Ports of 127.0.0.1 for containers."""

from __future__ import annotations

import errno
import socket
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Set as AbstractSet

DEFAULT_PORTS = range(21000, 23000)


def next_free_port(ports: range, used: AbstractSet[int], after: int | None) -> int | None:
    """Return a port that is not used, and on which no other program listens; None if there is none.

    Ports are taken in turn: a port that has become free is not used again soon, in case something still connects to it.
    """
    start = ports.index(after) + 1 if after is not None and after in ports else 0
    turn = (*ports[start:], *ports[:start])
    return next((port for port in turn if port not in used and not _is_taken(port)), None)


def _is_taken(port: int) -> bool:
    """Return whether a program listens on a port. One that this process may not use counts as free: the engine may use it."""
    try:
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # connections that have ended do not count
            probe.bind(("127.0.0.1", port))
    except OSError as error:
        return error.errno == errno.EADDRINUSE
    return False
