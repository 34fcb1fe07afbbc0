"""The sampler, with an engine in memory and a gateway that says what it is given."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from tests.server.controller.memory_engine import MemoryEngine

from paperspace.gradient.server.controller import sampling
from paperspace.gradient.server.controller.engine import Container, ContainerKey, EngineUnavailableError, Workload
from paperspace.gradient.server.controller.gateway import GatewayUnavailableError, NoGateway, Statistics
from paperspace.gradient.server.controller.listing import Listing
from paperspace.gradient.server.controller.sampling import (
    INTERVAL,
    KEPT_READINGS,
    MAX_READS,
    Sampler,
    seconds_until_due,
)
from paperspace.gradient.server.usage import NO_TRAFFIC, Reading, Traffic, Usage, cpus_by_instance

pytestmark = pytest.mark.anyio

WORKLOAD = Workload("good-1", None, 80, (), (), None, None)


class CountingGateway(NoGateway):
    """A gateway that responds with these statistics."""

    def __init__(self, statistics: Statistics | None = None) -> None:
        super().__init__()
        self.counted = statistics

    def deployments(self) -> frozenset[str]:
        return frozenset(self.counted.traffic) if self.counted else frozenset()

    async def statistics(self) -> Any:
        if self.counted is None:
            raise GatewayUnavailableError("The gateway does not run.")
        return self.counted


class World:
    """An engine, a gateway and a sampler, with a clock that stands still."""

    def __init__(self, statistics: Statistics | None = None) -> None:
        self.time = datetime(2024, 5, 17, tzinfo=UTC)
        self.engine = MemoryEngine(lambda: self.time)
        self.gateway = CountingGateway(statistics)
        listing = Listing(self.engine)
        self.sampler = Sampler(self.engine, listing, self.gateway, lambda: self.time, self.seconds)

    def seconds(self) -> float:
        return self.time.timestamp()

    def start(self, deployment_id: str, instance_id: str) -> Container:
        key = ContainerKey(deployment_id, instance_id, 0, "template")
        return self.engine.start_now(key, WORKLOAD, 20_000 + len(self.engine.by_id))

    async def sample(self, seconds: float = 10) -> Mapping[str, Reading]:
        self.time += timedelta(seconds=seconds)
        await self.sampler.sample()
        return self.sampler.latest()


async def test_a_reading() -> None:
    """A reading has the usage and the active requests of each replica, and the requests of its deployment."""
    traffic = Traffic(requests=7)
    world = World(Statistics({"x": traffic}, {"a": 3}))
    first, second = world.start("x", "a"), world.start("x", "b")
    world.engine.memory[second.id] = 1000
    reading = (await world.sample())["x"]
    assert reading.at == world.time
    assert reading.traffic == traffic
    assert reading.loads is not None
    times = {"asked": world.seconds(), "received": world.seconds()}
    assert reading.loads["a"] == (first.id, Usage(world.time, 0.0, 0, 4.0, 2**30, **times), 3)
    assert reading.loads["b"] == (second.id, Usage(world.time, 0.0, 1000, 4.0, 2**30, **times), 0)


async def test_a_reading_that_takes_seconds(monkeypatch: pytest.MonkeyPatch) -> None:
    """The time of a reading is that when it began."""
    world = World()
    world.start("x", "a")
    began, read = world.time, world.engine.usage

    async def usage(container: Container) -> Usage | None:
        world.time += timedelta(seconds=4)
        return await read(container)

    monkeypatch.setattr(world.engine, "usage", usage)
    assert (await world.sample(0))["x"].at == began


@pytest.mark.parametrize("start", [0, 4.5, 5, 9.97])
def test_each_interval_has_one_reading(start: float) -> None:
    """Each ten seconds have one reading, whenever the first one is, and although some readings take longer than others.

    Every second reading is early, because the clock is corrected meanwhile.
    """
    now = datetime(2024, 5, 17, tzinfo=UTC) + timedelta(seconds=start)
    numbers: list[int] = []
    for index, seconds in enumerate((0.01, 0.01, 1.2, 4, 0.01, 0.01, 5, 0, 0)):
        now += timedelta(seconds=seconds_until_due(now) - 0.8 * (index % 2))
        numbers.append(int(now.timestamp() // INTERVAL))
        now += timedelta(seconds=seconds)
    assert numbers == list(range(numbers[0], numbers[0] + len(numbers)))


async def test_two_readings_make_a_rate() -> None:
    """Of two readings, the pure functions make how many CPUs a replica used."""
    world = World()
    container = world.start("x", "a")
    await world.sample()
    world.engine.cpu_seconds[container.id] = 5.0
    await world.sample()
    before, after = world.sampler.readings("x")
    assert cpus_by_instance(before, after) == {"a": 0.5}


async def test_the_clock_of_the_engine_is_set(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a replica used is known also if the clock of the engine is set between two readings."""
    world = World()
    container = world.start("x", "a")
    await world.sample()
    world.engine.cpu_seconds[container.id] = 5.0
    monkeypatch.setattr(world.engine, "_now", lambda: world.time - timedelta(seconds=9))
    await world.sample()
    before, after = world.sampler.readings("x")
    assert cpus_by_instance(before, after) == {"a": 0.5}


