"""The removal of deleted deployments: what is removed and when, in small steps, and what is kept."""

from __future__ import annotations

import asyncio
import itertools
import sqlite3
import time
from contextlib import closing
from datetime import timedelta
from itertools import pairwise
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import pytest
from tests.raw_client import Caller
from tests.server.conftest import Clock, backend_of
from tests.server.controller.memory_engine import ServingEngine
from tests.server.controller.test_controller import running, until
from tests.server.storage.many_deployments import (
    add_deployments,
    add_log_lines,
    add_removed_instances,
    add_revisions,
)

from paperspace.gradient.server import LocalServer
from paperspace.gradient.server.backend import open_backend
from paperspace.gradient.server.clock import iso
from paperspace.gradient.server.storage import purge
from paperspace.gradient.server.storage.budget import UNLIMITED, Budget
from paperspace.gradient.server.storage.files import open_writer
from paperspace.gradient.server.storage.purge import GRACE, STEP, Rule, removable
from paperspace.gradient.server.storage.store import Store

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from paperspace.gradient.server.backend import Backend
    from paperspace.gradient.server.storage.database import Database

SIMULATED, ON_AN_ENGINE = Rule(simulated=True), Rule(simulated=False)
SHARED = {
    "clusters",
    "server",
    "replies",
    "sqlite_sequence",
    "deployments_of_clusters",
}  # tables that no delete empties
EARLIER = "2024-05-17T09:00:00.000Z"
SECRET = "secret-7f3a"


@pytest.fixture
def backend(tmp_path: Path, clock: Clock) -> Iterator[Backend]:
    with closing(backend_of(LocalServer(database=tmp_path / "gradient.db", actor="A", now=clock))) as backend:
        yield backend


def tables(connection: sqlite3.Connection) -> list[str]:
    """Return the tables of deployments, in the order of their creation."""
    names = [
        name for (name,) in connection.execute("SELECT name FROM sqlite_schema WHERE type = 'table' ORDER BY rowid")
    ]
    return [name for name in names if name not in SHARED]


def fill(connection: sqlite3.Connection, owner: str) -> dict[str, list[Any]]:
    """Add a row for a deployment to each table, whatever its columns are; return the rows."""
    added: dict[str, dict[str, Any]] = {"clusters": {"id": "local"}}
    connection.execute(f"INSERT OR IGNORE INTO clusters VALUES ('local', 'local', '{EARLIER}', '{EARLIER}')")
    for number, table in enumerate(tables(connection)):
        parents = {row[3]: (row[2], row[4]) for row in connection.execute(f"PRAGMA foreign_key_list({table})")}
        values: dict[str, Any] = {}
        for _, column, kind, *_ in connection.execute(f"PRAGMA table_info({table})").fetchall():
            if column in parents and parents[column][0] in added:
                parent, key = parents[column]
                values[column] = added[parent][key]
            elif column == "seq" or column in parents:  # a number of its own, or a reference to a later table
                values[column] = None
            else:
                is_time = column.startswith("dt_") or column.endswith(("_at", "_since", "timestamp"))
                text = EARLIER if is_time else f"{owner} {table} {column}"
                values[column] = 1000 * (owner == "b") + number if kind == "INTEGER" else text
        if table == "deployments" and owner == "b":
            values["dt_deleted"] = None
        columns = ", ".join(values)
        connection.execute(
            f"INSERT INTO {table} ({columns}) VALUES ({', '.join('?' * len(values))})", list(values.values())
        )
        added[table] = values
    connection.execute(
        "UPDATE deployments SET serving_spec_id = ? WHERE id = ?",
        [added["deployment_specs"]["id"], added["deployments"]["id"]],
    )
    return rows_of(connection, owner)


def rows_of(connection: sqlite3.Connection, owner: str) -> dict[str, list[Any]]:
    """Return the rows of `fill` that are left, by table."""
    found: dict[str, list[Any]] = {}
    for table in tables(connection):
        rows = connection.execute(f"SELECT * FROM {table} ORDER BY rowid").fetchall()
        found[table] = [row for row in rows if any(str(value).startswith(f"{owner} ") for value in row)]
    return found


def remove_some(database: Database, rule: Rule) -> bool:
    """Look for deployments to remove and remove the rows of one step; return whether there were any."""
    ids = removable(database, rule)
    purge.remove_some(database, rule=rule, ids=ids)
    return bool(ids)


def violations(database: Database) -> list[Any]:
    return database._connection.execute("PRAGMA foreign_key_check").fetchall()


