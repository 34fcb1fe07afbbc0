"""A short run of `scripts/chaos`."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "scripts" / "_chaos.py"


@pytest.mark.parametrize("trial", ["mixed", "threads", "forks"])
def test_trial(trial: str) -> None:
    """What the client reported is what the server has, with 30 % of the exchanges broken, and no answer is wrong."""
    command = [sys.executable, str(SCRIPT), trial, "--calls", "400", "--seed", "5"]
    done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stderr == ""