async def test_only_the_last_minute_is_kept() -> None:
    """Memory is bounded: a deployment has at most a minute of readings, and none when it is gone."""
    world = World()
    container = world.start("x", "a")
    for _ in range(KEPT_READINGS + 2):
        await world.sample()
    assert len(world.sampler.readings("x")) == KEPT_READINGS
    assert world.sampler.readings("x")[-1].at == world.time
    world.engine.lose(container.id)
    assert await world.sample() == {}
    assert world.sampler.readings("x") == ()


async def test_an_endpoint_without_containers() -> None:
    """A deployment with an endpoint has readings also if nothing runs: the gateway responds for it."""
    world = World(Statistics({"x": NO_TRAFFIC}))
    assert (await world.sample())["x"] == Reading(world.time, {}, NO_TRAFFIC)


async def test_a_container_that_ends_meanwhile(monkeypatch: pytest.MonkeyPatch) -> None:
    """A container that disappears between the list and its reading has an unknown usage; the others are read."""
    world = World()
    gone, stays = world.start("x", "a"), world.start("x", "b")
    listed = await world.engine.containers()

    async def containers() -> Any:
        return listed

    monkeypatch.setattr(world.engine, "containers", containers)
    world.engine.lose(gone.id)
    loads = (await world.sample())["x"].loads
    assert loads is not None
    assert loads["a"].usage is None
    assert loads["b"].usage is not None
    assert stays.id == loads["b"].container_id


async def test_without_the_gateway() -> None:
    """If the gateway does not respond, its figures are unknown, and the others are read."""
    world = World()
    world.start("x", "a")
    reading = (await world.sample())["x"]
    assert reading.traffic is None
    assert reading.loads is not None
    assert reading.loads["a"].active_requests is None
    assert reading.loads["a"].usage is not None


async def test_without_the_engine() -> None:
    """If the engine does not respond, what runs is unknown, not gone; requests are counted, as the gateway serves on."""
    traffic = Traffic(requests=7)
    world = World(Statistics({"x": traffic}))
    world.start("x", "a")
    world.start("y", "b")
    taken: list[datetime] = []
    world.sampler.call_after_reading(taken.append)
    await world.sample()
    world.engine.available = False
    readings = await world.sample()
    assert readings == {"x": Reading(world.time, None, traffic), "y": Reading(world.time, None, None)}
    assert taken == [world.time - timedelta(seconds=10), world.time]
    before, after = world.sampler.readings("x")
    assert cpus_by_instance(before, after) == {}


async def test_a_read_that_fails_or_hangs(monkeypatch: pytest.MonkeyPatch) -> None:
    """What cannot be read in time is unknown."""
    monkeypatch.setattr(sampling, "READ_TIMEOUT", 0.05)
    world = World(Statistics())
    for instance_id in ("hangs", "fails", "works"):
        world.start("x", instance_id)
    read = world.engine.usage

    async def usage(container: Container) -> Usage | None:
        match container.key.instance_id:
            case "hangs":
                await asyncio.Event().wait()
            case "fails":
                raise EngineUnavailableError("The engine failed.")
        return await read(container)

    monkeypatch.setattr(world.engine, "usage", usage)
    loads = (await world.sample())["x"].loads
    assert loads is not None
    assert {id_ for id_, load in loads.items() if load.usage} == {"works"}


async def test_reads_at_the_same_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """The number of containers that are read at the same time is limited, so that the engine can respond to others."""
    world = World()
    for number in range(MAX_READS + 10):
        world.start(f"d{number}", f"i{number}")
    active, most = 0, 0

    async def usage(_: Container) -> None:
        nonlocal active, most
        active += 1
        most = max(most, active)
        await asyncio.sleep(0.001)
        active -= 1

    monkeypatch.setattr(world.engine, "usage", usage)
    assert len(await world.sample()) == MAX_READS + 10
    assert most == MAX_READS


async def test_each_ten_seconds(monkeypatch: pytest.MonkeyPatch) -> None:
    """`run` takes a reading at once, and returns when the next one is due; the time that the reading takes counts."""
    monkeypatch.setattr(sampling, "INTERVAL", 0.3)
    world = World()
    loop = asyncio.get_running_loop()

    async def sample() -> None:
        await asyncio.sleep(0.2)

    monkeypatch.setattr(world.sampler, "sample", sample)
    start = loop.time()
    for _ in range(3):
        await world.sampler.run()
    assert 0.9 <= loop.time() - start < 1.5
