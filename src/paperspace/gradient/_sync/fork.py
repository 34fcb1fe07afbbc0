"""What a forked child does with the loops and sockets that it got from its parent: nothing, for ever."""

from __future__ import annotations


def leak(inherited: object) -> None:
    """Keeps the object, and what it refers to, from ever being finalized.

    A finalizer would say goodbye on the parent's TLS connections, take its sockets out of the event loop that both
    processes share in the kernel, and warn about all of it.
    """
    import ctypes

    ctypes.pythonapi.Py_IncRef(ctypes.py_object(inherited))
