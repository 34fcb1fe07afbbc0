"""A failed update beside an earlier revision that serves: every function shows both, and why the update failed."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import pytest
from tests.altering_proxy import altered
from tests.deployments.manual_clock import ManualClock
from tests.samples import spec

from paperspace.gradient import Client, DeploymentFailedError, WaitTimeoutError
from paperspace.gradient.deployments import _watch
from paperspace.gradient.server import LocalServer
from paperspace.gradient.types import DeploymentSpecInput, DeploymentStatus

pytestmark = pytest.mark.usefixtures("fast_polls")

REASON = "Simulated: cannot pull the image tensorflow/serving."


def simulated(scenario: str, port: int = 8501) -> DeploymentSpecInput:
    """A spec with three replicas that this happens to."""
    return {**spec(port, replicas=3), "env": [{"name": "GRADIENT_SIMULATE", "value": scenario}]}


@pytest.fixture
def client(manual_server: LocalServer) -> Iterator[Client]:
    """A client of the server with the manual clock."""
    with Client(manual_server.api_key, manual_server.url) as client:
        yield client


@pytest.fixture
def id_(client: Client, clock: ManualClock) -> str:
    """The id of a deployment with three ready replicas."""
    created = client.deployments.create_deployment("n", "p", spec(replicas=3))
    clock.move(60)
    assert client.deployments.get_deployment_status(created["id"])["state"] == "ready"
    return created["id"]


def newest_spec_id(client: Client, id_: str) -> str:
    return client.deployments.get_deployment(id_)["deploymentSpecs"]["nodes"][0]["id"]


def statuses(client: Client, id_: str) -> DeploymentStatus:
    """The status of a deployment, the same from the list as alone."""
    [listed] = client.deployments.list_deployment_statuses()
    assert listed == client.deployments.get_deployment_status(id_)
    return listed


def test_status(client: Client, clock: ManualClock, id_: str) -> None:
    """The status of a failed update has its reason, and what still serves. Until then, and after the next update, it does not."""
    before = newest_spec_id(client, id_)
    still_serves = {"specId": before, "replicas": 3, "readyReplicas": 3}
    ready = statuses(client, id_)
    assert (ready["serving"], ready["error"]) == (None, None)
    client.deployments.update_deployment(id=id_, spec=simulated("fail"))
    pending = statuses(client, id_)
    assert (pending["state"], pending["serving"], pending["error"]) == ("pending", still_serves, None)
    clock.move(60)
    failed = statuses(client, id_)
    assert (failed["state"], failed["serving"], failed["error"]) == ("failed", still_serves, REASON)
    assert (failed["readyReplicas"], failed["specId"]) == (0, newest_spec_id(client, id_))
    client.deployments.rollback_deployment(id_, previous=True)
    clock.move(60)
    restored = statuses(client, id_)
    assert (restored["state"], restored["serving"], restored["error"]) == ("ready", None, None)


def test_spec_that_is_rejected(client: Client, clock: ManualClock, id_: str) -> None:
    """A revision that was never applied has no rollout: the earlier one serves."""
    before = newest_spec_id(client, id_)
    client.deployments.scale_deployment(id_, 5000)
    clock.move(60)
    failed = statuses(client, id_)
    assert failed["serving"] == {"specId": before, "replicas": 3, "readyReplicas": 3}
    assert "5000 replicas are too many" in str(failed["error"])


def test_nothing_serves(client: Client, clock: ManualClock) -> None:
    """A first revision that fails has its reason, and nothing serves."""
    id_ = client.deployments.create_deployment("n", "p", simulated("crash-loop"))["id"]
    clock.move(60)
    failed = statuses(client, id_)
    assert failed["serving"] is None
    assert failed["error"] == "Simulated: exited with code 1 (crash 4); no more restarts."
    client.deployments.update_deployment(id=id_, spec=simulated("fail"))
    clock.move(60)
    failed = statuses(client, id_)
    assert (failed["state"], failed["serving"], failed["error"]) == ("failed", None, REASON)


def test_watch_and_wait(client: Client, clock: ManualClock, id_: str) -> None:
    """The last event and the error of a wait say what still serves; the reason comes once in each."""
    before = newest_spec_id(client, id_)
    client.deployments.update_deployment(id=id_, spec=simulated("fail"))
    clock.move(60)
    events = list(client.deployments.watch_deployment(id_))
    text = f"failed: {REASON} Revision {before} still serves (3 of 3 replicas ready)."
    assert events[-1]["message"] == text
    assert [event["message"] for event in events if REASON in event["message"]] == [text]
    with pytest.raises(DeploymentFailedError) as caught:
        client.deployments.wait_for_deployment(id_)
    lines = str(caught.value).splitlines()
    assert lines[0] == f"deployment n ({id_}) {text}"
    assert str(caught.value).count(REASON) == 1
    assert [line.split(": ")[1] for line in lines[1:]][-1] == "[simulated] cannot pull the image tensorflow/serving"


def test_timeout(client: Client, id_: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The error of a wait that ends too early says what serves meanwhile."""
    before = newest_spec_id(client, id_)
    client.deployments.update_deployment(id=id_, spec=simulated("pending"))
    passed = 0.0
    monkeypatch.setattr(_watch, "monotonic", lambda: time.monotonic() + passed)

    def expire(_: Any) -> None:
        nonlocal passed
        passed = 60.0

    message = f"^deployment n is not ready after 60 s: 0 of 3 replicas ready; revision {before} still serves [(]3 of 3 replicas ready[)]$"
    with pytest.raises(WaitTimeoutError, match=message):
        client.deployments.wait_for_deployment(id_, timeout=60, on_event=expire)


