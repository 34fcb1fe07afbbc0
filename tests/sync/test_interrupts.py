"""Ctrl-C, and other signals whose handlers raise, in a sync call."""

from __future__ import annotations

import itertools
import logging
import signal
import sys
import threading
from typing import Any

import pytest
from tests.faults.harness import wait_for
from tests.interrupting import interrupt
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


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # raised in the finalizer of an iterator
@pytest.mark.parametrize("iterator", [False, True], ids=["call", "iterator"])
def test_a_signal_at_each_step(client: Client, *, iterator: bool) -> None:
    """Wherever a signal handler interrupts a call, the next call works: no lock is left that the loop thread waits for."""
    client.deployments.create_deployment("n", "p", SPEC)

    def call() -> object:
        return next(client.deployments.iter_deployments()) if iterator else client.deployments.list_deployments()

    call()  # the first call imports modules
    for step in itertools.count():
        reached = interrupt(call, step)
        if reached is None:
            break
        found: list[Any] = []
        thread = threading.Thread(target=lambda found=found: found.append(call()), daemon=True)
        thread.start()
        thread.join(20)
        assert found, f"the next call hangs after an interrupt of {reached}"
    assert step > 20


class Exiting(logging.Handler):
    """A handler that calls `sys.exit` once, at a record of the client."""

    exited = False

    def emit(self, record: logging.LogRecord) -> None:
        """Exit."""
        if record.name == "paperspace.gradient" and not self.exited:
            self.exited = True
            sys.exit("logged")


def test_an_exit_in_the_loop_thread(
    client: Client, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """If code of the user that runs in the loop thread calls `sys.exit`, its call raises SystemExit, and the next call works."""
    outcomes: list[object] = []

    def call() -> None:
        for _ in range(2):
            try:
                outcomes.append(client.deployments.list_deployments())
            except SystemExit as error:
                outcomes.append(error.code)

    caplog.set_level(logging.DEBUG, "paperspace.gradient")
    monkeypatch.setattr(logging.getLogger("paperspace.gradient"), "handlers", [Exiting()])
    thread = threading.Thread(target=call, daemon=True)
    thread.start()
    thread.join(20)
    assert outcomes == ["logged", []]
