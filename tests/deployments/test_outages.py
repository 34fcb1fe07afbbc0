"""Waits and logs continue after an outage; errors say which changes were applied before it."""

from __future__ import annotations

import asyncio
import re
from concurrent.futures import ThreadPoolExecutor
from itertools import count, islice
from math import inf
from typing import TYPE_CHECKING, Any

import pytest
from tests.altering_proxy import altered
from tests.faults.harness import wait_for
from tests.samples import SPEC, spec

from paperspace.gradient import (
    APIConnectionError,
    Client,
    ClientClosedError,
    ConflictError,
    MalformedResponseError,
    RateLimitError,
)
from paperspace.gradient.deployments import _outages
from paperspace.gradient.pytest_plugin import GradientServer
from paperspace.gradient.server import LocalServer, drop

if TYPE_CHECKING:
    from aiohttp import web

    from paperspace.gradient.server.http.middleware import Handler


@pytest.fixture(autouse=True)
def _fast_polls(monkeypatch: pytest.MonkeyPatch) -> None:
    """Polls during an outage follow each other quickly."""
    monkeypatch.setattr(_outages, "OUTAGE_POLL", 0.01)


def test_wait_continues_after_an_outage(gradient_server: GradientServer) -> None:
    """A wait continues after more failed requests than one call may retry."""
    with Client(gradient_server.api_key, gradient_server.url, max_retries=0) as client:
        gradient_server.stay_pending("n")
        created = client.deployments.create_deployment("n", "p", SPEC)
        events = client.deployments.watch_deployment(created["id"], timeout=60)
        assert next(events)["status"]["state"] == "pending"
        gradient_server.recover("n")
        gradient_server.drop(5)
        assert [event["type"] for event in events][-1] == "ready"


def test_long_outage(gradient_server: GradientServer) -> None:
    """An outage that lasts longer than the timeout of a call ends the wait with its error."""
    with Client(gradient_server.api_key, gradient_server.url, max_retries=0) as client:
        gradient_server.stay_pending("n")
        created = client.deployments.create_deployment("n", "p", SPEC)
        events = client.with_options(timeout=2).deployments.watch_deployment(created["id"], timeout=60)
        next(events)
        gradient_server.drop(1000)
        with pytest.raises(APIConnectionError):
            list(events)


