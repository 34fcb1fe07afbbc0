"""Ports of 127.0.0.1 for containers in memory, which really listen."""

from __future__ import annotations

import os

_OF_EACH_PROCESS = 400


def ports(first: int) -> range:
    """Return fifty ports. Each process of pytest-xdist gets others: they run tests with the same ports at the same time."""
    process = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
    start = first + process * _OF_EACH_PROCESS
    return range(start, start + 50)
