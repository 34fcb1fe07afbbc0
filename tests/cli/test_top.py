"""`gradient deployments top`."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
import yaml
from tests.cli.conftest import Run, run_on_terminal
from tests.samples import SPEC
from tests.server.storage.test_metric_file import FULL, NUMBER

from paperspace.gradient import Client, deployments
from paperspace.gradient._core.defaults import DEFAULT_MAX_RETRIES
from paperspace.gradient.cli._exit_codes import ExitCode
from paperspace.gradient.cli.deployments.monitoring import _bytes, _duration
from paperspace.gradient.server import LocalServer, delay, drop
from paperspace.gradient.server.storage.metric_file import MetricReader

if TYPE_CHECKING:
    from collections.abc import Mapping

pytestmark = pytest.mark.usefixtures("environment")

TITLES = ["Name", "ID", "Replicas", "CPU", "Memory", "Active", "Requests/s", "Errors/s", "P50", "P95"]


@pytest.fixture
def ids(environment: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Create two deployments, of which the first has figures, and return their ids."""
    assert environment  # the client needs it
    created = [deployments.create_deployment(name, "p", SPEC)["id"] for name in ("a", "b")]

    def points(_self: object, wanted: list[str], _first: int, _last: int, _budget: object) -> Mapping[str, object]:
        return {id_: [(NUMBER, FULL)] if id_ == created[0] else [] for id_ in wanted}

    monkeypatch.setattr(MetricReader, "points", points)
    return created


def test_table(run: Run, ids: list[str]) -> None:
    """Each deployment is a row, the newest first; what is unknown is a hyphen."""
    lines = run("deployments", "top").stdout.splitlines()
    assert lines[0].split() == TITLES
    assert lines[1].split() == ["b", ids[1], *["-"] * 8]
    figures = ["1/2", "0.50/4", "100Ki/200Ki", "3", "0.7", "0.1", "100ms", "300.0s"]
    assert lines[2].split() == ["a", ids[0], *figures]
    assert len(lines) == 3


def test_one_deployment(run: Run, ids: list[str]) -> None:
    """A name or an id selects one deployment."""
    by_name = run("deployments", "top", "a", "--once").stdout
    assert by_name == run("deployments", "top", ids[0]).stdout
    assert [line.split()[0] for line in by_name.splitlines()] == ["Name", "a"]
    missing = run("deployments", "top", "nothing")
    assert missing.exit_code == ExitCode.NOT_FOUND


@pytest.mark.usefixtures("ids")
def test_project(run: Run) -> None:
    """A project selects its deployments; if there are none, that is said."""
    assert len(run("deployments", "top", "--project-id", "p").stdout.splitlines()) == 3
    assert run("deployments", "top", "--project-id", "other").stdout == "No deployments found\n"


def test_output(run: Run, ids: list[str]) -> None:
    """-o json and -o yaml print the newest point of each deployment; null if there is none."""
    shown = json.loads(run("deployments", "top", "-o", "json").stdout)
    assert [(entry["id"], entry["name"]) for entry in shown] == [(ids[1], "b"), (ids[0], "a")]
    assert shown[0]["metrics"] is None
    assert [shown[1]["metrics"]] == deployments.get_deployment_metrics(ids[0])
    assert yaml.safe_load(run("deployments", "top", "-o", "yaml").stdout) == shown


def test_live(server: LocalServer, client: Client) -> None:
    """On a terminal, the table is drawn again in its place until Ctrl-C, also if the server does not respond for a while."""
    client.deployments.create_deployment("live", "p", SPEC)
    outage = [drop(executed=False)] * (DEFAULT_MAX_RETRIES + 1)
    server.inject_fault(delay(0), *outage)  # the first request succeeds
    shown = run_on_terminal("deployments", "top", columns=100, interrupt="The server does not respond")
    assert shown.code == ExitCode.INTERRUPTED
    assert shown.text.count("live") >= 2
    assert "\x1b[1A" in shown.text  # the second table is drawn over the first one
    assert shown.text.rindex("\x1b[?25h") > shown.text.rindex("live")  # the cursor is visible again


@pytest.mark.parametrize(
    ("number", "text"),
    [(0, "0Ki"), (2048, "2Ki"), (3 * 2**20, "3.0Mi"), (1.5 * 2**30, "1.5Gi"), (2 * 2**40, "2.0Ti")],
)
def test_bytes(number: float, text: str) -> None:
    """Bytes are shown in a unit that makes them short."""
    assert _bytes(number) == text


@pytest.mark.parametrize(
    ("seconds", "text"), [(None, None), (0.00123, "1.2ms"), (0.0123, "12ms"), (0.999, "999ms"), (61.26, "61.3s")]
)
def test_durations(seconds: float | None, text: str | None) -> None:
    """Durations have two digits or more."""
    assert _duration(seconds) == text
