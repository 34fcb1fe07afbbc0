"""The status of a deployment while autoscaling changes the number of its replicas."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from tests.deployments.manual_clock import ManualClock
from tests.samples import API_KEY

from paperspace.gradient import Client
from paperspace.gradient.server import LocalServer
from paperspace.gradient.server.engines.simulation import Simulation
from paperspace.gradient.types import DeploymentSpecInput, DeploymentStatus


def scaled(**fields: int) -> DeploymentSpecInput:
    """A spec with two to six replicas."""
    autoscaling = {"maxReplicas": 6, "metrics": [{"metric": "cpu", "value": 80}]}
    return {"image": "nginx", "resources": {"replicas": 2, "autoscaling": autoscaling}, **fields}  # type: ignore[typeddict-item]


class World:
    """A server with a deployment that is scaled, and a clock that the tests move."""

    def __init__(self, server: LocalServer, simulation: Simulation, client: Client, clock: ManualClock) -> None:
        self.server, self.simulation, self.client, self.clock = server, simulation, client, clock
        self.id = client.deployments.create_deployment("n", "p", scaled())["id"]
        clock.move(10)

    def load(self, cpu: float) -> None:
        """Set the load. The next decision follows after 15 seconds."""
        self.simulation.loads["n"] = {"cpu": cpu}
        self.server.reconcile("n")

    @property
    def status(self) -> DeploymentStatus:
        """The status, which is also that of the list and of the summary for the operator."""
        status = self.client.deployments.get_deployment_status(self.id)
        assert self.client.deployments.list_deployment_statuses() == [status]
        return status

    def counts(self) -> tuple[str, int, int]:
        """Return the state, and how many replicas are ready and desired."""
        status = self.status
        return status["state"], status["readyReplicas"], status["replicas"]


@pytest.fixture
def world(clock: ManualClock) -> Iterator[World]:
    simulation = Simulation()
    with (
        LocalServer(api_key=API_KEY, now=clock, runtime=simulation) as server,
        Client(API_KEY, server.url) as client,
    ):
        yield World(server, simulation, client, clock)


def test_a_deployment_stays_ready_while_it_is_scaled(world: World) -> None:
    """The status has the desired number at once. The deployment is ready with those of its spec: a wait does not last longer."""
    world.load(480)
    world.clock.move(15.1)
    assert world.counts() == ("ready", 2, 6)
    *_, last = world.client.deployments.watch_deployment(world.id, timeout=5)
    assert (last["type"], last["message"]) == ("ready", "2 of 6 replicas ready; autoscaling is still adding replicas")
    assert world.client.deployments.wait_for_deployment(world.id, timeout=5)["state"] == "ready"
    world.clock.move(60)
    assert world.counts() == ("ready", 6, 6)
    *_, last = world.client.deployments.watch_deployment(world.id, timeout=5)
    assert last["message"] == "all replicas ready"
    world.load(0)
    world.clock.move(310)
    assert world.counts() == ("ready", 6, 6)
    world.clock.move(10)
    assert world.counts() == ("ready", 2, 2)


def test_a_rollout_needs_all_replicas(world: World) -> None:
    """During a rollout, a deployment is ready only when the new revision has as many replicas as the one before."""
    world.load(480)
    world.clock.move(60)
    world.client.deployments.update_deployment(id=world.id, spec=scaled(port=1))
    seen = []
    for _ in range(12):
        seen.append(world.counts())
        world.clock.move(0.5)
    assert seen[0] == ("pending", 0, 6)
    assert {replicas for *_, replicas in seen} == {6}
    assert [state for state, ready, _ in seen if ready < 6] == ["pending"] * 9
    assert seen[-1][:2] == ("ready", 6)
