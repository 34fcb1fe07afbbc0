"""`gradient deployments status`."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

import pytest
import yaml
from tests.samples import SPEC

from paperspace.gradient.cli._exit_codes import ExitCode

if TYPE_CHECKING:
    from tests.cli.conftest import Run

    from paperspace.gradient import Client

pytestmark = pytest.mark.usefixtures("environment")

BROKEN: Any = {**SPEC, "env": [{"name": "GRADIENT_SIMULATE", "value": "fail"}]}


@pytest.mark.parametrize(("output", "read"), [("json", json.loads), ("yaml", yaml.safe_load)])
def test_status_for_scripts(run: Run, client: Client, output: str, read: Any) -> None:
    """-o json and -o yaml print what the library returns: one status for a name or an id, else a list."""
    ids = [client.deployments.create_deployment(name, "p1", SPEC, wait=True)["id"] for name in ("a", "b")]
    status = client.deployments.get_deployment_status(ids[0])
    for target in ("a", ids[0]):
        assert read(run("deployments", "status", target, "-o", output).stdout) == status
    assert read(run("deployments", "status", "-o", output).stdout) == client.deployments.list_deployment_statuses()
    assert read(run("deployments", "status", "--project-id", "p2", "-o", output).stdout) == []


def test_status_of_many(run: Run, client: Client) -> None:
    """Without a name or an id, all deployments are listed, however many there are."""
    for number in range(101):
        client.deployments.create_deployment(f"d{number}", "p1", SPEC)
    assert len(run("deployments", "status").stdout.splitlines()) == 1 + 101
    assert len(json.loads(run("deployments", "status", "-o", "json").stdout)) == 101


def test_status_of_a_deployment(run: Run, client: Client) -> None:
    """Without -o, each fact has a line, and each instance too."""
    id_ = client.deployments.create_deployment("a", "p1", SPEC, wait=True)["id"]
    client.deployments.restart_deployment(id_, wait=True)
    status = client.deployments.get_deployment_status(id_)
    newest, _ = client.deployments.get_deployment_history(id_)
    [instance] = status["instances"]
    assert run("deployments", "status", "a").stdout.splitlines() == [
        "Name:      a",
        f"ID:        {id_}",
        "State:     ready",
        "Replicas:  1/1 ready",
        f"Image:     {SPEC['image']}",
        f"Endpoint:  {status['endpointUrl']}",
        f"Revision:  {status['specId']}, created {newest['dtCreated']}",
        "Instances:",
        f"  {instance['name']}  healthy  {instance['message']}",
    ]


def test_protected_endpoints(run: Run, client: Client) -> None:
    """`status`, `list` and `open` say that an endpoint is protected; the standard output of `open` is the URL alone."""
    id_ = client.deployments.create_deployment("a", "p1", {**SPEC, "endpointSecurity": {"protected": True}})["id"]
    url = client.deployments.get_deployment_status(id_)["endpointUrl"]
    assert f"Endpoint:  {url}, protected" in run("deployments", "status", "a").stdout.splitlines()
    assert f"  {url}, protected  " in run("deployments", "list").stdout
    for options in (["status", "a"], ["list"]):
        shown = json.loads(run("deployments", *options, "-o", "json").stdout)
        assert (shown[0] if isinstance(shown, list) else shown)["protected"] is True
    opened = run("deployments", "open", id_)
    assert opened.stdout == f"{url}\n"
    assert opened.stderr == (
        "The endpoint is protected. On the machine of the server, `gradient server credentials a` prints the user name and "
        "the password.\n"
    )


def test_status_says_why_a_deployment_failed(run: Run, client: Client) -> None:
    """The message of a failed instance, or the error of the spec, is shown."""
    failed = client.deployments.create_deployment("failed", "p1", BROKEN)["id"]
    list(client.deployments.watch_deployment(failed))
    [instance] = client.deployments.get_deployment_status(failed)["instances"]
    shown = run("deployments", "status", failed).stdout
    assert "State:     failed\n" in shown
    assert shown.count(str(instance["message"])) == 1
    assert f"  {instance['name']}  errored\n" in shown
    refused = client.deployments.create_deployment("refused", "p1", {**SPEC, "resources": {"replicas": 101}})["id"]
    error = client.deployments.get_deployment_status(refused)["error"]
    assert f"Error:     {error}\n" in run("deployments", "status", "refused").stdout


def test_failed_update(run: Run, client: Client) -> None:
    """A failed update beside a revision that serves: `status`, `list` and `wait` say both, and the reason once."""
    id_ = client.deployments.create_deployment("a", "p1", SPEC, wait=True)["id"]
    serving = client.deployments.get_deployment_status(id_)["specId"]
    client.deployments.update_deployment(id=id_, spec=BROKEN)
    list(client.deployments.watch_deployment(id_))
    status = client.deployments.get_deployment_status(id_)
    reason = str(status["error"])
    shown = run("deployments", "status", "a").stdout
    assert f"State:     failed; revision {serving} still serves (1 of 1 replicas ready)\n" in shown
    assert shown.count(reason) == 1
    assert f"Error:     {reason}\n" in shown
    assert "failed; earlier revision: 1 of 1 ready" in run("deployments", "list").stdout
    [listed] = json.loads(run("deployments", "list", "-o", "json").stdout)
    assert (listed["state"], listed["error"]) == ("failed", reason)
    assert listed["serving"] == {"specId": serving, "replicas": 1, "readyReplicas": 1}
    waited = run("deployments", "wait", "a")
    assert waited.exit_code == ExitCode.DEPLOYMENT_FAILED
    assert waited.stderr.count(reason) == 1
    still = f"Revision {serving} still serves (1 of 1 replicas ready)."
    assert f"Error: deployment a ({id_}) failed: {reason} {still}\n" in waited.stderr
    [hint] = re.findall(
        r"^Hint: an earlier revision still serves; to deploy it again, run `gradient (.*)`$",
        waited.stderr,
        re.MULTILINE,
    )
    run(*hint.split(), "--wait")
    assert client.deployments.get_deployment_status(id_)["state"] == "ready"


def test_status_of_all(run: Run, client: Client) -> None:
    """Without a name or an id, the table of `list` is printed."""
    client.deployments.create_deployment("a", "p1", SPEC, wait=True)
    assert run("deployments", "status").stdout == run("deployments", "list").stdout
    assert run("deployments", "status", "--project-id", "p2").stdout == "No deployments found\n"
