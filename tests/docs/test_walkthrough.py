"""docs/regeneration.md is a walk that was taken: every command is run, and prints what the page says."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from tests.altering_proxy import altered
from tools.docs.run import difference, rewritten

from paperspace.gradient.server import LocalServer

TOP = Path(__file__).parents[2]
PAGE = TOP / "docs/regeneration.md"


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A copy of the checkout, under version control, with the environment of this one."""
    folder = tmp_path / "checkout"
    listed = ["git", "ls-files", "--cached", "--others", "--exclude-standard"]
    for name in subprocess.check_output(listed, cwd=TOP, text=True).splitlines():
        if (TOP / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(TOP / name, folder / name)
    (folder / ".venv").mkdir()
    for name in ("bin", "lib", "pyvenv.cfg"):
        (folder / ".venv" / name).symlink_to(Path(sys.prefix) / name)
    shutil.copy2(folder / "pyproject.toml", folder / ".venv/made-from")
    identity = ["-c", "user.name=t", "-c", "user.email=t@example.org"]
    for arguments in (["init", "-q"], ["add", "-A"], [*identity, "commit", "-q", "-m", "start"]):
        subprocess.run(["git", *arguments], cwd=folder, check=True)
    return folder


def add_region_to_introspection(reply: dict[str, Any]) -> None:
    """The schema, with a field more."""
    for entry in reply["data"]["__schema"]["types"]:
        if entry["name"] == "DeploymentSpec":
            region = {"kind": "SCALAR", "name": "String", "ofType": None}
            description = "Where it runs. Null: anywhere."
            field = {"name": "region", "description": description, "args": [], "type": region, "isDeprecated": False}
            entry["fields"].append({**field, "deprecationReason": None})


def hide_region(request: dict[str, Any]) -> None:
    """What our server is asked, which does not know the field."""
    request["query"] = request["query"].replace("region", "")


def show_region(reply: dict[str, Any]) -> None:
    """What the other server answers."""
    if "__schema" in reply["data"]:
        add_region_to_introspection(reply)
    for node in ((reply["data"].get("deployment") or {}).get("deploymentSpecs") or {}).get("nodes", []):
        node["region"] = "eu-1"


def test_every_command(server: LocalServer, checkout: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each command of the page, one after the other, prints what the page says."""
    with altered(server, request=hide_region, response=show_region) as url:
        monkeypatch.setenv("PAPERSPACE_API_URL", url)
        monkeypatch.setenv("PAPERSPACE_API_KEY", server.api_key)
        monkeypatch.setenv("PATH", f"{checkout / '.venv/bin'}{os.pathsep}{os.environ['PATH']}")
        monkeypatch.setenv("PYTHONPATH", str(checkout / "src"))
        monkeypatch.chdir(checkout)
        changes = "".join(difference(PAGE, rewritten(PAGE)))
    assert not changes, changes
