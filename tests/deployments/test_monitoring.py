"""Waits end at the right time for the right reason; logs are complete."""

from __future__ import annotations

import asyncio
import sys
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from functools import partial
from itertools import islice
from typing import Any, NoReturn

import pytest
from tests.altering_proxy import altered
from tests.browser.talkative import Talkative
from tests.deployments.manual_clock import ManualClock
from tests.samples import SPEC, spec

from paperspace.gradient import (
    AsyncClient,
    Client,
    DeploymentFailedError,
    InvalidArgumentError,
    MalformedResponseError,
    NotFoundError,
    PaginationError,
    PermissionDeniedError,
    WaitTimeoutError,
)
from paperspace.gradient.deployments import _status_queries, _wait_errors, _watch
from paperspace.gradient.deployments._logs import LogReader
from paperspace.gradient.pytest_plugin import GradientServer
from paperspace.gradient.server import LocalServer, delay
from paperspace.gradient.types import DeploymentSpecInput, LogLine

UNKNOWN_ID = "00000000-0000-0000-0000-0000000000ff"


pytestmark = pytest.mark.usefixtures("fast_polls")


@pytest.fixture
def client(manual_server: LocalServer) -> Iterator[Client]:
    """A client of that server."""
    with Client(manual_server.api_key, manual_server.url) as client:
        yield client


def spec_with_fate(fate: str, replicas: int = 1) -> DeploymentSpecInput:
    """A spec whose simulated instances have this fate."""
    return {**spec(replicas=replicas), "env": [{"name": "GRADIENT_SIMULATE", "value": fate}]}


def types_of(events: list[Any]) -> list[str]:
    """The types of events."""
    return [event["type"] for event in events]


def watch_step_by_step(server: LocalServer, clock: ManualClock, id: str) -> list[Any]:
    """The events of a watch, with the server's clock moving by 0.2 seconds from one poll to the next."""
    with altered(server, request=lambda _: clock.move(0.2)) as url, Client(server.api_key, url) as client:
        return list(client.deployments.watch_deployment(id, timeout=60))


