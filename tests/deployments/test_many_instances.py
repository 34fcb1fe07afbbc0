"""Statuses and logs of a deployment with many deleted instances: complete, and in few requests."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import pytest

from paperspace.gradient import APITimeoutError, AsyncClient, Client
from paperspace.gradient.deployments._logs import LogReader
from paperspace.gradient.pytest_plugin import GradientServer
from paperspace.gradient.types import DeploymentSpecInput

SCALED: DeploymentSpecInput = {
    "image": "nginx",
    "resources": {
        "replicas": 1,
        "autoscaling": {"maxReplicas": 99, "metrics": [{"metric": "cpu", "summary": "average", "value": 80}]},
    },
}

REPLICATED: DeploymentSpecInput = {"image": "nginx", "resources": {"replicas": 50}}


@pytest.fixture
def client(gradient_server: GradientServer) -> Any:
    """A client of the fixture's server."""
    with Client(gradient_server.api_key, gradient_server.url) as client:
        yield client


@pytest.fixture
def many(gradient_server: GradientServer, client: Client) -> str:
    """A deployment with three instances, and about 200 deleted ones of the same run."""
    created = client.deployments.create_deployment("n", "p", SCALED)
    client.deployments.wait_for_deployment(created["id"])
    for replicas in (99, 1, 99, 1, 3):
        gradient_server.load("n", cpu=80 * replicas)
        gradient_server.advance(hours=1)
        while client.deployments.get_deployment_status(created["id"])["readyReplicas"] != replicas:
            time.sleep(0.01)
    return created["id"]


def test_deleted_instances_do_not_count(client: Client, many: str) -> None:
    """The status lists the instances that are not deleted, however many are; so does the list of statuses."""
    status = client.deployments.get_deployment_status(many)
    assert len(status["instances"]) == status["readyReplicas"] == 3
    assert client.deployments.list_deployment_statuses() == [status]


def test_timeout_of_a_status(gradient_server: GradientServer, client: Client, many: str) -> None:
    """The timeout limits the whole call also if the status takes several pages of instances."""
    gradient_server.delay(0.6, 2, operation="DeploymentStatus")
    with pytest.raises(APITimeoutError):
        client.with_options(timeout=1.0).deployments.get_deployment_status(many)


def test_requests_for_logs(client: Client, many: str, wire: list[dict[str, Any]]) -> None:
    """The last line takes few requests, however many instances have a log."""
    [last] = client.deployments.get_deployment_logs(many, tail=1)
    assert len(wire) < 15
    lines = list(client.deployments.get_deployment_logs(many))
    assert lines[-1] == last
    assert len({(line["instanceName"], line["line"]) for line in lines}) == len(lines)


def test_requests_for_followed_logs(gradient_server: GradientServer) -> None:
    """A poll of a followed log takes as many requests after an update as before: the logs of replaced instances are read once.

    The list of logs is read up to the first page without new ones, so it never says that some of them have stopped.
    """

    async def poll(reader: LogReader) -> int:
        gradient_server.advance(hours=1)
        assert await reader.new_lines()
        assert await reader.new_lines() == []
        before = len(gradient_server.requests)
        await reader.new_lines()
        return len(gradient_server.requests) - before

    async def polls() -> tuple[int, int]:
        async with AsyncClient(gradient_server.api_key, gradient_server.url) as client:
            created = await client.deployments.create_deployment("n", "p", REPLICATED)
            reader = LogReader(client._session, created["id"], None)
            before = await poll(reader)
            await client.deployments.patch_deployment(created["id"], image="nginx:1")
            return before, await poll(reader)

    before, after = asyncio.run(polls())
    assert after == before