@pytest.mark.parametrize("can_filter", [True, False])
def test_many_failed_updates(
    manual_server: LocalServer,
    client: Client,
    clock: ManualClock,
    wire: list[dict[str, Any]],
    id_: str,
    *,
    can_filter: bool,
) -> None:
    """What serves is found, however many updates have failed since: in one more request, if the server can filter rollouts."""

    def reject_the_filter(request: dict[str, Any]) -> None:
        request["query"] = request["query"].replace("hasInstances:", "unknown:")

    before = newest_spec_id(client, id_)
    for number in range(25):
        client.deployments.update_deployment(id=id_, spec=simulated("fail", 1 + number))
    clock.move(60)
    with (
        altered(manual_server, request=None if can_filter else reject_the_filter) as url,
        Client(manual_server.api_key, url) as other,
    ):
        wire.clear()
        serving = other.deployments.get_deployment_status(id_)["serving"]
        assert serving == {"specId": before if can_filter else None, "replicas": 3, "readyReplicas": 3}
        assert len(wire) == (2 if can_filter else 3)


def test_many_pending_updates(client: Client, id_: str) -> None:
    """What serves is found while the newest of many updates is not ready, however many there are."""
    serving = {"specId": newest_spec_id(client, id_), "replicas": 3, "readyReplicas": 3}
    for number in range(25):
        client.deployments.update_deployment(id=id_, spec=simulated("pending", 1 + number))
    pending = statuses(client, id_)
    assert (pending["state"], pending["serving"]) == ("pending", serving)


def test_what_is_down_does_not_serve(manual_server: LocalServer, client: Client, clock: ManualClock, id_: str) -> None:
    """An earlier revision without a ready instance is no revision that serves."""

    def take_down(response: dict[str, Any]) -> None:
        for rollout in response["data"]["deployment"]["deploymentRollouts"]["nodes"]:
            for run in rollout["deploymentRuns"]["nodes"]:
                run["readyReplicas"] = 0

    client.deployments.update_deployment(id=id_, spec=simulated("fail"))
    clock.move(60)
    with altered(manual_server, response=take_down) as url, Client(manual_server.api_key, url) as other:
        status = other.deployments.get_deployment_status(id_)
    assert (status["state"], status["serving"], status["error"]) == ("failed", None, REASON)
