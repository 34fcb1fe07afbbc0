"""What the command looks like on a terminal: tables that fit, questions, and lines that are not torn."""

from __future__ import annotations

import os

import pytest
from rich.cells import cell_len
from tests.cli.conftest import Run, Shown, on_terminal

from paperspace.gradient import Client
from paperspace.gradient.cli._errors import ExitCode

pytestmark = pytest.mark.usefixtures("environment")

NAMES = ["mnist", "a very long name of a deployment indeed", "数字認識モデル"]


@pytest.fixture
def ids(client: Client) -> list[str]:
    """The ids of deployments with names of all kinds."""
    image = "registry.example.com/team/models/serving-of-everything:v1.2.3-rc4"
    return [client.deployments.create_deployment(name, "p1", {"image": image})["id"] for name in NAMES]


def table(columns: int) -> Shown:
    """The list on a terminal of this width, without the bold of its head."""
    shown = on_terminal("deployments", "list", columns=columns)
    assert shown.text.startswith("\x1b[1m")
    return Shown(shown.text.replace("\x1b[1m", "").replace("\x1b[0m", ""), shown.code)


@pytest.mark.parametrize(
    ("columns", "titles"),
    [
        (60, ["Name", "ID", "Replicas"]),
        (100, ["Name", "ID", "Image", "Replicas", "State", "Age"]),
        (200, ["Name", "ID", "Image", "Replicas", "State", "Endpoint", "Age"]),
    ],
)
def test_table_fits(ids: list[str], columns: int, titles: list[str]) -> None:
    """No line is wider than the terminal, ids are whole, and what had no room is named."""
    shown = table(columns)
    lines = shown.text.splitlines()
    assert shown.code == 0
    assert lines[0].split() == titles
    assert max(map(cell_len, lines)) <= columns
    assert all(own in line for line, own in zip(lines[1:4], reversed(ids), strict=True))
    hidden = [title for title in ("Image", "State", "Endpoint", "Age") if title not in titles]
    note = f"Too narrow for: {', '.join(hidden)}; with `| cat`, the table is whole." if hidden else ""
    assert " ".join(line.strip() for line in lines[4:]) == note


def test_columns_line_up(ids: list[str]) -> None:
    """Every column begins at the same place in each line, whatever the script of the names."""
    lines = table(200).text.splitlines()[1:]
    assert len({cell_len(line.partition(own)[0]) for line, own in zip(lines, reversed(ids), strict=True)}) == 1


def test_piped_table_is_whole(ids: list[str], run: Run) -> None:
    """Where there is no terminal, nothing is left out or shortened, and nothing is bold."""
    shown = run("deployments", "list")
    assert "\x1b" not in shown.output
    assert "…" not in shown.output
    assert all(text in shown.stdout for text in [*ids, *NAMES, "Endpoint", "rc4"])
    assert shown.stderr == ""


def test_no_colour(ids: list[str]) -> None:
    """NO_COLOR is respected."""
    assert ids[0] in (shown := on_terminal("deployments", "list", NO_COLOR="1").text)
    assert "\x1b[3" not in shown


@pytest.mark.parametrize("term", ["dumb", "unknown"])
def test_terminal_that_knows_nothing(ids: list[str], term: str) -> None:
    """A terminal that says that it knows nothing but characters is sent nothing else, and no empty lines."""
    for words in (["list"], ["wait", ids[0]]):
        shown = on_terminal("deployments", *words, TERM=term)
        assert shown.code == 0
        assert "\x1b" not in shown.text
        assert "\r" not in shown.text
        assert "\n\n" not in shown.text


def test_names_steer_no_terminal(client: Client, run: Run) -> None:
    """What a server puts into a text is shown, not obeyed."""
    client.deployments.create_deployment("a[red]b", "p1", {"image": "x\x1b[31m"})
    shown = run("deployments", "list").stdout
    assert "a[red]b" in shown
    assert "x\ufffd[31m" in shown


@pytest.mark.parametrize("columns", [40, 60, 100])
def test_errors_are_not_torn(columns: int) -> None:
    """A message is broken between words, and what goes on is indented."""
    shown = on_terminal("deployments", "list", columns=columns, PAPERSPACE_API_KEY="")
    lines = shown.text.splitlines()
    assert shown.code == ExitCode.AUTH
    assert max(map(len, lines)) <= columns
    assert "PAPERSPACE_API_KEY," in shown.text.split()
    assert all(line.startswith("  ") for line in lines[1:])
    wrong = on_terminal("deployments", "get", columns=columns)
    assert wrong.code == ExitCode.USAGE
    assert max(map(len, wrong.text.splitlines())) <= columns
    assert "`gradient deployments list` shows it." in " ".join(wrong.text.split())


@pytest.mark.parametrize(
    ("keys", "code", "gone"),
    [(b"y\n", 0, True), (b"n\n", 1, False), (b"\n", 1, False), (b"\x03", 130, False), (b"\x04", 1, False)],
)
def test_delete_asks(ids: list[str], client: Client, keys: bytes, code: int, gone: bool) -> None:
    """On a terminal, `delete` asks, with the name; only yes is yes, and Ctrl-C is 130."""
    shown = on_terminal("deployments", "delete", "--id", ids[0], typed=keys)
    assert shown.code == code
    assert shown.text.startswith("Delete mnist? [y/N]:")
    assert shown.text.endswith("\n")
    assert "Traceback" not in shown.text
    assert (ids[0] not in [deployment["id"] for deployment in client.deployments.list_deployments()]) is gone


def test_yes_asks_nothing(ids: list[str]) -> None:
    """With --yes, nothing is asked."""
    shown = on_terminal("deployments", "delete", *ids, "--yes")
    assert shown == Shown("".join(f"Deleted deployment: {own}\n" for own in ids), 0)


def test_key_is_not_echoed(config_file: os.PathLike[str]) -> None:
    """A key that is typed is not shown."""
    shown = on_terminal("apiKey", typed=b"0123456789\n", columns=200, PAPERSPACE_API_KEY="")
    assert shown.code == 0
    assert "0123456789" not in shown.text
    assert shown.text.endswith(f"Stored the API key in {config_file}\n")
