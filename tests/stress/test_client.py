"""A short run of `scripts/chaos`."""

from __future__ import annotations

import pytest
from tests.samples import run_module


@pytest.mark.parametrize("trial", ["mixed", "threads", "forks"])
def test_trial(trial: str) -> None:
    """What the client reported is what the server has, with 30 % of the exchanges broken, and no answer is wrong."""
    done = run_module("tests.stress.client", trial, "--calls", "400", "--seed", "5", timeout=60)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stderr == ""
