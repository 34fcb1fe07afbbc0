"""Servers as child processes."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any


@contextmanager
def child(*arguments: str | Path, core: int | None = None, ready: str = "") -> Iterator[str]:
    """Run a Python process that prints a line that starts with `ready`; yield the last word of the line."""
    pipes: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL}
    # Python keeps compiled modules, as for users; environments of CI and containers often turn that off.
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    with subprocess.Popen([sys.executable, *map(str, arguments)], text=True, env=environment, **pipes) as process:
        if core is not None:
            os.sched_setaffinity(process.pid, {core})
        try:
            yield next(line for line in process.stdout or () if line.startswith(ready)).split()[-1]
        finally:
            process.terminate()
