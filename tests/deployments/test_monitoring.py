"""Waits end when they should, for the right reason; logs are whole."""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from tests.altering_proxy import altered
from tests.samples import API_KEY, SPEC, spec

from paperspace.gradient import (
    AsyncClient,
    Client,
    DeploymentFailedError,
    InvalidArgumentError,
    NotFoundError,
    WaitTimeoutError,
)
from paperspace.gradient.deployments import _watch as _watching
from paperspace.gradient.server import LocalServer
from paperspace.gradient.types import DeploymentSpecInput

UNKNOWN_ID = "00000000-0000-0000-0000-0000000000ff"


class MovedClock:
    """A clock that stands still until it is moved."""

    def __init__(self) -> None:
        self._now = datetime(2024, 5, 17, 9, 30, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self._now

    def move(self, seconds: float) -> None:
        """Goes on by so much."""
        self._now += timedelta(seconds=seconds)

    @contextmanager
    def ticking(self) -> Iterator[None]:
        """Goes on by itself, fifty times as fast as the world."""
        ended = threading.Event()

        def tick() -> None:
            while not ended.wait(0.002):
                self.move(0.1)

        mover = threading.Thread(target=tick)
        mover.start()
        try:
            yield
        finally:
            ended.set()
            mover.join()


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Looks follow each other at once, as the clock is moved rather than waited for."""
    monkeypatch.setattr(_watching, "FIRST_POLL", 0.01)
    monkeypatch.setattr(_watching, "LAST_POLL", 0.01)


@pytest.fixture
def clock() -> MovedClock:
    """The clock of the server."""
    return MovedClock()


@pytest.fixture
def still(clock: MovedClock) -> Iterator[LocalServer]:
    """A server whose clock is moved by the test."""
    with LocalServer(api_key=API_KEY, now=clock) as server:
        yield server


@pytest.fixture
def client(still: LocalServer) -> Iterator[Client]:
    """A client of that server."""
    with Client(still.api_key, still.url) as client:
        yield client


def fated(fate: str, replicas: int = 1) -> DeploymentSpecInput:
    """A spec with this end."""
    return {**spec(replicas=replicas), "env": [{"name": "GRADIENT_SIMULATE", "value": fate}]}


def types_of(events: list[Any]) -> list[str]:
    """The types of events."""
    return [event["type"] for event in events]


def look_by_look(server: LocalServer, clock: MovedClock, id: str) -> list[Any]:
    """The events of a watch at which the clock goes on by a fifth of a second from one look to the next."""
    with altered(server, request=lambda _: clock.move(0.2)) as url, Client(server.api_key, url) as client:
        return list(client.deployments.watch_deployment(id, timeout=60))


class TestWait:
    """`wait_for_deployment` and `watch_deployment` tell what becomes of the newest spec."""

    def test_becomes_ready(self, still: LocalServer, client: Client, clock: MovedClock) -> None:
        """Events follow the instances as they come up, and the last one says that all are ready."""
        created = client.deployments.create_deployment("n", "p", spec(replicas=2))
        events = look_by_look(still, clock, created["id"])
        assert events[-1]["type"] == "ready"
        assert events[-1]["status"]["readyReplicas"] == 2
        assert "1 of 2 replicas are ready" in [event["message"] for event in events]
        assert types_of(events).count("applied") == 1
        healthy = [event for event in events if event["message"].endswith("Simulated: ready.")]
        assert len(healthy) == 2

    def test_returns_the_status(self, client: Client, clock: MovedClock) -> None:
        """The wait returns the status, and hands every event to the callback."""
        created = client.deployments.create_deployment("n", "p", SPEC)
        clock.move(60)
        heard: list[Any] = []
        status = client.deployments.wait_for_deployment(created["id"], on_event=heard.append)
        assert (status["state"], status["replicas"], status["readyReplicas"]) == ("ready", 1, 1)
        assert status == client.deployments.get_deployment_status(created["id"])
        assert types_of(heard)[-1] == "ready"

    def test_callback_is_the_callers(self, client: Client, clock: MovedClock) -> None:
        """The callback runs on the caller's thread: it may call the library, and end the program."""
        created = client.deployments.create_deployment("n", "p", SPEC)
        clock.move(60)
        threads: list[Any] = []

        def heard(event: Any) -> None:
            threads.append(threading.current_thread())
            assert client.deployments.get_deployment(event["status"]["id"])["name"] == "n"

        client.deployments.wait_for_deployment(created["id"], on_event=heard)
        assert set(threads) == {threading.current_thread()}
        with pytest.raises(SystemExit):
            client.deployments.wait_for_deployment(created["id"], on_event=lambda _: sys.exit(3))
        assert client.deployments.get_deployment_status(created["id"])["state"] == "ready"

    def test_rolling_update_is_not_early(self, still: LocalServer, client: Client, clock: MovedClock) -> None:
        """After an update, the old run is healthy all along, and the wait ends only with the new run's replicas."""
        created = client.deployments.create_deployment("n", "p", spec(replicas=2))
        clock.move(60)
        client.deployments.wait_for_deployment(created["id"])
        client.deployments.update_deployment("n", "p", spec(port=1, replicas=2))
        specs = client.deployments.get_deployment_history(created["id"])
        seen = look_by_look(still, clock, created["id"])
        assert all(event["status"]["specId"] == specs[0]["id"] for event in seen)
        assert seen[0]["status"]["state"] == "pending"
        assert seen[0]["status"]["readyReplicas"] == 0
        assert seen[-1]["type"] == "ready"

    @pytest.mark.parametrize(
        ("fate", "said"),
        [("fail", "errored .*cannot pull the image"), ("crash-loop", "failed .*no more restarts")],
    )
    def test_failure(self, client: Client, clock: MovedClock, fate: str, said: str) -> None:
        """A deployment that fails raises at the next look, with the instance's phase and message, and its last lines."""
        created = client.deployments.create_deployment("n", "p", fated(fate))
        clock.move(60)
        with pytest.raises(DeploymentFailedError, match=rf"'n' .*phase .*{said.split('.*')[1]}") as caught:
            client.deployments.wait_for_deployment(created["id"])
        assert caught.value.status is not None
        assert caught.value.status["state"] == "failed"
        assert caught.value.logs[-1]["message"].startswith("[simulated]")
        assert caught.value.logs[-1]["message"] in str(caught.value)

    def test_failure_tells_of_what_failed(self, client: Client, clock: MovedClock) -> None:
        """The lines are those of the instances that failed, and of none of an earlier spec that worked."""
        created = client.deployments.create_deployment("n", "p", SPEC)
        clock.move(60)
        assert client.deployments.wait_for_deployment(created["id"])["state"] == "ready"
        client.deployments.update_deployment(id=created["id"], spec=fated("crash-loop"))
        clock.move(60)
        with pytest.raises(DeploymentFailedError) as caught:
            client.deployments.wait_for_deployment(created["id"])
        assert caught.value.status is not None
        failed = {instance["name"] for instance in caught.value.status["instances"] if instance["state"] == "failed"}
        assert {line["instanceName"] for line in caught.value.logs} == failed

    @pytest.mark.anyio
    async def test_callback_to_be_awaited(self, still: LocalServer, clock: MovedClock) -> None:
        """In asynchronous code the callback may be asynchronous too."""
        heard: list[str] = []

        async def hear(event: Any) -> None:
            heard.append(event["type"])

        async with AsyncClient(still.api_key, still.url) as client:
            created = await client.deployments.create_deployment("n", "p", SPEC)
            clock.move(60)
            await client.deployments.wait_for_deployment(created["id"], on_event=hear)
        assert heard[-1] == "ready"

    def test_failure_is_seen_within_two_looks(self, client: Client, clock: MovedClock) -> None:
        """Between the failure and its error there are at most two looks."""
        created = client.deployments.create_deployment("n", "p", fated("fail"))
        watch = client.deployments.watch_deployment(created["id"])
        next(watch)
        clock.move(60)
        assert types_of(list(watch))[-1] == "failed"

    def test_spec_that_cannot_be_applied(self, client: Client, clock: MovedClock) -> None:
        """A spec that the cluster refuses raises with its reason."""
        created = client.deployments.create_deployment("n", "p", spec(replicas=5000))
        clock.move(60)
        with pytest.raises(DeploymentFailedError, match=r"could not be applied: .*5000 replicas"):
            client.deployments.wait_for_deployment(created["id"])

    def test_scale_to_none(self, client: Client, clock: MovedClock) -> None:
        """Scaled to none or stopped, the wait ends when nothing runs any more."""
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

    def test_time_is_over(self, client: Client) -> None:
        """A wait ends on time, with the last status."""
        created = client.deployments.create_deployment("n", "p", fated("pending"))
        with pytest.raises(WaitTimeoutError, match=r"not there after 0\.2 s: 0 of 1 replicas are ready") as caught:
            client.deployments.wait_for_deployment(created["id"], timeout=0.2)
        assert isinstance(caught.value, TimeoutError)
        assert caught.value.status is not None
        assert caught.value.status["instances"][0]["state"] == "pending"

    def test_deleted_meanwhile(self, client: Client) -> None:
        """A deployment that is deleted while it is waited for is NotFound."""
        created = client.deployments.create_deployment("n", "p", fated("pending"))
        watch = client.deployments.watch_deployment(created["id"])
        next(watch)
        client.deployments.delete_deployment(created["id"])
        with pytest.raises(NotFoundError):
            list(watch)

    def test_wait_on_create_and_update(self, client: Client, clock: MovedClock) -> None:
        """With `wait=True`, a create and an update return when the deployment is ready, and still only its id."""
        with clock.ticking():
            created = client.deployments.create_deployment("n", "p", SPEC, wait=True)
            assert client.deployments.get_deployment_status(created["id"])["state"] == "ready"
            assert client.deployments.update_deployment("n", "p", spec(port=1), wait=True) == created
            with pytest.raises(DeploymentFailedError):
                client.deployments.create_deployment("m", "p", fated("fail"), wait=True)

    def test_states_that_nobody_knows(self, still: LocalServer, client: Client, clock: MovedClock) -> None:
        """A state that the library does not know is no end."""

        def strange(reply: dict[str, Any]) -> None:
            deployment = (reply.get("data") or {}).get("deployment") or {}
            for node in (deployment.get("deploymentSpecs") or {}).get("nodes", []):
                for run in (node.get("deploymentRuns") or {}).get("nodes", []):
                    run["readyReplicas"] = 0
                    for instance in run["deploymentRunInstances"]["nodes"]:
                        instance["state"] = "confused"

        created = client.deployments.create_deployment("n", "p", SPEC)
        clock.move(60)
        with altered(still, response=strange) as url, Client(still.api_key, url) as other:
            status = other.deployments.get_deployment_status(created["id"])
            assert (status["state"], status["instances"][0]["state"]) == ("pending", "confused")

    @pytest.mark.parametrize("timeout", [0, -1.0])
    def test_wrong_timeout(self, client: Client, timeout: float) -> None:
        """A timeout of nothing is refused at once."""
        with pytest.raises(InvalidArgumentError, match="timeout"):
            client.deployments.watch_deployment(UNKNOWN_ID, timeout=timeout)


class TestLogs:
    """`get_deployment_logs` gives every line once, in order."""

    @pytest.fixture
    def id(self, client: Client, clock: MovedClock) -> str:
        """A deployment with three replicas that have come up."""
        created = client.deployments.create_deployment("n", "p", spec(replicas=3))
        clock.move(60)
        return created["id"]

    def lines(self, client: Client, id: str, **options: Any) -> list[Any]:
        """The lines, as instance and number."""
        return list(client.deployments.get_deployment_logs(id, **options))

    def test_all(self, client: Client, id: str) -> None:
        """All lines of all instances come by time, each once, and those of an instance in the order of their numbers."""
        lines = self.lines(client, id)
        assert [line["dtCreated"] for line in lines] == sorted(line["dtCreated"] for line in lines)
        by_instance: dict[str, list[int]] = {}
        for line in lines:
            by_instance.setdefault(line["instanceName"], []).append(line["line"])
        assert len(by_instance) == 3
        assert all(numbers == list(range(1, len(numbers) + 1)) for numbers in by_instance.values())

    def test_tail(self, client: Client, id: str) -> None:
        """The last lines are the end of all lines."""
        lines = self.lines(client, id)
        for count in (0, 1, 4, 1000):
            assert self.lines(client, id, tail=count) == (lines[-count:] if count else [])

    def test_since(self, client: Client, id: str) -> None:
        """Lines of a moment or later are those that were written then."""
        lines = self.lines(client, id)
        moment = datetime.fromisoformat(lines[len(lines) // 2]["dtCreated"])
        later = [line for line in lines if datetime.fromisoformat(line["dtCreated"]) >= moment]
        assert self.lines(client, id, since=moment) == later
        assert self.lines(client, id, since=moment.replace(tzinfo=None)) == later

    def test_instance(self, client: Client, id: str) -> None:
        """One instance's log is that instance's lines."""
        lines = self.lines(client, id)
        name = lines[0]["instanceName"]
        assert self.lines(client, id, instance=name) == [line for line in lines if line["instanceName"] == name]

    @pytest.mark.parametrize("options", [{}, {"follow": True}, {"tail": 3}, {"tail": 0, "follow": True}])
    def test_instance_without_a_log(self, client: Client, id: str, options: Any) -> None:
        """A name that no instance with a log has is NotFound, and those that have one are named."""
        names = sorted({line["instanceName"] for line in self.lines(client, id)})
        with pytest.raises(NotFoundError, match=f"no log of an instance 'nobody': .* {', '.join(names)}$") as caught:
            self.lines(client, id, instance="nobody", **options)
        assert caught.value.resource == "instance"

    def test_none_or_many_have_a_log(self, client: Client) -> None:
        """Where there is no log at all yet, that is said; of many, some are named."""
        for replicas, said in {
            0: "none has one yet",
            7: "there are those of (instance-[^, ]*, ){4}[^, ]* and 2 more",
        }.items():
            created = client.deployments.create_deployment(f"of {replicas}", "p", spec(replicas=replicas))
            with pytest.raises(NotFoundError, match=f"'nobody': {said}$"):
                self.lines(client, created["id"], instance="nobody")

    @pytest.mark.parametrize("options", [{}, {"tail": 3}])
    def test_empty_log(self, still: LocalServer, client: Client, id: str, options: Any) -> None:
        """A log that is there and empty has no lines, and is no error."""

        def emptied(reply: dict[str, Any]) -> None:
            if log := reply["data"]["deployment"].get("log"):
                log["lines"]["nodes"] = []

        name = self.lines(client, id)[0]["instanceName"]
        with altered(still, response=emptied) as url, Client(still.api_key, url) as other:
            assert self.lines(other, id, instance=name, **options) == []

    def test_pages(self, still: LocalServer, client: Client, id: str) -> None:
        """From a server with pages of one line, the same lines come."""

        def cap(request: dict[str, Any]) -> None:
            for key in {"first", "last"} & set(request["variables"]):
                request["variables"][key] = 1

        lines = self.lines(client, id)
        with altered(still, request=cap) as url, Client(still.api_key, url) as other:
            assert self.lines(other, id) == lines
            assert self.lines(other, id, tail=4) == lines[-4:]

    def test_follow(self, client: Client, clock: MovedClock) -> None:
        """Following goes on through an update and ends when the deployment is stopped; no line is missed or doubled."""
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

    def test_follow_from_the_end(self, client: Client, clock: MovedClock, id: str) -> None:
        """With a tail of none, following gives only what is written from now on."""
        client.deployments.stop_deployment(id)
        clock.move(0.1)
        assert list(client.deployments.get_deployment_logs(id, tail=0)) == []
        before = len(self.lines(client, id))
        follow = client.deployments.get_deployment_logs(id, tail=0, follow=True)
        mover = threading.Timer(0.2, clock.move, [60])
        mover.start()
        assert len(list(follow)) == len(self.lines(client, id)) - before
        mover.join()

    def test_follow_ends_with_the_deployment(self, client: Client, id: str) -> None:
        """Following ends when the deployment is deleted."""
        follow = client.deployments.get_deployment_logs(id, follow=True, tail=1)
        next(follow)
        client.deployments.delete_deployment(id)
        assert list(follow) == []

    def test_unknown(self, client: Client) -> None:
        """Logs of what is not there are NotFound."""
        with pytest.raises(NotFoundError):
            self.lines(client, UNKNOWN_ID)


@pytest.mark.anyio
async def test_async(still: LocalServer, clock: MovedClock) -> None:
    """The same functions are there to be awaited."""
    async with AsyncClient(still.api_key, still.url) as client:
        created = await client.deployments.create_deployment("n", "p", SPEC)
        clock.move(60)
        assert (await client.deployments.wait_for_deployment(created["id"]))["state"] == "ready"
        assert [event["type"] async for event in client.deployments.watch_deployment(created["id"])][-1] == "ready"
        lines = [line async for line in client.deployments.get_deployment_logs(created["id"])]
        assert lines[-1]["message"] == "[simulated] ready"
