"""Shell completion from the server: it is silent about errors and does not wait long."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
import time
from typing import Any, NamedTuple

import pytest
from click.testing import CliRunner
from tests.cli.conftest import run_process
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
