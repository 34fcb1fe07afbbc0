"""Run programs that use the library, each in a process of its own."""

from __future__ import annotations

import subprocess
import sys
import textwrap
from collections.abc import Callable

from tests.faults.harness import CANARY, wait_for

PRELUDE = """
import asyncio, gc, os, signal, sys, threading, time
from concurrent.futures import ThreadPoolExecutor
from uuid import uuid4
from paperspace.gradient import AsyncClient, Client
url, key = sys.argv[1:]
ID = "3f0c1c1e-5f0a-4b0e-9b7e-2f6f2a2d9c11"
"""


# asyncio's debug mode prints this about a step that took more than 0.1 s, such as the import of the libraries.
SLOW = "Executing <"


def program(text: str, url: str, *, developer: bool = True) -> subprocess.Popen[str]:
    flags = ["-X", "dev", "-W", "error"] if developer else []
    code = PRELUDE + textwrap.dedent(text)
    return subprocess.Popen(
        [sys.executable, *flags, "-c", code, url, CANARY],
        text=True,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )


def run_program(text: str, url: str, ready: Callable[[], object] = lambda: True) -> str:
    """Run a program that must succeed and print nothing on stderr; return its output.

    A program that calls input() goes on when `ready` is true.
    """
    with program(text, url) as process:
        wait_for(ready)
        out, err = process.communicate("\n", timeout=120)
    err = "".join(line for line in err.splitlines(keepends=True) if not line.startswith(SLOW))
    assert (process.returncode, err) == (0, ""), err
    return out
