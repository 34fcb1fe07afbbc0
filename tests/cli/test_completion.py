"""Shell completion from the server: it is silent about errors and does not wait long."""

from __future__ import annotations

import os
import pty
import re
import select
import shlex
import shutil
import subprocess
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from click.testing import CliRunner
from tests.cli.conftest import GRADIENT, TIMEOUT, run_process
from tests.samples import spec

from paperspace.gradient import Client
from paperspace.gradient.cli import _completion
from paperspace.gradient.cli.main import main


class Completion(NamedTuple):
    """The output for the shell, the messages, and the exit code."""

    text: str
    stderr: str
    code: int


def completed(shell: str, *words: str) -> Completion:
    """Complete the last of the words, as the shell does when Tab is pressed."""
    cword = words[-1] if shell == "fish" else str(len(words) - 1)
    line = shlex.join(word for word in words if word)
    variables = {"_GRADIENT_COMPLETE": f"{shell}_complete", "COMP_WORDS": line, "COMP_CWORD": cword}
    if shell == "bash":
        variables["COMP_LINE"] = line if words[-1] else f"{line} "
    shown = CliRunner().invoke(main, [], prog_name="gradient", env=variables)
    return Completion(shown.stdout.rstrip("\n"), shown.stderr, shown.exit_code)


@pytest.fixture
def mnist(environment: dict[str, str], client: Client, monkeypatch: pytest.MonkeyPatch) -> str:  # noqa: ARG001  # it sets the environment
    """Create three deployments, and return the id of the one named mnist. A busy machine has time to complete it."""
    monkeypatch.setattr(_completion, "TIMEOUT", 60.0)
    client.deployments.create_deployment("two words", "p1", spec())
    client.deployments.create_deployment("zürich", "p1", spec())
    return client.deployments.create_deployment("mnist", "p1", spec())["id"]


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
@pytest.mark.parametrize("words", [["get", "--id"], ["get"], ["delete"], ["update", "--id"]], ids=" ".join)
def test_ids(shell: str, words: list[str], mnist: str) -> None:
    """Ids are completed wherever one is expected, with the name as a description if the shell shows it."""
    done = completed(shell, "gradient", "deployments", *words, mnist[:-1])
    assert (done.code, done.stderr) == (0, "")
    assert mnist in done.text
    assert ("mnist" in done.text) == (shell != "bash")
    assert completed(shell, "gradient", "deployments", *words, "x").text == ""


@pytest.mark.usefixtures("mnist")
@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_names(shell: str) -> None:
    """Names are completed, except those that need quotes."""
    done = completed(shell, "gradient", "deployments", "list", "--name", "")
    assert (done.code, done.stderr) == (0, "")
    assert re.findall(r"mnist|two|zürich", done.text) == ["mnist", "zürich"]


def test_common_options(mnist: str) -> None:
    """Completion uses the API key on the command line."""
    assert mnist in completed("bash", "gradient", "deployments", "get", "--id", "").text
    assert completed("bash", "gradient", "--apiKey", "wrong", "deployments", "get", "--id", "").text == ""


@pytest.mark.parametrize(
    "environment",
    [
        {},
        {"PAPERSPACE_API_KEY": "k", "PAPERSPACE_API_URL": "http://127.0.0.1:9/graphql"},
        {"PAPERSPACE_API_KEY": "k", "PAPERSPACE_API_URL": "nonsense"},
    ],
)
def test_silent(environment: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Without an API key, a server or a valid API URL, completion offers and prints nothing."""
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert completed("bash", "gradient", "deployments", "get", "--id", "") == ("", "", 0)


def test_timeout(silent_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Completion asks a server that never responds once, and waits for the short timeout."""
    clients: list[Client] = []
    bind = Client._bind

    def record(client: Client, session: Any) -> None:
        clients.append(client)
        bind(client, session)

    monkeypatch.setattr(Client, "_bind", record)
    words = ["gradient", "--api-url", silent_url, "--api-key", "k", "deployments", "get", "--id", ""]
    start = time.monotonic()
    assert completed("bash", *words) == ("", "", 0)
    waited = time.monotonic() - start
    [settings] = [client._session.settings for client in clients]
    assert (settings.api_url, settings.max_retries) == (silent_url, 0)
    assert 1 <= settings.timeout <= 2
    assert waited >= settings.timeout


def test_commands_and_options() -> None:
    """Commands and options are completed without a server."""
    assert "deployments" in completed("bash", "gradient", "dep").text
    assert "--project-id" in completed("bash", "gradient", "deployments", "list", "--pro").text
    assert completed("bash", "gradient", "deployments", "create", "--spec", "").text == "file,"


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_source(shell: str) -> None:
    """The documented line prints a script that the shell parses without errors."""
    script = run_process(_GRADIENT_COMPLETE=f"{shell}_source")
    assert (script.returncode, script.stderr) == (0, "")
    if shutil.which(shell):
        checked = subprocess.run([shell, "-n"], input=script.stdout, capture_output=True, text=True, check=False)
        assert (checked.returncode, checked.stderr) == (0, "")


@pytest.fixture
def bash_line(environment: dict[str, str], tmp_path: Path) -> Callable[[str], str]:
    """Return a function that types a line and Tab into bash, and returns the arguments that the command would get."""
    program = tmp_path / "bin/gradient"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\nexec {shlex.join(GRADIENT)} "$@"\n', encoding="utf-8")
    program.chmod(0o755)
    variables = {
        **environment,
        "COMPLETION": run_process(_GRADIENT_COMPLETE="bash_source").stdout,
        "PATH": f"{program.parent}{os.pathsep}{os.environ['PATH']}",
        "TERM": "dumb",
    }

    def type_line(line: str) -> str:
        our_side, shell_side = pty.openpty()
        command = ["bash", "--norc", "--noprofile", "-i"]
        with subprocess.Popen(command, stdin=shell_side, stdout=shell_side, stderr=shell_side, env=variables) as bash:
            os.close(shell_side)
            os.write(our_side, b'eval "$COMPLETION"; gradient() { printf "\\n[%s]\\n" "$*"; }\r')
            os.write(our_side, f"{line}\t\rexit\r".encode())
            text = b""
            with suppress(OSError):  # on Linux, when the shell has ended
                while select.select([our_side], [], [], TIMEOUT)[0] and (part := os.read(our_side, 4096)):
                    text += part
            bash.wait(TIMEOUT)
        os.close(our_side)
        arguments: str = re.findall(r"^\[(.*)\]", text.decode(), re.MULTILINE)[-1]
        return arguments

    return type_line


@pytest.mark.skipif(not shutil.which("bash"), reason="bash is not installed")
@pytest.mark.parametrize(
    ("typed", "completed"),
    [
        ("team:mn", "team:mnist"),
        ("team:", "team:mnist"),
        ("te", "team:mnist"),
        ("a=b@", "a=b@c:d"),
        ("zür", "zürich"),
        ("'team:mn", "team:mnist"),
    ],
)
def test_words_that_bash_splits(bash_line: Callable[[str], str], client: Client, typed: str, completed: str) -> None:
    """In bash, names with the characters at which it splits words are completed, wherever the cursor is in them."""
    for name in ("team:mnist", "a=b@c:d", "zürich"):
        client.deployments.create_deployment(name, "p1", spec())
    line = bash_line(f"gradient deployments logs {typed}")
    assert line == f"deployments logs {completed}"
