"""Autoscaling of real containers, with readings every half second, and a clock that the test moves."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import pytest
from tests.engine.load_image import IMAGE, make_load_image
from tests.engine.private_engine import PrivateEngine
from tests.repeating import repeated

from paperspace.gradient import Client
from paperspace.gradient.server import LocalServer
from paperspace.gradient.server.controller import sampling
from paperspace.gradient.server.controller.controller import Options
from paperspace.gradient.server.docker.address import Address
from paperspace.gradient.server.docker.engine import DockerEngine
from paperspace.gradient.server.docker.instance_types import InstanceType
from paperspace.gradient.server.docker.requirements import Settings
from paperspace.gradient.server.gateway.gateway import EnvoyGateway
from paperspace.gradient.server.gateway.options import Options as GatewayOptions
from paperspace.gradient.server.settings_files import write_settings
from paperspace.gradient.server.usage import cpu_fractions, memory_fractions


@pytest.fixture(scope="module")
def image(docker: PrivateEngine) -> None:
    make_load_image(docker)


class Site:
    """A server with a gateway, and a clock that a test moves."""

    def __init__(self, docker: PrivateEngine, folder: Path) -> None:
        types = folder / "types"
        write_settings(types, {"small": InstanceType(0.25, 0.0625)})
        self.advanced = timedelta()
        self.server = LocalServer(
            engine=DockerEngine(Settings(instance_types_file=types), Address(docker.url, "the test")),
            gateway=EnvoyGateway(GatewayOptions(folder / "gateway", port=0, ephemeral=True)),
            options=Options(stop_grace=1),
            now=self.now,
        )
        self.docker = docker

    @contextmanager
    def running(self) -> Iterator[None]:
        with self.server, Client(self.server.api_key, self.server.url) as client:
            self.api = client.deployments
            yield

    def create(self, metric: str, target: float) -> str:
        autoscaling = {"maxReplicas": 3, "metrics": [{"metric": metric, "value": target}]}
        resources = {"replicas": 1, "instanceType": "small", "autoscaling": autoscaling}
        spec: Any = {"image": IMAGE, "port": 8080, "resources": resources}
        return self.api.create_deployment(metric, "p", spec, wait=True)["id"]

    def request(self, id_: str, path: str) -> None:
        with urlopen(f"{self.api.get_deployment_status(id_)['endpointUrl']}/cgi-bin/{path}", timeout=30) as response:
            assert response.read() == b"ok\n"

    def counts(self, id_: str) -> tuple[int, int]:
        status = self.api.get_deployment_status(id_)
        return status["readyReplicas"], status["replicas"]

    def until(self, id_: str, *replicas: int) -> None:
        """Wait until there is one of these numbers of replicas, all of them ready."""
        end = time.monotonic() + 60
        while self.counts(id_) not in {(number, number) for number in replicas}:
            assert time.monotonic() < end, [event["message"] for event in self.api.get_deployment_events(id_)]
            time.sleep(0.1)

    def advance(self, minutes: int) -> None:
        """Move the clock in steps, and wait for a reading after each, which leads to decisions at once.

        A reading that is taken during a step is older than the step, and a reading of more than a minute is not used.
        """
        for _ in range(2 * minutes):
            self.advanced += timedelta(minutes=0.5)
            after, end = self.now(), time.monotonic() + 60
            while any(reading.at < after for reading in self.sampler.latest().values()):
                assert time.monotonic() < end
                time.sleep(0.05)
        time.sleep(0.2)

    def until_idle(self, id_: str) -> None:
        """Wait until no replica of a deployment has a load, and the readings show it."""
        for container in self.containers(id_):
            self.docker.docker("exec", container, "sh", "-c", "echo none > /tmp/load")
        end = time.monotonic() + 60
        while not self.is_idle(id_):
            assert time.monotonic() < end
            time.sleep(0.1)

    def is_idle(self, id_: str) -> bool:
        before, after = self.sampler.readings(id_)[-2:]
        fractions = (*cpu_fractions(before, after).values(), *memory_fractions(after).values())
        return len(fractions) == 2 * self.counts(id_)[0] and max(fractions) < 0.2

    @property
    def sampler(self) -> sampling.Sampler:
        assert self.server.controlled
        assert self.server.controlled.controller
        return self.server.controlled.controller.sampler

    def now(self) -> datetime:
        return datetime.now(UTC) + self.advanced

    def containers(self, id_: str) -> set[str]:
        return set(self.docker.docker("ps", "-q", "--filter", f"label=gradient.deployment={id_}").stdout.split())

    def messages(self, id_: str, reason: str) -> list[str]:
        return [event["message"] for event in self.api.get_deployment_events(id_) if event["reason"] == reason]

    @contextmanager
    def slow_requests(self, id_: str) -> Iterator[list[str]]:
        """Send one slow request after the other; return what went wrong."""
        failures: list[str] = []
        url = f"{self.api.get_deployment_status(id_)['endpointUrl']}/cgi-bin/slow"

        def send() -> None:
            try:
                with urlopen(url, timeout=30) as response:
                    response.read()
            except OSError as error:
                failures.append(repr(error))

        with repeated(send):
            yield failures


@pytest.fixture
def site(docker: PrivateEngine, image: None, monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:  # noqa: ARG001
    monkeypatch.setattr(sampling, "INTERVAL", 0.5)
    with tempfile.TemporaryDirectory(prefix="gw") as folder:
        site = Site(docker, Path(folder))
        try:
            with site.running():
                yield site
        finally:
            docker.remove_containers("gradient.server")


def test_load_adds_replicas(site: Site) -> None:
    """CPU, memory and slow requests each add replicas, up to the maximum. Without load, they go after five minutes.

    The containers that run are kept, and no request is lost.
    """
    cpu, memory, duration = site.create("cpu", 30), site.create("memory", 40), site.create("requestDuration", 0.1)
    first = {id_: site.containers(id_) for id_ in (cpu, memory, duration)}
    site.request(cpu, "load?cpu")
    site.request(memory, "load?memory")
    with site.slow_requests(duration) as failures:
        # The second replica has no memory in use: together, both are below the target.
        for id_, metric, replicas in (
            (cpu, "cpu", {2, 3}),  # on a busy machine, it gets less than its limit
            (memory, "memory", {2}),
            (duration, "requestDuration", {3}),
        ):
            site.until(id_, *replicas)
            assert site.messages(id_, "ScaledUp")[0].startswith(f"{metric} is ")
            assert first[id_] < site.containers(id_)
        for _ in range(2):
            site.advance(minutes=4)
        assert site.counts(memory) == (2, 2)
        assert site.counts(duration) == (3, 3)
    assert failures == []
    for id_ in (cpu, memory):
        site.until_idle(id_)
    for id_ in first:
        assert not site.messages(id_, "ScaledDown")
    for _ in range(2):
        site.advance(minutes=4)
    for id_, containers in first.items():
        site.until(id_, 1)
        assert site.containers(id_) == containers
        assert len(site.messages(id_, "ScaledDown")) == 1
