"""The commands of docs/regeneration.md, run in a copy of the checkout."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from tools import TOP
from tools.docs.run import difference, rewritten

PAGE = TOP / "docs/regeneration.md"


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A copy of the checkout as a git repository, with the same environment."""
    folder = tmp_path / "checkout"
    others = shutil.ignore_patterns(".git", ".venv", ".*_cache", "__pycache__", "site", "dist")
    shutil.copytree(TOP, folder, ignore=others)
    (folder / ".venv").mkdir()
    for name in ("bin", "lib"):
        (folder / ".venv" / name).symlink_to(Path(sys.prefix) / name)
    configuration = (Path(sys.prefix) / "pyvenv.cfg").read_text(encoding="utf-8")
    (folder / ".venv/pyvenv.cfg").write_text(configuration.replace(sys.prefix, str(folder / ".venv")), encoding="utf-8")
    for name in ("package", "dev"):
        shutil.copy2(folder / "pyproject.toml", folder / f".venv/installed-{name}")
    if shutil.which("git"):
        identity = ["-c", "user.name=t", "-c", "user.email=t@example.org"]
        for arguments in (["init", "-q"], ["add", "-A"], [*identity, "commit", "-q", "-m", "start"]):
            subprocess.run(["git", *arguments], cwd=folder, check=True)
    return folder


def page_to_run(folder: Path) -> Path:
    """The page, or a copy without its git commands where git is not installed."""
    if shutil.which("git"):
        return PAGE
    copy = folder / PAGE.name
    git_commands = re.compile(r"^\$ git .*\n(?:(?!\$ |```).*\n)*", re.MULTILINE)
    copy.write_text(git_commands.sub("", PAGE.read_text(encoding="utf-8")), encoding="utf-8")
    return copy


def test_every_command(checkout: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each command prints what the page shows, with nothing but the checkout. Without git, its commands are left out."""
    for name in ("PAPERSPACE_API_URL", "PAPERSPACE_API_HOST", "PAPERSPACE_API_KEY"):
        monkeypatch.setenv(name, "")  # the server of the page sets it
    monkeypatch.setenv("PATH", f"{checkout / '.venv/bin'}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("PYTHONPATH", str(checkout / "src"))
    monkeypatch.chdir(checkout)
    page = page_to_run(tmp_path)
    changes = "".join(difference(page, rewritten(page)))
    assert not changes, changes