def test_all_tables(backend: Backend) -> None:
    """Nothing of a deleted deployment is left in any table; the rows of others are unchanged; no reference is broken."""
    connection = backend.database._connection
    deleted, other = fill(connection, "a"), fill(connection, "b")
    assert [len(rows) for rows in (*deleted.values(), *other.values())] == [1] * 2 * len(deleted)
    assert len(deleted) >= 11
    remove_some(backend.database, ON_AN_ENGINE)
    assert {table: rows for table, rows in rows_of(connection, "a").items() if rows} == {}
    assert rows_of(connection, "b") == other
    assert violations(backend.database) == []
    assert connection.execute("PRAGMA foreign_keys").fetchone() == (1,)
    assert [len(connection.execute(f"SELECT * FROM {name}").fetchall()) for name in ("clusters", "server")] == [1, 1]


def test_clusters(backend: Backend) -> None:
    """A cluster is removed with the last spec that refers to it, also if that is an earlier spec of its deployment."""
    connection = backend.database._connection
    store = Store(backend.database, actor="A", new_id=uuid4)

    def clusters() -> list[str]:
        return [id_ for (id_,) in connection.execute("SELECT id FROM clusters ORDER BY id")]

    with backend.database.writing():
        one, _ = (
            store.create_deployment(name=name, project_id="p", cluster_id=cluster, data={"image": "i"})["id"]
            for name, cluster in (("one", "a"), ("other", "b"))
        )
        for cluster in ("b", "c"):
            store.update_deployment(one, name=None, project_id=None, cluster_id=cluster, data=None)
    assert clusters() == ["a", "b", "c"]
    with backend.database.writing():
        store.delete_deployment(one)
    assert clusters() == ["a", "b", "c"]
    assert remove_some(backend.database, SIMULATED)
    assert clusters() == ["b"]
    assert violations(backend.database) == []


def present(database: Database) -> int:
    with database.reading():
        return int(database.rows("SELECT count(*) AS total FROM deployments")[0]["total"])


@pytest.mark.parametrize("end", [None, "2024-05-17T09:30:01.000Z"])
def test_instances_that_still_end(backend: Backend, clock: Clock, end: str | None) -> None:
    """A deployment is kept while it has an instance that is not removed, or is removed later."""
    connection = backend.database._connection
    fill(connection, "a")
    connection.execute("UPDATE instances SET template = NULL, dt_deleted = ?", [end])
    assert not remove_some(backend.database, SIMULATED)
    clock.forward(seconds=1)
    assert remove_some(backend.database, SIMULATED) == (end is not None)


def test_containers_of_another_engine(backend: Backend) -> None:
    """The simulation keeps a deployment that has run in containers: they may still run, and their engine removes them later."""
    fill(backend.database._connection, "a")
    assert not remove_some(backend.database, SIMULATED)
    assert remove_some(backend.database, ON_AN_ENGINE)


def test_what_is_in_use(backend: Backend, clock: Clock) -> None:
    """On an engine, a deployment is kept while it has something outside of the database, and for a while after its last instance."""
    connection = backend.database._connection
    fill(connection, "a")
    (id_,) = connection.execute("SELECT id FROM deployments").fetchone()
    assert not remove_some(backend.database, ON_AN_ENGINE._replace(in_use=[id_]))
    connection.execute("UPDATE instances SET dt_deleted = ?", [iso(clock())])
    clock.forward(seconds=GRACE.total_seconds() - 1)
    assert not remove_some(backend.database, ON_AN_ENGINE)
    clock.forward(seconds=1)
    assert remove_some(backend.database, ON_AN_ENGINE)


NUMBER = 3


def fill_history(file: Path) -> None:
    """Add five deployments, of which two are deleted; one has a long history."""
    with open_writer(file) as connection:
        add_deployments(connection, 5)
        add_revisions(connection, NUMBER, 400)
        add_removed_instances(connection, NUMBER, 300)
        add_log_lines(connection, NUMBER, 1000)
        connection.execute("UPDATE deployments SET dt_deleted = dt_created WHERE seq IN (2, 3)")
        connection.execute("UPDATE instances SET dt_deleted = dt_created WHERE dt_deleted IS NULL")
        newest = "SELECT max(id) FROM deployment_specs WHERE deployment_id = deployments.id"
        connection.execute(f"UPDATE deployments SET serving_spec_id = ({newest})")


def test_small_steps(tmp_path: Path, clock: Clock) -> None:
    """A step removes few rows with few statements, and few specs, however long the history is. After each, no reference is broken."""
    file = tmp_path / "gradient.db"
    fill_history(file)
    steps, statements, specs = 0, list[str](), list[int]()
    with closing(backend_of(LocalServer(database=file, actor="A", now=clock))) as backend:
        connection = backend.database._connection
        while True:
            changes = connection.total_changes
            specs.append(connection.execute("SELECT count(*) FROM deployment_specs").fetchone()[0])
            connection.set_trace_callback(statements.append)
            removed = remove_some(backend.database, SIMULATED)
            connection.set_trace_callback(None)
            assert connection.total_changes - changes <= STEP + 20
            assert len(statements) <= 5 * STEP
            assert violations(backend.database) == []
            statements.clear()
            if not removed:
                break
            steps += 1
        assert steps > 8000 / STEP
        assert max(before - after for before, after in pairwise(specs)) <= STEP / 20 + 1
        assert [row[0] for row in connection.execute("SELECT name FROM deployments")] == ["d1", "d4", "d5"]
        assert {row[0] for row in connection.execute("SELECT count(*) FROM deployment_specs")} == {3}


