"""Calls to file systems that may not respond for hours, such as those of a network, and what is mounted below a folder."""

from __future__ import annotations

import os
import re
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

from paperspace.gradient._shared.daemon_threads import daemon_future
from paperspace.gradient._shared.event_loops import monotonic

if TYPE_CHECKING:
    from collections.abc import Callable
    from concurrent.futures import Future

T = TypeVar("T")

TIMEOUT = 5.0  # seconds

_MOUNTS = Path("/proc/self/mountinfo")  # only on Linux
_ESCAPED = re.compile(r"\\([0-7]{3})")


class _Call(NamedTuple):
    result: Future[Any]
    end: float
    """When nobody waits for it any more."""


_lock = Lock()
_calls: dict[Path, _Call] = {}


def in_time(path: Path, function: Callable[[], T]) -> T:
    """Return what a function finds out about a path.

    Nothing can end a call to a file system that does not respond. So there is one call for a path at a time, in a thread of
    its own, and nobody waits for it longer than `TIMEOUT`, all callers together.

    Args:
        path: The path.
        function: The same one for all calls with this path.

    Raises:
        TimeoutError: the file system does not respond.
    """
    with _lock:
        if path not in _calls:
            _calls[path] = _Call(daemon_future(function), monotonic() + TIMEOUT)
        call = _calls[path]
    call.result.add_done_callback(lambda _: _calls.pop(path, None))
    result: T = call.result.result(max(call.end - monotonic(), 0.0))
    return result


def mounted_in(folder: Path) -> list[Path]:
    """Return the folders and files inside of a folder on which other file systems are mounted."""
    try:
        lines = os.fsdecode(_MOUNTS.read_bytes()).rstrip("\n").split("\n")
    except FileNotFoundError:
        return []
    points = {Path(_ESCAPED.sub(lambda match: chr(int(match[1], 8)), line.split(" ")[4])) for line in lines}
    return sorted(point for point in points if folder in point.parents)
