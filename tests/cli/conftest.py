"""Run the command in this process, in a child process, and on a terminal."""

from __future__ import annotations

import fcntl
import os
import pty
import select
import signal
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

from paperspace.gradient.cli.main import main

CALL = "import sys; sys.argv[0] = 'gradient'; from paperspace.gradient.__main__ import main; main()"
GRADIENT = [sys.executable, "-W", "error", "-c", CALL]

# Ends tests that hang. It is no expectation of how long something takes.
TIMEOUT = 60

# Makes the terminal on stdin the controlling terminal of the process, so that Ctrl-C reaches the process.
SET_CONTROLLING_TERMINAL = "import fcntl, termios; fcntl.ioctl(0, termios.TIOCSCTTY, 0)"

SPEC = """\
image: tensorflow/serving
port: 8501
resources:
  instanceType: A100
  replicas: 1
"""


class Run(Protocol):
    """Runs the command with arguments."""

    def __call__(self, *arguments: str, stdin: str | None = None) -> Result: ...


class TerminalResult(NamedTuple):
    """The text that the terminal received, and the exit code."""

    text: str
    code: int


@pytest.fixture
def run() -> Run:
    """Return a function that runs the command in this process."""

    def run(*arguments: str, stdin: str | None = None) -> Result:
        return CliRunner().invoke(main, arguments, input=stdin, prog_name="gradient")

    return run


@pytest.fixture
def spec_file(tmp_path: Path) -> str:
    """Write a file with the spec of the documentation page."""
    path = tmp_path / "mnist.yaml"
    path.write_text(SPEC, encoding="utf-8")
    return str(path)


@pytest.fixture
def config_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the path of the configuration file of the test. The file and its directory do not exist yet."""
    monkeypatch.setenv("PAPERSPACE_CONFIG_PATH", str(tmp_path / "settings"))
    return tmp_path / "settings/config.json"


@pytest.fixture
def silent_url() -> Iterator[str]:
    """Return the URL of a listener that accepts connections and never responds."""
    with closing(socket.create_server(("127.0.0.1", 0))) as listener:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}/graphql"


def run_process(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run the command in a child process."""
    return subprocess.run(
        [*GRADIENT, *arguments],
        capture_output=True,
        text=True,
        timeout=TIMEOUT,
        check=False,
        env={**os.environ, **environment},
    )


def run_on_terminal(
    *arguments: str,
    columns: int = 80,
    typed: bytes = b"",
    interrupt: str = "",
    terminate: str = "",
    **environment: str,
) -> TerminalResult:
    """Run the command on a terminal, which must echo what is typed at the end as at the start.

    Args:
        arguments: The arguments of the command.
        columns: The width of the terminal.
        typed: Keys to type at the prompt.
        interrupt: The text at which to type Ctrl-C.
        terminate: The text at which to send SIGTERM.
        environment: Environment variables to set.
    """
    our_side, command_side = pty.openpty()
    fcntl.ioctl(command_side, termios.TIOCSWINSZ, struct.pack("4H", 40, columns, 0, 0))
    variables = {name: value for name, value in os.environ.items() if name not in {"COLUMNS", "LINES", "NO_COLOR"}}
    process = subprocess.Popen(
        [sys.executable, "-W", "error", "-c", f"{SET_CONTROLLING_TERMINAL}; {CALL}", *arguments],
        stdin=command_side,
        stdout=command_side,
        stderr=command_side,
        start_new_session=True,
        env={**variables, "TERM": "xterm-256color", **environment},
    )
    os.close(command_side)
    text = b""
    end = time.monotonic() + 2 * TIMEOUT
    with suppress(OSError):  # on Linux, when the command has closed its side
        while (
            time.monotonic() < end  # a table that is drawn again and again has no end
            and select.select([our_side], [], [], TIMEOUT)[0]
            and (part := os.read(our_side, 4096))
        ):
            text += part
            if interrupt and interrupt in text.decode(errors="ignore"):
                os.write(our_side, b"\x03")
                interrupt = ""
            if terminate and terminate in text.decode(errors="ignore"):
                time.sleep(0.2)  # the text of a prompt comes just before the echo is switched off
                process.send_signal(signal.SIGTERM)
                terminate = ""
            if typed and text.endswith(b": "):  # after the whole prompt; the command discards earlier input
                # As slowly as a person: click would notice a Ctrl-C between prompt and read only at the next key.
                time.sleep(0.2)
                os.write(our_side, typed)
                typed = b""
    try:
        assert (interrupt, terminate) == ("", ""), text.decode()  # the text has not appeared
        code = process.wait(TIMEOUT)
        assert termios.tcgetattr(our_side)[3] & termios.ECHO
        return TerminalResult(text.decode().replace("\r\n", "\n"), code)
    finally:
        os.close(our_side)
        process.kill()
