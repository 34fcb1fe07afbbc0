"""Run the retired official client against a local server: create, list, get, update, delete, by command and by SDK.

The client has its own environment. It is installed without its dependencies, because it pins versions that do not
install on current Pythons. The packages that it imports are installed in newer versions.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
import tempfile
from pathlib import Path

from tools.environments import make_environment

from paperspace.gradient.server import LocalServer

CLIENT = "gradient==2.0.6"
UNPINNED = ["gradient-utils==0.5.0"]  # pins old versions of prometheus-client and pymongo
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
    "setuptools<81",  # 81 removed pkg_resources, which the client imports
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
    """Install the client into its environment, if needed; return the Python there."""
    return make_environment("official-client", NEEDED, [CLIENT, *UNPINNED])


class Official:
    """The official client, configured for a server."""

    def __init__(self, python: Path, api_url: str, api_key: str, folder: Path) -> None:
        self.python = python
        self.folder = folder
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("PAPERSPACE_")}
        settings = {"PAPERSPACE_API_HOST": api_url, "PAPERSPACE_API_KEY": api_key, "HOME": str(folder)}
        self.environment = {**inherited, **settings, "PYTHONWARNINGS": "ignore"}

    def run(self, *arguments: str) -> str:
        """Run a command, and return its output."""
        done = subprocess.run(
            arguments, cwd=self.folder, env=self.environment, capture_output=True, text=True, timeout=300, check=False
        )
        if done.returncode:
            raise SystemExit(f"{' '.join(arguments[:4])} failed: {done.stdout}{done.stderr}")
        return done.stdout

    def command(self, *arguments: str) -> str:
        """Run `gradient deployments`, and return its output."""
        return self.run(str(self.python.with_name("gradient")), "deployments", *arguments)

    def sdk(self, script: str) -> str:
        """Run a Python script, and return its output."""
        return self.run(str(self.python), "-c", script)


def expect(what: str, *, holds: bool) -> None:
    """Print the result of a check.

    Raises:
        SystemExit: the check failed.
    """
    print(f"{'ok  ' if holds else 'NOT '} {what}")
    if not holds:
        raise SystemExit(1)


def by_command(official: Official) -> None:
    """Check the five commands."""
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
    """Check the five functions."""
    text = official.sdk(SDK)
    id_, listed, got, changed, gone = json.loads(text)
    expect("SDK: create and list", holds=id_ in json.dumps(listed))
    expect("SDK: get", holds="by sdk" in json.dumps(got) and "8501" in json.dumps(got))
    expect("SDK: update", holds="renamed" in json.dumps(changed) and "8502" in json.dumps(changed))
    expect("SDK: delete", holds=id_ not in json.dumps(gone))


def main() -> None:
    """Run all checks; the exit code is 1 if one fails."""
    argparse.ArgumentParser(
        "scripts/official-client",
        description="Run the retired official client, unmodified, against a local server: each call by command "
        "and by SDK. The first run installs the client into a separate environment.",
    ).parse_args()
    python = set_up()
    with tempfile.TemporaryDirectory() as folder, LocalServer() as server:
        (Path(folder) / "spec.yaml").write_text(SPEC, encoding="utf-8")
        official = Official(python, server.url, server.api_key, Path(folder))
        by_command(official)
        by_sdk(official)
    print("The official client works against the local server, unmodified.")


if __name__ == "__main__":
    main()
