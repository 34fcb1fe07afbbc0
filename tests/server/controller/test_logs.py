"""The logs of containers of an engine in memory, read through the API of a whole server."""

from __future__ import annotations

import asyncio
import logging
import sqlite3
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, closing
from pathlib import Path
from typing import Any

import pytest
from tests.ports import ports
from tests.server.controller.memory_engine import ServingEngine
from tests.server.controller.test_controller import PATIENCE, until
from tests.server.controller.test_server import in_thread, spec

from paperspace.gradient.server import LocalServer
from paperspace.gradient.server.control.offline import OfflineControl
from paperspace.gradient.server.controller import controller, log_store, logs
from paperspace.gradient.server.controller.controller import Options
from paperspace.gradient.server.controller.down import Drain
from paperspace.gradient.server.controller.engine import ContainerKey, Piece
from paperspace.gradient.server.controller.log_store import LogStore
from paperspace.gradient.server.controller.logs import KEPT_LOGS, Collector, outdated
from paperspace.gradient.server.storage import side_file
from paperspace.gradient.server.storage.log_file import KIND, LogFile, Output
from paperspace.gradient.server.storage.side_file import SideFileError, location_beside

pytestmark = pytest.mark.anyio

OPTIONS = Options(ports=ports(24200))


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


class World:
    """A server on an engine in memory, which can be started again, and one deployment."""

    def __init__(self, database: str | Path) -> None:
        self.engine = ServingEngine()
        self.database = database
        self.id = ""

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        async with LocalServer(engine=self.engine, options=OPTIONS, database=self.database) as self.server:
            yield

    async def call(self, function: Callable[[Any], Any]) -> Any:
        return await in_thread(self.server, function)

    async def create(self, image: str = "good-1", replicas: int = 1) -> None:
        created = await self.call(lambda api: api.create_deployment("mnist", "p", spec(image, replicas)))
        self.id = created["id"]
        await self.ready()

    async def ready(self) -> None:
        await self.call(lambda api: api.wait_for_deployment(self.id, timeout=PATIENCE))

    @property
    def container(self) -> str:
        [container] = self.engine.running()
        return container.id

    def say_goodbye(self) -> None:
        """Let containers write a last line when they are stopped."""
        stop = self.engine.stop

        async def stop_with_a_line(container_id: str, grace: float) -> None:
            if "goodbye" not in self.engine.texts(container_id):  # a step can be repeated
                self.engine.write(container_id, "goodbye")
            await stop(container_id, grace)

        self.engine.stop = stop_with_a_line  # type: ignore[method-assign]

    async def lines(self) -> list[str]:
        return [line["message"] for line in await self.call(lambda api: list(api.get_deployment_logs(self.id)))]

    async def until_lines(self, *expected: str) -> None:
        end = asyncio.get_running_loop().time() + PATIENCE
        while (found := await self.lines()) != list(expected):
            assert asyncio.get_running_loop().time() < end, found
            await asyncio.sleep(0.01)


