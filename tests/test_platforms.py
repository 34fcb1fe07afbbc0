"""The package where what only Unix has is missing, as on Windows. See `without_unix.py`."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

WITHOUT_UNIX = Path(__file__).with_name("without_unix.py")
TIMEOUT = 60  # seconds

IMPORT_EVERYTHING = """
from importlib import import_module
from pkgutil import walk_packages
import paperspace.gradient

skipped = ("paperspace.gradient.__main__",)
names = [module.name for module in walk_packages(paperspace.gradient.__path__, "paperspace.gradient.")]
for name in names:
    if name not in skipped:
        import_module(name)
print(len(names) > 100)
"""

USE_EVERYTHING = """
import asyncio
import paperspace.gradient
from paperspace.gradient import deployments
from paperspace.gradient.aio import deployments as aio_deployments
from paperspace.gradient.server import LocalServer

with LocalServer(database=DATABASE) as server:
    paperspace.gradient.configure(server.api_key, server.url)
    id_ = deployments.create_deployment("mnist", "p1", {"image": "tensorflow/serving"}, wait=True)["id"]
    print(deployments.get_deployment_status(id_)["state"])
    print(asyncio.run(aio_deployments.list_deployments())[0]["name"])
"""

USE_THE_PLUGIN = """
from paperspace.gradient import deployments

def test_a_deployment(gradient_server):
    assert deployments.create_deployment("mnist", "p1", {"image": "tensorflow/serving"})["id"]
"""


def run(*arguments: str | Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run Python without what only Unix has."""
    return subprocess.run(
        [sys.executable, WITHOUT_UNIX, *arguments],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
        timeout=TIMEOUT,
    )


def write(folder: Path, text: str, name: str = "script.py") -> Path:
    """Write a script, and return its path."""
    path = folder / name
    path.write_text(text)
    return path


def test_every_module_can_be_imported(tmp_path: Path) -> None:
    """No module needs something at its import that only Unix has."""
    result = run(write(tmp_path, IMPORT_EVERYTHING))
    assert (result.stdout, result.stderr) == ("True\n", "")


def test_client_and_server_work(tmp_path: Path) -> None:
    """The sync and the async functions work on a server with a database file."""
    result = run(write(tmp_path, f"DATABASE = {str(tmp_path / 'gradient.db')!r}\n{USE_EVERYTHING}"))
    assert (result.stdout, result.stderr) == ("ready\nmnist\n", "")


def test_the_command_works(tmp_path: Path) -> None:
    """`gradient server` runs, and without a control socket its status is read from the database."""
    database = tmp_path / "gradient.db"
    command: list[str | Path] = ["-m", "paperspace.gradient", "server"]
    options: list[str | Path] = ["--port", "0", "--database", database, "--engine", "simulated"]
    server: list[str | Path] = [sys.executable, WITHOUT_UNIX, *command, *options]
    with subprocess.Popen(server, stdout=subprocess.PIPE, text=True) as process:
        try:
            lines = [process.stdout.readline() for _ in range(2)] if process.stdout else []
        finally:
            process.terminate()
    assert lines[1].startswith("Listening on http://127.0.0.1:")
    result = run(*command, "status", "--database", database)
    assert (result.returncode, result.stderr) == (3, "")  # 3: no server runs
    assert "0 ready, 0 pending" in result.stdout


def test_the_pytest_plugin_works(tmp_path: Path) -> None:
    """The fixture starts a server."""
    test = write(tmp_path, USE_THE_PLUGIN, "test_plugin.py")
    plugins = ["-p", "no:cacheprovider", "-p", "paperspace.gradient.pytest_plugin"]
    result = run("-m", "pytest", "-q", *plugins, "--rootdir", tmp_path, test, PYTEST_DISABLE_PLUGIN_AUTOLOAD="1")
    assert (result.returncode, result.stderr) == (0, ""), result.stdout
