"""Data and helpers that tests share."""

from __future__ import annotations

import os
import subprocess
import sys

from tools import TOP

from paperspace.gradient.types import DeploymentSpecInput

API_KEY = "a-key-for-tests"


def spec(port: int = 8501, replicas: int = 1) -> DeploymentSpecInput:
    """Return the spec of the documentation page, with this port and number of replicas."""
    return {
        "image": "tensorflow/serving",
        "port": port,
        "resources": {"instanceType": "A100", "replicas": replicas},
    }


SPEC = spec()


def run_module(name: str, *arguments: str, timeout: float | None = None) -> subprocess.CompletedProcess[str]:
    """Run a module of the checkout in a new process, as the scripts do."""
    return subprocess.run(
        [sys.executable, "-m", name, *arguments],
        env={**os.environ, "PYTHONPATH": str(TOP)},
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
    )
