"""Whole servers with an engine in memory: wiring, restarts, and the engine that a database remembers."""

from __future__ import annotations

import asyncio
import os
import sqlite3
import urllib.request
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from tests.ports import ports
from tests.server.controller.memory_engine import ServingEngine
from tests.server.controller.test_controller import PATIENCE

from paperspace.gradient import Client
from paperspace.gradient.server import LocalServer, UnusableDatabaseError
from paperspace.gradient.server.clock import iso, utc_now
from paperspace.gradient.server.controller import host_lock
from paperspace.gradient.server.controller.controller import Options
from paperspace.gradient.server.engines.simulation import Simulation

if TYPE_CHECKING:
    from collections.abc import Callable

OPTIONS = Options(ports=ports(24100))


def spec(image: str, replicas: int = 1) -> Any:
    return {"image": image, "resources": {"replicas": replicas}}


async def in_thread(server: LocalServer, function: Callable[[Any], Any]) -> Any:
    """Call the client in a thread, because the server runs on this event loop."""

    def call() -> Any:
        with Client(server.api_key, server.url) as client:
            return function(client.deployments)

    return await asyncio.to_thread(call)


def test_from_request_to_container_and_back(tmp_path: Path) -> None:
    """A request starts containers; a restarted server adopts them; a delete removes them."""

    async def main() -> None:
        engine, file = ServingEngine(), tmp_path / "gradient.db"
        async with LocalServer(engine=engine, options=OPTIONS, database=file) as server:
            created = await in_thread(server, lambda api: api.create_deployment("mnist", "p", spec("good-1", 2)))
            id_ = created["id"]
            status = await in_thread(server, lambda api: api.wait_for_deployment(id_, timeout=PATIENCE))
            assert (status["state"], status["readyReplicas"]) == ("ready", 2)
            before = list(engine.by_id)
        assert list(engine.by_id) == before
        async with LocalServer(engine=engine, options=OPTIONS, database=file) as server:
            await in_thread(server, lambda api: api.update_deployment(id=id_, spec=spec("good-1", 3)))
            await in_thread(server, lambda api: api.wait_for_deployment(id_, timeout=PATIENCE))
            assert list(engine.by_id)[:2] == before
            await in_thread(server, lambda api: api.delete_deployment(id_))
            async with asyncio.timeout(PATIENCE):
                while engine.by_id:  # noqa: ASYNC110  # an engine in memory has no events for tests
                    await asyncio.sleep(0.01)

    asyncio.run(main())


def test_what_runs_without_a_database(tmp_path: Path) -> None:
    """After the file of the database was removed, a server that stops can still say how many deployments run without it."""

    async def main() -> None:
        engine, file = ServingEngine(), tmp_path / "gradient.db"
        async with LocalServer(engine=engine, options=OPTIONS, database=file) as server:
            await in_thread(server, lambda api: api.create_deployment("mnist", "p", spec("good-1"), wait=True))
            file.unlink()
            assert server.controlled
            assert await server.controlled.running() == 1

    asyncio.run(main())


SCALED = {"replicas": 1, "autoscaling": {"maxReplicas": 3, "metrics": [{"metric": "cpu", "value": 60}]}}


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"resources": None, "env": None, "port": 8080},
        {"resources": {"instanceType": "C4"}, "env": [], "command": []},
        {"resources": {"autoscaling": {"enabled": False}}},
        {"resources": SCALED, "env": [{"name": "A", "value": "1"}]},
        {"healthChecks": {"liveness": {"path": "/"}}, "endpointSecurity": {"protected": False}, "protocol": "http"},
        {"repositories": {"repositories": [{"url": "https://localhost/a", "name": "a"}]}},
    ],
)
def test_restart(fields: dict[str, Any]) -> None:
    """A restart replaces the container whatever the spec leaves out: a client reads defaults, and sends them back."""

    async def main() -> None:
        engine = ServingEngine()
        engine.statuses["/"] = 200
        async with LocalServer(engine=engine, options=OPTIONS) as server:
            created = await in_thread(
                server, lambda api: api.create_deployment("a", "p", {"image": "good-1", **fields})
            )
            id_ = created["id"]
            await in_thread(server, lambda api: api.wait_for_deployment(id_, timeout=PATIENCE))
            before = set(engine.by_id)
            await in_thread(server, lambda api: api.restart_deployment(id_))
            async with asyncio.timeout(PATIENCE):
                while len(engine.by_id) != 1 or set(engine.by_id) == before:  # noqa: ASYNC110  # as above
                    await asyncio.sleep(0.01)
            events = await in_thread(server, lambda api: api.get_deployment_events(id_))
            assert any(event["message"].endswith(" restarted the deployment.") for event in events)

    asyncio.run(main())


