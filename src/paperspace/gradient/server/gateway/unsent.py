"""What the system has not sent yet, although the gateway has written all of it. Only Linux says so."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

_TABLES = (Path("/proc/net/tcp"), Path("/proc/net/tcp6"))
_OPEN = {"01", "08"}  # the states of connections that the process has open: ESTABLISHED and CLOSE_WAIT


def has_unsent(port: int) -> bool:
    """Return whether the system of a client has not received all that was written to its connection to a port of this machine.

    If the process ends, and the client sends something, such as a window update of HTTP/2, the rest is dropped.
    """
    for table in _TABLES:
        with suppress(OSError):
            for line in table.read_text().splitlines()[1:]:
                _, local, _, state, queues, *_ = line.split()
                if state in _OPEN and int(local.rpartition(":")[2], 16) == port and int(queues.partition(":")[0], 16):
                    return True
    return False
