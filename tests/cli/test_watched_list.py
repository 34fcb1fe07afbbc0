"""`gradient deployments list --watch`."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import IO, Any

import pytest
from tests.cli.conftest import GRADIENT, TIMEOUT, Run, run_on_terminal
from tests.samples import SPEC

from paperspace.gradient import Client
from paperspace.gradient._core.defaults import DEFAULT_MAX_RETRIES
from paperspace.gradient.cli import _live
from paperspace.gradient.cli._exit_codes import ExitCode
from paperspace.gradient.cli.deployments import _watched_list
from paperspace.gradient.errors import APIError, AuthenticationError, TLSError
from paperspace.gradient.server import LocalServer, delay, drop, server_error
from paperspace.gradient.server.http.middleware import Fault
from paperspace.gradient.types import DeploymentStatus

pytestmark = pytest.mark.usefixtures("environment")

WAITING: Any = {**SPEC, "env": [{"name": "GRADIENT_SIMULATE", "value": "pending"}]}


@contextmanager
def watching(*arguments: str) -> Iterator[IO[str]]:
    """Run the command with a pipe, and end it with Ctrl-C after the block."""
    command = [*GRADIENT, "deployments", "list", "--watch", *arguments]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=dict(os.environ)) as process:
        assert process.stdout
        try:
            yield process.stdout
            process.send_signal(signal.SIGINT)
            assert process.wait(TIMEOUT) == ExitCode.INTERRUPTED
        finally:
            process.kill()


def test_pipe(client: Client) -> None:
    """A pipe gets the table, then a row for each change; the last row of a deleted deployment says so."""
    id_ = client.deployments.create_deployment("a", "p", SPEC, wait=True)["id"]
    with watching("--project-id", "p") as lines:
        assert lines.readline().split()[:2] == ["Name", "ID"]
        assert lines.readline().split()[:5] == ["a", id_, SPEC["image"], "1/1", "ready"]
        other = client.deployments.create_deployment("b", "p", WAITING)["id"]
        assert lines.readline().split()[:5] == ["b", other, SPEC["image"], "0/1", "pending"]
        client.deployments.delete_deployment(id_)
        assert lines.readline().split()[:5] == ["a", id_, SPEC["image"], "0/0", "deleted"]


def test_json_lines(client: Client) -> None:
    """With -o json, each line is what `list -o json` prints of a deployment that has changed."""
    id_ = client.deployments.create_deployment("a", "p", SPEC, wait=True)["id"]
    with watching("-o", "json") as lines:
        first = json.loads(lines.readline())
        assert (first["id"], first["state"]) == (id_, "ready")
        assert first["deploymentSpecs"] == client.deployments.get_deployment(id_)["deploymentSpecs"]
        client.deployments.update_deployment(id=id_, spec=WAITING)
        changed = json.loads(lines.readline())
        assert (changed["state"], changed["serving"]["readyReplicas"]) == ("pending", 1)
        client.deployments.delete_deployment(id_)
        deleted = json.loads(lines.readline())
        assert (deleted["id"], deleted["state"], deleted["replicas"]) == (id_, "deleted", 0)
        assert deleted.keys() == first.keys()


def test_terminal(server: LocalServer, client: Client) -> None:
    """On a terminal, the table is drawn again in its place until Ctrl-C, also if the server does not respond for a while."""
    client.deployments.create_deployment("live", "p", SPEC, wait=True)
    server.inject_fault(delay(0), *[drop(executed=False)] * (DEFAULT_MAX_RETRIES + 1))  # the first request succeeds
    shown = run_on_terminal("deployments", "list", "-w", columns=100, interrupt="The server does not respond")
    assert shown.code == ExitCode.INTERRUPTED
    assert shown.text.count("live") >= 2
    assert "\x1b[1A" in shown.text  # the second table is drawn over the first one
    assert "\x1b[32mready" in shown.text


@pytest.mark.parametrize("terminal", ["xterm-256color", "dumb"])
def test_narrow_terminal(client: Client, terminal: str) -> None:
    """Below the table, a note names the columns that a narrow terminal hides, also on one that cannot redraw the table."""
    client.deployments.create_deployment("live", "p", SPEC)
    shown = run_on_terminal("deployments", "list", "-w", columns=60, interrupt="to see them.", TERM=terminal)
    assert shown.code == ExitCode.INTERRUPTED
    assert "Hidden columns: ID, Endpoint. Use a wider terminal, or `|\n" in re.sub(r" +\n", "\n", shown.text)


def test_low_terminal(client: Client) -> None:
    """Below the table, a note says how many rows a low terminal hides."""
    for number in range(6):
        client.deployments.create_deployment(f"live{number}", "p", SPEC)
    shown = run_on_terminal("deployments", "list", "-w", columns=200, interrupt="to see them.", LINES="5")
    assert "Hidden rows: 3. Use a taller terminal, or `| cat`, to see them." in shown.text
    assert ["live3" in shown.text, "live2" in shown.text] == [True, False]


def test_other_formats(run: Run) -> None:
    """Formats that are one document cannot be continued."""
    for output in ("yaml", "name", "id"):
        printed = run("deployments", "list", "--watch", "-o", output)
        assert printed.exit_code == ExitCode.USAGE
        assert "With --watch, pass -o json or no -o." in printed.stderr


def limit_polls(monkeypatch: pytest.MonkeyPatch, times: int, before_second: Callable[[], object]) -> None:
    """Let the command poll this many times, without pauses, and do something before the second time; then press Ctrl-C."""
    numbers, statuses = iter(range(times)), _watched_list.Filters.statuses

    def poll(filters: _watched_list.Filters, client: Client) -> list[DeploymentStatus]:
        number = next(numbers, None)
        if number is None:
            raise KeyboardInterrupt
        if number == 1:
            before_second()
        return statuses(filters, client)

    monkeypatch.setattr(_live, "INTERVAL", 0.0)
    monkeypatch.setattr(_watched_list.Filters, "statuses", poll)


@pytest.mark.parametrize("fault", [drop(executed=False), server_error(502, executed=False)], ids=["lost", "502"])
def test_outage(run: Run, server: LocalServer, client: Client, monkeypatch: pytest.MonkeyPatch, fault: Fault) -> None:
    """In a pipe, an outage of the server, or of a server behind a proxy, is one message, and the changes go on after it."""
    created = client.deployments.create_deployment("a", "p", WAITING)
    outage = [fault] * 2 * (DEFAULT_MAX_RETRIES + 1)
    limit_polls(monkeypatch, 4, lambda: server.inject_fault(*outage))
    printed = run("deployments", "list", "--watch", "-o", "json")
    assert printed.exit_code == ExitCode.INTERRUPTED
    assert printed.stderr.count("The server does not respond") == 1
    assert [json.loads(line)["id"] for line in printed.stdout.splitlines()] == [created["id"]]


@pytest.mark.parametrize(("output", "operation"), [((), "DeploymentStatus"), (("-o", "json"), "Deployment")])
def test_an_outage_after_the_list_was_read(
    run: Run,
    server: LocalServer,
    client: Client,
    monkeypatch: pytest.MonkeyPatch,
    output: tuple[str, ...],
    operation: str,
) -> None:
    """An outage between the requests of one poll is a message too, and what changed is printed after it."""
    gone = client.deployments.create_deployment("gone", "p", WAITING)

    def change() -> None:
        client.deployments.create_deployment("new", "p", WAITING)
        client.deployments.delete_deployment(gone["id"])
        outage = [server_error(502, executed=False)] * (DEFAULT_MAX_RETRIES + 1)
        server.inject_fault(*outage, operation=operation)

    limit_polls(monkeypatch, 4, change)
    printed = run("deployments", "list", "--watch", *output)
    assert printed.exit_code == ExitCode.INTERRUPTED
    assert printed.stderr.count("The server does not respond") == 1
    _, *changes = [line for line in printed.stdout.splitlines() if not line.startswith("Name")]
    assert [("new" in line, "deleted" in line) for line in changes] == [(True, False), (False, True)]


@pytest.mark.parametrize("error", [AuthenticationError("the API key is wrong"), TLSError("the certificate is wrong")])
def test_an_error_that_stays_ends_it(error: APIError, monkeypatch: pytest.MonkeyPatch) -> None:
    """An error that no outage explains is raised."""
    monkeypatch.setattr(_live, "INTERVAL", 0.0)
    states = iter([1])

    def latest() -> int:
        for state in states:
            return state
        raise error

    polls = _live.polls(latest)
    assert next(polls) == 1
    with pytest.raises(type(error)):
        next(polls)


def test_no_longer_listed(run: Run, client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    """A deployment that only no longer matches the filters is not said to be deleted."""
    client.deployments.create_deployment("a", "p", WAITING)
    limit_polls(monkeypatch, 3, lambda: client.deployments.create_deployment("b", "p", WAITING))
    printed = run("deployments", "list", "--watch", "--limit", "1")
    assert [line.split()[0] for line in printed.stdout.splitlines()] == ["Name", "a", "b"]
