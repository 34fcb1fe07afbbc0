"""The database: what it costs, what it keeps, and what it refuses."""

from __future__ import annotations

import sqlite3
import stat
from typing import TYPE_CHECKING

import pytest

from paperspace.gradient.server import LocalServer, UnusableDatabaseError
from paperspace.gradient.server.execution import Outcome, Request
from paperspace.gradient.server.migrations import STEPS, open_database

if TYPE_CHECKING:
    from pathlib import Path

    from tests.server.conftest import Caller, Clock


EVERYTHING = """
query ($first: Int) {
  deployments(first: $first) {
    nodes {
      id
      deploymentSpecs {
        nodes {
          id data { image } cluster { id } actor { fullName } deployment { name } endpointUrl
          deploymentRuns { nodes { id } }
        }
      }
      some: deploymentSpecs(first: 1, clusterId: "c1") { nodes { id } pageInfo { hasPreviousPage } }
      deploymentRollouts {
        nodes {
          deployment { id }
          deploymentRuns { nodes { readyReplicas deploymentRunInstances { nodes { phase history { nodes { state } } } } } }
        }
      }
      log(instanceName: "x") { instanceName }
      logs { nodes { lines { nodes { message } } } }
    }
  }
}
"""


def test_a_page_costs_the_same_number_of_statements_whatever_its_size(clock: Clock, caller: type[Caller]) -> None:
    """A page of 100 deployments with all that hangs on them takes as many statements as a page of 1."""
    engine = LocalServer(actor="A", now=clock)._engine("http://localhost")
    store, database = engine.context.store, engine.context.database
    with database.writing():
        for number in range(100):
            id_ = store.create_deployment(
                name=f"d{number}", project_id="p", cluster_id=f"c{number % 7}", data=caller.SPEC
            )["id"]
            store.update_deployment(id_, name=None, project_id=None, cluster_id="c1", data=caller.SPEC)
    counts = {}
    for first in (1, 100):
        statements: list[str] = []
        database._connection.set_trace_callback(statements.append)
        reply = engine.answer(Request(EVERYTHING, variables={"first": first}))
        database._connection.set_trace_callback(None)
        assert reply.outcome is Outcome.EXECUTED
        assert b"errors" not in reply.body
        counts[first] = len(statements)
    engine.close()
    assert counts[1] == counts[100] == 16  # BEGIN, COMMIT, and one for each of the 14 fields that look something up


def test_a_restart_keeps_everything(tmp_path: Path, caller: type[Caller]) -> None:
    """A server that is started again on the same file knows all that the one before it knew, keys of requests included."""
    file = tmp_path / "gradient.db"
    create = "mutation ($i: CreateDeploymentInput!) { createDeployment(input: $i) { deployment { id } } }"
    payload = {"query": create, "variables": {"i": {"name": "again", "projectId": "p", "spec": caller.SPEC}}}
    everything = (
        "{ deployments { nodes { id name dtCreated deploymentSpecs { nodes { id data { port } dtCreated } } } } }"
    )
    with LocalServer(database=file) as server:
        call = caller(server)
        call.update(call.create(), clusterId="c2")
        first = call.post(payload, Idempotency_Key="k").data
        before = call(everything).data
    with LocalServer(database=str(file)) as server:
        call = caller(server)
        assert call(everything).data == before
        assert call.post(payload, Idempotency_Key="k").data == first
        assert call(everything).data == before


def test_numbers_are_never_given_twice(call: Caller) -> None:
    """What is created after a deletion comes behind the cursor of what was deleted."""
    query = "query ($after: String) { deployments(orderBy: {direction: ASC}, after: $after) { nodes { name } pageInfo { endCursor } } }"
    call.create("a")
    call.delete(call.create("b"))
    id_ = call.create("c")
    cursor = call(query).data["deployments"]["pageInfo"]["endCursor"]
    call.delete(id_)
    call.create("d")
    assert call(query, after=cursor).data["deployments"]["nodes"] == [{"name": "d"}]


def test_a_file_is_its_owners_alone(tmp_path: Path, caller: type[Caller]) -> None:
    """The database and the files beside it can be read and written by their owner only, as they hold secrets."""
    with LocalServer(database=tmp_path / "gradient.db") as server:
        caller(server).create()
        files = list(tmp_path.iterdir())
        assert {file.name for file in files} >= {"gradient.db", "gradient.db-wal"}
        assert {stat.S_IMODE(file.stat().st_mode) for file in files} == {0o600}


def test_a_newer_file_is_refused_and_left_alone(tmp_path: Path) -> None:
    """A database of a newer version is refused in words, and not one byte of it changes."""
    file = tmp_path / "gradient.db"
    connection = open_database(file)
    connection.execute(f"PRAGMA user_version = {len(STEPS) + 1}")
    connection.close()
    before = file.read_bytes()
    with pytest.raises(UnusableDatabaseError, match="newer version of paperspace-gradient"):
        LocalServer(database=file).start()
    assert file.read_bytes() == before
    assert list(tmp_path.iterdir()) == [file]


@pytest.mark.parametrize("content", [b"no database, " * 400, b"SQLite format 3\0" + b"\xff" * 4096])
def test_what_is_no_database_is_refused_and_left_alone(tmp_path: Path, content: bytes) -> None:
    """A file that is no database is refused in words and stays as it is."""
    file = tmp_path / "notes.txt"
    file.write_bytes(content)
    with pytest.raises(UnusableDatabaseError, match=r"notes\.txt"):
        LocalServer(database=file).start()
    assert file.read_bytes() == content


def test_a_place_that_cannot_be_is_refused(tmp_path: Path) -> None:
    """A database in a folder that does not exist is refused in words."""
    with pytest.raises(UnusableDatabaseError, match="cannot open the database"):
        LocalServer(database=tmp_path / "missing" / "gradient.db").start()


def test_the_database_holds_its_own_rules(tmp_path: Path) -> None:
    """The tables refuse what must not be, whoever writes to them."""
    connection = open_database(tmp_path / "gradient.db")
    row = "INSERT INTO deployments (id, project_id, name, dt_created) VALUES (?, 'p', ?, '')"
    connection.execute(row, ("1", "a"))
    with pytest.raises(sqlite3.IntegrityError, match="UNIQUE"):
        connection.execute(row, ("2", "a"))
    spec = "INSERT INTO deployment_specs (id, deployment_id, cluster_id, actor, data, dt_created) VALUES ('s', ?, 'c', '', '', '')"
    with pytest.raises(sqlite3.IntegrityError, match="FOREIGN KEY"):
        connection.execute(spec, ("9",))
    assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    connection.close()