class TestWait:
    """`wait_for_deployment` and `watch_deployment` follow the newest spec."""

    def test_becomes_ready(self, manual_server: LocalServer, client: Client, clock: ManualClock) -> None:
        """There are events for each instance that starts; the last one is `ready`."""
        created = client.deployments.create_deployment("n", "p", spec(replicas=2))
        events = watch_step_by_step(manual_server, clock, created["id"])
        assert events[-1]["type"] == "ready"
        assert events[-1]["status"]["readyReplicas"] == 2
        assert "1 of 2 replicas ready" in [event["message"] for event in events]
        assert types_of(events).count("applied") == 1
        healthy = [event for event in events if event["message"].endswith("Simulated: ready.")]
        assert len(healthy) == 2

    def test_returns_the_status(self, client: Client, clock: ManualClock) -> None:
        """The wait returns the status, and calls the callback with every event."""
        created = client.deployments.create_deployment("n", "p", SPEC)
        clock.move(60)
        received: list[Any] = []
        status = client.deployments.wait_for_deployment(created["id"], on_event=received.append)
        assert (status["state"], status["replicas"], status["readyReplicas"]) == ("ready", 1, 1)
        assert status == client.deployments.get_deployment_status(created["id"])
        assert types_of(received)[-1] == "ready"

    def test_callback_runs_on_the_callers_thread(self, client: Client, clock: ManualClock) -> None:
        """The callback runs on the caller's thread: it may call the library, and exit the program."""
        created = client.deployments.create_deployment("n", "p", SPEC)
        clock.move(60)
        threads: list[Any] = []

        def received(event: Any) -> None:
            threads.append(threading.current_thread())
            assert client.deployments.get_deployment(event["status"]["id"])["name"] == "n"

        client.deployments.wait_for_deployment(created["id"], on_event=received)
        assert set(threads) == {threading.current_thread()}
        with pytest.raises(SystemExit):
            client.deployments.wait_for_deployment(created["id"], on_event=lambda _: sys.exit(3))
        assert client.deployments.get_deployment_status(created["id"])["state"] == "ready"

    def test_rolling_update_is_not_early(self, manual_server: LocalServer, client: Client, clock: ManualClock) -> None:
        """After an update, the wait ends only when the replicas of the new run are ready, though the old run is healthy."""
        created = client.deployments.create_deployment("n", "p", spec(replicas=2))
        clock.move(60)
        client.deployments.wait_for_deployment(created["id"])
        client.deployments.update_deployment("n", "p", spec(port=1, replicas=2))
        specs = client.deployments.get_deployment_history(created["id"])
        seen = watch_step_by_step(manual_server, clock, created["id"])
        assert all(event["status"]["specId"] == specs[0]["id"] for event in seen)
        assert seen[0]["status"]["state"] == "pending"
        assert seen[0]["status"]["readyReplicas"] == 0
        assert seen[-1]["type"] == "ready"

    @pytest.mark.parametrize(
        ("fate", "reason"),
        [("fail", "cannot pull the image"), ("crash-loop", "no more restarts")],
    )
    def test_failure(self, client: Client, clock: ManualClock, fate: str, reason: str) -> None:
        """A failed deployment raises an error with the instance's message, and its last log lines."""
        created = client.deployments.create_deployment("n", "p", spec_with_fate(fate))
        clock.move(60)
        with pytest.raises(
            DeploymentFailedError, match=rf"^deployment n \(.*\) failed: Simulated: .*{reason}"
        ) as caught:
            client.deployments.wait_for_deployment(created["id"])
        assert caught.value.status["state"] == "failed"
        assert caught.value.logs[-1]["message"].startswith("[simulated]")
        assert caught.value.logs[-1]["message"] in str(caught.value)

    def test_failure_has_the_logs_of_what_failed(self, client: Client, clock: ManualClock) -> None:
        """The log lines of the error are those of the failed instances, not those of an earlier spec."""
        created = client.deployments.create_deployment("n", "p", SPEC)
        clock.move(60)
        assert client.deployments.wait_for_deployment(created["id"])["state"] == "ready"
        client.deployments.update_deployment(id=created["id"], spec=spec_with_fate("crash-loop"))
        clock.move(60)
        with pytest.raises(DeploymentFailedError) as caught:
            client.deployments.wait_for_deployment(created["id"])
        failed = {instance["name"] for instance in caught.value.status["instances"] if instance["state"] == "failed"}
        assert {line["instanceName"] for line in caught.value.logs} == failed

    def test_events_that_the_caller_changes(self, manual_server: LocalServer, clock: ManualClock) -> None:
        """A caller may change the events: a watch goes on with the status that it has read, and a wait ends as this says."""
        seen: list[str] = []

        def change(event: Any) -> None:
            seen.append(event["type"])
            event["status"].clear()

        async def wait_async() -> None:
            async with AsyncClient(manual_server.api_key, url) as aclient:
                await aclient.deployments.wait_for_deployment(created["id"], timeout=60, on_event=change)

        with (
            altered(manual_server, request=lambda _: clock.move(0.2)) as url,
            Client(manual_server.api_key, url) as client,
        ):
            created = client.deployments.create_deployment("n", "p", SPEC)
            for event in client.deployments.watch_deployment(created["id"], timeout=60):
                change(event)
            assert seen == ["applied", "instance", "replicas", "instance", "replicas", "ready"]
            client.deployments.restart_deployment(created["id"])
            wait = partial(client.deployments.wait_for_deployment, created["id"], timeout=60, on_event=change)
            assert wait()["state"] == "ready"
            client.deployments.update_deployment(id=created["id"], spec=spec_with_fate("fail"))
            for ends in (wait, lambda: asyncio.run(wait_async())):
                with pytest.raises(DeploymentFailedError, match="cannot pull the image"):
                    ends()

    @pytest.mark.anyio
    async def test_async_callback(self, manual_server: LocalServer, clock: ManualClock) -> None:
        """In the async version, the callback may be a coroutine function."""
        received: list[str] = []

        async def receive(event: Any) -> None:
            received.append(event["type"])

        async with AsyncClient(manual_server.api_key, manual_server.url) as client:
            created = await client.deployments.create_deployment("n", "p", SPEC)
            clock.move(60)
            await client.deployments.wait_for_deployment(created["id"], on_event=receive)
        assert received[-1] == "ready"

    def test_failure_is_seen_within_two_polls(
        self, client: Client, clock: ManualClock, wire: list[dict[str, Any]]
    ) -> None:
        """After a failure, at most two requests are sent before the last event."""
        created = client.deployments.create_deployment("n", "p", spec_with_fate("fail"))
        watch = client.deployments.watch_deployment(created["id"])
        next(watch)
        clock.move(60)
        wire.clear()
        assert types_of(list(watch))[-1] == "failed"
        assert 1 <= len(wire) <= 2

    def test_spec_that_cannot_be_applied(self, client: Client, clock: ManualClock) -> None:
        """A spec that the cluster rejects raises an error with the reason."""
        created = client.deployments.create_deployment("n", "p", spec(replicas=5000))
        clock.move(60)
        with pytest.raises(DeploymentFailedError, match=r"\) failed: Simulated: 5000 replicas are too many"):
            client.deployments.wait_for_deployment(created["id"])

    def test_stopped(self, client: Client, clock: ManualClock) -> None:
        """After scaling to 0 or stopping, the wait ends when nothing runs any more."""
        created = client.deployments.create_deployment("n", "p", SPEC)
        clock.move(60)
        client.deployments.scale_deployment(created["id"], 0)
        assert client.deployments.get_deployment_status(created["id"])["state"] == "pending"
        clock.move(60)
        assert client.deployments.wait_for_deployment(created["id"])["state"] == "stopped"
        client.deployments.scale_deployment(created["id"], 1)
        client.deployments.stop_deployment(created["id"])
        clock.move(600)
        assert client.deployments.wait_for_deployment(created["id"])["state"] == "stopped"

    @pytest.mark.parametrize("updates", [19, 25, 125])
    def test_earlier_run_still_serves(
        self, client: Client, clock: ManualClock, wire: list[dict[str, Any]], updates: int
    ) -> None:
        """A deployment is stopped only when its oldest run has ended, however many rollouts came after that."""
        created = client.deployments.create_deployment("n", "p", SPEC)
        clock.move(60)
        for number in range(updates):
            client.deployments.update_deployment(
                id=created["id"], spec={**spec_with_fate("pending"), "port": 1 + number}
            )
        client.deployments.scale_deployment(created["id"], 0)

        def states() -> set[str]:
            [listed] = client.deployments.list_deployment_statuses()
            return {client.deployments.get_deployment_status(created["id"])["state"], listed["state"]}

        assert states() == {"pending"}
        clock.move(60)
        assert states() == {"stopped"}
        client.deployments.update_deployment(id=created["id"], spec=SPEC)
        clock.move(60)
        wire.clear()
        assert states() == {"ready"}
        assert len(wire) == 2  # the history counts only while the newest run is not ready

    @pytest.mark.parametrize("can_filter", [True, False])
    def test_long_history(
        self,
        client: Client,
        clock: ManualClock,
        manual_server: LocalServer,
        wire: list[dict[str, Any]],
        *,
        can_filter: bool,
    ) -> None:
        """The server says which of many rollouts has instances, in one request. If it cannot, all are read."""

        def reject_the_filter(request: dict[str, Any]) -> None:
            request["query"] = request["query"].replace("hasInstances:", "unknown:")

        created = client.deployments.create_deployment("n", "p", SPEC)
        clock.move(60)
        for number in range(230):
            client.deployments.update_deployment(
                id=created["id"], spec={**spec_with_fate("pending"), "port": 1 + number}
            )
        client.deployments.scale_deployment(created["id"], 0)
        with (
            altered(manual_server, request=None if can_filter else reject_the_filter) as url,
            Client(manual_server.api_key, url) as other,
        ):
            for state in ("pending", "stopped"):
                wire.clear()
                assert other.deployments.get_deployment_status(created["id"])["state"] == state
                assert len(wire) == (2 if can_filter else 5)
                clock.move(60)

    def test_deleted_while_it_is_listed(
        self, manual_server: LocalServer, client: Client, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A list of statuses leaves out a deployment that is deleted while its history is read."""
        kept = client.deployments.create_deployment("kept", "p", SPEC)
        created = client.deployments.create_deployment("n", "p", SPEC)
        for number in range(25):
            client.deployments.update_deployment(id=created["id"], spec={**SPEC, "port": 1 + number})
        client.deployments.scale_deployment(created["id"], 0)
        clock.move(60)
        read_all = _status_queries._all_remaining_runs

        async def delete_first(*arguments: Any) -> Any:
            async with AsyncClient(manual_server.api_key, manual_server.url) as other:
                await other.deployments.delete_deployment(created["id"])
            return await read_all(*arguments)

        monkeypatch.setattr(_status_queries, "_all_remaining_runs", delete_first)
        assert [status["id"] for status in client.deployments.list_deployment_statuses()] == [kept["id"]]

    def test_timeout(self, client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
        """A wait ends at its timeout; the error has the last status."""
        passed = 0.0
        monkeypatch.setattr(_watch, "monotonic", lambda: time.monotonic() + passed)

        def expire(_: Any) -> None:
            nonlocal passed
            passed = 60.0

        created = client.deployments.create_deployment("n", "p", spec_with_fate("pending"))
        message = r"^deployment n is not ready after 60 s: 0 of 1 replicas ready$"
        with pytest.raises(WaitTimeoutError, match=message) as caught:
            client.deployments.wait_for_deployment(created["id"], timeout=60, on_event=expire)
        assert isinstance(caught.value, TimeoutError)
        assert caught.value.status is not None
        assert caught.value.status["instances"][0]["state"] == "pending"

    def test_ready_while_an_event_is_handled(
        self, client: Client, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A deployment that becomes ready while the caller handles an event is ready, also if that takes longer than the timeout."""
        passed = 0.0
        monkeypatch.setattr(_watch, "monotonic", lambda: time.monotonic() + passed)
        monkeypatch.setattr(_watch, "MIN_REQUEST", 30)  # enough for the last poll on any machine

        def handle(_: Any) -> None:
            nonlocal passed
            passed = 60.0
            clock.move(60)

        created = client.deployments.create_deployment("n", "p", SPEC)
        assert client.deployments.wait_for_deployment(created["id"], timeout=60, on_event=handle)["state"] == "ready"

    def test_the_timeout_limits_all_requests(self, client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
        """A wait ends at its timeout also if its last status takes several requests, and what explains its error never comes."""
        client.deployments.create_deployment("n", "p", spec_with_fate("pending"))

        async def never(*_: object) -> NoReturn:
            await asyncio.Event().wait()
            raise AssertionError

        def block(_: object) -> None:
            monkeypatch.setattr(_status_queries, "_complete_status", never)

        monkeypatch.setattr(_wait_errors, "last_warnings", never)
        monkeypatch.setattr(_wait_errors, "EXPLANATION_TIMEOUT", 0.05)
        with pytest.raises(WaitTimeoutError, match="n is not ready after 1 s") as caught:
            client.deployments.wait_for_deployment(name="n", project_id="p", timeout=1, on_event=block)
        assert (caught.value.events, type(caught.value.__cause__)) == ([], TimeoutError)

    def test_the_timeout_includes_the_look_up_of_a_name(self, manual_server: LocalServer, client: Client) -> None:
        """A wait for a name that is not found in time ends at its timeout, not at that of a request."""
        client.deployments.create_deployment("n", "p", SPEC)
        manual_server.inject_fault(delay(3600))
        start = time.monotonic()
        with pytest.raises(WaitTimeoutError, match=r"deployment 'n' is not ready after 0\.2 s: no status was received"):
            client.with_options(timeout=60).deployments.wait_for_deployment(name="n", project_id="p", timeout=0.2)
        assert time.monotonic() - start < 60

    def test_timeout_of_a_stop(self, client: Client, clock: ManualClock, monkeypatch: pytest.MonkeyPatch) -> None:
        """If a deployment has to stop, the error of the timeout says that it has not."""
        created = client.deployments.create_deployment("n", "p", SPEC)
        clock.move(60)
        client.deployments.stop_deployment(created["id"])
        passed = 0.0
        monkeypatch.setattr(_watch, "monotonic", lambda: time.monotonic() + passed)

        def expire(_: Any) -> None:
            nonlocal passed
            passed = 60.0

        with pytest.raises(WaitTimeoutError, match=r"^deployment n is not stopped after 60 s: instances still run$"):
            client.deployments.wait_for_deployment(created["id"], timeout=60, on_event=expire)

    def test_deleted_meanwhile(self, client: Client) -> None:
        """Deleting a deployment ends a wait for it with NotFoundError."""
        created = client.deployments.create_deployment("n", "p", spec_with_fate("pending"))
        watch = client.deployments.watch_deployment(created["id"])
        next(watch)
        client.deployments.delete_deployment(created["id"])
        with pytest.raises(NotFoundError):
            list(watch)

    def test_wait_on_create_and_update(self, client: Client, clock: ManualClock) -> None:
        """With `wait=True`, create and update return when the deployment is ready, and still only its id."""
        with clock.ticking():
            created = client.deployments.create_deployment("n", "p", SPEC, wait=True)
            assert client.deployments.get_deployment_status(created["id"])["state"] == "ready"
            assert client.deployments.update_deployment("n", "p", spec(port=1), wait=True) == created
            with pytest.raises(DeploymentFailedError):
                client.deployments.create_deployment("m", "p", spec_with_fate("fail"), wait=True)

    def test_unknown_state(self, manual_server: LocalServer, client: Client, clock: ManualClock) -> None:
        """An instance with an unknown state counts as pending."""

        def strange(reply: dict[str, Any]) -> None:
            deployment = (reply.get("data") or {}).get("deployment") or {}
            for rollout in (deployment.get("newestRollout") or {}).get("nodes", []):
                for run in rollout["deploymentRuns"]["nodes"]:
                    run["readyReplicas"] = 0
                    for instance in run["deploymentRunInstances"]["nodes"]:
                        instance["state"] = "confused"

        created = client.deployments.create_deployment("n", "p", SPEC)
        clock.move(60)
        with altered(manual_server, response=strange) as url, Client(manual_server.api_key, url) as other:
            status = other.deployments.get_deployment_status(created["id"])
            assert (status["state"], status["instances"][0]["state"]) == ("pending", "confused")

    def test_rollout_of_an_earlier_spec(self, manual_server: LocalServer, client: Client, clock: ManualClock) -> None:
        """A spec that is applied, but whose rollout the server does not report yet, is not ready by an earlier rollout."""
        created = client.deployments.create_deployment("n", "p", SPEC)
        clock.move(60)
        before = client.deployments.get_deployment_status(created["id"])

        def newer_spec(response: dict[str, Any]) -> None:
            response["data"]["deployment"]["deploymentSpecs"]["nodes"][0]["dtCreated"] = clock().isoformat()

        with altered(manual_server, response=newer_spec) as url, Client(manual_server.api_key, url) as other:
            after = other.deployments.get_deployment_status(created["id"])
        assert (before["state"], before["readyReplicas"]) == ("ready", 1)
        assert (after["state"], after["readyReplicas"], after["instances"]) == ("pending", 0, [])

    def test_invalid_time(self, manual_server: LocalServer, client: Client) -> None:
        """A time that is not in ISO 8601 format is a malformed response."""
        created = client.deployments.create_deployment("n", "p", SPEC)

        def no_time(response: dict[str, Any]) -> None:
            response["data"]["deployment"]["deploymentSpecs"]["nodes"][0]["dtCreated"] = "today"

        with (
            altered(manual_server, response=no_time) as url,
            Client(manual_server.api_key, url) as other,
            pytest.raises(MalformedResponseError, match="the response has an invalid time: 'today'"),
        ):
            other.deployments.get_deployment_status(created["id"])

    @pytest.mark.parametrize("timeout", [0, -1.0])
    def test_wrong_timeout(self, client: Client, timeout: float) -> None:
        """A timeout of 0 or less raises an error at once."""
        with pytest.raises(InvalidArgumentError, match="timeout"):
            client.deployments.watch_deployment(UNKNOWN_ID, timeout=timeout)


class TestLogs:
    """`get_deployment_logs` yields every line once, in order."""

    @pytest.fixture
    def id(self, client: Client, clock: ManualClock) -> str:
        """A deployment with three ready replicas."""
        created = client.deployments.create_deployment("n", "p", spec(replicas=3))
        clock.move(60)
        return created["id"]

    def lines(self, client: Client, id: str, **options: Any) -> list[Any]:
        """All lines that a call yields."""
        return list(client.deployments.get_deployment_logs(id, **options))

    def test_all(self, client: Client, id: str) -> None:
        """The lines of all instances come by time, each once, and those of an instance in the order of their numbers."""
        lines = self.lines(client, id)
        assert [line["dtCreated"] for line in lines] == sorted(line["dtCreated"] for line in lines)
        by_instance: dict[str, list[int]] = {}
        for line in lines:
            by_instance.setdefault(line["instanceName"], []).append(line["line"])
        assert len(by_instance) == 3
        assert all(numbers == list(range(1, len(numbers) + 1)) for numbers in by_instance.values())

    def test_order_of_other_formats(self, client: Client, manual_server: LocalServer, id: str) -> None:
        """Lines come by time, not by the text of the time: `10:00:00Z` is before `10:00:00.5Z`."""

        def shorten_times(response: dict[str, Any]) -> None:
            log = response["data"]["deployment"].get("log")
            for line in log["lines"]["nodes"] if log else ():
                line["dtCreated"] = line["dtCreated"].replace(".000Z", "Z").replace(".500Z", ".5+00:00")

        with altered(manual_server, response=shorten_times) as url, Client(manual_server.api_key, url) as other:
            lines = self.lines(other, id)
            assert self.lines(other, id, tail=4) == lines[-4:]
        assert [line["message"] for line in lines] == [line["message"] for line in self.lines(client, id)]
        assert len({len(line["dtCreated"]) for line in lines}) > 1

    @pytest.mark.parametrize("options", [{}, {"instance": True}])
    def test_a_log_that_grows_as_fast_as_it_is_read(
        self, manual_server: LocalServer, client: Client, id: str, options: dict[str, Any]
    ) -> None:
        """The call ends with the end that the log has at its start, and does not follow it to the end that it has later."""
        instance = self.lines(client, id)[0]["instanceName"]
        written, enough = 0, 60

        at = "2024-05-17T09:30:00.000Z"

        def write(response: dict[str, Any]) -> None:
            nonlocal written
            deployment = response["data"]["deployment"]
            for log in deployment.get("logs", {"nodes": ()})["nodes"]:
                log["lines"]["nodes"] = [{"line": 20, "dtCreated": at}] if log["instanceName"] == instance else []
            if log := deployment.get("log"):
                first, written = written + 1, written + 10
                line = {"instanceName": instance, "message": "x", "dtCreated": at}
                log["lines"]["nodes"] = [line | {"line": number} for number in range(first, written + 1)]
                log["lines"]["pageInfo"] |= {"hasNextPage": written < enough * 10, "endCursor": str(written)}

        def from_the_start(request: dict[str, Any]) -> None:
            request["variables"]["after"] = None  # the server does not know the cursors of `write`

        proxy = altered(manual_server, request=from_the_start, response=write)
        with proxy as url, Client(manual_server.api_key, url) as other:
            lines = self.lines(other, id, **({"instance": instance} if options else {}))
        assert 10 <= len(lines) <= 40
        assert [line["line"] for line in lines] == sorted({line["line"] for line in lines})

    def test_tail(self, client: Client, id: str) -> None:
        """`tail` yields the end of all lines."""
        lines = self.lines(client, id)
        for count in (0, 1, 4, 1000):
            assert self.lines(client, id, tail=count) == (lines[-count:] if count else [])

    def test_since(self, client: Client, id: str) -> None:
        """`since` yields the lines written at this time or later; without a time zone it is UTC."""
        lines = self.lines(client, id)
        moment = datetime.fromisoformat(lines[len(lines) // 2]["dtCreated"])
        later = [line for line in lines if datetime.fromisoformat(line["dtCreated"]) >= moment]
        assert self.lines(client, id, since=moment) == later
        assert self.lines(client, id, since=moment.replace(tzinfo=None)) == later
        assert self.lines(client, id, since=moment.isoformat()) == later

    def test_duration(self, manual_server: LocalServer, client: Client, id: str) -> None:
        """A duration counts back from the clock of the server, as its responses say."""
        lines = self.lines(client, id)
        later = timedelta(seconds=2)
        clock = datetime.fromisoformat(lines[-1]["dtCreated"]) + later - datetime.now(UTC)
        with altered(manual_server, clock=clock) as url, Client(manual_server.api_key, url) as other:
            assert self.lines(other, id, since="1d") == self.lines(other, id, since="999999d") == lines
            assert self.lines(other, id, since="0s") == []

    def test_instance(self, client: Client, id: str) -> None:
        """`instance` yields only the lines of this instance."""
        lines = self.lines(client, id)
        name = lines[0]["instanceName"]
        assert self.lines(client, id, instance=name) == [line for line in lines if line["instanceName"] == name]

    @pytest.mark.parametrize("options", [{}, {"follow": True}, {"tail": 3}, {"tail": 0, "follow": True}])
    def test_instance_without_a_log(self, client: Client, id: str, options: Any) -> None:
        """For an instance without a log, the error lists the instances that have one."""
        names = sorted({line["instanceName"] for line in self.lines(client, id)})
        with pytest.raises(
            NotFoundError, match=f"no log of instance 'nobody'; instances with a log: {', '.join(names)}$"
        ) as caught:
            self.lines(client, id, instance="nobody", **options)
        assert caught.value.resource == "instance"

    def test_no_or_many_instances_with_a_log(self, client: Client) -> None:
        """The error says if no instance has a log, and lists at most five that have one."""
        for replicas, existing in {
            0: "no instance has a log yet",
            7: "instances with a log: (instance-[^, ]*, ){4}[^, ]* and 2 more",
        }.items():
            created = client.deployments.create_deployment(f"of {replicas}", "p", spec(replicas=replicas))
            with pytest.raises(NotFoundError, match=f"'nobody'; {existing}$"):
                self.lines(client, created["id"], instance="nobody")

    @pytest.mark.parametrize("options", [{}, {"tail": 3}])
    def test_empty_log(self, manual_server: LocalServer, client: Client, id: str, options: Any) -> None:
        """An empty log yields no lines, and is not an error."""

        def emptied(reply: dict[str, Any]) -> None:
            if log := reply["data"]["deployment"].get("log"):
                log["lines"]["nodes"] = []

        name = self.lines(client, id)[0]["instanceName"]
        with altered(manual_server, response=emptied) as url, Client(manual_server.api_key, url) as other:
            assert self.lines(other, id, instance=name, **options) == []

    def test_pages(self, manual_server: LocalServer, client: Client, id: str) -> None:
        """With pages of one line, the same lines come."""

        def cap(request: dict[str, Any]) -> None:
            for key in {"first", "last"} & set(request["variables"]):
                request["variables"][key] = 1

        lines = self.lines(client, id)
        with altered(manual_server, request=cap) as url, Client(manual_server.api_key, url) as other:
            assert self.lines(other, id) == lines
            assert self.lines(other, id, tail=4) == lines[-4:]

    def test_follow(self, client: Client, clock: ManualClock) -> None:
        """`follow` continues through an update and ends when the deployment is stopped; each line comes once."""
        created = client.deployments.create_deployment("n", "p", spec(replicas=2))
        followed = []
        with clock.ticking():
            for count, line in enumerate(client.deployments.get_deployment_logs(created["id"], follow=True)):
                followed.append(line)
                if count == 5:
                    client.deployments.update_deployment("n", "p", spec(port=1, replicas=2))
                if count == 11:
                    client.deployments.stop_deployment(created["id"])
        assert sorted((line["instanceName"], line["line"]) for line in followed) == sorted(
            (line["instanceName"], line["line"]) for line in self.lines(client, created["id"])
        )

    def test_follow_from_the_end(
        self, client: Client, clock: ManualClock, id: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """With `tail=0`, `follow` yields only lines written after the call."""
        client.deployments.stop_deployment(id)
        clock.move(0.1)
        assert list(client.deployments.get_deployment_logs(id, tail=0)) == []
        before = len(self.lines(client, id))
        read_end = LogReader.last_lines

        async def read_end_and_go_on(reader: LogReader, count: int | None, since: Any = None) -> list[LogLine]:
            lines = await read_end(reader, count, since)
            clock.move(60)
            return lines

        monkeypatch.setattr(LogReader, "last_lines", read_end_and_go_on)
        followed = list(client.deployments.get_deployment_logs(id, tail=0, follow=True))
        assert len(followed) == len(self.lines(client, id)) - before > 0

    def test_follow_lines_of_a_clock_that_is_behind(
        self, client: Client, manual_server: LocalServer, clock: ManualClock, id: str
    ) -> None:
        """With a duration as `since`, `follow` yields every new line, although the engine dates it by a clock that is behind."""
        before = len(self.lines(client, id))
        changes = [client.deployments.restart_deployment, client.deployments.stop_deployment]

        def go_on(response: dict[str, Any]) -> None:
            if (
                changes and "newestRollout" in response["data"]["deployment"]
            ):  # the status, after the end of the log was read
                changes.pop(0)(id)
                clock.move(60)

        # The proxy has a clock of its own, and `since` counts back from it.
        with altered(manual_server, response=go_on) as url, Client(manual_server.api_key, url) as other:
            followed = list(other.deployments.get_deployment_logs(id, since="10m", follow=True))
        assert followed == self.lines(client, id)[before:] != []

    def test_follow_of_an_instance_that_runs_again(self) -> None:
        """With `tail`, `follow` yields only new lines of an instance that had stopped before the first line, and runs again."""
        with GradientServer() as server, Client(server.api_key, server.url, max_poll_interval=0.05) as client:
            server.crash_loop("n")
            id_ = client.deployments.create_deployment("n", "p", spec(replicas=2))["id"]
            server.advance(hours=1)
            before = self.lines(client, id_)
            follow = client.deployments.get_deployment_logs(id_, tail=1, follow=True)
            assert next(follow) == before[-1]
            server.recover("n")
            client.deployments.wait_for_deployment(id_)
            client.deployments.stop_deployment(id_, wait=True)
            assert list(follow) == self.lines(client, id_)[len(before) :] != []

    def test_follow_of_an_instance_that_runs_again_after_an_outage(self) -> None:
        """The same holds with a log of several pages, if a request for one of them fails in between."""

        def cap(request: dict[str, Any]) -> None:
            if "instanceName" in request["variables"]:
                request["variables"] |= dict.fromkeys({"first", "last"} & set(request["variables"]), 1)

        def fail(response: dict[str, Any]) -> None:
            log = recovered and not failed and response["data"]["deployment"].get("log")
            if log and any(line in before and line["line"] > 1 for line in log["lines"]["nodes"]):
                failed.append(log)
                response.clear()
                response["errors"] = [{"message": "busy", "extensions": {"code": "SERVICE_UNAVAILABLE"}}]

        recovered, failed, before = False, list[Any](), list[LogLine]()
        with (
            GradientServer() as server,
            altered(server._server, request=cap, response=fail) as url,
            Client(server.api_key, url, max_poll_interval=0.05, max_retries=0) as follower,
            Client(server.api_key, server.url, max_poll_interval=0.05) as client,
        ):
            server.crash_loop("n")
            id_ = client.deployments.create_deployment("n", "p", spec(replicas=2))["id"]
            server.advance(hours=1)
            before = self.lines(client, id_)
            follow = follower.deployments.get_deployment_logs(id_, tail=1, follow=True)
            assert next(follow) == before[-1]
            server.recover("n")
            client.deployments.wait_for_deployment(id_)
            client.deployments.stop_deployment(id_, wait=True)
            recovered = True
            assert list(follow) == self.lines(client, id_)[len(before) :] != []
            assert failed

    def test_follow_ends_with_the_deployment(self, client: Client, id: str) -> None:
        """`follow` ends when the deployment is deleted."""
        follow = client.deployments.get_deployment_logs(id, follow=True, tail=1)
        next(follow)
        client.deployments.delete_deployment(id)
        assert list(follow) == []

    def test_deleted_while_followed_logs_are_read(
        self, client: Client, manual_server: LocalServer, clock: ManualClock, id: str
    ) -> None:
        """If the deployment is deleted after the log of one instance was read, `follow` yields those lines, and ends."""
        read: list[Any] = []

        def delete(response: dict[str, Any]) -> None:
            if restarted and (log := (response["data"]["deployment"] or {}).get("log")):
                read.extend(log["lines"]["nodes"])
                client.deployments.delete_deployment(id)

        restarted = False
        with altered(manual_server, response=delete) as url, Client(manual_server.api_key, url) as other:
            follow = other.deployments.get_deployment_logs(id, follow=True, tail=1)
            next(follow)
            client.deployments.restart_deployment(id)
            clock.move(60)
            restarted = True
            assert [line["message"] for line in follow] == [line["message"] for line in read] != []

    def test_follow_that_fails(self, client: Client, manual_server: LocalServer, clock: ManualClock, id: str) -> None:
        """If the log of one instance cannot be read, `follow` yields what was read of the others, and then raises the error."""
        changes = [client.deployments.restart_deployment]
        read: list[Any] = []

        def go_on(response: dict[str, Any]) -> None:
            deployment = response["data"]["deployment"]
            if changes and "newestRollout" in deployment:  # the status, after the end of the log was read
                changes.pop()(id)
                clock.move(60)
            elif not changes and (log := deployment.get("log")):
                if read:
                    response["data"] = None
                    response["errors"] = [{"message": "No.", "extensions": {"code": "FORBIDDEN"}}]
                read.extend(log["lines"]["nodes"])

        followed: list[Any] = []
        with altered(manual_server, response=go_on) as url, Client(manual_server.api_key, url) as other:
            follow = other.deployments.get_deployment_logs(id, follow=True, tail=0)
            with pytest.raises(PermissionDeniedError, match="No"):
                followed.extend(follow)
        assert followed
        assert followed == [line for line in read if line["instanceName"] == read[0]["instanceName"]]

    @pytest.mark.parametrize("tail", [None, 1, 2])
    def test_log_in_a_circle(self, client: Client, manual_server: LocalServer, id: str, tail: int | None) -> None:
        """If the server repeats what was read, for any cursor, the log ends with an error, and each line comes once."""
        instance = self.lines(client, id)[0]["instanceName"]
        pages: list[Any] = []

        def repeat(response: dict[str, Any]) -> None:
            if log := (response["data"]["deployment"] or {}).get("log"):
                pages.append(log["lines"])
                log["lines"] = pages[0]

        received: list[int] = []
        with altered(manual_server, response=repeat) as url, Client(manual_server.api_key, url) as other:
            follow = other.deployments.get_deployment_logs(id, instance=instance, tail=tail, follow=True)
            with pytest.raises(PaginationError, match=f"of {instance} cannot be read: the server repeated a page"):
                received.extend(line["line"] for line in islice(follow, 100))
        assert received == sorted(set(received)) != []

    def test_unknown(self, client: Client) -> None:
        """The logs of an unknown deployment raise NotFoundError."""
        with pytest.raises(NotFoundError):
            self.lines(client, UNKNOWN_ID)


@pytest.mark.anyio
async def test_async(manual_server: LocalServer, clock: ManualClock) -> None:
    """The async versions do the same."""
    async with AsyncClient(manual_server.api_key, manual_server.url) as client:
        created = await client.deployments.create_deployment("n", "p", SPEC)
        clock.move(60)
        assert (await client.deployments.wait_for_deployment(created["id"]))["state"] == "ready"
        assert [event["type"] async for event in client.deployments.watch_deployment(created["id"])][-1] == "ready"
        lines = [line async for line in client.deployments.get_deployment_logs(created["id"])]
        assert lines[-1]["message"] == "[simulated] ready"


@pytest.mark.parametrize("tail", [None, 50, 5000])
def test_since_reads_the_end_of_a_log_only(clock: ManualClock, tail: int | None) -> None:
    """`since` reads a log from its end up to this time: of 3,000 lines of each instance, those of the last 20 seconds."""
    runtime = Talkative(rate=10, lines=3000)
    with (
        LocalServer(now=clock, runtime=runtime, record_requests=True) as server,
        Client(server.api_key, server.url) as client,
    ):
        id_ = client.deployments.create_deployment("talk", "p", spec(replicas=2))["id"]
        clock.move(310)
        everything = list(client.deployments.get_deployment_logs(id_))
        since = datetime.fromisoformat(everything[-1]["dtCreated"]) - timedelta(seconds=20)
        expected = [line for line in everything if datetime.fromisoformat(line["dtCreated"]) >= since]
        before = len(server.requests)
        lines = list(client.deployments.get_deployment_logs(id_, tail=tail, since=since))
        assert len(expected) > 300
        assert lines == (expected[-tail:] if tail else expected)
        assert len(server.requests) - before <= 10
