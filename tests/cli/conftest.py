"""The command, run in this process, as a process of its own, and on a terminal of a given width."""

from __future__ import annotations

import fcntl
import os
import pty
import select
import socket
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path
from typing import NamedTuple, Protocol

import pytest
from click.testing import CliRunner, Result

from paperspace.gradient.cli import main

CALL = "from paperspace.gradient.cli import main; main(prog_name='gradient')"
GRADIENT = [sys.executable, "-W", "error", "-c", CALL]

# Nothing here takes longer, however busy the machine.
SECONDS = 30

# Makes a terminal that of the process, so that Ctrl-C on it reaches it.
OWN_TERMINAL = "import fcntl, termios; fcntl.ioctl(0, termios.TIOCSCTTY, 0)"

SPEC = """\
image: tensorflow/serving
port: 8501
resources:
  instanceType: A100
  replicas: 1
"""


class Run(Protocol):
    """Runs the command with these arguments."""

    def __call__(self, *arguments: str, stdin: str | None = None) -> Result: ...


class Shown(NamedTuple):
    """What a terminal was sent, and the exit code."""

    text: str
    code: int


@pytest.fixture
def run() -> Run:
    """The command, in this process."""

    def run(*arguments: str, stdin: str | None = None) -> Result:
        return CliRunner().invoke(main, arguments, input=stdin, prog_name="gradient")

    return run


@pytest.fixture
def spec_file(tmp_path: Path) -> str:
    """A file with the spec of the documentation page."""
    path = tmp_path / "mnist.yaml"
    path.write_text(SPEC, encoding="utf-8")
    return str(path)


@pytest.fixture
def config_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the configuration file is for this test; it and its folder are not there yet."""
    monkeypatch.setenv("PAPERSPACE_CONFIG_PATH", str(tmp_path / "settings"))
    return tmp_path / "settings/config.json"


@pytest.fixture
def silent_url() -> Iterator[str]:
    """The address of something that takes connections and never answers."""
    with closing(socket.create_server(("127.0.0.1", 0))) as listener:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}/graphql"


def own_process(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """The command, as a process of its own."""
    return subprocess.run(
        [*GRADIENT, *arguments],
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
        env={**os.environ, **environment},
    )


def on_terminal(
    *arguments: str, columns: int = 80, typed: bytes = b"", interrupt: str = "", **environment: str
) -> Shown:
    """The command, on a terminal where these keys are typed at the prompt, or Ctrl-C once this text is shown."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("4H", 40, columns, 0, 0))
    variables = {name: value for name, value in os.environ.items() if name not in {"COLUMNS", "LINES", "NO_COLOR"}}
    process = subprocess.Popen(
        [sys.executable, "-W", "error", "-c", f"{OWN_TERMINAL}; {CALL}", *arguments],
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        start_new_session=True,
        env={**variables, "TERM": "xterm-256color", **environment},
    )
    os.close(theirs)
    text = b""
    with suppress(OSError):  # Linux says so when the other side is gone
        while select.select([ours], [], [], SECONDS)[0] and (part := os.read(ours, 4096)):
            text += part
            if interrupt and interrupt in text.decode(errors="ignore"):
                os.write(ours, b"\x03")
                interrupt = ""
            if typed and text.endswith(b": "):  # not before the space: what is typed until then may be thrown away
                time.sleep(
                    0.2
                )  # a person's: Ctrl-C between the prompt and the reading would only be noticed at the next key
                os.write(ours, typed)
                typed = b""
    os.close(ours)
    try:
        return Shown(text.decode().replace("\r\n", "\n"), process.wait(SECONDS))
    finally:
        process.kill()
