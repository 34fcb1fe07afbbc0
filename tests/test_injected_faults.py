"""Faults for single requests, and the record of requests, as docs/testing.md describes them."""

from __future__ import annotations

import gzip
import re
from collections.abc import Callable
from http.client import HTTPException
from typing import Any

import pytest
from tests.test_pytest_plugin import DOCUMENTATION, SPEC, fetch

from paperspace.gradient import (
    APIError,
    APIStatusError,
    APITimeoutError,
    Client,
    OutcomeUnknownError,
    ServerError,
    deployments,
)
from paperspace.gradient.pytest_plugin import GradientServer, PendingFault


def test_faults_of_an_operation(gradient_server: GradientServer) -> None:
    """A fault of an operation waits for a request of it: the reads before it get no fault. Those of all go in order."""
    gradient_server.drop(executed=True, operation="DeploymentCreate")
    gradient_server.delay(0)
    assert [fault.operation for fault in gradient_server.pending_faults] == ["DeploymentCreate", None]
    deployments.list_deployments()
    deployments.list_deployments()
    assert gradient_server.pending_faults == [PendingFault("drop", "DeploymentCreate")]
    with Client(max_retries=0) as client, pytest.raises(OutcomeUnknownError):
        client.deployments.create_deployment("a", "p", SPEC)
    assert gradient_server.pending_faults == []
    assert gradient_server.requests == [
        ("Deployments", 200, "delay"),
        ("Deployments", 200, None),
        ("DeploymentCreate", None, "drop"),
    ]


@pytest.mark.parametrize("executed", [False, True])
@pytest.mark.parametrize(("status", "error"), [(500, ServerError), (502, APIStatusError), (504, APIStatusError)])
def test_server_error(gradient_server: GradientServer, status: int, error: type[APIError], executed: bool) -> None:
    """So many requests get the status, executed or not; the one after them succeeds."""
    gradient_server.server_error(status, 2, executed=executed)
    with Client(max_retries=0) as client:
        with pytest.raises(OutcomeUnknownError):
            client.deployments.create_deployment("a", "p", SPEC)
        with pytest.raises(error) as caught:
            client.deployments.list_deployments()
        assert getattr(caught.value, "status", None) == status
        assert len(client.deployments.list_deployments()) == executed
    assert [request.status for request in gradient_server.requests] == [status, status, 200]


def test_requests(gradient_server: GradientServer) -> None:
    """Requests are recorded in order, also those without a name, with a wrong key, and with an invalid or compressed body."""
    gradient_server.rate_limit(retry_after=0, operation="Deployments")
    deployments.list_deployments()
    assert gradient_server.requests == [("Deployments", 429, "rate_limit"), ("Deployments", 200, None)]
    headers = {"Content-Type": "application/json", "Authorization": f"Bearer {gradient_server.api_key}"}
    assert fetch(gradient_server.url, b'{"query": "{ __typename }"}', **headers)[0] == 200
    assert fetch(gradient_server.url, b"no JSON", **headers)[0] == 400
    compressed = gzip.compress(b'{"query": "query Own { __typename }"}')
    assert fetch(gradient_server.url, compressed, **headers, **{"Content-Encoding": "gzip"})[0] == 200
    assert fetch(gradient_server.url, b'{"query": "query Own { __typename }"}')[0] == 401
    assert fetch(f"{gradient_server.url}?query=query+Read+%7B__typename%7D", None, **headers)[0] == 200
    assert [request[:2] for request in gradient_server.requests[2:]] == [
        (None, 200),
        (None, 400),
        ("Own", 200),
        ("Own", 401),
        ("Read", 200),
    ]


D = deployments
CALLS: dict[str, Callable[[str], object]] = {
    "create_deployment": lambda _created: D.create_deployment("b", "p", SPEC),
    "update_deployment (by name)": lambda _created: D.update_deployment("a", "p", {"image": "x"}),
    "update_deployment (by id)": lambda created: D.update_deployment(id=created, spec={"image": "x"}),
    "delete_deployment": D.delete_deployment,
    "list_deployments": lambda _created: D.list_deployments(name="a"),
    "iter_deployments": lambda _created: list(D.iter_deployments(name="a")),
    "get_deployment": D.get_deployment,
    "apply_deployment (new)": lambda _created: D.apply_deployment("b", "p", SPEC),
    "apply_deployment (changed)": lambda _created: D.apply_deployment("a", "p", {"image": "x"}),
    "apply_deployment (unchanged)": lambda _created: D.apply_deployment("a", "p", SPEC),
    "diff_deployment": lambda _created: D.diff_deployment("a", "p", SPEC),
    "patch_deployment": lambda created: D.patch_deployment(created, image="x"),
    "scale_deployment": lambda created: D.scale_deployment(created, 3),
    "stop_deployment": D.stop_deployment,
    "start_deployment": lambda created: (D.stop_deployment(created), D.start_deployment(created))[1],
    "restart_deployment": D.restart_deployment,
    "rollback_deployment": lambda created: (
        D.patch_deployment(created, image="x"),
        D.rollback_deployment(created, previous=True),
    ),
    "get_deployment_history": D.get_deployment_history,
    "iter_deployment_history": lambda created: list(D.iter_deployment_history(created)),
    "get_deployment_spec": D.get_deployment_spec,
    "get_deployment_status": D.get_deployment_status,
    "wait_for_deployment": D.wait_for_deployment,
    "watch_deployment": lambda created: list(D.watch_deployment(created)),
    "list_deployment_statuses": lambda _created: D.list_deployment_statuses(name="a"),
    "get_deployment_logs": lambda created: list(D.get_deployment_logs(created)),
    "get_deployment_events": D.get_deployment_events,
    "get_deployment_metrics": D.get_deployment_metrics,
}


