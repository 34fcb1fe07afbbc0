"""Service managers such as systemd: tell them that the server is ready. With `Type=notify`, systemd waits for it."""

from __future__ import annotations

import os
import socket
from contextlib import suppress


def notify_ready() -> None:
    """Send `READY=1` to the socket in the environment variable `NOTIFY_SOCKET`, if there is one."""
    address = os.environ.get("NOTIFY_SOCKET", "")
    if not address.startswith(("/", "@")):
        return
    with suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notifications:
        # A name with @ is in the abstract namespace of Linux, where names start with a zero byte.
        notifications.sendto(b"READY=1", address.replace("@", "\0", 1) if address.startswith("@") else address)
