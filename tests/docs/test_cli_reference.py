"""docs/command-line.md has the help texts of the commands."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest
from tests.samples import run_module
from tools import TOP

from paperspace.gradient.cli._exit_codes import ExitCode

PAGE = TOP / "docs/command-line.md"


def reference(*options: str) -> subprocess.CompletedProcess[str]:
    """Run the script that generates the page."""
    return run_module("tools.docs.cli_reference", *options)


def test_the_page_is_not_stale() -> None:
    """The page is up to date. If not: `scripts/docs-cli`."""
    done = reference("--check")
    assert (done.returncode, done.stderr) == (0, "")


def test_a_stale_page_is_reported_and_rewritten(tmp_path: Path) -> None:
    """`--check` fails on one changed character and does not write; without it, the script corrects the page."""
    page = tmp_path / "page.md"
    stale = PAGE.read_text(encoding="utf-8").replace("--projectId ID", "--projectID ID", 1)
    page.write_text(stale, encoding="utf-8")
    done = reference("--check", "--page", str(page))
    assert (done.returncode, done.stderr) == (1, f"{page} is out of date: run scripts/docs-cli\n")
    assert page.read_text(encoding="utf-8") == stale
    assert reference("--page", str(page)).returncode == 0
    assert page.read_text(encoding="utf-8") == PAGE.read_text(encoding="utf-8")


@pytest.mark.parametrize("words", ["", "no mark"])
def test_a_page_without_the_marker_is_an_error(tmp_path: Path, words: str) -> None:
    """A page without the marker is not overwritten."""
    page = tmp_path / "page.md"
    page.write_text(words, encoding="utf-8")
    assert reference("--page", str(page)).returncode == 1
    assert page.read_text(encoding="utf-8") == words


def test_every_exit_code_is_explained() -> None:
    """The page lists every exit code, and no others."""
    codes = re.findall(r"^\| (\d+) \|", PAGE.read_text(encoding="utf-8"), re.MULTILINE)
    assert list(map(int, codes)) == [*ExitCode]