def test_wait_continues_after_the_process_was_stopped(
    gradient_server: GradientServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A wait continues if all the time of a call passes during one request, as it does while Ctrl-Z stops the process."""
    monkeypatch.setattr(_outages, "monotonic", count(step=3600.0).__next__)
    with Client(gradient_server.api_key, gradient_server.url, max_retries=0) as client:
        gradient_server.stay_pending("n")
        created = client.deployments.create_deployment("n", "p", SPEC)
        events = client.deployments.watch_deployment(created["id"], timeout=inf)
        next(events)
        gradient_server.recover("n")
        gradient_server.drop(1)
        assert [event["type"] for event in events][-1] == "ready"


def test_logs_continue_after_an_outage(gradient_server: GradientServer) -> None:
    """Followed logs continue after an outage: each line comes once."""
    with Client(gradient_server.api_key, gradient_server.url, max_retries=0) as client:
        created = client.deployments.create_deployment("n", "p", spec(replicas=3))
        client.deployments.wait_for_deployment(created["id"])
        all_lines = list(client.deployments.get_deployment_logs(created["id"]))
        lines = client.deployments.get_deployment_logs(created["id"], follow=True)
        seen = list(islice(lines, len(all_lines)))
        gradient_server.drop(3)
        with Client(gradient_server.api_key, gradient_server.url) as other:
            other.deployments.stop_deployment(created["id"])
        seen += list(lines)
        keys = [(line["instanceName"], line["line"]) for line in seen]
        assert len(keys) == len(set(keys))
        assert seen[: len(all_lines)] == all_lines
        assert len(seen) == len(list(client.deployments.get_deployment_logs(created["id"])))


def test_logs_of_an_instance_that_runs_again(gradient_server: GradientServer) -> None:
    """Followed logs include what an instance writes that had failed and then recovers; each line comes once."""
    with Client(gradient_server.api_key, gradient_server.url) as client:
        gradient_server.crash_loop("n")
        created = client.deployments.create_deployment("n", "p", SPEC)
        gradient_server.advance(hours=1)
        before = list(client.deployments.get_deployment_logs(created["id"]))
        assert before[-1]["message"].endswith("no more restarts")
        for tail in (None, 1):
            gradient_server.crash_loop("n")
            gradient_server.advance(hours=1)
            known = len(list(client.deployments.get_deployment_logs(created["id"])))
            lines = client.deployments.get_deployment_logs(created["id"], tail=tail, follow=True)
            assert len(list(islice(lines, tail or known))) == (tail or known)
            gradient_server.recover("n")
            gradient_server.advance(hours=1)
            while not (line := next(lines))["message"].endswith("ready"):
                assert line["line"] > known


def test_exhausted_retry_budget(gradient_server: GradientServer) -> None:
    """If the retry budget of the client is exhausted, the error says that this is why there was no retry."""
    with Client(gradient_server.api_key, gradient_server.url) as client:
        while client._session._budget.take():
            pass
        gradient_server.drop(1)
        with pytest.raises(APIConnectionError, match="retry budget of this client is exhausted") as caught:
            client.deployments.list_deployments()
    assert caught.value.attempts == 1


def test_failed_wait_says_what_was_applied(gradient_server: GradientServer) -> None:
    """With `wait=True`, an error of the wait says that the change was applied, and keeps the facts of its cause."""
    with Client(gradient_server.api_key, gradient_server.url) as client:
        gradient_server.delay(0)
        gradient_server.rate_limit(20, retry_after=60)
        with pytest.raises(RateLimitError) as caught:
            client.deployments.create_deployment("n", "p", SPEC, wait=True)
    error = caught.value
    assert re.search(r"deployment [0-9a-f-]{36} was created, but the wait for it failed: ", str(error))
    cause = error.__cause__
    assert isinstance(cause, RateLimitError)
    assert {**vars(cause), "may_have_executed": "yes"} == vars(error)
    assert cause.may_have_executed == "no"
    assert "was created" not in str(cause)


def test_client_closed_during_a_wait(gradient_server: GradientServer) -> None:
    """If the client is closed while it waits after a change, the error says what was applied."""
    gradient_server.stay_pending("n")
    with Client(gradient_server.api_key, gradient_server.url) as client:
        gradient_server.delay(60, operation="DeploymentStatus")
        with ThreadPoolExecutor() as executor:
            waiting = executor.submit(client.deployments.create_deployment, "n", "p", SPEC, wait=True)
            wait_for(lambda: len(gradient_server.requests) == 2)
            client.close()
            with pytest.raises(
                ClientClosedError, match=r"^deployment [0-9a-f-]{36} was created, but the wait for it failed: "
            ):
                waiting.result()


class TestRevise:
    """Changes of one field report what another client changed at the same time."""

    def test_conflict_says_that_it_was_applied(self, server: LocalServer, client: Client) -> None:
        """A conflict that is detected afterwards says that the change was applied."""
        created = client.deployments.create_deployment("n", "p", SPEC)
        ports = iter([1])

        def interfere(payload: dict[str, Any]) -> None:
            if payload["operationName"] == "DeploymentUpdate" and (port := next(ports, None)):
                client.deployments.update_deployment(id=created["id"], spec=spec(port))

        with (
            altered(server, request=interfere) as url,
            Client(server.api_key, url) as slow,
            pytest.raises(ConflictError) as caught,
        ):
            slow.deployments.scale_deployment(created["id"], 4)
        assert caught.value.may_have_executed == "yes"
        assert caught.value.attempts == 1

    def test_same_change_at_the_same_time(self, server: LocalServer, client: Client) -> None:
        """If another client has just made the same change, there is no conflict."""
        created = client.deployments.create_deployment("n", "p", SPEC)
        rounds = iter([4])

        def interfere(payload: dict[str, Any]) -> None:
            if payload["operationName"] == "DeploymentUpdate" and (replicas := next(rounds, None)):
                client.deployments.scale_deployment(created["id"], replicas)

        with altered(server, request=interfere) as url, Client(server.api_key, url) as slow:
            assert slow.deployments.scale_deployment(created["id"], 4)["id"] == created["id"]
        [newest, *_] = client.deployments.get_deployment_history(created["id"])
        assert newest["data"]["resources"] == {"replicas": 4, "instanceType": "A100", "autoscaling": None}

    def test_response_without_specs(self, server: LocalServer, client: Client) -> None:
        """The response of a change of one field is small, however large the specs are: the server resolves it field by field."""
        big: Any = {**SPEC, "env": [{"name": f"V{number}", "value": "1"} for number in range(1000)]}
        id_ = client.deployments.create_deployment("n", "p", big)["id"]
        responses: list[Any] = []
        with altered(server, response=responses.append) as url, Client(server.api_key, url) as watched:
            watched.deployments.stop_deployment(id_)
        read, changed = responses
        assert len(str(changed)) < 500 < len(str(read))

    def test_lost_response_of_a_large_spec(self, server: LocalServer, client: Client) -> None:
        """If another client changes a deployment before the retry, the change of the first attempt is not taken for the other."""
        big: Any = {**SPEC, "env": [{"name": "BIG", "value": "x" * 100_000}]}
        id_ = client.deployments.create_deployment("n", "p", big)["id"]

        async def lose(request: web.Request, handler: Handler) -> web.StreamResponse:
            await handler(request)
            await asyncio.to_thread(lambda: client.deployments.update_deployment(id=id_, spec=spec(1)))
            return await drop(executed=False)(request, handler)

        server.inject_fault(lose, operation="DeploymentUpdate")
        with Client(server.api_key, server.url) as other:
            assert other.deployments.scale_deployment(id_, 4)["id"] == id_
        ports = [revision["data"]["port"] for revision in client.deployments.get_deployment_history(id_)]
        assert ports == [1, 8501, 8501]

    def test_specs_that_cannot_be_compared(self, server: LocalServer, client: Client) -> None:
        """If the specs cannot be read after the change, the conflict still says that the change was applied, and the ids."""
        created = client.deployments.create_deployment("n", "p", SPEC)
        names: list[str] = []

        def interfere(payload: dict[str, Any]) -> None:
            names.append(payload["operationName"])
            if names[-1] == "DeploymentUpdate":
                client.deployments.update_deployment(id=created["id"], spec=spec(1))

        def lose_deployment(response: Any) -> None:
            if len(names) == 3:
                response["data"]["deployment"] = None

        with (
            altered(server, request=interfere, response=lose_deployment) as url,
            Client(server.api_key, url) as slow,
            pytest.raises(ConflictError) as caught,
        ):
            slow.deployments.scale_deployment(created["id"], 4)
        assert names == ["DeploymentHistory", "DeploymentUpdate", "DeploymentHistory"]
        newest, other, _ = client.deployments.get_deployment_history(created["id"])
        assert f"spec {newest['id']} of this call replaced spec {other['id']} of the other" in str(caught.value)
        assert (caught.value.may_have_executed, caught.value.attempts) == ("yes", 1)


NAMES = ["get_deployment_status", "get_deployment_history", "stop_deployment"]


@pytest.mark.parametrize("name", [*NAMES, "list_deployment_statuses", "apply_deployment"])
def test_deployment_without_a_spec(server: LocalServer, client: Client, name: str) -> None:
    """A deployment without a spec in a response is a MalformedResponseError."""
    created = client.deployments.create_deployment("n", "p", SPEC)

    def remove_specs(response: Any) -> None:
        data = response["data"]
        for deployment in [data["deployment"]] if "deployment" in data else data["deployments"]["nodes"]:
            deployment["deploymentSpecs"]["nodes"] = []

    arguments = {"apply_deployment": ("n", "p", SPEC), "list_deployment_statuses": ()}.get(name, (created["id"],))
    with (
        altered(server, response=remove_specs) as url,
        Client(server.api_key, url) as altered_client,
        pytest.raises(MalformedResponseError, match="has no spec"),
    ):
        getattr(altered_client.deployments, name)(*arguments)
