"""The shell completes from the server, and a server that does not answer is no word and no wait."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
import time
from typing import Any, NamedTuple

import pytest
from click.testing import CliRunner
from tests.cli.conftest import own_process
from tests.samples import spec

from paperspace.gradient import Client
from paperspace.gradient.cli import _completion, main
from paperspace.gradient.cli._client import deployments


class Answer(NamedTuple):
    """What the shell is told, and what else was said."""

    text: str
    stderr: str
    code: int


def completed(shell: str, *words: str) -> Answer:
    """What the shell is told when Tab is pressed behind the last of the words."""
    place = words[-1] if shell == "fish" else str(len(words) - 1)
    line = shlex.join(word for word in words if word)
    variables = {"_GRADIENT_COMPLETE": f"{shell}_complete", "COMP_WORDS": line, "COMP_CWORD": place}
    shown = CliRunner().invoke(main, [], prog_name="gradient", env=variables)
    return Answer(shown.stdout.rstrip("\n"), shown.stderr, shown.exit_code)


@pytest.fixture
def mnist(environment: dict[str, str], client: Client) -> str:  # noqa: ARG001  # it sets the environment
    """The id of a deployment, beside others."""
    client.deployments.create_deployment("two words", "p1", spec())
    client.deployments.create_deployment("zürich", "p1", spec())
    return client.deployments.create_deployment("mnist", "p1", spec())["id"]


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
@pytest.mark.parametrize("words", [["get", "--id"], ["get"], ["delete"], ["update", "--id"]], ids=" ".join)
def test_ids(shell: str, words: list[str], mnist: str) -> None:
    """Ids are completed wherever one is expected, with the name beside it where the shell shows that."""
    done = completed(shell, "gradient", "deployments", *words, mnist[:-1])
    assert (done.code, done.stderr) == (0, "")
    assert mnist in done.text
    assert ("mnist" in done.text) == (shell != "bash")
    assert completed(shell, "gradient", "deployments", *words, "x").text == ""


@pytest.mark.usefixtures("mnist")
@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_names(shell: str) -> None:
    """Names are completed, but for those that would have to be quoted."""
    done = completed(shell, "gradient", "deployments", "list", "--name", "")
    assert (done.code, done.stderr) == (0, "")
    assert re.findall(r"mnist|two|zürich", done.text) == ["mnist", "zürich"]


def test_settings_of_the_line(mnist: str) -> None:
    """The server is asked with the key of the line that is being typed."""
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
    """Without a key, a server or a sound address, nothing is completed and nothing is said."""
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert completed("bash", "gradient", "deployments", "get", "--id", "") == ("", "", 0)


def test_short(silent_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Completion waits for a server that does not respond, but for a short time, and only once."""
    options: list[dict[str, Any]] = []

    def spy(**given: Any) -> Any:
        options.append(given)
        return deployments(**given)

    monkeypatch.setattr(_completion, "deployments", spy)
    start = time.monotonic()
    words = ["gradient", "--api-url", silent_url, "--api-key", "k", "deployments", "get", "--id", ""]
    assert completed("bash", *words) == ("", "", 0)
    assert options == [{"timeout": 1.5, "max_retries": 0}]
    assert time.monotonic() - start >= 1.5


def test_commands_and_options() -> None:
    """Commands and options are completed without asking anybody."""
    assert "deployments" in completed("bash", "gradient", "dep").text
    assert "--project-id" in completed("bash", "gradient", "deployments", "list", "--pro").text
    assert completed("bash", "gradient", "deployments", "create", "--spec", "").text == "file,"


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_source(shell: str) -> None:
    """The line of the documentation gives a script that the shell itself finds nothing wrong with."""
    script = own_process(_GRADIENT_COMPLETE=f"{shell}_source")
    assert (script.returncode, script.stderr) == (0, "")
    if shutil.which(shell):
        checked = subprocess.run([shell, "-n"], input=script.stdout, capture_output=True, text=True, check=False)
        assert (checked.returncode, checked.stderr) == (0, "")
