"""Short runs of `scripts/chaos client`."""

from __future__ import annotations

import pytest
from tests.samples import run_module


@pytest.mark.parametrize("name", ["faults", "threads", "forks"])
def test_client_stress(name: str) -> None:
    """The reports of the client agree with the server, with 30 % of the exchanges broken, and no response is wrong."""
    done = run_module("tests.stress.client_stress", name, "--calls", "400", "--seed", "5", timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stderr == ""
