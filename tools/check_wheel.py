"""Build the wheel, install it into a clean environment, and use it there, without access to the source tree.

This finds files that are missing from the package. The wheel is built from the sdist, so the sdist is checked too.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import venv
import zipfile
from pathlib import Path

from tools import TOP

USE = """
import subprocess, sys, urllib.request, paperspace.gradient
from pathlib import Path
from paperspace.gradient import deployments
from paperspace.gradient._shared.graphql_files import graphql_folder

prefix = Path(sys.prefix)
assert Path(paperspace.gradient.__file__).is_relative_to(prefix), "not the installed package"
assert graphql_folder().is_relative_to(prefix), "not the installed GraphQL files"

gradient = prefix / "bin/gradient"
with subprocess.Popen([gradient, "server", "--port", "0", "--database", ":memory:"], stdout=subprocess.PIPE, text=True) as server:
    server.stdout.readline()  # about the engine
    url = server.stdout.readline().split()[-1]
    key = [server.stdout.readline() for _ in range(2)][-1].split("=")[1].strip()
    paperspace.gradient.configure(key, url)
    created = deployments.create_deployment("n", "p", {"image": "nginx"})
    assert deployments.get_deployment(**created)["deploymentSpecs"]["nodes"][0]["data"]["image"] == "nginx"
    page = urllib.request.Request(url.removesuffix("graphql"), headers={"Accept": "text/html"})
    assert b"console/static/app.js" in urllib.request.urlopen(page).read()
    server.terminate()
assert server.returncode == 0, server.returncode
"""


def run(*command: str | Path, cwd: Path) -> None:
    """Run a command; print its output only if it fails."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("PAPERSPACE_", "PYTHON"))}
    done = subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"{done.stdout}{done.stderr}{' '.join(map(str, command))} failed")


def main() -> None:
    """Run the check."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        run(sys.executable, "-m", "build", "--outdir", folder, TOP, cwd=folder)
        [wheel] = folder.glob("*.whl")
        stray = [
            entry
            for entry in zipfile.ZipFile(wheel).namelist()
            if not entry.startswith(("paperspace/gradient/", "paperspace_gradient-"))
        ]
        if stray:
            sys.exit(f"the wheel has unexpected files: {stray}")
        environment = folder / "environment"
        venv.create(environment, with_pip=True)
        python = environment / "bin/python"
        run(python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", wheel, cwd=folder)
        (folder / "use.py").write_text(USE, encoding="utf-8")
        run(python, folder / "use.py", cwd=folder)
        print(f"{wheel.name}: works in a clean environment.")


if __name__ == "__main__":
    main()
