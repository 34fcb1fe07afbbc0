"""The database: number of statements, durability, and errors of the disk."""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
import stat
import subprocess
import sys
from contextlib import ExitStack, closing
from time import sleep
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
from tests.server.conftest import backend_of

from paperspace.gradient import Client, ServerError
from paperspace.gradient._core import session
from paperspace.gradient.server import LocalServer, UnusableDatabaseError
from paperspace.gradient.server.clock import utc_now
from paperspace.gradient.server.graphql.execution import Request
from paperspace.gradient.server.graphql.responses import Outcome
from paperspace.gradient.server.storage import store
from paperspace.gradient.server.storage.budget import MAXIMUM, Budget
from paperspace.gradient.server.storage.database import Database, storage_error
from paperspace.gradient.server.storage.files import IN_MEMORY, open_unchanged, open_writer, unusable

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager
    from pathlib import Path

    from tests.raw_client import Caller
    from tests.server.conftest import Clock


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


def test_number_of_statements(clock: Clock, caller: type[Caller]) -> None:
    """A page of 100 deployments with all nested fields takes as many statements as a page of 1."""
    backend = backend_of(LocalServer(actor="A", now=clock))
    database, executor = backend.database, backend.executor

    def execute(query: str, **variables: Any) -> Any:
        response = executor.execute(Request(query, variables=variables), Budget(MAXIMUM))
        assert response.outcome is Outcome.EXECUTED
        assert b"errors" not in response.body
        return json.loads(response.body)["data"]

    for number in range(100):
        input_ = {"name": f"d{number}", "projectId": "p", "clusterId": f"c{number % 7}", "spec": caller.SPEC}
        id_ = execute(caller.CREATE, input=input_)["createDeployment"]["deployment"]["id"]
        execute(caller.UPDATE, input={"id": id_, "clusterId": "c1", "spec": caller.SPEC})
    counts = {}
    for first in (1, 100):
        statements: list[str] = []
        database._connection.set_trace_callback(statements.append)
        execute(EVERYTHING, first=first)
        database._connection.set_trace_callback(None)
        counts[first] = len(statements)
    database.close()
    assert counts[1] == counts[100] == 16  # BEGIN, COMMIT, and one for each of the 14 fields that look something up


def test_a_restart_keeps_everything(tmp_path: Path, caller: type[Caller]) -> None:
    """After a restart, the server has all data, idempotency keys included."""
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


def test_row_numbers_are_not_reused(call: Caller) -> None:
    """A deployment created after a deletion comes after the cursor of the deleted one."""
    query = "query ($after: String) { deployments(orderBy: {direction: ASC}, after: $after) { nodes { name } pageInfo { endCursor } } }"
    call.create("a")
    call.delete(call.create("b"))
    id_ = call.create("c")
    cursor = call(query).data["deployments"]["pageInfo"]["endCursor"]
    call.delete(id_)
    call.create("d")
    assert call(query, after=cursor).data["deployments"]["nodes"] == [{"name": "d"}]


def test_file_modes(tmp_path: Path, caller: type[Caller]) -> None:
    """Only the owner can read and write the database files, because they contain secrets."""
    with LocalServer(database=tmp_path / "gradient.db") as server:
        caller(server).create()
        files = list(tmp_path.iterdir())
        assert {file.name for file in files} >= {"gradient.db", "gradient.db-wal"}
        assert {stat.S_IMODE(file.stat().st_mode) for file in files} == {0o600}


def large(number: int, caller: type[Caller]) -> Any:
    spec = {"image": "i", "env": [{"name": "A", "value": "x" * 50_000}]}
    return {"query": caller.CREATE, "variables": {"input": {"name": f"d{number}", "projectId": "p", "spec": spec}}}


def test_a_full_disk(tmp_path: Path, caller: type[Caller]) -> None:
    """On a full disk changes fail with INSUFFICIENT_STORAGE and change nothing, reads work, and new space ends it."""
    backend = backend_of(LocalServer(database=tmp_path / "gradient.db"))
    connection = backend.database._connection

    def execute(payload: Any) -> Any:
        request = Request(payload["query"], variables=payload.get("variables"))
        return json.loads(backend.executor.execute(request, Budget(MAXIMUM)).body)

    connection.execute("PRAGMA max_page_count = 200")
    responses = [execute(large(number, caller)) for number in range(20)]
    errors = [response["errors"][0] for response in responses if "errors" in response]
    assert {error["extensions"]["code"] for error in errors} == {"INSUFFICIENT_STORAGE"}
    assert 0 < len(errors) < 20
    listed = execute({"query": "{ deployments { nodes { id } } }"})["data"]["deployments"]["nodes"]
    assert len(listed) == 20 - len(errors)
    connection.execute("PRAGMA max_page_count = 100000")
    assert "errors" not in execute(large(99, caller))
    backend.database.close()


