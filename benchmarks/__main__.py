"""The way into the benchmark: makes the environments of the peers where they are missing, and goes over into one."""

from __future__ import annotations

import os
import subprocess
import sys
import venv
from pathlib import Path

from tests.integration import official_client

TOP = Path(__file__).resolve().parents[1]
ENVIRONMENT = TOP / ".venv/benchmark"
PEERS = ["gql[requests]>=4.4,<5", "httpx>=0.28", "orjson>=3.11", "boto3>=1.40"]
UNPINNED = ["sgqlc>=18"]  # wants an older graphql-core than gql does, for a part that is not used here


def set_up() -> Path:
    """The Python of the environment with the library and its peers, which is made if need be."""
    python = ENVIRONMENT / "bin/python"
    done = ENVIRONMENT / "complete"
    if not done.exists():
        print("Setting up the peers in an environment of their own (once) ...", file=sys.stderr)
        venv.create(ENVIRONMENT, clear=True, with_pip=True)
        install = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        subprocess.run([*install, "--editable", str(TOP), *PEERS], check=True)
        subprocess.run([*install, "--no-deps", *UNPINNED], check=True)
        done.touch()
    return python


def main() -> None:
    """Sets up and runs."""
    if {"-h", "--help"}.isdisjoint(sys.argv):
        os.environ["OFFICIAL_PYTHON"] = str(official_client.set_up())
    python = set_up()
    os.execv(python, [str(python), "-m", "benchmarks.run", *sys.argv[1:]])


main()
