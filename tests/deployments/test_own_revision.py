"""A program waits for the revision that it created, whatever others do to the deployment."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from tests.altering_proxy import altered
from tests.deployments.manual_clock import ManualClock
from tests.samples import SPEC, spec

from paperspace.gradient import Client, ConflictError, InvalidArgumentError, WaitTimeoutError
from paperspace.gradient.server import LocalServer

pytestmark = pytest.mark.usefixtures("fast_polls")

# Each adds a revision to the deployment n with the spec SPEC.
CHANGES: dict[str, Callable[..., Any]] = {
    "apply": lambda client, _, **wait: client.deployments.apply_deployment("n", "p", spec(9), **wait),
    "patch": lambda client, id_, **wait: client.deployments.patch_deployment(id_, env={"A": "1"}, **wait),
    "restart": lambda client, id_, **wait: client.deployments.restart_deployment(id_, **wait),
    "rollback": lambda client, id_, **wait: client.deployments.rollback_deployment(id_, previous=True, **wait),
    "scale": lambda client, id_, **wait: client.deployments.scale_deployment(id_, 3, **wait),
    "start": lambda client, id_, **wait: client.deployments.start_deployment(id_, **wait),
    "stop": lambda client, id_, **wait: client.deployments.stop_deployment(id_, **wait),
}
DOCUMENTED: dict[str, Callable[..., Any]] = {
    "create": lambda client, _, **wait: client.deployments.create_deployment("other", "p", SPEC, **wait),
    "update": lambda client, id_, **wait: client.deployments.update_deployment(id=id_, spec=spec(9), **wait),
}


@pytest.fixture
def client(manual_server: LocalServer) -> Iterator[Client]:
    """A client of the server with the manual clock."""
    with Client(manual_server.api_key, manual_server.url) as client:
        yield client


@pytest.fixture
def id_(client: Client, clock: ManualClock) -> str:
    """The id of a stopped deployment with two revisions."""
    created = client.deployments.create_deployment("n", "p", SPEC)
    client.deployments.update_deployment(id=created["id"], spec={**SPEC, "enabled": False})
    clock.move(60)
    return created["id"]


def newest_spec_id(client: Client, id_: str) -> str:
    return client.deployments.get_deployment_history(id_)[0]["id"]


@pytest.mark.parametrize("change", CHANGES)
def test_returns_its_revision(client: Client, id_: str, change: str) -> None:
    """A change returns the id of the revision that it added; if nothing had to change, that of the newest revision."""
    before = newest_spec_id(client, id_)
    changed = CHANGES[change](client, id_)
    assert (changed["id"], changed["specId"]) == (id_, newest_spec_id(client, id_))
    assert (changed["specId"] == before) == (change == "stop")  # it was stopped already
    if change in {"apply", "scale", "start"}:
        assert CHANGES[change](client, id_)["specId"] == changed["specId"]


def test_apply_of_a_new_deployment(client: Client) -> None:
    """`apply_deployment` returns the revision that it creates a deployment with. A dry run has none."""
    assert client.deployments.apply_deployment("new", "p", SPEC, dry_run=True)["specId"] is None
    applied = client.deployments.apply_deployment("new", "p", SPEC)
    assert applied["specId"] == newest_spec_id(client, applied["id"])


@pytest.mark.parametrize("change", [*CHANGES, *DOCUMENTED])
def test_replaced_during_the_wait(manual_server: LocalServer, client: Client, id_: str, change: str) -> None:
    """A wait for the own revision ends with a conflict that names both revisions, once another client has replaced it."""

    def interfere(request: dict[str, Any]) -> None:
        if request["operationName"] == "DeploymentStatus":
            target = request["variables"]["id"]
            if len(client.deployments.get_deployment_history(target)) <= (1 if target != id_ else 3):
                client.deployments.update_deployment(id=target, spec={**SPEC, "port": 7})

    with (
        altered(manual_server, request=interfere) as url,
        Client(manual_server.api_key, url) as slow,
        pytest.raises(ConflictError) as caught,
    ):
        (CHANGES | DOCUMENTED)[change](slow, id_, wait=True)
    found = re.search(
        r"deployment \S+ was [\w ]+, but the wait .* spec (\S+) of .* added spec ([0-9a-f-]+)", str(caught.value)
    )
    assert found
    own, other = found.groups()
    [listed] = client.deployments.list_deployments(name="other" if change == "create" else "n")
    revisions = [entry["id"] for entry in listed["deploymentSpecs"]["nodes"]]
    assert revisions.index(other) < revisions.index(own)
    assert caught.value.may_have_executed == "yes"


@pytest.mark.parametrize("change", [*CHANGES, *DOCUMENTED])
def test_timeout_of_the_wait(client: Client, id_: str, change: str) -> None:
    """`wait_timeout` limits the wait. One that is no number is refused, and nothing is changed."""
    before = newest_spec_id(client, id_)
    with pytest.raises(InvalidArgumentError, match="wait_timeout"):
        (CHANGES | DOCUMENTED)[change](client, id_, wait=True, wait_timeout="long")
    assert newest_spec_id(client, id_) == before
    if change in {"patch", "restart", "scale", "stop"}:
        return  # it stays stopped, so there is nothing to wait for
    with pytest.raises(WaitTimeoutError, match=r"after 0\.1 s"):
        (CHANGES | DOCUMENTED)[change](client, id_, wait=True, wait_timeout=0.1)


@pytest.mark.parametrize("function", ["create_deployment", "apply_deployment"])
def test_all_problems_at_once(client: Client, function: str) -> None:
    """An invalid `wait_timeout` is reported together with the problems of the other arguments."""
    with pytest.raises(InvalidArgumentError) as caught:
        getattr(client.deployments, function)("", "p", {"image": 3}, wait=True, wait_timeout=-1)
    assert [problem.path[0] for problem in caught.value.problems] == ["name", "spec", "wait_timeout"]


def test_wait_for_an_earlier_revision(client: Client, id_: str) -> None:
    """A wait for a revision that is not the newest does not wait: it has been replaced."""
    newest, first = client.deployments.get_deployment_history(id_)
    with pytest.raises(
        ConflictError, match=f"spec {first['id']} .* is not the newest: another change added spec {newest['id']}"
    ):
        client.deployments.wait_for_deployment(id_, spec_id=first["id"])
    assert client.deployments.wait_for_deployment(id_, spec_id=newest["id"].upper())["state"] == "stopped"
    with pytest.raises(InvalidArgumentError, match="spec_id"):
        client.deployments.watch_deployment(id_, spec_id="newest")
