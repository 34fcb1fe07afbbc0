"""`gradient server` on a private Docker engine, as a process that can be killed."""

from __future__ import annotations

import signal
import subprocess
from pathlib import Path

from tests.engine.private_engine import PrivateEngine
from tests.engine.site import Site
from tests.engine.test_command import GRADIENT, environment

from paperspace.gradient import Client


class Server:
    """`gradient server` as a process that can be killed and started again, on the same port and database."""

    def __init__(self, docker: PrivateEngine, folder: Path, *options: str, docker_host: str | None = None) -> None:
        self.site = Site(docker, folder)
        self.process: subprocess.Popen[str] | None = None
        self.client = Client("key", "http://127.0.0.1:8600/graphql")
        self._docker_host = docker_host or docker.url
        self._folder = folder
        self._options = options

    def start(self) -> None:
        """Start it, and return when it listens."""
        options = ["--engine", "docker", "--api-key", "key", "--database", str(self._folder / "gradient.db")]
        with (self._folder / "server.log").open("a") as log:
            self.process = subprocess.Popen(
                [*GRADIENT, "server", *options, *self._options],
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                env=environment(self._docker_host, self._folder),
            )
        assert self.process.stdout
        lines = [self.process.stdout.readline() for _ in range(3)]
        assert lines[2].startswith("Listening on"), f"{lines} {(self._folder / 'server.log').read_text()[-2000:]}"

    def end(self, number: signal.Signals = signal.SIGTERM) -> None:
        """Send a signal, and wait until the process has ended."""
        if self.process is not None:
            self.process.send_signal(number)
            self.process.wait(60)
            assert self.process.stdout
            self.process.stdout.close()
            self.process = None