@pytest.fixture(params=["file", "memory"])
async def world(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[World]:
    world = World(tmp_path / "gradient.db" if request.param == "file" else ":memory:")
    async with world.running():
        yield world


@pytest.fixture
def stored(tmp_path: Path) -> World:
    return World(tmp_path / "gradient.db")


async def test_both_outputs(world: World) -> None:
    """The lines of both outputs are in the log, as they were written, and those of several containers do not mix."""
    await world.create()
    world.engine.write(world.container, "one", "two", "", "four")
    world.engine.write(world.container, "five", stream=1)
    await world.until_lines("one", "two", "", "four", "five")


async def test_a_cut_stream(world: World) -> None:
    """After a cut, each line is there once, also of several lines with the same time."""
    await world.create()
    expected = []
    for number in range(4):
        texts = [f"{number}.{index}" for index in range(5)]
        world.engine.write(world.container, *texts)
        expected += texts
        if number % 3 == 0:
            await world.until_lines(*expected)
        world.engine.cuts += 1
    await world.until_lines(*expected)


async def test_the_last_lines_of_a_container(world: World) -> None:
    """What a container has written at its very end is in the log, when it is removed and when it is replaced."""
    await world.create()
    world.say_goodbye()
    await world.call(lambda api: api.update_deployment(id=world.id, spec=spec("good-2")))
    await until(lambda: [world.engine.images[container.id] for container in world.engine.by_id.values()] == ["good-2"])
    await world.until_lines("goodbye")
    world.engine.write(world.container, "crash")
    world.engine.exit(world.container)
    await until(world.engine.running)
    await world.until_lines("goodbye", "crash")
    await world.call(lambda api: api.stop_deployment(world.id))
    await until(lambda: not world.engine.by_id)
    await world.until_lines("goodbye", "crash", "goodbye")


@pytest.mark.parametrize("server_is", ["up", "down"])
async def test_down(stored: World, server_is: str) -> None:
    """What containers write when all deployments are taken down is in their logs, also if no server runs."""
    async with stored.running():
        await stored.create()
        stored.say_goodbye()
        if server_is == "up":
            assert stored.server.controlled
            await stored.server.controlled.take_down(Drain(0), lambda _: None)
            await stored.until_lines("goodbye")
    if server_is == "down":
        await OfflineControl(Path(stored.database), stored.engine).take_down(now=True, report=lambda _: None)
        async with stored.running():
            await stored.until_lines("goodbye")


async def test_the_reason_of_a_failure_is_in_the_log(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """When a revision fails, the error of the wait has the lines that its containers wrote before they crashed."""
    monkeypatch.setattr("paperspace.gradient.server.controller.restarts.MAX_CRASHES", 1)
    output, asked, answered = world.engine.output, asyncio.Event(), asyncio.Event()

    async def slow_output(container_id: str, since: int, *, follow: bool) -> AsyncGenerator[Any]:
        if follow:
            await asyncio.sleep(PATIENCE)  # only what is read when the container has ended arrives in time
        asked.set()
        await answered.wait()
        async for pieces in output(container_id, since, follow=follow):
            yield pieces

    world.engine.output = slow_output  # type: ignore[method-assign]
    start = world.engine.start_now

    def start_with_a_line(key: Any, workload: Any, host_port: int) -> Any:
        container_id = f"c{world.engine._number + 1}"
        world.engine.write(container_id, "no such file")
        return start(key, workload, host_port)

    world.engine.start_now = start_with_a_line  # type: ignore[method-assign]
    creating = asyncio.create_task(world.create("crashing-1"))
    await asked.wait()
    await until(lambda: world.id)
    try:
        assert (await world.call(lambda api: api.get_deployment_status(world.id)))["state"] == "pending"
    finally:
        answered.set()
    with pytest.raises(Exception, match=r"failed: .*\n  instance-\w+: no such file"):
        await creating


async def test_what_is_written_while_the_server_is_down(stored: World) -> None:
    """Lines of the time without a server are in the log after its start, each once, also of a container that has ended."""
    async with stored.running():
        await stored.create()
        stored.engine.write(stored.container, "one", "two")
        await stored.until_lines("one", "two")
    stored.engine.write(stored.container, "three")
    async with stored.running():
        await stored.until_lines("one", "two", "three")
    stored.engine.write(stored.container, "four")
    stored.engine.exit(stored.container)
    async with stored.running():
        await stored.until_lines("one", "two", "three", "four")
        await stored.ready()


async def test_a_removed_container(world: World) -> None:
    """A container that another program removes does not stop its deployment."""
    await world.create()
    world.engine.write(world.container, "one")
    await world.until_lines("one")
    world.engine.lose(world.container)
    await until(world.engine.running)
    await world.ready()
    world.engine.write(world.container, "two")
    await world.until_lines("one", "two")


async def test_an_engine_without_logs(
    world: World, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """If the engine cannot read its logs, containers are replaced nevertheless; the server's log says what is missing."""
    monkeypatch.setattr(logs, "pause", lambda _: 0.001)
    await world.create()
    world.engine.output = lambda *_, **__: _broken()  # type: ignore[method-assign]
    world.engine.cuts += 1
    with caplog.at_level(logging.WARNING):
        await world.call(lambda api: api.update_deployment(id=world.id, spec=spec("good-2")))
        await until(lambda: [world.engine.images[id_] for id_ in world.engine.by_id] == ["good-2"])
    assert "cannot be stored: " in caplog.text


async def _broken() -> AsyncGenerator[Any]:
    raise ValueError("unexpected")
    yield


async def test_a_file_that_cannot_be_used(stored: World, caplog: pytest.LogCaptureFixture) -> None:
    """If the logs cannot be stored, containers run, the API serves, and the server's log says so once; later, they are."""
    file = Path(f"{stored.database}.logs")
    await asyncio.to_thread(file.mkdir)
    async with stored.running():
        with caplog.at_level(logging.WARNING):
            await stored.create()
            stored.engine.write(stored.container, "one")
            await until(lambda: "cannot be used: unable to open database file" in caplog.text)
            assert await stored.lines() == []
        await asyncio.to_thread(file.rmdir)
        await stored.until_lines("one")


async def test_following_over_a_replaced_file(stored: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """`follow` yields each line once, although its log begins later in the new file, with other numbers."""
    monkeypatch.setattr(controller, "RESYNC_INTERVAL", 0.05)
    followed: list[str] = []

    def follow(api: Any) -> None:
        for line in api.get_deployment_logs(stored.id, follow=True):
            followed.append(line["message"])
            if line["message"] == "end":
                return

    async with stored.running():
        await stored.create()
        stored.engine.write(stored.container, "one", "two", "three")
        await stored.until_lines("one", "two", "three")
        stored.engine.exit(stored.container)
        await until(stored.engine.running)
        await stored.ready()
        stored.engine.write(stored.container, "four")
        following = asyncio.create_task(stored.call(follow))
        await until(lambda: followed == ["one", "two", "three", "four"])
        await asyncio.to_thread(Path(f"{stored.database}.logs").unlink)
        stored.engine.write(stored.container, "five")
        await until(lambda: followed[4:] == ["five"])
        stored.engine.write(stored.container, "six", "end")
        await asyncio.wait_for(following, PATIENCE)
        assert followed == ["one", "two", "three", "four", "five", "six", "end"]


async def test_what_the_engine_has_is_stored_again(stored: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """When the file was removed, a new one gets what all running containers have written, also those that write no more."""
    monkeypatch.setattr(controller, "RESYNC_INTERVAL", 0.05)
    async with stored.running():
        await stored.create(replicas=3)
        await until(lambda: len(stored.engine.running()) == 3)
        for number, container in enumerate(stored.engine.running()):
            stored.engine.write(container.id, f"{number}")
            await stored.until_lines(*map(str, range(number + 1)))
        await asyncio.to_thread(Path(f"{stored.database}.logs").unlink)
        stored.engine.write(stored.engine.running()[0].id, "more")
        await stored.until_lines("0", "1", "2", "more")


async def test_old_logs_are_dropped(stored: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of the removed instances of a deployment, the newest logs are kept; of a deleted deployment, none."""
    monkeypatch.setattr(controller, "RESYNC_INTERVAL", 0.01)
    monkeypatch.setattr(logs, "KEPT_LOGS", 1)
    async with stored.running():
        await stored.create()
        for number in range(2, 5):
            stored.engine.write(stored.container, f"of {number}")
            await stored.until_lines(*[f"of {number - 1}"] * (number > 2), f"of {number}")
            await stored.call(lambda api, image=f"good-{number}": api.update_deployment(id=stored.id, spec=spec(image)))  # type: ignore[misc]
            await until(lambda image=f"good-{number}": [*stored.engine.images.values()][-1] == image)  # type: ignore[misc]
            await until(lambda: len(stored.engine.by_id) == 1)
            await stored.ready()
        await stored.until_lines("of 4")
        await stored.call(lambda api: api.delete_deployment(stored.id))
        with closing(LogFile(location_beside(stored.database, KIND.name))) as file:
            await until(lambda: file.logs() == [])


async def test_space_of_dropped_logs(stored: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """The space of a dropped log is returned to the disk in small steps, also while no other log is dropped."""
    monkeypatch.setattr(controller, "RESYNC_INTERVAL", 0.01)
    monkeypatch.setattr(side_file, "_FREED_PAGES", 2)
    monkeypatch.setattr(side_file, "_KEPT_PAGES", 0)
    async with stored.running():
        await stored.create()
        text = "x" * 1000
        stored.engine.write(stored.container, *[text] * 50)
        await stored.until_lines(*[text] * 50)
        with closing(sqlite3.connect(f"{stored.database}.logs")) as file:
            [pages] = file.execute("PRAGMA page_count").fetchone()
            await stored.call(lambda api: api.delete_deployment(stored.id))
            await until(lambda: file.execute("PRAGMA page_count").fetchone()[0] < pages - 10)


async def test_lines_that_do_not_continue_the_file(tmp_path: Path) -> None:
    """Who stores lines after lines that are not in the file gets an error; others that store at the same time do not."""
    async with LogStore(location_beside(tmp_path / "gradient.db", KIND.name)) as store:
        lost, first = Output("d", "i", "c1", [(1, "two")], "1", "2"), Output("d", "j", "c2", [(1, "one")], None, "1")
        results = await asyncio.gather(store.append(lost), store.append(first), return_exceptions=True)
        assert [type(result) for result in results] == [SideFileError, type(None)]
        assert await store.logs() == [("d", "j")]


async def test_much_output_is_stored_in_parts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What many containers write at once is stored in several transactions, that which waits longest first."""
    monkeypatch.setattr(log_store, "_TRANSACTION_SIZE", 100)
    transactions = []
    append = LogFile.append

    def counting(file: LogFile, outputs: Sequence[Output]) -> list[Output]:
        transactions.append([output.container_id for output in outputs])
        return append(file, outputs)

    monkeypatch.setattr(LogFile, "append", counting)
    async with LogStore(location_beside(tmp_path / "gradient.db", KIND.name)) as store:
        small, large = [(1, "x")] * 2, [(1, "x" * 500)]
        outputs = [Output("d", id_, id_, large if id_ == "c" else small, None, "1") for id_ in "abcde"]
        await asyncio.gather(*map(store.append, outputs))
        assert len(await store.logs()) == 5
    assert transactions == [["a", "b"], ["c"], ["d", "e"]]


async def test_repeated_output(world: World) -> None:
    """If the engine sends output again while it is followed, each line is in the log once, and what follows is there too."""
    output = world.engine.output

    async def repeating(container_id: str, since: int, *, follow: bool) -> AsyncGenerator[Any]:
        async for pieces in output(container_id, since, follow=follow):
            yield pieces
            if follow:
                yield pieces

    world.engine.output = repeating  # type: ignore[method-assign]
    await world.create()
    world.engine.write(world.container, "one", "two")
    await world.until_lines("one", "two")
    world.engine.write(world.container, "three")
    await world.until_lines("one", "two", "three")


async def test_two_readings_at_the_same_time(tmp_path: Path) -> None:
    """While the end of a log is read, the container is not followed: its lines would be stored twice."""
    engine = ServingEngine()
    container = engine.create(ContainerKey("d", "i", 1, "t"), "good", 24200)._replace(state="running")
    reading, readings = asyncio.Event(), []

    async def output(_: str, __: int, *, follow: bool) -> AsyncGenerator[Any]:
        readings.append(follow)
        await reading.wait()
        yield [Piece(0, 1, b"one", True)]

    engine.output = output  # type: ignore[method-assign, assignment]
    location = location_beside(tmp_path / "gradient.db", KIND.name)
    async with LogStore(location) as store:
        collector = Collector(engine, store)
        finishing = asyncio.create_task(collector.finish(container))
        await until(lambda: readings == [False])
        collector.follow([container])
        await asyncio.sleep(0.05)
        reading.set()
        await finishing
        await collector.close()
    assert readings == [False]


def test_which_logs_are_outdated() -> None:
    """The logs of instances that are not removed stay, however many; so do the newest ones of the removed instances."""
    stored = [("d", f"present {number}") for number in range(30)] + [("d", f"gone {number}") for number in range(30)]
    gone = [id_ for _, id_ in stored if id_.startswith("gone")]
    assert outdated(stored, gone, ["d"]) == gone[KEPT_LOGS:]
    assert outdated(stored, gone, []) == gone
    assert outdated(stored, [], ["d"]) == []
