"""The command on a terminal: tables that fit, prompts, and wrapped messages."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from rich.cells import cell_len
from tests.altering_proxy import altered
from tests.cli.conftest import Run, TerminalResult, run_on_terminal
from tests.faults.harness import wait_for

from paperspace.gradient import Client
from paperspace.gradient.cli._exit_codes import ExitCode
from paperspace.gradient.server import LocalServer

pytestmark = pytest.mark.usefixtures("environment")

NAMES = ["mnist", "a very long name of a deployment indeed", "数字認識モデル"]


@pytest.fixture
def ids(client: Client) -> list[str]:
    """Create deployments with names of all kinds, and return their ids."""
    image = "registry.example.com/team/models/serving-of-everything:v1.2.3-rc4"
    return [client.deployments.create_deployment(name, "p1", {"image": image})["id"] for name in NAMES]


def table(columns: int) -> TerminalResult:
    """Return the table on a terminal of this width, without the bold of its header and the colors of the states."""
    shown = run_on_terminal("deployments", "list", columns=columns)
    assert shown.text.startswith("\x1b[1m")
    return TerminalResult(re.sub(r"\x1b\[[0-9]*m", "", shown.text), shown.code)


@pytest.mark.parametrize(
    ("columns", "titles"),
    [
        (50, ["Name", "Replicas", "State", "Age"]),
        (100, ["Name", "Replicas", "State", "Endpoint"]),
        (200, ["Name", "ID", "Image", "Replicas", "State", "Endpoint", "Age"]),
    ],
)
@pytest.mark.usefixtures("ids")
def test_table_fits(client: Client, columns: int, titles: list[str]) -> None:
    """No line is wider than the terminal, endpoints are complete, and a message names the hidden columns."""
    shown = table(columns)
    lines = shown.text.splitlines()
    assert shown.code == 0
    assert lines[0].split() == titles
    assert max(map(cell_len, lines)) <= columns
    if "Endpoint" in titles:
        endpoints = [status["endpointUrl"] for status in client.deployments.list_deployment_statuses()]
        assert all(endpoint in line for line, endpoint in zip(lines[1:4], endpoints, strict=True))
    hidden = [title for title in ("ID", "Image", "Endpoint", "Age") if title not in titles]
    message = f"Hidden columns: {', '.join(hidden)}. Use a wider terminal, or `| cat`, to see them." if hidden else ""
    assert " ".join(line.strip() for line in lines[4:]) == message


def test_columns_line_up(ids: list[str]) -> None:
    """Columns are aligned, also with wide characters in the names."""
    lines = table(200).text.splitlines()[1:]
    assert len({cell_len(line.partition(id_)[0]) for line, id_ in zip(lines, reversed(ids), strict=True)}) == 1


def test_unknown_size(ids: list[str]) -> None:
    """`COLUMNS=0` and `LINES=0`, which some shells and containers set, mean that the size is unknown: nothing is hidden."""
    waited = run_on_terminal("deployments", "wait", ids[0], COLUMNS="0", LINES="0")
    assert "all replicas ready" in waited.text
    watched = run_on_terminal("deployments", "list", "--watch", interrupt="Age", COLUMNS="0", LINES="0")
    assert (watched.code, "ready" in watched.text) == (ExitCode.INTERRUPTED, True)


def test_piped_table_is_whole(ids: list[str], run: Run) -> None:
    """Without a terminal, the table is complete, without shortened cells and without bold."""
    shown = run("deployments", "list")
    assert "\x1b" not in shown.output
    assert "…" not in shown.output
    assert all(text in shown.stdout for text in [*ids, *NAMES, "Endpoint", "rc4"])
    assert shown.stderr == ""


def test_no_colour(ids: list[str]) -> None:
    """NO_COLOR switches colours off."""
    for no_color, colored in (("", True), ("1", False)):
        shown = run_on_terminal("deployments", "list", columns=200, NO_COLOR=no_color).text
        assert ids[0] in shown
        assert ("\x1b[3" in shown) is colored


@pytest.mark.parametrize("term", ["dumb", "unknown"])
def test_plain_terminal(ids: list[str], term: str) -> None:
    """A terminal without escape sequences receives none, and no empty lines."""
    for words in (["list"], ["wait", ids[0]]):
        shown = run_on_terminal("deployments", *words, TERM=term)
        assert shown.code == 0
        assert "\x1b" not in shown.text
        assert "\r" not in shown.text
        assert "\n\n" not in shown.text


def test_escape_sequences_in_names(client: Client, server: LocalServer, run: Run) -> None:
    """Escape sequences and markup in texts of the server are printed, not interpreted."""
    client.deployments.create_deployment("a[red]b", "p1", {"image": "x"})

    def with_escape_sequence(content: dict[str, Any]) -> None:
        [node] = content["data"]["deployments"]["nodes"]
        node["deploymentSpecs"]["nodes"][0]["data"]["image"] = "x\x1b[31m"

    with altered(server, response=with_escape_sequence) as url:
        shown = run("deployments", "list", "--api-url", url).stdout
    assert "a[red]b" in shown
    assert "x\ufffd[31m" in shown


@pytest.mark.parametrize("words", [[], ["--spec"], ["--spec", "-o", "json"]])
def test_escape_sequences_in_data(client: Client, run: Run, words: list[str]) -> None:
    """In JSON and YAML, control characters and bidirectional marks are escaped: a program that parses the data gets them."""
    unsafe = "\x7f\x85\x9b\u2028\u202e\u2066"
    spec = {"image": "i", "env": [{"name": "A", "value": f"é{unsafe}"}]}
    shown = run("deployments", "get", client.deployments.create_deployment("n", "p", spec)["id"], *words).stdout
    assert not set(unsafe).intersection(shown)
    assert json.dumps(spec["env"]) in json.dumps(yaml.safe_load(shown))


@pytest.mark.parametrize(
    ("time", "message"),
    [("2024-05-17T09:30:00", "d"), ("yesterday", "the response has an invalid time: 'yesterday'")],
)
@pytest.mark.usefixtures("ids")
def test_ages_of_other_servers(server: LocalServer, run: Run, time: str, message: str) -> None:
    """A time without a time zone is in UTC; a text that is no time is an error of the response."""

    def other_times(content: dict[str, Any]) -> None:
        for node in content["data"]["deployments"]["nodes"]:
            node["dtCreated"] = time

    with altered(server, response=other_times) as url:
        shown = run("deployments", "list", "--api-url", url)
    assert "internal error" not in shown.output
    assert message in (shown.output.split()[-1] if message == "d" else shown.stderr)


@pytest.mark.parametrize("columns", [40, 60, 100])
def test_errors_are_wrapped(columns: int) -> None:
    """Messages are wrapped between words, and continuation lines are indented."""
    shown = run_on_terminal("deployments", "list", columns=columns, PAPERSPACE_API_KEY="")
    lines = shown.text.splitlines()
    assert shown.code == ExitCode.AUTHENTICATION
    assert max(map(len, lines)) <= columns
    assert "PAPERSPACE_API_KEY," in shown.text.split()
    assert all(line.startswith(("Error: ", "Hint: ", "  ")) for line in lines)
    assert [line.partition(":")[0] for line in lines if not line.startswith("  ")] == ["Error", "Hint"]
    wrong = run_on_terminal("deployments", "get", columns=columns)
    assert wrong.code == ExitCode.USAGE
    assert max(map(len, wrong.text.splitlines())) <= columns
    assert "`gradient deployments list` shows both." in " ".join(wrong.text.split())


@pytest.mark.parametrize(
    ("keys", "code", "gone"),
    [(b"y\n", 0, True), (b"n\n", 1, False), (b"\n", 1, False), (b"\x03", 130, False), (b"\x04", 1, False)],
)
def test_delete_asks(ids: list[str], client: Client, keys: bytes, code: int, gone: bool) -> None:
    """On a terminal, `delete` asks for confirmation with the name; Ctrl-C exits with 130."""
    shown = run_on_terminal("deployments", "delete", "--id", ids[0], typed=keys)
    assert shown.code == code
    assert shown.text.startswith("Delete mnist? [y/N]:")
    assert shown.text.endswith("\n")
    assert "Traceback" not in shown.text
    assert (ids[0] not in [deployment["id"] for deployment in client.deployments.list_deployments()]) is gone


def test_yes_asks_nothing(ids: list[str]) -> None:
    """With --yes, `delete` does not ask."""
    shown = run_on_terminal("deployments", "delete", *ids, "--yes")
    assert shown == TerminalResult("".join(f"Deleted deployment: {id_}\n" for id_ in ids), 0)


def test_key_is_not_echoed(config_file: os.PathLike[str]) -> None:
    """A key that is typed at the prompt is not shown."""
    shown = run_on_terminal("apiKey", typed=b"0123456789\n", columns=200, PAPERSPACE_API_KEY="")
    assert shown.code == 0
    assert "0123456789" not in shown.text
    assert shown.text.endswith(f"Stored the API key in {config_file}\n")


def test_sigterm_at_a_prompt(config_file: Path) -> None:
    """SIGTERM at the prompt for a key, which does not echo, restores the echo and stores nothing."""
    shown = run_on_terminal("apiKey", terminate="API key: ", PAPERSPACE_API_KEY="")
    assert shown.code == ExitCode.TERMINATED
    assert "Traceback" not in shown.text
    assert not config_file.exists()


@pytest.fixture
def browser(tmp_path: Path) -> Path:
    """Put a program that opens URLs on the PATH; return the file in which it notes them."""
    opened = tmp_path / "opened"
    program = tmp_path / "bin" / "xdg-open"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\necho "$@" >> {opened}\n')
    program.chmod(0o755)
    return opened


def open_on_terminal(browser: Path, *arguments: str) -> TerminalResult:
    path = f"{browser.parent / 'bin'}:{os.environ['PATH']}"
    return run_on_terminal("deployments", "open", *arguments, columns=200, PATH=path)


def test_open(ids: list[str], browser: Path, run: Run, client: Client) -> None:
    """On a terminal, the endpoint is printed and opened in a browser; with --no-browser or in a pipe, only printed."""
    url = client.deployments.get_deployment_status(ids[0])["endpointUrl"]
    assert open_on_terminal(browser, "mnist", "--no-browser").text.strip() == url
    assert run("deployments", "open", "mnist").stdout == f"{url}\n"
    assert not browser.exists()
    assert open_on_terminal(browser, "mnist").text.strip() == url
    wait_for(browser.exists)
    assert browser.read_text() == f"{url}\n"


@pytest.mark.usefixtures("ids")
def test_open_only_web_pages(browser: Path, server: LocalServer) -> None:
    """A server cannot make the command open a file."""

    def local_file(response: dict[str, Any]) -> None:
        for node in response["data"].get("deployment", {}).get("deploymentSpecs", {}).get("nodes", []):
            node["endpointUrl"] = "file:///etc/passwd"

    with altered(server, response=local_file) as url:
        shown = open_on_terminal(browser, "mnist", "--api-url", url)
    assert shown.code == ExitCode.FAILED
    assert "it does not start with http:// or https://" in shown.text
    assert not browser.exists()
