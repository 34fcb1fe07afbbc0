"""The database: what it costs, what it keeps, and what it says when it cannot keep more."""

from __future__ import annotations

import json
import sqlite3
import stat
import subprocess
import sys
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from paperspace.gradient.server import LocalServer
from paperspace.gradient.server.graphql.execution import Outcome, Request
from paperspace.gradient.server.storage.migrations import open_database

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
    engine = LocalServer(actor="A", now=clock)._make_engine("http://localhost")
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


def large(number: int, caller: type[Caller]) -> Any:
    spec = {"image": "i", "env": [{"name": "A", "value": "x" * 50_000}]}
    return {"query": caller.CREATE, "variables": {"input": {"name": f"d{number}", "projectId": "p", "spec": spec}}}


def test_a_full_disk(tmp_path: Path, caller: type[Caller]) -> None:
    """On a full disk changes are INSUFFICIENT_STORAGE and leave no trace, reading goes on, and room ends the trouble."""
    server = LocalServer(database=tmp_path / "gradient.db")
    engine = server._make_engine("http://localhost")
    database = engine.context.database

    def answer(payload: Any) -> Any:
        return json.loads(engine.answer(Request(payload["query"], variables=payload.get("variables"))).body)

    database._connection.execute("PRAGMA max_page_count = 200")
    answers = [answer(large(number, caller)) for number in range(20)]
    refused = [reply["errors"][0] for reply in answers if "errors" in reply]
    assert {error["extensions"]["code"] for error in refused} == {"INSUFFICIENT_STORAGE"}
    assert 0 < len(refused) < 20
    listed = answer({"query": "{ deployments { nodes { id } } }"})["data"]["deployments"]["nodes"]
    assert len(listed) == 20 - len(refused)
    database._connection.execute("PRAGMA max_page_count = 100000")
    assert "errors" not in answer(large(99, caller))
    engine.close()


def test_a_file_that_may_not_grow(tmp_path: Path, caller: type[Caller]) -> None:
    """A server whose files may not grow any more says so, keeps what it acknowledged, and goes on reading."""
    file = tmp_path / "gradient.db"
    script = (
        "import resource, sys\n"
        "from paperspace.gradient.server import LocalServer\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (2_000_000, 2_000_000))\n"
        "with LocalServer(database=sys.argv[1], api_key='k') as server:\n"
        "    print(server.url, flush=True); sys.stdin.read()"
    )
    command = [sys.executable, "-W", "error", "-c", script, str(file)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        call = caller(SimpleNamespace(url=process.stdout.readline().strip(), api_key="k"))
        answers = [call.post(large(number, caller)) for number in range(60)]
        made = sum("errors" not in answer.body for answer in answers)
        assert 0 < made < 60
        assert {answer.code for answer in answers if "errors" in answer.body} == {"INSUFFICIENT_STORAGE"}
        names = call("{ deployments { nodes { name } } }").data["deployments"]["nodes"]
        assert len(names) == made
        process.communicate("", timeout=10)
    with LocalServer(database=file) as server:
        assert caller(server)("{ deployments { nodes { name } } }").data["deployments"]["nodes"] == names


def test_a_file_that_may_not_be_written(tmp_path: Path, caller: type[Caller]) -> None:
    """Where nothing can be written, changes are refused in words and reading goes on."""
    engine = LocalServer(database=tmp_path / "gradient.db")._make_engine("http://localhost")
    engine.context.database._connection.execute("PRAGMA query_only = ON")
    payload = large(1, caller)
    reply = json.loads(engine.answer(Request(payload["query"], variables=payload["variables"])).body)
    assert reply["errors"][0]["extensions"]["code"] == "SERVICE_UNAVAILABLE"
    assert engine.answer(Request("{ deployments { nodes { id } } }")).outcome is Outcome.EXECUTED
    engine.close()


@pytest.mark.parametrize("replaced", [False, True])
def test_a_file_that_is_taken_away(tmp_path: Path, caller: type[Caller], replaced: bool) -> None:
    """When the file is deleted or replaced under the server, changes are refused, as they would be lost."""
    file = tmp_path / "gradient.db"
    with LocalServer(database=file) as server:
        call = caller(server)
        call.create()
        file.rename(tmp_path / "elsewhere.db")
        if replaced:
            file.write_bytes(b"")
        answer = call.post(large(1, caller))
        assert answer.code == "SERVICE_UNAVAILABLE"
        assert "removed or replaced" in answer.error["message"]
        assert len(call("{ deployments { nodes { id } } }").data["deployments"]["nodes"]) == 1


def test_the_log_beside_the_file_stays_small(tmp_path: Path, caller: type[Caller]) -> None:
    """However much is written, the log beside the file has a bound."""
    file = tmp_path / "gradient.db"
    with LocalServer(database=file) as server:
        for number in range(400):
            assert caller(server).post(large(number, caller)).data
        assert file.stat().st_size + (tmp_path / "gradient.db-wal").stat().st_size > 20_000_000
        assert (tmp_path / "gradient.db-wal").stat().st_size < 8_000_000


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
