"""The recorder: the figures of each deployment after each reading, and a file that cannot be used."""

from __future__ import annotations

import asyncio
import logging
import sqlite3
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from tests.ports import ports
from tests.server.controller.memory_engine import ServingEngine
from tests.server.controller.test_controller import PATIENCE, until
from tests.server.controller.test_sampling import World as SampledWorld
from tests.server.controller.test_server import in_thread, spec

from paperspace.gradient.server import LocalServer
from paperspace.gradient.server.controller import sampling
from paperspace.gradient.server.controller.controller import Options
from paperspace.gradient.server.controller.gateway import Statistics
from paperspace.gradient.server.controller.recording import Recorder, point_of
from paperspace.gradient.server.controller.side_store import SideStore
from paperspace.gradient.server.storage.metric_file import Point
from paperspace.gradient.server.storage.summary import DeploymentState
from paperspace.gradient.server.usage import NO_TRAFFIC, Load, Reading, Traffic, Usage

pytestmark = pytest.mark.anyio

OPTIONS = Options(ports=ports(24300))
NOW = datetime(2024, 5, 17, tzinfo=UTC)
STATE = DeploymentState("x", "mnist", "ready", 2, 1)


def load(seconds: float, cpu_seconds: float, container: str = "c") -> Load:
    return Load(container, Usage(NOW + timedelta(seconds=seconds), cpu_seconds, 1000, 2.0, 5000), 1)


BEFORE = Reading(NOW, {"a": load(0, 1), "b": load(0, 1)}, Traffic(requests=3))
AFTER = Reading(NOW + timedelta(seconds=10), {"a": load(10, 6), "b": load(10, 11)}, Traffic(requests=5))
BASE = Point(2, 1, None, 4.0, 2000, 10_000, 2, None)
UNKNOWN = Load("c", None, None)


@pytest.mark.parametrize(
    ("readings", "expected"),
    [
        pytest.param([], Point(2, 1), id="no reading"),
        pytest.param([BEFORE], BASE, id="the first reading"),
        pytest.param([BEFORE, AFTER], BASE._replace(cpus=1.5, traffic=Traffic(requests=2)), id="two readings"),
        pytest.param([BEFORE, AFTER._replace(loads=None)], Point(2, 1, traffic=Traffic(requests=2)), id="no engine"),
        pytest.param(
            [BEFORE._replace(loads=None), AFTER], BASE._replace(traffic=Traffic(requests=2)), id="the engine is back"
        ),
        pytest.param(
            [BEFORE, AFTER._replace(traffic=None)], BASE._replace(cpus=1.5, active_requests=None), id="no gateway"
        ),
        pytest.param(
            [BEFORE, AFTER._replace(loads={"a": UNKNOWN}, traffic=NO_TRAFFIC)],
            Point(2, 1, active_requests=0, traffic=NO_TRAFFIC),
            id="usage that cannot be read",
        ),
        pytest.param(
            [BEFORE, AFTER._replace(loads={})],
            Point(2, 1, 0, 0, 0, 0, 0, Traffic(requests=2)),
            id="nothing runs, and so it uses nothing",
        ),
        pytest.param(
            [BEFORE, AFTER._replace(at=NOW + timedelta(minutes=9))], BASE, id="the machine was suspended meanwhile"
        ),
    ],
)
def test_figures(readings: list[Reading], expected: Point) -> None:
    """The figures of an interval are what two readings say; what they do not say is unknown."""
    assert point_of(STATE, readings) == expected


class RecordedWorld(SampledWorld):
    """A sampler with a recorder, for one deployment. `stored` is the number of its requests in each interval."""

    def __init__(self) -> None:
        super().__init__(Statistics({"x": NO_TRAFFIC}))
        self.stored: dict[int, int] = {}
        self.requests_meanwhile: int | None = None
        file = SimpleNamespace(append=self._append, close=lambda: None)
        self.store: Any = SideStore("test", lambda: file)
        self.recorder = Recorder(self.sampler, self.store, self._states)

    async def count(self, requests: int) -> None:
        """Take a reading, after so many requests in all."""
        self.gateway.counted = Statistics({"x": Traffic(requests=requests)})
        await self.sample()

    async def _states(self) -> list[DeploymentState]:
        if self.requests_meanwhile is not None:
            requests, self.requests_meanwhile = self.requests_meanwhile, None
            await self.count(requests)
        return [STATE]

    def _append(self, number: int, points: dict[str, Point]) -> None:
        traffic = points["x"].traffic
        self.stored[number] = traffic.requests if traffic else 0


