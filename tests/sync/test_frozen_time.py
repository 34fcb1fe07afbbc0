"""Tests of users that freeze the time: waits and timeouts follow the clock of the system."""

from __future__ import annotations

import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

TIMEOUT = 60  # seconds, for a process that hangs without the clock of the system

FREEZE = {
    "freezegun": "from freezegun import freeze_time as freeze",
    "time-machine": "from functools import partial; import time_machine; freeze = partial(time_machine.travel, tick=False)",
}

TESTS = """
    import pytest
    from paperspace.gradient import APITimeoutError, Client, WaitTimeoutError, deployments
    {freeze}
    SPEC = {{"image": "nginx"}}

    @pytest.fixture
    def frozen():
        with freeze("2021-03-04"):
            yield

    def test_wait(gradient_server):
        with freeze("2021-03-04"):
            created = deployments.create_deployment("a", "p", SPEC, wait=True)
        assert deployments.get_deployment_status(created["id"])["state"] == "ready"

    def test_frozen_before_the_server_starts(frozen, gradient_server):
        created = deployments.create_deployment("a", "p", SPEC, wait=True)
        assert deployments.get_deployment_status(created["id"])["dtCreated"].startswith("2021-03-04")

    def test_timeouts(frozen, gradient_server):
        gradient_server.stay_pending("a")
        created = deployments.create_deployment("a", "p", SPEC)
        with pytest.raises(WaitTimeoutError):
            deployments.wait_for_deployment(created["id"], timeout=0.5)
        gradient_server.delay(3600)
        with Client(timeout=0.2) as client, pytest.raises(APITimeoutError):
            client.deployments.list_deployments()

    def test_retries(gradient_server):
        gradient_server.rate_limit(retry_after=1)
        with freeze("2121-03-04"):
            assert deployments.list_deployments() == []
        assert deployments.list_deployments() == []
"""


@pytest.mark.parametrize("library", FREEZE)
def test_frozen_time(tmp_path: Path, library: str) -> None:
    """Where the time is frozen, waits, timeouts and retries of the sync functions end, and instances start."""
    path = tmp_path / "test_frozen.py"
    path.write_text(textwrap.dedent(TESTS).format(freeze=FREEZE[library]), encoding="utf-8")
    command = [sys.executable, "-m", "pytest", "-q", "-x", "-W", "error", "-p", "no:cacheprovider", str(path)]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=TIMEOUT, check=False)
    assert (done.returncode, "4 passed" in done.stdout) == (0, True), done.stdout + done.stderr