def test_page_for_browsers() -> None:
    """With an engine, the page for browsers does not say that deployments are simulated."""

    async def main() -> None:
        async with LocalServer(engine=ServingEngine(), options=OPTIONS) as server:
            request = urllib.request.Request(server.url, headers={"Accept": "text/html"})  # a local server
            page = await asyncio.to_thread(lambda: urllib.request.urlopen(request).read().decode())
            assert "Deployments run in containers." in page
            assert "simulated" not in page

    asyncio.run(main())


def test_failed_revision_is_in_status_and_error() -> None:
    """The reason of a failure is in the status and in the error of a wait."""

    async def main() -> None:
        async with LocalServer(engine=ServingEngine(), options=OPTIONS) as server:
            created = await in_thread(server, lambda api: api.create_deployment("mnist", "p", spec("missing")))
            with pytest.raises(Exception, match="There is no image missing"):
                await in_thread(server, lambda api: api.wait_for_deployment(created["id"], timeout=PATIENCE))
            status = await in_thread(server, lambda api: api.get_deployment_status(created["id"]))
            assert (status["state"], status["error"]) == ("failed", "There is no image missing.")

    asyncio.run(main())


def test_zero_replicas_need_nothing() -> None:
    """A deployment whose spec the engine rejects, because it lacks something, can be stopped. A start says again what it lacks."""

    async def main() -> None:
        engine = ServingEngine()
        async with LocalServer(engine=engine, options=OPTIONS) as server:
            created = await in_thread(server, lambda api: api.create_deployment("mnist", "p", spec("good-1")))
            id_ = created["id"]
            await in_thread(server, lambda api: api.wait_for_deployment(id_, timeout=PATIENCE))
            await in_thread(server, lambda api: api.patch_deployment(id_, instance_type="unknown"))
            for stop in (
                lambda api: api.stop_deployment(id_, wait=True, wait_timeout=PATIENCE),
                lambda api: api.scale_deployment(id_, 0, wait=True, wait_timeout=PATIENCE),
            ):
                await in_thread(server, stop)
                status = await in_thread(server, lambda api: api.get_deployment_status(id_))
                assert (status["state"], status["error"]) == ("stopped", None)
                assert not engine.by_id
            await in_thread(server, lambda api: api.scale_deployment(id_, 1))
            await in_thread(server, lambda api: api.start_deployment(id_))
            status = await in_thread(server, lambda api: api.get_deployment_status(id_))
            assert (status["state"], status["error"]) == ("failed", "There is no instance type 'unknown'.")

    asyncio.run(main())


def test_a_database_keeps_its_engine(tmp_path: Path) -> None:
    """A server without an engine does not simulate what runs in containers; an explicit choice starts anew."""
    file = tmp_path / "gradient.db"

    async def main() -> None:
        engine = ServingEngine()
        async with LocalServer(database=file) as server:  # simulated
            created = await in_thread(server, lambda api: api.create_deployment("mnist", "p", spec("good-1")))
            id_ = created["id"]
        async with LocalServer(database=file, engine=engine, options=OPTIONS) as server:
            status = await in_thread(server, lambda api: api.wait_for_deployment(id_, timeout=PATIENCE))
            assert [instance["message"] for instance in status["instances"]] == [
                f"Ready on 127.0.0.1:{OPTIONS.ports[0]}."
            ]
        with pytest.raises(UnusableDatabaseError, match="its deployments run on memory"):
            await LocalServer(database=file).__aenter__()
        async with LocalServer(database=file, runtime=Simulation()) as server:
            status = await in_thread(server, lambda api: api.wait_for_deployment(id_, timeout=PATIENCE))
            assert [instance["message"] for instance in status["instances"]] == ["Simulated: ready."]
        assert len(engine.running()) == 1  # kept until its engine is used again

    asyncio.run(main())


def test_copied_database(tmp_path: Path) -> None:
    """A server on a copy of a database is refused while the first one runs: it would control the same containers."""
    file, copy = tmp_path / "gradient.db", tmp_path / "copy.db"

    async def main() -> None:
        async with LocalServer(database=file, engine=ServingEngine(), options=OPTIONS):
            pass
        copy.write_bytes(file.read_bytes())
        async with LocalServer(database=file, engine=ServingEngine(), options=OPTIONS):
            with pytest.raises(UnusableDatabaseError, match="uses a copy of this database"):
                await LocalServer(database=copy, engine=ServingEngine(), options=OPTIONS).__aenter__()
        async with LocalServer(database=copy, engine=ServingEngine(), options=OPTIONS):
            pass

    asyncio.run(main())