async def test_a_reading_while_another_one_is_stored() -> None:
    """Each interval has the requests of its own reading, also if the next one is taken before these are stored."""
    world = RecordedWorld()
    await world.store.open()
    await world.count(0)
    await world.count(3)
    world.requests_meanwhile = 7
    await world.recorder.run()
    await world.recorder.run()
    await world.store.close()
    assert list(world.stored.values()) == [3, 4]


async def test_the_first_reading_of_a_server() -> None:
    """The first reading is not stored: it would replace the figures that the server before has stored of its interval."""
    world = RecordedWorld()
    await world.store.open()
    recording = asyncio.create_task(world.recorder.run())
    await world.count(3)
    await asyncio.sleep(0.01)
    await world.count(5)
    await recording
    await world.store.close()
    assert list(world.stored.values()) == [2]


async def test_from_container_to_function(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What containers use is in the metrics of their deployment, also after a restart; when it is deleted, it is gone."""
    monkeypatch.setattr(sampling, "INTERVAL", 0.05)
    engine, file = ServingEngine(), tmp_path / "gradient.db"
    async with LocalServer(engine=engine, options=OPTIONS, database=file) as server:
        created = await in_thread(server, lambda api: api.create_deployment("mnist", "p", spec("good-1", 2)))
        await in_thread(server, lambda api: api.wait_for_deployment(created["id"], timeout=PATIENCE))
        for container in engine.running():
            engine.memory[container.id] = 2**20

        async def newest() -> object:
            points = await in_thread(server, lambda api: api.get_deployment_metrics(created["id"]))
            return points and (points[-1]["readyReplicas"], points[-1]["memory"], points[-1]["requestsPerSecond"])

        async with asyncio.timeout(PATIENCE):
            while await newest() != (2, 2 * 2**20, None):  # noqa: ASYNC110
                await asyncio.sleep(0.05)
    monkeypatch.setattr(sampling, "INTERVAL", 3600)
    async with LocalServer(engine=engine, options=OPTIONS, database=file) as server:
        points = await in_thread(server, lambda api: api.get_deployment_metrics(created["id"]))
        assert points[0]["replicas"] == 2
        await in_thread(server, lambda api: api.delete_deployment(created["id"]))
        assert server.controlled is not None
        assert server.controlled.controller is not None
        await until(lambda: not engine.by_id)
        await server.controlled.controller.sampler.sample()
        await until(lambda: not _stored(file))


def _stored(file: Path) -> list[str]:
    """Return the ids of the deployments in the file of metrics."""
    with closing(sqlite3.connect(f"{file}.metrics")) as connection:
        return [id_ for (id_,) in connection.execute("SELECT deployment_id FROM deployments")]


async def test_a_file_that_cannot_be_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """If metrics cannot be stored, deployments run, the API serves, and the server's log says so once."""
    monkeypatch.setattr(sampling, "INTERVAL", 0.02)
    engine, file = ServingEngine(), tmp_path / "gradient.db"
    await asyncio.to_thread(Path(f"{file}.metrics").mkdir)
    with caplog.at_level(logging.WARNING):
        async with LocalServer(engine=engine, options=OPTIONS, database=file) as server:
            created = await in_thread(server, lambda api: api.create_deployment("mnist", "p", spec("good-1")))
            await in_thread(server, lambda api: api.wait_for_deployment(created["id"], timeout=PATIENCE))
            await until(lambda: "The metrics in" in caplog.text)
            await asyncio.sleep(0.1)
            assert await in_thread(server, lambda api: api.get_deployment_metrics(created["id"])) == []
    assert caplog.text.count("cannot be used: unable to open database file") == 1
