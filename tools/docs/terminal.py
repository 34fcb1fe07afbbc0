"""Run a command on a pseudo-terminal."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import struct
import subprocess
import termios
from contextlib import suppress

# A line that is erased again, such as a progress bar, perhaps with the line above.
_ERASED = re.compile(r"[^\n]*\n?(\x1b\[\?25h)?\r(\x1b\[1A)?\x1b\[2K")
_ESCAPES = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


def run_on_terminal(command: list[str], columns: int) -> str:
    """The text that is on a terminal of this width in the end, without colours."""
    parent_end, terminal = pty.openpty()
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("4H", 40, columns, 0, 0))
    environment = {name: value for name, value in os.environ.items() if name not in {"COLUMNS", "LINES"}}
    with subprocess.Popen(command, stdin=terminal, stdout=terminal, stderr=terminal, env=environment):
        os.close(terminal)
        text = b""
        with suppress(OSError):  # Linux raises EIO after the command has ended
            while part := os.read(parent_end, 4096):
                text += part
    os.close(parent_end)
    return _ESCAPES.sub("", _ERASED.sub("", text.decode().replace("\r\n", "\n")))
