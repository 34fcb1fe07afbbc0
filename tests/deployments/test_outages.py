"""Waits and logs outlast a server that is away for a while, and say what had been done before one that stays away."""

from __future__ import annotations

from itertools import islice
from typing import Any

import pytest
from tests.altering_proxy import altered
from tests.samples import SPEC, spec

from paperspace.gradient import APIConnectionError, Client, ConflictError, MalformedResponseError, RateLimitError
from paperspace.gradient.deployments import _watch as _watching
from paperspace.gradient.pytest_plugin import GradientServer
from paperspace.gradient.server import LocalServer


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing waits for longer than it has to."""
    monkeypatch.setattr(_watching, "OUTAGE_POLL", 0.01)
    monkeypatch.setattr(_watching, "FIRST_POLL", 0.01)


def test_wait_outlasts_an_outage(gradient_server: GradientServer) -> None:
    """Looks that fail while the server is away are taken again, beyond the resends of one request."""
    with Client(gradient_server.api_key, gradient_server.url, max_retries=0) as client:
        gradient_server.stay_pending("n")
        created = client.deployments.create_deployment("n", "p", SPEC)
        events = client.deployments.watch_deployment(created["id"], timeout=60)
        assert next(events)["status"]["state"] == "pending"
        gradient_server.recover("n")
        gradient_server.drop(5)
        assert [event["type"] for event in events][-1] == "ready"


def test_an_outage_has_an_end(gradient_server: GradientServer) -> None:
    """A server that stays away ends the wait with its error, once a whole call would have given up."""
    with Client(gradient_server.api_key, gradient_server.url, max_retries=0, timeout=0.3) as client:
        gradient_server.stay_pending("n")
        created = client.deployments.create_deployment("n", "p", SPEC)
        events = client.deployments.watch_deployment(created["id"], timeout=60)
        next(events)
        gradient_server.drop(1000)
        with pytest.raises(APIConnectionError):
            list(events)


def test_logs_outlast_an_outage(gradient_server: GradientServer) -> None:
    """Followed logs go on after an outage in the middle of a look: no line twice, none lost."""
    with Client(gradient_server.api_key, gradient_server.url, max_retries=0) as client:
        created = client.deployments.create_deployment("n", "p", spec(replicas=3))
        client.deployments.wait_for_deployment(created["id"])
        whole = list(client.deployments.get_deployment_logs(created["id"]))
        lines = client.deployments.get_deployment_logs(created["id"], follow=True)
        seen = list(islice(lines, len(whole)))
        gradient_server.drop(3)
        with Client(gradient_server.api_key, gradient_server.url) as other:
            other.deployments.stop_deployment(created["id"])
        seen += list(lines)
        keys = [(line["instanceName"], line["line"]) for line in seen]
        assert len(keys) == len(set(keys))
        assert seen[: len(whole)] == whole
        assert len(seen) == len(list(client.deployments.get_deployment_logs(created["id"])))


def test_logs_of_an_instance_that_runs_again(gradient_server: GradientServer) -> None:
    """Followed logs have what an instance writes that had failed for good and was then mended, and each line once."""
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


def test_a_budget_that_is_spent_is_told(gradient_server: GradientServer) -> None:
    """A call that is not sent again, because others have used up the resends of the client, says so."""
    with Client(gradient_server.api_key, gradient_server.url) as client:
        while client._session._budget.take():
            pass
        gradient_server.drop(1)
        with pytest.raises(APIConnectionError, match="retry budget of this client is exhausted") as caught:
            client.deployments.list_deployments()
    assert caught.value.attempts == 1


def test_a_wait_that_breaks_says_what_was_done(gradient_server: GradientServer) -> None:
    """With wait=True, an error of the wait says that the change was made, and of which deployment."""
    with Client(gradient_server.api_key, gradient_server.url) as client:
        gradient_server.delay(0)
        gradient_server.rate_limit(20, retry_after=60)
        with pytest.raises(RateLimitError) as caught:
            client.deployments.create_deployment("n", "p", SPEC, wait=True)
    assert caught.value.may_have_executed == "yes"


class TestRevise:
    """Changes of one thing say what became of them when somebody else was at it too."""

    def test_conflict_has_been_carried_out(self, server: LocalServer, client: Client) -> None:
        """A conflict that is found afterwards says that the change was made."""
        created = client.deployments.create_deployment("n", "p", SPEC)
        ports = iter([1])

        def interfere(payload: dict[str, Any]) -> None:
            if payload["operationName"] == "DeploymentRevise" and (port := next(ports, None)):
                client.deployments.update_deployment(id=created["id"], spec=spec(port))

        with (
            altered(server, request=interfere) as url,
            Client(server.api_key, url) as slow,
            pytest.raises(ConflictError) as caught,
        ):
            slow.deployments.scale_deployment(created["id"], 4)
        assert caught.value.may_have_executed == "yes"
        assert caught.value.attempts == 1

    def test_the_same_at_once_is_no_conflict(self, server: LocalServer, client: Client) -> None:
        """Where somebody else has just made the very change, nothing is lost, and nothing is said."""
        created = client.deployments.create_deployment("n", "p", SPEC)
        rounds = iter([4])

        def interfere(payload: dict[str, Any]) -> None:
            if payload["operationName"] == "DeploymentRevise" and (replicas := next(rounds, None)):
                client.deployments.scale_deployment(created["id"], replicas)

        with altered(server, request=interfere) as url, Client(server.api_key, url) as slow:
            assert slow.deployments.scale_deployment(created["id"], 4) == created
        [newest, *_] = client.deployments.get_deployment_history(created["id"])
        assert newest["data"]["resources"] == {"replicas": 4, "instanceType": "A100", "autoscaling": None}


NAMES = ["get_deployment_status", "get_deployment_history", "stop_deployment"]


@pytest.mark.parametrize("name", [*NAMES, "list_deployment_statuses", "apply_deployment"])
def test_a_deployment_without_a_spec(server: LocalServer, client: Client, name: str) -> None:
    """A server that shows a deployment without any spec breaks the promise of the API, and is told so."""
    created = client.deployments.create_deployment("n", "p", SPEC)

    def bare(answer: Any) -> None:
        data = answer["data"]
        for found in [data["deployment"]] if "deployment" in data else data["deployments"]["nodes"]:
            found["deploymentSpecs"]["nodes"] = []

    arguments = {"apply_deployment": ("n", "p", SPEC), "list_deployment_statuses": ()}.get(name, (created["id"],))
    with (
        altered(server, response=bare) as url,
        Client(server.api_key, url) as misled,
        pytest.raises(MalformedResponseError, match="has no spec"),
    ):
        getattr(misled.deployments, name)(*arguments)