def test_file_size_limit(tmp_path: Path, caller: type[Caller]) -> None:
    """A server whose files cannot grow reports it, keeps acknowledged changes, and still reads."""
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
        responses = [call.post(large(number, caller)) for number in range(60)]
        created = sum("errors" not in response.body for response in responses)
        assert 0 < created < 60
        assert {response.code for response in responses if "errors" in response.body} == {"INSUFFICIENT_STORAGE"}
        names = call("{ deployments { nodes { name } } }").data["deployments"]["nodes"]
        assert len(names) == created
        process.communicate("", timeout=10)
    with LocalServer(database=file) as server:
        assert caller(server)("{ deployments { nodes { name } } }").data["deployments"]["nodes"] == names


def test_a_read_only_file(tmp_path: Path, caller: type[Caller]) -> None:
    """If the file is not writable, changes fail with a message and reads work."""
    backend = backend_of(LocalServer(database=tmp_path / "gradient.db"))
    backend.database._connection.execute("PRAGMA query_only = ON")
    payload = large(1, caller)
    request = Request(payload["query"], variables=payload["variables"])
    response = json.loads(backend.executor.execute(request, Budget(MAXIMUM)).body)
    assert response["errors"][0]["extensions"]["code"] == "SERVICE_UNAVAILABLE"
    assert response["errors"][0]["message"] == "the database is not writable; nothing was changed"
    read = Request("{ deployments { nodes { id } } }")
    assert backend.executor.execute(read, Budget(MAXIMUM)).outcome is Outcome.EXECUTED
    backend.database.close()


@pytest.mark.parametrize("replaced", [False, True])
def test_removed_file(tmp_path: Path, caller: type[Caller], replaced: bool) -> None:
    """If the file is deleted or replaced, changes fail, because they would be lost."""
    file = tmp_path / "gradient.db"
    with LocalServer(database=file) as server:
        call = caller(server)
        call.create()
        file.rename(tmp_path / "elsewhere.db")
        if replaced:
            file.write_bytes(b"")
        response = call.post(large(1, caller))
        assert response.code == "SERVICE_UNAVAILABLE"
        assert "removed or replaced" in response.error["message"]
        assert len(call("{ deployments { nodes { id } } }").data["deployments"]["nodes"]) == 1


def test_a_removed_lock(tmp_path: Path, caller: type[Caller]) -> None:
    """After the file of the lock was removed, a second server can start. Only that one still changes the database."""
    file = tmp_path / "gradient.db"
    with LocalServer(database=file) as first:
        file.with_name("gradient.db-lock").unlink()
        with LocalServer(database=file) as second:
            caller(second).create()
            response = caller(first).post(large(1, caller))
            assert "restart the server" in response.error["message"]
            for server in first, second:
                assert len(caller(server)("{ deployments { nodes { id } } }").data["deployments"]["nodes"]) == 1


