"""Forked children: how they start, and what they do with the event loops and sockets of their parent, which is nothing."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable


def _ignore(**_functions: Callable[[], object]) -> None:
    """Register nothing: Windows has no forks."""


# Calls functions at each fork.
at_fork: Callable[..., None] = getattr(os, "register_at_fork", _ignore)


def never_finalize(inherited: object) -> None:
    """Keep an object, and everything it refers to, from being finalized in this process.

    A finalizer would end the parent's TLS connections, remove its sockets from the event loop that both processes
    share in the kernel, and warn about all of it.
    """
    import ctypes

    ctypes.pythonapi.Py_IncRef(ctypes.py_object(inherited))