def test_those_that_are_kept(tmp_path: Path, clock: Clock) -> None:
    """A step takes the same work however many deleted deployments are older and still needed, and they are read once."""
    work: list[int] = []
    for kept in (0, 2000):
        file = tmp_path / f"{kept}.db"
        with closing(backend_of(LocalServer(database=file, now=clock))) as backend:
            connection = backend.database._connection
            add_deployments(connection, kept + 40)
            connection.execute("UPDATE deployments SET dt_deleted = ?", [EARLIER])
            connection.execute("UPDATE instances SET dt_deleted = ?", [EARLIER])
            connection.execute(
                "UPDATE instances SET template = 't' WHERE deployment_id IN (SELECT id FROM deployments ORDER BY seq LIMIT ?)",
                [kept],
            )
            connection.commit()
            ids = removable(backend.database, SIMULATED)
            assert len(ids) == 40
            instructions = itertools.count()
            connection.set_progress_handler(lambda count=instructions: next(count) < 0, 100)  # type: ignore[misc]
            assert len(purge.remove_some(backend.database, rule=SIMULATED, ids=ids)) < 40
            work.append(next(instructions))
    assert work[1] < 1.5 * work[0]


def test_what_is_needed_since(backend: Backend) -> None:
    """A deployment that may not be removed any more when its step begins is kept."""
    connection = backend.database._connection
    fill(connection, "a")
    ids = removable(backend.database, ON_AN_ENGINE)
    connection.execute("UPDATE instances SET dt_deleted = NULL")
    assert purge.remove_some(backend.database, rule=ON_AN_ENGINE, ids=ids) == []
    assert present(backend.database) == 1


def test_a_stop_between_steps(tmp_path: Path, clock: Clock) -> None:
    """What a server has not removed before it stopped, the next one removes."""
    file = tmp_path / "gradient.db"
    fill_history(file)
    for _ in range(3):
        with closing(backend_of(LocalServer(database=file, now=clock))) as backend:
            remove_some(backend.database, SIMULATED)
            assert present(backend.database) in (4, 5)
    with closing(backend_of(LocalServer(database=file, now=clock))) as backend:
        while remove_some(backend.database, SIMULATED):
            pass
        assert present(backend.database) == 3
        lines = backend.database._connection.execute("SELECT count(*) FROM log_lines").fetchone()
        assert lines == (9,)  # three of each other deployment


def test_the_clock_does_not_go_back(tmp_path: Path, clock: Clock) -> None:
    """Time continues from the removal of the newest spec, also if the clock of the machine is set back since."""
    file = tmp_path / "gradient.db"
    with closing(backend_of(LocalServer(database=file, now=clock))) as backend:
        fill(backend.database._connection, "a")
        assert remove_some(backend.database, ON_AN_ENGINE)
        removed_at = clock()
    clock.forward(hours=-1)
    server = LocalServer(database=file, now=clock)
    settings = server._settings("http://localhost")
    with closing(open_backend(settings)):
        assert settings.clock() >= removed_at


def rows_in(file: Path) -> dict[str, int]:
    with closing(sqlite3.connect(file)) as connection:
        counts = {table: connection.execute(f"SELECT count(*) FROM {table}") for table in tables(connection)}
        return {table: count.fetchone()[0] for table, count in counts.items()}


def wait_until_removed(file: Path) -> None:
    deadline = time.monotonic() + 60
    while any(rows_in(file).values()):
        assert time.monotonic() < deadline
        time.sleep(0.05)


