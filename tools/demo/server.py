"""A server for the demo, in another process."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager

from paperspace.gradient import configure


@contextmanager
def running_server(*options: str) -> Iterator[list[str]]:
    """Run a server on a free port, and use it in this process. Yield the lines that it prints.

    Raises:
        SystemExit: The server does not start.
    """
    with (
        tempfile.TemporaryFile("w+") as log,  # the log would be mixed with the output of the demo
        subprocess.Popen(
            ["gradient", "server", "--port", "0", *options], stdout=subprocess.PIPE, stderr=log, text=True
        ) as server,
    ):
        try:
            assert server.stdout is not None  # noqa: S101  # it is a pipe
            lines = []
            while line := server.stdout.readline():
                lines.append(line.rstrip())
                if line.startswith("export PAPERSPACE_API_KEY="):
                    break
            else:
                server.wait()
                log.seek(0)
                sys.exit(f"The server did not start.\n{log.read()}")
            use(line for line in lines if line.startswith("export "))
            yield lines
        finally:
            server.terminate()


def use(exports: Iterator[str]) -> None:
    """Set the environment variables that the `export` lines set."""
    for line in exports:
        for setting in line.removeprefix("export ").split():
            name, _, value = setting.partition("=")
            os.environ[name] = value
    configure()  # the default client may have the settings of another server