def test_the_lock_stays_young(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A server touches the file of its lock on containers again and again, so that programs that clean /tmp do not remove it."""
    monkeypatch.setattr(host_lock, "TOUCH_INTERVAL", 0.01)
    file = tmp_path / "gradient.db"

    async def main() -> None:
        async with LocalServer(database=file, engine=ServingEngine(), options=OPTIONS):
            with closing(sqlite3.connect(file)) as database:
                [id_] = database.execute("SELECT id FROM server").fetchone()
            lock = Path(f"/tmp/gradient-server-{id_}.lock")  # where all servers of the machine find it
            async with asyncio.timeout(PATIENCE):
                for _ in range(2):
                    os.utime(lock, (0, 0))
                    while not lock.stat().st_mtime:  # noqa: ASYNC110, ASYNC240
                        await asyncio.sleep(0.01)

    asyncio.run(main())


@pytest.mark.parametrize("ahead", [timedelta(hours=12), timedelta(days=2)])
def test_a_clock_that_was_ahead(tmp_path: Path, ahead: timedelta) -> None:
    """When the clock has been corrected, a restarted server finds its containers: none is started again, and a delete removes them."""

    async def main() -> None:
        engine, file, id_ = ServingEngine(), tmp_path / "gradient.db", ""
        async with LocalServer(
            engine=engine, options=OPTIONS, database=file, now=lambda: datetime.now(UTC) + ahead
        ) as server:
            id_ = (await in_thread(server, lambda api: api.create_deployment("mnist", "p", spec("good-1", 2))))["id"]
            await in_thread(server, lambda api: api.wait_for_deployment(id_, timeout=PATIENCE))
            before = set(engine.by_id)
            engine.exit(min(before))  # the last state is later than the last request
            async with asyncio.timeout(PATIENCE):
                while len(engine.running()) < 2:  # noqa: ASYNC110  # an engine in memory has no events for tests
                    await asyncio.sleep(0.01)
            await in_thread(server, lambda api: api.wait_for_deployment(id_, timeout=PATIENCE))
            before = set(engine.by_id)
        async with LocalServer(engine=engine, options=OPTIONS, database=file) as server:
            status = await in_thread(server, lambda api: api.get_deployment_status(id_))
            assert (status["state"], status["readyReplicas"]) == ("ready", 2)
            await in_thread(server, lambda api: api.update_deployment(id=id_, spec=spec("good-1", 3)))
            await in_thread(server, lambda api: api.wait_for_deployment(id_, timeout=PATIENCE))
            assert before < set(engine.by_id)
            assert len(engine.by_id) == 3
            await in_thread(server, lambda api: api.delete_deployment(id_))
            async with asyncio.timeout(PATIENCE):
                while engine.by_id:  # noqa: ASYNC110  # as above
                    await asyncio.sleep(0.01)

    asyncio.run(main())


def test_a_rename_while_the_clock_was_ahead(tmp_path: Path) -> None:
    """After a restart with the right clock, the time of a rename is not in the future, also if no container changed meanwhile."""

    async def main() -> None:
        engine, file, ahead = ServingEngine(), tmp_path / "gradient.db", timedelta(days=2)
        async with LocalServer(engine=engine, options=OPTIONS, database=file) as server:
            id_ = (await in_thread(server, lambda api: api.create_deployment("mnist", "p", spec("good-1"))))["id"]
            await in_thread(server, lambda api: api.wait_for_deployment(id_, timeout=PATIENCE))
        async with LocalServer(
            engine=engine, options=OPTIONS, database=file, now=lambda: datetime.now(UTC) + ahead
        ) as server:
            await in_thread(server, lambda api: api.update_deployment(id=id_, name="renamed"))
        async with LocalServer(engine=engine, options=OPTIONS, database=file) as server:
            await in_thread(server, lambda api: api.wait_for_deployment(id_, timeout=PATIENCE))
        with closing(sqlite3.connect(file)) as connection:
            [(modified, saved)] = connection.execute(
                "SELECT dt_modified, (SELECT max(dt_created) FROM replies) FROM deployments"
            )
            assert max(modified, saved) <= iso(utc_now())

    asyncio.run(main())


@pytest.mark.parametrize(("at_first", "later"), [(1, 0), (0, 1)])
def test_a_clock_that_jumps(at_first: int, later: int) -> None:
    """A clock that is corrected by an hour, back or forward, takes no time from a container that starts."""

    async def main() -> None:
        engine, offset = ServingEngine(), timedelta(hours=at_first)
        async with LocalServer(engine=engine, options=OPTIONS, now=lambda: datetime.now(UTC) + offset) as server:
            checks = {"readiness": {"path": "/ready", "periodSeconds": 1}}
            slow = {**spec("good-1"), "healthChecks": checks}
            id_ = (await in_thread(server, lambda api: api.create_deployment("mnist", "p", slow)))["id"]
            async with asyncio.timeout(PATIENCE):
                while not engine.running():  # noqa: ASYNC110  # as above
                    await asyncio.sleep(0.01)
            offset = timedelta(hours=later)

            def shown(api: Any) -> str:
                return str(api.get_deployment_status(id_)["instances"])

            async with asyncio.timeout(PATIENCE):
                while "404" not in await in_thread(server, shown):  # noqa: ASYNC110  # as above
                    await asyncio.sleep(0.1)
            await asyncio.sleep(1.5)  # the message is stored once a second
            engine.statuses["/ready"] = 200
            await in_thread(server, lambda api: api.wait_for_deployment(id_, timeout=PATIENCE))

    asyncio.run(main())