@pytest.fixture
def fast(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(purge, "DELAY", 0.05)
    monkeypatch.setattr(purge, "RECHECK_INTERVAL", 0.2)


@pytest.mark.usefixtures("fast")
@pytest.mark.parametrize("days", [0.04, 365])
@pytest.mark.parametrize("engine", [lambda: None, ServingEngine])
def test_a_delete_while_the_clock_was_ahead(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    clock: Clock,
    days: float,
    engine: Callable[[], ServingEngine | None],
) -> None:
    """After a restart with the right clock, a deployment is removed that was deleted while the clock was ahead."""
    monkeypatch.setattr(purge, "GRACE", timedelta(0))  # the clock stands still
    file = tmp_path / "gradient.db"
    with LocalServer(database=file, now=clock, engine=engine()) as server:
        id_ = Caller(server).create()
        clock.forward(days=days)
        Caller(server).delete(id_)
    clock.forward(days=-days)
    with LocalServer(database=file, now=clock, engine=engine()):
        clock.forward(minutes=1)
        wait_until_removed(file)


@pytest.mark.usefixtures("fast")
def test_soon_after_a_delete(tmp_path: Path) -> None:
    """A running server removes a deleted deployment when its simulated instances have ended; no secret is left in a row."""
    file = tmp_path / "gradient.db"
    with LocalServer(database=file) as server:
        call = Caller(server)
        id_ = call.create("a", spec=Caller.SPEC | {"env": [{"name": "A", "value": SECRET}]})
        call.update(id_, spec=Caller.SPEC | {"env": [{"name": "A", "value": SECRET + "2"}]})
        assert call(Caller.DELETE, input={"id": id_}).data
        wait_until_removed(file)
        call.create("a")
    with closing(sqlite3.connect(file)) as connection:
        assert not [line for line in connection.iterdump() if SECRET in line]


def test_after_a_start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A server removes what was deleted before it was started."""
    file = tmp_path / "gradient.db"
    monkeypatch.setattr(purge, "DELAY", 3600)
    with LocalServer(database=file) as server:
        call = Caller(server)
        call(Caller.DELETE, input={"id": call.create("a")})
    assert rows_in(file)["deployments"] == 1
    monkeypatch.setattr(purge, "DELAY", 0.05)
    monkeypatch.setattr(purge, "RECHECK_INTERVAL", 0.2)
    with LocalServer(database=file):
        wait_until_removed(file)


@pytest.mark.usefixtures("fast")
def test_a_database_in_memory() -> None:
    """A deleted deployment is removed from a database in memory too."""
    with LocalServer() as server:
        call = Caller(server)
        call(Caller.DELETE, input={"id": call.create("a")})
        deadline = time.monotonic() + 60
        while server._dispatcher._changes.run_and_wait(lambda backend: present(backend.database), Budget(UNLIMITED)):
            assert time.monotonic() < deadline
            time.sleep(0.05)


def test_large_saved_responses(backend: Backend, clock: Clock) -> None:
    """A deployment is kept while the retry of a mutation may still read it, and removed when the saved response has expired."""
    connection = backend.database._connection
    fill(connection, "a")
    (id_,) = connection.execute("SELECT id FROM deployments").fetchone()
    connection.execute(
        "INSERT INTO replies (idempotency_key, request, reply, deployment, dt_created)"
        " VALUES (x'00', x'00', x'', json_object('id', ?), ?)",
        [id_, iso(clock())],
    )
    assert not remove_some(backend.database, ON_AN_ENGINE)
    clock.forward(hours=24)
    assert not remove_some(backend.database, ON_AN_ENGINE)
    clock.forward(seconds=1)
    assert remove_some(backend.database, ON_AN_ENGINE)


@pytest.mark.usefixtures("fast")
def test_a_repeated_delete(tmp_path: Path) -> None:
    """The retry of a delete gets the response of the first attempt, also after the deployment was removed."""
    file = tmp_path / "gradient.db"
    with LocalServer(database=file) as server:
        call = Caller(server)
        payload = {"query": Caller.DELETE, "variables": {"input": {"id": call.create("a")}}}
        first = call.post(payload, Idempotency_Key="k").data
        wait_until_removed(file)
        assert call.post(payload, Idempotency_Key="k").data == first


@pytest.mark.usefixtures("fast")
def test_with_containers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A server with an engine removes a deleted deployment when its containers are gone, and removes nothing before."""
    monkeypatch.setattr(purge, "GRACE", timedelta(0))
    file = tmp_path / "gradient.db"

    async def main() -> None:
        engine = ServingEngine()
        async with LocalServer(engine=engine, database=file) as server:
            call = Caller(server)
            id_ = await asyncio.to_thread(call.create, "a", spec={"image": "good-1"})
            await until(engine.running)
            await asyncio.to_thread(call, Caller.DELETE, input={"id": id_})
            await until(lambda: not any(rows_in(file).values()))
            assert not engine.by_id

    asyncio.run(main())


def test_what_the_controller_uses() -> None:
    """The controller names what has containers or work to do; while the engine does not respond, that is unknown."""

    async def main() -> None:
        async with running() as world:
            id_ = world.create("good-1")
            await until(lambda: world.states(id_) == ["healthy"])
            assert await world._controller.in_use() == frozenset([id_])
            world.delete(id_)
            async with asyncio.timeout(20):
                while await world._controller.in_use():  # noqa: ASYNC110  # the controller has no events for tests
                    await asyncio.sleep(0.005)
            world.engine.available = False
            assert await world._controller.in_use() is None

    asyncio.run(main())
