"""`get_deployment_events`, and the events in the errors of a wait."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import pytest
from tests.altering_proxy import altered
from tests.deployments.manual_clock import ManualClock
from tests.deployments.test_monitoring import spec_with_fate
from tests.faults.harness import check_pickle
from tests.samples import SPEC, spec

from paperspace.gradient import (
    AsyncClient,
    BadRequestError,
    Client,
    DeploymentFailedError,
    InvalidArgumentError,
    NotFoundError,
    WaitTimeoutError,
)
from paperspace.gradient.deployments import _watch
from paperspace.gradient.server import LocalServer, delay, drop

UNKNOWN_ID = "00000000-0000-0000-0000-0000000000ff"


pytestmark = pytest.mark.usefixtures("fast_polls")


@pytest.fixture
def client(manual_server: LocalServer) -> Iterator[Client]:
    """A client of that server."""
    with Client(manual_server.api_key, manual_server.url) as client:
        yield client


def reasons(events: list[Any]) -> list[str]:
    return [event["reason"] for event in events]


def without_events(request: dict[str, Any]) -> None:
    """Change a request so that the server rejects it as one without events would."""
    if request.get("operationName") == "DeploymentEvents" or "DeploymentEvents" in request["query"]:
        request["query"] = request["query"].replace("events(", "happenings(")


def test_newest_first(client: Client, clock: ManualClock) -> None:
    """The events come newest first, with exactly the documented keys; `first` is their maximum number."""
    id_ = client.deployments.create_deployment("n", "p", SPEC)["id"]
    clock.move(60)
    events = client.deployments.get_deployment_events(id_)
    assert reasons(events) == ["Ready", "Started", "RolloutStarted"]
    assert set(events[0]) == {
        *("id", "dtCreated", "dtLast", "count", "severity", "reason", "message", "deploymentSpecId", "instanceName")
    }
    assert events[-1]["message"] == "Ada created the deployment: tensorflow/serving, 1 replica."
    assert events[-1]["instanceName"] is None
    for first in (0, 1, 2, 3, 1000, None):
        assert client.deployments.get_deployment_events(id_, first) == events[:first]


def test_every_page_is_read(client: Client, clock: ManualClock, wire: list[dict[str, Any]]) -> None:
    """All events come, also if they fill several pages."""
    id_ = client.deployments.create_deployment("n", "p", spec(replicas=70))["id"]
    clock.move(600)
    events = client.deployments.get_deployment_events(id_, first=None)
    assert len({event["id"] for event in events}) == len(events) == 141
    assert reasons(events)[-1] == "RolloutStarted"
    wire.clear()
    assert client.deployments.get_deployment_events(id_) == events[:100]
    assert len(wire) == 1
    assert client.deployments.get_deployment_events(id_, first=130) == events[:130]


def test_an_event_that_happens_again_between_two_pages(
    manual_server: LocalServer, client: Client, clock: ManualClock
) -> None:
    """An event that moves to the first page while the second one is read is not lost."""
    id_ = client.deployments.create_deployment("n", "p", spec_with_fate("crash-loop", 60))["id"]
    clock.move(600)
    requests = 0

    def crash_again(_: dict[str, Any]) -> None:
        nonlocal requests
        requests += 1
        if requests == 2:
            manual_server.reconcile("n")
            clock.move(4)  # the first instances start again

    with altered(manual_server, request=crash_again) as url, Client(manual_server.api_key, url) as other:
        events = other.deployments.get_deployment_events(id_, first=None)
    assert requests == 3
    assert len({event["id"] for event in events}) == len(events) == 121
    assert {event["count"] for event in events if event["reason"] == "Started"} == {1, 2}


@pytest.mark.anyio
async def test_async(manual_server: LocalServer, clock: ManualClock) -> None:
    """The async version does the same."""
    async with AsyncClient(manual_server.api_key, manual_server.url) as client:
        created = await client.deployments.create_deployment("n", "p", SPEC)
        clock.move(60)
        events = await client.deployments.get_deployment_events(created["id"], first=2)
    assert reasons(events) == ["Ready", "Started"]


def test_unknown_or_deleted(client: Client) -> None:
    """An unknown or deleted deployment raises NotFoundError."""
    with pytest.raises(NotFoundError):
        client.deployments.get_deployment_events(UNKNOWN_ID)
    created = client.deployments.create_deployment("n", "p", SPEC)
    client.deployments.delete_deployment(created["id"])
    with pytest.raises(NotFoundError):
        client.deployments.get_deployment_events(created["id"])


@pytest.mark.parametrize(("arguments", "argument"), [(("n",), "id"), ((UNKNOWN_ID, -1), "first")])
def test_wrong_arguments(client: Client, wire: list[Any], arguments: tuple[Any, ...], argument: str) -> None:
    """A wrong argument raises an error, and nothing is sent."""
    with pytest.raises(InvalidArgumentError, match=argument):
        client.deployments.get_deployment_events(*arguments)
    assert wire == []


def test_a_server_without_events(manual_server: LocalServer, client: Client) -> None:
    """With a server whose schema has no events, the error says so, and how to compare the schemas."""
    created = client.deployments.create_deployment("n", "p", SPEC)
    with (
        altered(manual_server, request=without_events) as url,
        Client(manual_server.api_key, url) as other,
        pytest.raises(BadRequestError, match=r"this server has no events of deployments: .*`gradient schema diff`"),
    ):
        other.deployments.get_deployment_events(created["id"])


class TestErrorsOfWaits:
    """The error of a failed wait has the last warnings, and never another error in its place."""

    def failed(self, client: Client, id_: str) -> DeploymentFailedError:
        with pytest.raises(DeploymentFailedError) as caught:
            client.deployments.wait_for_deployment(id_)
        check_pickle(caught.value)
        return caught.value

    def test_failed(self, client: Client, clock: ManualClock) -> None:
        """The message says what happened, where and how often; the attribute has the whole events."""
        created = client.deployments.create_deployment("n", "p", spec_with_fate("crash-loop"))
        clock.move(60)
        error = self.failed(client, created["id"])
        assert reasons(error.events) == ["Crashed"]
        assert error.events[0]["count"] == 4
        assert str(error).count("Simulated: exited with code 1 (crash 4); no more restarts.") == 1
        assert str(error).splitlines()[-1] == f"  {error.events[0]['instanceName']}: Crashed (4 times)"

    def test_what_the_message_says_already(self, client: Client, clock: ManualClock) -> None:
        """A warning whose text is the reason of the failure is not repeated in the message."""
        created = client.deployments.create_deployment("n", "p", spec_with_fate("fail"))
        clock.move(60)
        error = self.failed(client, created["id"])
        assert reasons(error.events) == ["PullFailed"]
        assert str(error).count("cannot pull the image") == 2  # the reason, and a log line

    def test_only_of_the_newest_spec(self, client: Client, clock: ManualClock) -> None:
        """The warnings are about the newest spec, the last five of them, the last one at the end."""
        created = client.deployments.create_deployment("n", "p", spec_with_fate("fail"))
        clock.move(60)
        client.deployments.update_deployment(id=created["id"], spec=spec_with_fate("crash-loop"))
        clock.move(60)
        assert reasons(self.failed(client, created["id"]).events) == ["Crashed"]
        client.deployments.update_deployment(id=created["id"], spec=spec_with_fate("crash-loop", 7))
        clock.move(60)
        error = self.failed(client, created["id"])
        assert reasons(error.events) == ["Crashed"] * 5
        assert [event["dtLast"] for event in error.events] == sorted(event["dtLast"] for event in error.events)

    @pytest.mark.parametrize("last_poll", ["responds", "times out"])
    def test_timeout(
        self, manual_server: LocalServer, client: Client, clock: ManualClock, monkeypatch: Any, last_poll: str
    ) -> None:
        """The error of a timeout has them too, also if the last poll did not end in time."""
        passed = 0.0
        monkeypatch.setattr(_watch, "monotonic", lambda: time.monotonic() + passed)

        def expire(_: Any) -> None:
            nonlocal passed
            passed = 59.9 if last_poll == "times out" else 60.0
            if last_poll == "times out":
                manual_server.inject_fault(delay(0.5))

        created = client.deployments.create_deployment("n", "p", spec_with_fate("crash-loop"))
        clock.move(3)
        with pytest.raises(WaitTimeoutError) as caught:
            client.deployments.wait_for_deployment(created["id"], timeout=60, on_event=expire)
        assert reasons(caught.value.events) == ["Crashed"]
        assert str(caught.value) == (
            "deployment n is not ready after 60 s: 0 of 1 replicas ready\n"
            f"  {caught.value.events[0]['instanceName']}: Crashed (2 times): "
            "Simulated: exited with code 1 (crash 2); restarting."
        )
        check_pickle(caught.value)

    def test_a_server_without_events(self, manual_server: LocalServer, client: Client, clock: ManualClock) -> None:
        """With a server that has no events, the error is the same without them."""
        created = client.deployments.create_deployment("n", "p", spec_with_fate("crash-loop"))
        clock.move(60)
        with altered(manual_server, request=without_events) as url, Client(manual_server.api_key, url) as other:
            error = self.failed(other, created["id"])
        assert error.events == []
        assert error.logs != []
        assert "Crashed" not in str(error)

    @pytest.mark.parametrize(
        ("fate", "operation", "missing"),
        [
            ("crash-loop", "DeploymentEvents", {"events"}),
            ("pending", "DeploymentEvents", {"events"}),
            ("crash-loop", "DeploymentLogLines", {"logs"}),
        ],
    )
    def test_what_cannot_be_read(
        self,
        manual_server: LocalServer,
        client: Client,
        clock: ManualClock,
        fate: str,
        operation: str,
        missing: set[str],
    ) -> None:
        """If the request for the events or the log lines fails, the error is that of the wait, without them."""
        created = client.deployments.create_deployment("n", "p", spec_with_fate(fate))
        clock.move(60)

        def drop_request(request: dict[str, Any]) -> None:
            if f"query {operation}" in request["query"]:
                manual_server.inject_fault(*[drop(executed=False)])

        with (
            altered(manual_server, request=drop_request) as url,
            Client(manual_server.api_key, url, max_retries=0) as other,
            pytest.raises((DeploymentFailedError, WaitTimeoutError)) as caught,
        ):
            other.deployments.wait_for_deployment(created["id"], timeout=60 if fate == "crash-loop" else 0.05)
        assert {name for name in ("logs", "events") if vars(caught.value).get(name) == []} == missing


def test_follow(client: Client, clock: ManualClock) -> None:
    """The command follows the events: those of before, and then each when it happens, until the deployment is deleted."""
    id_ = client.deployments.create_deployment("n", "p", spec_with_fate("crash-loop"))["id"]
    seen = []
    follow = client.deployments._follow_deployment_events(id_, None)
    for event in follow:
        seen.append((event["reason"], event["count"]))
        if event["count"] == 4:
            break
        clock.move(1)
    assert seen == [
        ("RolloutStarted", 1),
        ("Started", 1),
        ("Crashed", 1),
        ("Crashed", 2),
        ("Crashed", 3),
        ("Crashed", 4),
    ]
    client.deployments.delete_deployment(id_)
    assert list(follow) == []


def test_follow_from_the_end(client: Client, clock: ManualClock) -> None:
    """With a limit, older events are left out, also later."""
    id_ = client.deployments.create_deployment("n", "p", SPEC)["id"]
    clock.move(60)
    follow = client.deployments._follow_deployment_events(id_, 1)
    assert next(follow)["reason"] == "Ready"
    client.deployments.scale_deployment(id_, 0)
    assert next(follow)["reason"] == "Stopped"
