"""The package where what only Unix has is missing, as on Windows. See `without_unix.py`."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

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
    return subprocess.run(
        [sys.executable, WITHOUT_UNIX, *arguments],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
        timeout=TIMEOUT,
    )


@pytest.fixture
def script(tmp_path):
    """Write a script, and return its path."""

    def write(text: str, name: str = "script.py") -> Path:
        path = tmp_path / name
        path.write_text(text)
        return path

    return write


def test_every_module_can_be_imported(script):
    """No module needs something at its import that only Unix has."""
    result = run(script(IMPORT_EVERYTHING))
    assert (result.stdout, result.stderr) == ("True\n", "")


def test_client_and_server_work(script, tmp_path):
    """The sync and the async functions work on a server with a database file."""
    result = run(script(f"DATABASE = {str(tmp_path / 'gradient.db')!r}\n{USE_EVERYTHING}"))
    assert (result.stdout, result.stderr) == ("ready\nmnist\n", "")


def test_the_command_works(tmp_path):
    """`gradient server` runs, and without a control socket its status is read from the database."""
    database = tmp_path / "gradient.db"
    server = [
        sys.executable,
        WITHOUT_UNIX,
        "-m",
        "paperspace.gradient",
        "server",
        "--port",
        "0",
        "--database",
        database,
    ]
    with subprocess.Popen([*server, "--engine", "simulated"], stdout=subprocess.PIPE, text=True) as process:
        try:
            lines = [process.stdout.readline() for _ in range(2)]
        finally:
            process.terminate()
    assert lines[1].startswith("Listening on http://127.0.0.1:")
    result = run("-m", "paperspace.gradient", "server", "status", "--database", database)
    assert (result.returncode, result.stderr) == (3, "")  # 3: no server runs
    assert "0 ready, 0 pending" in result.stdout


def test_the_pytest_plugin_works(script):
    """The fixture starts a server."""
    test = script(USE_THE_PLUGIN, "test_plugin.py")
    options = ["-q", "-p", "no:cacheprovider", "-p", "paperspace.gradient.pytest_plugin", "--rootdir", test.parent]
    result = run("-m", "pytest", *options, test, PYTEST_DISABLE_PLUGIN_AUTOLOAD="1")
    assert (result.returncode, result.stderr) == (0, ""), result.stdout
