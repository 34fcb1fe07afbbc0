"""Ctrl-C in a sync call."""

from __future__ import annotations

import signal
import threading
from typing import Any

import pytest
from tests.faults.harness import wait_for
from tests.samples import SPEC

from paperspace.gradient import Client

WAITING: Any = {**SPEC, "env": [{"name": "GRADIENT_SIMULATE", "value": "pending"}]}


def test_a_wait_after_a_change(client: Client, wire: list[dict[str, Any]]) -> None:
    """If the wait after a change is interrupted, the KeyboardInterrupt has the id of the deployment in a note."""
    caller = threading.get_ident()

    def press_ctrl_c() -> None:
        wait_for(lambda: any(sent["operationName"] == "DeploymentStatus" for sent in wire))
        signal.pthread_kill(caller, signal.SIGINT)

    threading.Thread(target=press_ctrl_c).start()
    with pytest.raises(KeyboardInterrupt) as caught:
        client.deployments.create_deployment("n", "p", WAITING, wait=True)
    [created] = client.deployments.list_deployments()
    assert caught.value.__notes__ == [f"deployment {created['id']} was created; only the wait for it was interrupted"]
