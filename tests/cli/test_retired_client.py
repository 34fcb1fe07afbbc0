"""A script for the retired command runs unchanged."""

from __future__ import annotations

import os
import re
import subprocess
import sysconfig
from pathlib import Path

from tests.cli.conftest import SPEC

from paperspace.gradient import __version__
from paperspace.gradient.server import LocalServer

EXPECTED = f"""\
{__version__}
No deployments found
Created deployment: ID
Created deployment: ID
2
No deployments found
ID
Updated deployment: ID
  "name": "digits",
2 tensorflow/serving
['dtFinished', 'dtStarted', 'id', 'instanceId', 'phase', 'state', 'stateMessage']
Deleted deployment: ID
Deployment not found
get: 3
Deployment not found
delete: 3
create: 1
No deployments found
list: 4
"""

ERRORS = [
    "Error: no deployment has the id ID, or it is deleted",
    "Error: no deployment has the id ID",
    "Error: a deployment named 'fashion' already exists in project 'p1'",
]


def test_old_calls(server: LocalServer, tmp_path: Path) -> None:
    """The retired command's calls print its lines, also with its variable for the API URL; errors exit with a code above 0."""
    (tmp_path / "mnist.yaml").write_text(SPEC, encoding="utf-8")
    environment = {
        **os.environ,
        "PATH": sysconfig.get_path("scripts") + os.pathsep + os.environ["PATH"],
        "PAPERSPACE_API_HOST": server.url,
        "PAPERSPACE_API_KEY": server.api_key,
        "PAPERSPACE_CONFIG_PATH": str(tmp_path / "settings"),
    }
    done = subprocess.run(
        ["sh", str(Path(__file__).with_name("retired_client.sh"))],
        capture_output=True,
        text=True,
        check=False,
        cwd=tmp_path,
        env=environment,
        stdin=subprocess.DEVNULL,
    )
    anonymous = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
    assert anonymous.sub("ID", done.stdout) == EXPECTED
    error_lines = anonymous.sub("ID", done.stderr).splitlines()
    assert error_lines[:3] == ERRORS
    assert [line.partition(" in ")[0] for line in error_lines[3:4]] == ["Stored the API key"]
    assert error_lines[-2].startswith("Error: no API key")
