"""Ctrl-C, and other signals whose handlers raise, in a sync call."""

from __future__ import annotations

import itertools
import signal
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from types import FrameType
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


class AlarmError(Exception):
    """What the handler of a signal raises."""


def interrupt(call: Callable[[], object], step: int) -> str | None:
    """Make a call and raise AlarmError at one of its steps: when a function begins, or one in C ends, as a signal handler could.

    Return the function of this step. None: the call has fewer steps.
    """
    steps = itertools.count()
    reached: str | None = None

    def profile(frame: FrameType, event: str, _arg: object) -> None:
        nonlocal reached
        if event in {"call", "c_return"} and next(steps) == step:
            sys.setprofile(None)
            reached = f"{frame.f_code.co_name} in {frame.f_code.co_filename}"
            raise AlarmError

    before = sys.getprofile()
    with suppress(AlarmError):
        try:
            sys.setprofile(profile)
            call()
        finally:
            sys.setprofile(before)
    return reached


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
