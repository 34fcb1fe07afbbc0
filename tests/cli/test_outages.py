"""Commands that wait or follow say when the server does not respond, and when it is back."""

from __future__ import annotations

import logging
import os
import re
import subprocess
from typing import Any

import pytest
from tests.cli.conftest import GRADIENT, TIMEOUT, run_on_terminal
from tests.samples import SPEC

from paperspace.gradient import Client
from paperspace.gradient._core.defaults import DEFAULT_MAX_RETRIES
from paperspace.gradient.cli._exit_codes import ExitCode
from paperspace.gradient.cli._outages import outages_reported
from paperspace.gradient.server import LocalServer, delay, drop

pytestmark = pytest.mark.usefixtures("environment")

WAITING: Any = {**SPEC, "env": [{"name": "GRADIENT_SIMULATE", "value": "pending"}]}

BEGIN, END = "The server does not respond; trying again: ", "The server responds again."


def interrupt_requests(server: LocalServer) -> None:
    """Let the first requests succeed, and then drop those of two polls."""
    server.inject_fault(*[delay(0)] * 5, *[drop(executed=False)] * 2 * (DEFAULT_MAX_RETRIES + 1))


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (["wait"], ExitCode.NOT_FOUND),
        (["logs", "-f"], ExitCode.SUCCESS),
        (["events", "-f"], ExitCode.SUCCESS),
    ],
    ids=["wait", "logs", "events"],
)
def test_messages(server: LocalServer, client: Client, words: list[str], code: ExitCode) -> None:
    """An outage is two lines on standard error, when it begins and when it ends, however many polls fail."""
    id_ = client.deployments.create_deployment("a", "p", WAITING)["id"]
    interrupt_requests(server)
    command = [*GRADIENT, "deployments", *words, id_]
    with subprocess.Popen(
        command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, env=dict(os.environ)
    ) as process:
        try:
            assert process.stderr
            said = []
            for line in process.stderr:
                if line.startswith("The server"):
                    said.append(line)
                if line == f"{END}\n":
                    client.deployments.delete_deployment(id_)  # which ends the command
            assert process.wait(TIMEOUT) == code
        finally:
            process.kill()
    assert [line.startswith(BEGIN) for line in said] == [True, False]


def test_several_waits(capsys: pytest.CaptureFixture[str]) -> None:
    """Waits that the same outage interrupts do not repeat the messages; those of the next outage are printed."""
    log = logging.getLogger("paperspace.gradient.outages")
    begin, end = "The server does not respond; trying again: %s", END
    with outages_reported():
        for message in (begin, begin, end, end, begin):
            log.info(message, *["refused"] if message == begin else [])
    assert capsys.readouterr().err.splitlines() == [f"{BEGIN}refused", END, f"{BEGIN}refused"]
    log.info(END)
    assert capsys.readouterr().err == ""


def test_terminal(server: LocalServer, client: Client) -> None:
    """On a terminal, the messages are lines of their own above the progress bar."""
    id_ = client.deployments.create_deployment("a", "p", WAITING)["id"]
    interrupt_requests(server)
    shown = run_on_terminal("deployments", "wait", id_, columns=70, interrupt=END)
    assert shown.code == ExitCode.INTERRUPTED
    for text in (BEGIN, END):
        assert re.search(rf"\r\x1b\[2K{re.escape(text)}", shown.text)  # the bar was erased before