def test_a_file_that_another_program_uses(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """While another program holds the write lock, a change fails and is known to be not applied; a retry applies it."""
    file = tmp_path / "gradient.db"
    with (
        LocalServer(database=file) as server,
        Client(server.api_key, server.url, timeout=120) as client,
        closing(sqlite3.connect(file, isolation_level=None, check_same_thread=False)) as other,
    ):
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(ServerError, match="another program") as caught:
            client.with_options(max_retries=0).deployments.create_deployment("one", "p", {"image": "x"})
        assert caught.value.may_have_executed == "no"
        monkeypatch.setattr(session, "_log_retry", lambda *_: other.execute("ROLLBACK"))
        client.deployments.create_deployment("one", "p", {"image": "x"})


def test_a_removed_file_for_the_client(tmp_path: Path) -> None:
    """If the file is removed, the error of a change is one of the server, which has not applied it."""
    with LocalServer(database=tmp_path / "gradient.db") as server, Client(server.api_key, server.url) as client:
        (tmp_path / "gradient.db").unlink()
        with pytest.raises(ServerError, match="removed or replaced; restart the server") as caught:
            client.with_options(max_retries=0).deployments.create_deployment("one", "p", {"image": "x"})
        assert (caught.value.may_have_executed, caught.value.status) == ("no", 503)


def test_symbolic_links(tmp_path: Path, caller: type[Caller]) -> None:
    """A file is the same by all names that lead to it: one server uses it, and notices if the file of the WAL is deleted."""
    file, link = tmp_path / "gradient.db", tmp_path / "link.db"
    link.symlink_to(file)  # before the file exists
    with LocalServer(database=link) as server:
        caller(server).create()
        with pytest.raises(UnusableDatabaseError, match="another server"):
            LocalServer(database=file).start()
        (tmp_path / "gradient.db-wal").unlink()
        assert caller(server).post(large(1, caller)).code == "SERVICE_UNAVAILABLE"


def test_unchanged_symbolic_link(tmp_path: Path, caller: type[Caller]) -> None:
    """What reads a database by a symbolic link, such as the status after a crash, reads the changes in its WAL too."""
    file, copy, link = tmp_path / "gradient.db", tmp_path / "copy.db", tmp_path / "link.db"
    with LocalServer(database=file) as server:
        caller(server).create("one")
        for suffix in ("", "-wal"):
            shutil.copy(f"{file}{suffix}", f"{copy}{suffix}")
    link.symlink_to(copy)
    with open_unchanged(link) as connection:
        assert connection.execute("SELECT name FROM deployments").fetchall() == [("one",)]


def test_hard_links(tmp_path: Path, caller: type[Caller]) -> None:
    """A file with two names is refused: by the second name, another server used it, with a WAL of its own, and changes were lost."""
    file, link = tmp_path / "gradient.db", tmp_path / "link.db"
    with LocalServer(database=file) as server:
        caller(server).create("one")
        link.hardlink_to(file)
        with pytest.raises(UnusableDatabaseError, match=r"second name \(a hard link\)"):
            LocalServer(database=link).start()
        assert not (tmp_path / "link.db-wal").exists()
        caller(server).create("two")
    link.unlink()
    with LocalServer(database=file) as server:
        nodes = caller(server)("{ deployments { nodes { name } } }").data["deployments"]["nodes"]
        assert nodes == [{"name": "two"}, {"name": "one"}]


def test_a_command_that_reads_the_file_while_the_server_starts(tmp_path: Path, caller: type[Caller]) -> None:
    """A command that reads a database with a WAL, such as a copy of a running server's, removes no file of a server that starts meanwhile."""
    file, copy = tmp_path / "gradient.db", tmp_path / "copy.db"
    with LocalServer(database=file) as server:
        caller(server).create("one")
        for suffix in ("", "-wal"):
            shutil.copy(f"{file}{suffix}", f"{copy}{suffix}")
    with ExitStack() as stack:
        reading = stack.enter_context(open_unchanged(copy))
        assert reading.execute("SELECT name FROM deployments").fetchall() == [("one",)]
        with LocalServer(database=copy) as server:
            stack.close()
            caller(server).create("two")
            nodes = caller(server)("{ deployments { nodes { name } } }").data["deployments"]["nodes"]
            assert nodes == [{"name": "two"}, {"name": "one"}]


@pytest.mark.parametrize("suffix", ["-wal", "-shm"])
@pytest.mark.parametrize("is_new", [False, True])
def test_removed_wal(tmp_path: Path, caller: type[Caller], suffix: str, *, is_new: bool) -> None:
    """If a file of the WAL is deleted, changes fail; acknowledged ones are kept, even if the server is killed then."""
    file = tmp_path / "gradient.db"
    if not is_new:
        with LocalServer(database=file):
            pass
    with LocalServer(database=file) as server:
        call = caller(server)
        call.create("kept")
        file.with_name(f"gradient.db{suffix}").unlink()
        for number in range(2):
            response = call.post(large(number, caller))
            assert response.code == "SERVICE_UNAVAILABLE"
            assert "removed or replaced" in response.error["message"]
        assert call("{ deployments { nodes { name } } }").data["deployments"]["nodes"] == [{"name": "kept"}]
        copy = tmp_path / "as after a kill.db"
        copy.write_bytes(file.read_bytes())
    for database in (copy, file):
        with LocalServer(database=database) as server:
            nodes = caller(server)("{ deployments { nodes { name } } }").data["deployments"]["nodes"]
            assert nodes == [{"name": "kept"}]


@pytest.mark.parametrize("stored", [False, True])
def test_starting_on_a_full_disk(tmp_path: Path, caller: type[Caller], *, stored: bool) -> None:
    """A server that starts on a full disk says so, and starts when there is space."""
    file = tmp_path / "gradient.db"
    if stored:
        with LocalServer(database=file) as server:
            caller(server).create("kept")
    script = (
        "import resource\n"
        "from paperspace.gradient.cli.main import main\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))\n"
        "main()"
    )
    options = ["server", "--port=0", "--api-key=k", f"--database={file}"]
    done = subprocess.run([sys.executable, "-c", script, *options], capture_output=True, text=True, check=False)
    assert done.stderr.splitlines()[-1].startswith(
        f"Error: cannot open the database {file}: the disk is full or failing."
    )
    assert "Traceback" not in done.stderr
    with LocalServer(database=file) as server:
        nodes = caller(server)("{ deployments { nodes { name } } }").data["deployments"]["nodes"]
        assert nodes == [{"name": "kept"}] * stored


def test_no_temporary_files(tmp_path: Path) -> None:
    """Lists and changes need no temporary files of SQLite, however large the specs are: `/tmp` may be full or not writable."""
    script = (
        "import sys\n"
        "from paperspace.gradient import Client\n"
        "from paperspace.gradient.server import LocalServer\n"
        "spec = {'image': 'i', 'env': [{'name': f'A{n}', 'value': 'x' * 30_000} for n in range(25)]}\n"
        "with LocalServer(database=sys.argv[1]) as server, Client(server.api_key, server.url) as client:\n"
        "    for number in range(20):\n"
        "        created = client.deployments.create_deployment(f'd{number}', 'p', spec)\n"
        "        client.deployments.update_deployment(id=created['id'], spec={**spec, 'port': 80})\n"
        "    print(len(client.deployments.list_deployments()))\n"
    )
    # In /proc, no file can be created. SQLite uses another folder unless the user is root.
    environment = {**os.environ, "SQLITE_TMPDIR": "/proc"}
    command = [sys.executable, "-c", script, str(tmp_path / "gradient.db")]
    done = subprocess.run(command, env=environment, cwd="/", capture_output=True, text=True, check=False)
    assert (done.stdout, done.stderr) == ("20\n", "")


@pytest.mark.parametrize("code", [sqlite3.SQLITE_BUSY, sqlite3.SQLITE_PROTOCOL])
def test_a_lock_of_another_program(code: int) -> None:
    """If another program locks the database file or the `-shm` file, the request may be sent again."""
    error = sqlite3.OperationalError()
    error.sqlite_errorcode = code
    converted = storage_error(error)
    assert converted is not None
    assert converted.extensions == {"code": "SERVICE_UNAVAILABLE", "retryable": True}


def test_a_file_system_without_shared_memory() -> None:
    """If the file system is the cause, the error says so: not that the disk is full, which has the same primary code."""
    error = sqlite3.OperationalError("disk I/O error")
    error.sqlite_errorcode = sqlite3.SQLITE_IOERR_SHMMAP
    assert "shared memory (mmap)" in str(unusable("x.db", error))


def test_many_expired_responses(
    tmp_path: Path, caller: type[Caller], clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Expired responses are deleted a few at a time, oldest first, except the newest."""
    monkeypatch.setattr(store, "_KEPT_RESPONSES", 3)
    file = tmp_path / "gradient.db"

    def create(call: Caller, name: str, key: str) -> Any:
        variables = {"input": {"name": name, "projectId": "p", "spec": caller.SPEC}}
        return call.post({"query": caller.CREATE, "variables": variables}, Idempotency_Key=key).data["createDeployment"]

    with LocalServer(database=file, now=clock) as server:
        first = create(caller(server), "a", "k")
    connection = sqlite3.connect(file)
    connection.execute("UPDATE replies SET dt_created = '2024-05-17T09:30:01.000Z'")
    connection.execute(
        "WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n WHERE x < 12)"
        " INSERT INTO replies (idempotency_key, request, reply, dt_created)"
        " SELECT CAST(x AS BLOB), x'00', x'00', '2024-05-17T09:30:00.000Z' FROM n"
    )
    connection.commit()

    def left() -> int:
        (number,) = connection.execute("SELECT count(*) FROM replies").fetchone()
        return int(number)

    with LocalServer(database=file, now=clock) as server:
        clock.forward(hours=25)
        assert left() == 13
        assert create(caller(server), "a", "k") == first
        assert left() == 8
        for number in range(3):
            create(caller(server), f"c{number}", f"k{number}")
        assert left() == 4
    connection.close()


@pytest.mark.parametrize("mutation", ["update", "delete"])
def test_large_responses(tmp_path: Path, caller: type[Caller], mutation: str) -> None:
    """A retry gets the result of the first attempt, of which little is stored however large it is."""
    file = tmp_path / "gradient.db"
    kind = mutation.capitalize()
    change = (
        f"mutation ($i: {kind}DeploymentInput!) {{ {mutation}Deployment(input: $i)"
        " { deployment { id name deploymentSpecs { nodes { id data { env { value } } } } } } }"
    )
    spec = {"image": "i", "env": [{"name": "A", "value": "x" * 90_000}]}
    with LocalServer(database=file) as server:
        call = caller(server)
        id_ = call.create("a", spec=spec)
        input_ = {"id": id_, "name": "b"} if mutation == "update" else {"id": id_}
        payload = {"query": change, "variables": {"i": input_}}
        first = call.post(payload, Idempotency_Key="k").data
        assert len(str(first)) > 90_000
        if mutation == "update":
            call.update(id_, name="c")
        assert call.post(payload, Idempotency_Key="k").data == first
        nodes = call("{ deployments { nodes { name } } }").data["deployments"]["nodes"]
        assert nodes == ([{"name": "c"}] if mutation == "update" else [])
    with closing(sqlite3.connect(file)) as connection:
        (stored,) = connection.execute("SELECT sum(length(reply) + length(deployment)) FROM replies").fetchone()
    assert 0 < stored < 1_000


def test_a_clean_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caller: type[Caller]) -> None:
    """At a clean end, the connection of changes is closed last, and alone; so SQLite removes the WAL, and the end is known as clean."""
    closed: list[int] = []

    def close_readers_slowly(self: Database) -> None:
        (read_only,) = self._connection.execute("PRAGMA query_only").fetchone()
        if read_only:
            sleep(0.1)
        close(self)
        closed.append(read_only)

    close = Database.close
    monkeypatch.setattr(Database, "close", close_readers_slowly)
    with LocalServer(database=tmp_path / "gradient.db") as server:
        caller(server).create("a")
    assert (len(closed) > 2, closed.index(0)) == (True, len(closed) - 1)
    assert not (tmp_path / "gradient.db-wal").exists()


def test_wal_size(tmp_path: Path, caller: type[Caller]) -> None:
    """The size of the WAL is limited."""
    file = tmp_path / "gradient.db"
    with LocalServer(database=file) as server:
        for number in range(400):
            assert caller(server).post(large(number, caller)).data
        assert file.stat().st_size + (tmp_path / "gradient.db-wal").stat().st_size > 20_000_000
        assert (tmp_path / "gradient.db-wal").stat().st_size < 18_000_000


def test_constraints(tmp_path: Path) -> None:
    """The tables enforce unique names and references."""
    with open_writer(tmp_path / "gradient.db") as connection:
        row = "INSERT INTO deployments (id, project_id, name, dt_created) VALUES (?, 'p', ?, '')"
        connection.execute(row, ("1", "a"))
        with pytest.raises(sqlite3.IntegrityError, match="UNIQUE"):
            connection.execute(row, ("2", "a"))
        spec = "INSERT INTO deployment_specs (id, deployment_id, cluster_id, actor, data, dt_created) VALUES ('s', ?, 'c', '', '', '')"
        with pytest.raises(sqlite3.IntegrityError, match="FOREIGN KEY"):
            connection.execute(spec, ("9",))
        assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)


@pytest.mark.parametrize("transaction", [Database.reading, Database.writing])
def test_the_budget_of_a_transaction(transaction: Callable[[Database, Budget], AbstractContextManager[None]]) -> None:
    """A budget that is over ends neither the commit of its transaction nor the next one, however many there were."""
    with closing(Database(IN_MEMORY, utc_now)) as database:
        for _ in range(10_000):  # SQLite adds up the instructions of all BEGINs, and those of all COMMITs
            budget = Budget(MAXIMUM)
            with transaction(database, budget):
                budget.interrupt()