def documented_requests() -> dict[str, list[str]]:
    """The operations of each call, as the page lists them."""
    rows = re.findall(
        r"^\| (`\w+_\w+`.*?) \| (`Deployment.*?) \|$", DOCUMENTATION.read_text(encoding="utf-8"), re.MULTILINE
    )
    return {
        name.replace("`", ""): re.findall(r"`(\w+)`", operations)
        for names, operations in rows
        for name in names.split(", ")
    }


def test_the_calls_are_documented() -> None:
    """The page lists the requests of each call, and of no other."""
    assert documented_requests().keys() == CALLS.keys()


@pytest.mark.parametrize("call", CALLS)
def test_requests_of_a_call(gradient_server: GradientServer, call: str) -> None:
    """A call sends the documented requests, and no others."""
    created = deployments.create_deployment("a", "p", SPEC)
    gradient_server.advance(minutes=1)
    before = len(gradient_server.requests)
    CALLS[call](created["id"])
    sent = [request.operation or "" for request in gradient_server.requests[before:]]
    assert list(dict.fromkeys(sent)) == documented_requests()[call]
    if not call.startswith(("start_", "rollback_", "wait_", "watch_", "get_deployment_logs")):
        assert len(sent) == len(set(sent))


def test_requests_in_progress(gradient_server: GradientServer) -> None:
    """A request is recorded when it is received: one that its client gives up has no status."""
    gradient_server.delay(3600, operation="Deployments")
    with Client(max_retries=0, timeout=1) as client, pytest.raises(APITimeoutError):
        client.deployments.list_deployments()
    assert gradient_server.requests == [("Deployments", None, "delay")]


def test_dropped_requests_have_no_status(gradient_server: GradientServer, caplog: pytest.LogCaptureFixture) -> None:
    """Neither the metrics nor the log report a status for a request without a response."""
    caplog.set_level("DEBUG", "paperspace.gradient.server")
    gradient_server.drop()
    gradient_server.drop(executed=True)
    deployments.list_deployments()
    metrics = gradient_server.url.replace("/graphql", "/metrics")
    text = fetch(metrics, Authorization=f"Bearer {gradient_server.api_key}")[1].decode()
    assert re.findall(r"gradient_api_requests_total(.*)", text)[-1] == '{operation="Deployments",status="200"} 1'
    lines = [record.getMessage() for record in caplog.records if "/graphql" in record.getMessage()]
    assert [re.findall(r"Deployments (\w+)", line) for line in lines] == [["dropped"], ["dropped"], ["200"]]


def test_responses_of_invalid_requests_are_lost_too(gradient_server: GradientServer) -> None:
    """A request that the server rejects gets what the fault says, as other requests do."""
    gradient_server.drop(executed=True)
    with pytest.raises((ConnectionError, HTTPException)):
        fetch(gradient_server.url, b"{}")  # without an API key
    gradient_server.server_error(502, executed=True)
    assert fetch(gradient_server.url, b"{}")[0] == 502
    assert fetch(gradient_server.url, b"{}")[0] == 401


@pytest.mark.parametrize(
    "call",
    [
        lambda server: server.drop(-1),
        lambda server: server.drop(1.5),
        lambda server: server.drop(True),
        lambda server: server.rate_limit(retry_after=-5),
        lambda server: server.rate_limit(retry_after=0.5),
        lambda server: server.delay(-1),
        lambda server: server.delay("1"),
        lambda server: server.delay(float("nan")),
        lambda server: server.delay(1, times=-1),
        lambda server: server.server_error(429),
        lambda server: server.server_error(500, -1),
    ],
)
def test_arguments_of_faults(gradient_server: GradientServer, call: Callable[[Any], None]) -> None:
    """A wrong argument is an error at once, and injects nothing."""
    with pytest.raises(ValueError, match=r"^(times|retry_after|seconds|status): expected "):
        call(gradient_server)
    assert gradient_server.pending_faults == []
