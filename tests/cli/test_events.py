"""`gradient deployments events`."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

import pytest
import yaml
from tests.samples import SPEC

from paperspace.gradient import deployments

if TYPE_CHECKING:
    from tests.cli.conftest import Run

UNKNOWN_ID = "00000000-0000-0000-0000-0000000000ff"
CRASHING: Any = {**SPEC, "env": [{"name": "GRADIENT_SIMULATE", "value": "crash-loop"}]}

pytestmark = pytest.mark.usefixtures("environment")


@pytest.fixture(name="id")
def _id() -> str:
    """Create a deployment named n in project p that has crashed, and return its id."""
    id_ = deployments.create_deployment("n", "p", CRASHING)["id"]
    assert list(deployments.watch_deployment(id_))[-1]["type"] == "failed"
    return id_


def test_table(run: Run, id: str) -> None:
    """The table has the last event at the end, with its count, instance and whole message."""
    lines = run("deployments", "events", "n").stdout.splitlines()
    assert lines[0].split() == ["Last", "time", "Count", "Severity", "Reason", "Instance", "Message"]
    assert [line.split()[3] for line in lines[1:]] == ["RolloutStarted", "Started", "Crashed"]
    assert lines[1].split()[4] == "-"
    last = deployments.get_deployment_events(id, first=1)[0]
    assert lines[-1].split(maxsplit=5) == [
        *(last["dtLast"], "4", "WARNING", "Crashed", last["instanceName"]),
        "Simulated: exited with code 1 (crash 4); no more restarts.",
    ]
    limited = run("deployments", "events", id, "--limit", "1").stdout.splitlines()
    assert [line.split() for line in limited[1:]] == [lines[-1].split()]
    assert run("deployments", "events", id, "--limit", "0").stdout == "No events found\n"


def test_output(run: Run, id: str) -> None:
    """-o json and -o yaml print what the library returns, in the order of the table."""
    events = deployments.get_deployment_events(id)[::-1]
    assert json.loads(run("deployments", "events", "n", "-o", "json").stdout) == events
    assert yaml.safe_load(run("deployments", "events", "--id", id, "-o", "yaml").stdout) == events


@pytest.mark.parametrize("output", [(), ("-o", "json"), ("-o", "yaml")])
def test_follow(run: Run, id: str, output: tuple[str, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    """--follow prints the events in the same order, and ends when the deployment is deleted."""
    events = deployments.get_deployment_events(id)[::-1]
    follow = deployments._default._follow_deployment_events

    def until_deleted(self: Any, *arguments: Any) -> Any:  # noqa: ARG001  # the default client has the same server
        for number, event in enumerate(follow(*arguments), start=1):
            if number == len(events):
                deployments.delete_deployment(id)
            yield event

    monkeypatch.setattr(deployments.Deployments, "_follow_deployment_events", until_deleted)
    followed = run("deployments", "events", id, "--follow", *output)
    assert followed.exit_code == 0
    if output == ("-o", "json"):
        assert [json.loads(line) for line in followed.stdout.splitlines()] == events
    elif output:
        assert yaml.safe_load(followed.stdout) == events
    else:
        assert [line.split()[3] for line in followed.stdout.splitlines()] == [event["reason"] for event in events]


def test_not_found(run: Run, id: str) -> None:
    """An unknown or deleted deployment is an error with exit code 3."""
    deployments.delete_deployment(id)
    for unknown in (id, UNKNOWN_ID, "other"):
        refused = run("deployments", "events", unknown)
        assert (refused.exit_code, refused.stdout) == (3, "")
        assert refused.stderr.startswith("Error: no deployment ")


def test_failed_waits_show_the_warnings(run: Run, tmp_path: Any) -> None:
    """The errors of `wait` and `apply --wait` have the last warnings."""
    file = tmp_path / "spec.yaml"
    file.write_text(yaml.safe_dump(dict(CRASHING)))
    applied = run("deployments", "apply", "--name", "n", "--project-id", "p", "--spec", str(file), "--wait")
    waited = run("deployments", "wait", "n")
    for failed in (applied, waited):
        assert failed.exit_code == 6
        assert re.fullmatch(r"  instance-\S+: Crashed \(4 times\)", failed.stderr.splitlines()[-1])
