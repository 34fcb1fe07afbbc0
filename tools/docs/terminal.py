"""What a command prints on a terminal of a given width, as plain text."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import struct
import subprocess
import termios
from contextlib import suppress

# A line, perhaps the one above, that is taken away again, as a bar of progress is.
_TAKEN_AWAY = re.compile(r"[^\n]*\n?(\x1b\[\?25h)?\r(\x1b\[1A)?\x1b\[2K")
_ESCAPES = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


def run_on_terminal(command: list[str], columns: int) -> str:
    """The text that is there in the end, without colours."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("4H", 40, columns, 0, 0))
    environment = {name: value for name, value in os.environ.items() if name not in {"COLUMNS", "LINES"}}
    with subprocess.Popen(command, stdin=theirs, stdout=theirs, stderr=theirs, env=environment):
        os.close(theirs)
        text = b""
        with suppress(OSError):  # Linux says so when the other side is gone
            while part := os.read(ours, 4096):
                text += part
    os.close(ours)
    return _ESCAPES.sub("", _TAKEN_AWAY.sub("", text.decode().replace("\r\n", "\n")))
