"""Runs the retired official client against a fresh local server: create, list, get, update, delete, by command and SDK.

The client lives in an environment of its own, made once. It is installed without its dependencies, as its pins are
older than what today's Python can install; what it imports is installed beside it in newer versions.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
import venv
from pathlib import Path

from paperspace.gradient.server import LocalServer

ENVIRONMENT = Path(__file__).resolve().parents[2] / ".venv/official-client"
CLIENT = "gradient==2.0.6"
UNPINNED = ["gradient-utils==0.5.0"]  # pins prometheus-client and pymongo, to versions for older Pythons
NEEDED = [
    "attrs",
    "click<9",
    "click-completion",
    "click-didyoumean",
    "click-help-colors",
    "colorama",
    "gql[requests]==3.0.0a6",
    "halo",
    "marshmallow<3",
    "progressbar2",
    "prometheus-client",
    "pymongo",
    "python-dateutil<3",
    "PyYAML",
    "requests",
    "requests-toolbelt",
    "setuptools<81",  # 81 took pkg_resources away, which the client imports
    "six",
    "terminaltables",
    "websocket-client",
]

SPEC = "image: tensorflow/serving\nport: 8501\nresources:\n  replicas: 2\n  instanceType: C4\n"
SDK = """
import json
from gradient.api_sdk.repositories import gradient_deployments as sdk

spec = {"image": "tensorflow/serving", "port": 8501, "resources": {"replicas": 1, "instanceType": "C4"}}
id = sdk.create_deployment(name="by sdk", project_id="p2", spec=spec)["id"]
listed = sdk.list_deployments(project_id="p2")
got = sdk.get_deployment(id)
sdk.update_deployment(id, name="renamed", spec={**spec, "port": 8502})
changed = sdk.get_deployment(id)
sdk.delete_deployment(id)
print(json.dumps([id, listed, got, changed, sdk.get_deployment(id)]))
"""


def set_up() -> Path:
    """The Python of the client's environment, which is made if need be."""
    python = ENVIRONMENT / "bin/python"
    done = ENVIRONMENT / "complete"
    if not done.exists():
        print(f"Setting up {CLIENT} in an environment of its own (once) ...", file=sys.stderr)
        venv.create(ENVIRONMENT, clear=True, with_pip=True)
        install = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        subprocess.run([*install, *NEEDED], check=True)
        subprocess.run([*install, "--no-deps", CLIENT, *UNPINNED], check=True)
        done.touch()
    return python


class Official:
    """The client, pointed at a server."""

    def __init__(self, python: Path, server: LocalServer, folder: Path) -> None:
        self.python = python
        self.folder = folder
        kept = {name: value for name, value in os.environ.items() if not name.startswith("PAPERSPACE_")}
        settings = {"PAPERSPACE_API_HOST": server.url, "PAPERSPACE_API_KEY": server.api_key, "HOME": str(folder)}
        self.environment = {**kept, **settings, "PYTHONWARNINGS": "ignore"}

    def run(self, *arguments: str) -> str:
        """What the client prints."""
        ran = subprocess.run(
            arguments, cwd=self.folder, env=self.environment, capture_output=True, text=True, timeout=60, check=False
        )
        if ran.returncode:
            raise SystemExit(f"{' '.join(arguments[:4])} failed: {ran.stdout}{ran.stderr}")
        return ran.stdout

    def command(self, *arguments: str) -> str:
        """What a command prints."""
        return self.run(str(self.python.with_name("gradient")), "deployments", *arguments)

    def sdk(self, script: str) -> str:
        """What a script prints."""
        return self.run(str(self.python), "-c", script)


def expect(what: str, *, holds: bool) -> None:
    """Says what was seen.

    Raises:
        SystemExit: It was not.
    """
    print(f"{'ok  ' if holds else 'NOT '} {what}")
    if not holds:
        raise SystemExit(1)


def by_command(official: Official) -> None:
    """The five commands."""
    created = re.fullmatch(
        r"Created deployment: (\S+)\n",
        official.command("create", "--name", "by command", "--projectId", "p1", "--spec", "spec.yaml"),
    )
    expect("command: create", holds=created is not None)
    id_ = created[1] if created else ""
    expect("command: list", holds=id_ in official.command("list", "--projectId", "p1"))
    got = json.loads(official.command("get", "--id", id_))
    (spec,) = got["deploymentSpecs"]
    expect("command: get", holds=(got["name"], spec["data"]["port"]) == ("by command", 8501))
    (run,) = spec["deploymentRuns"]
    expect("command: get shows the instances", holds=len(run["deploymentRunInstances"]) == run["replicas"])
    updated = official.command("update", "--id", id_, "--name", "renamed", "--spec", "spec.yaml")
    expect("command: update", holds=updated == f"Updated deployment: {id_}\n")
    got = json.loads(official.command("get", "--id", id_))
    expect("command: get after update", holds=(got["name"], len(got["deploymentSpecs"])) == ("renamed", 2))
    expect("command: delete", holds=official.command("delete", "--id", id_) == f"Deleted deployment: {id_}\n")
    expect("command: get after delete", holds="Deployment not found" in official.command("get", "--id", id_))
    expect("command: list after delete", holds="No deployments found" in official.command("list"))


def by_sdk(official: Official) -> None:
    """The five functions."""
    text = official.sdk(SDK)
    id_, listed, got, changed, gone = json.loads(text)
    expect("SDK: create and list", holds=id_ in json.dumps(listed))
    expect("SDK: get", holds="by sdk" in json.dumps(got) and "8501" in json.dumps(got))
    expect("SDK: update", holds="renamed" in json.dumps(changed) and "8502" in json.dumps(changed))
    expect("SDK: delete", holds=id_ not in json.dumps(gone))


def main() -> None:
    """Runs it all; the exit code is 1 where something is not as it should be."""
    argparse.ArgumentParser(
        "scripts/official-client",
        description="Runs the retired official client, unmodified, against a fresh local server: each call by command "
        "and by SDK. The first run installs the client into an environment of its own.",
    ).parse_args()
    python = set_up()
    with tempfile.TemporaryDirectory() as folder, LocalServer() as server:
        (Path(folder) / "spec.yaml").write_text(SPEC, encoding="utf-8")
        official = Official(python, server, Path(folder))
        by_command(official)
        by_sdk(official)
    print("The official client works against the local server, unmodified.")


if __name__ == "__main__":
    main()
