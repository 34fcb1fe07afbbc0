"""The work of a request does not grow with the database: counted in instructions of SQLite, and seen in its query plans."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing, contextmanager
from functools import partial
from itertools import count
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest
from tests.server.conftest import Clock, backend_of
from tests.server.storage.many_deployments import (
    add_deployment_events,
    add_deployments,
    add_log_lines,
    add_removed_instances,
    add_revisions,
    deployment_id,
    instance_name,
)

from paperspace.gradient._core.documents import load_document
from paperspace.gradient.server import LocalServer
from paperspace.gradient.server.controller.autoscaler import Pass, decide_all
from paperspace.gradient.server.controller.records import Records
from paperspace.gradient.server.controller.steps import AssignPort, Leave, SetState
from paperspace.gradient.server.engines.deployment_events import MAX_EVENTS
from paperspace.gradient.server.engines.reasons import Reason
from paperspace.gradient.server.engines.runtime import Scaled
from paperspace.gradient.server.graphql.execution import Request
from paperspace.gradient.server.storage.budget import MAXIMUM, Budget
from paperspace.gradient.server.storage.files import open_writer
from paperspace.gradient.server.storage.purge import Rule, removable, remove_some

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from paperspace.gradient.server.backend import Backend

NUMBER = 700  # of the deployment that the requests are about
FEW, MANY = 1_000, 20_000
_INSTRUCTIONS = 10  # of SQLite between two counts
SIMULATED = Rule(simulated=True)
_SMALL = ("parent", "json_each", "server")  # tables that a statement gets as an argument, and one with a single row


class Work(NamedTuple):
    """What a request took: instructions of SQLite, and the plans of the statements that read a whole table."""

    instructions: int
    scans: list[str]


def create(file: Path, fill: Callable[[sqlite3.Connection], None]) -> Backend:
    with open_writer(file) as connection:
        connection.execute("PRAGMA synchronous = OFF")
        fill(connection)
    return backend_of(LocalServer(database=file, actor="A", now=Clock()))


@contextmanager
def created(
    folder: Path, fill: Callable[[sqlite3.Connection, int], None], few: int, many: int
) -> Iterator[tuple[Backend, Backend]]:
    """Create two databases that are filled with different numbers of something."""
    with (
        closing(create(folder / f"{few}.db", lambda connection: fill(connection, few))) as first,
        closing(create(folder / f"{many}.db", lambda connection: fill(connection, many))) as second,
    ):
        yield first, second


@pytest.fixture(scope="module")
def databases(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Backend, Backend]]:
    folder = tmp_path_factory.mktemp("growth")
    with created(folder, add_deployments, FEW, MANY) as backends:
        yield backends


def measured(backend: Backend, run: Callable[[], object]) -> Work:
    """Measure the work of a function."""
    connection, ticks, statements = backend.database._connection, count(), list[str]()
    connection.set_progress_handler(lambda: next(ticks) < 0, _INSTRUCTIONS)
    connection.set_trace_callback(statements.append)
    try:
        run()
    finally:
        connection.set_trace_callback(None)
        connection.set_progress_handler(None, 0)
    instructions = next(ticks) * _INSTRUCTIONS
    scans = []
    for statement in statements:
        # The plan of an INSERT has the checks of other tables that SQLite does if a foreign key is violated.
        if not statement.startswith(("BEGIN", "COMMIT", "ROLLBACK", "INSERT", "--")):
            plan = [step for *_, step in connection.execute(f"EXPLAIN QUERY PLAN {statement}")]
            scans += [statement for step in plan if step.startswith("SCAN") and step.split()[1] not in _SMALL]
    return Work(instructions, scans)


numbers = count()


def work(backend: Backend, operation: str, variables: dict[str, Any]) -> Work:
    """Execute an operation and measure its work."""
    request = Request(load_document(operation).text, variables=variables)
    if "input" in variables:
        request = request._replace(key_digest=str(next(numbers)).encode())
    response = []
    result = measured(backend, lambda: response.append(backend.executor.execute(request, Budget(MAXIMUM))))
    body = json.loads(response[0].body)
    assert "errors" not in body or body["errors"][0]["extensions"]["code"] == "CONFLICT"
    return result


ID = deployment_id(NUMBER)
SPEC = {"image": "i", "resources": {"replicas": 1}}
OPERATIONS: dict[str, tuple[str, dict[str, Any]]] = {
    "list": ("Deployments", {"first": 100, "specsFirst": 100}),
    "list by name": ("Deployments", {"first": 100, "specsFirst": 100, "name": f"d{NUMBER}"}),
    "list by an unknown name": ("Deployments", {"first": 100, "specsFirst": 100, "name": "x"}),
    "list by project": ("Deployments", {"first": 100, "specsFirst": 100, "projectId": "p3"}),
    "list by an unknown project": ("Deployments", {"first": 100, "specsFirst": 100, "projectId": "x"}),
    "list by name and project": (
        "Deployments",
        {"first": 100, "specsFirst": 100, "name": f"d{NUMBER}", "projectId": "p0"},
    ),
    "list on a cluster": ("DeploymentsOnCluster", {"first": 100, "specsFirst": 100, "clusterId": "local"}),
    "list on an unknown cluster": ("DeploymentsOnCluster", {"first": 100, "specsFirst": 100, "clusterId": "x"}),
    "list on a cluster by name": (
        "DeploymentsOnCluster",
        {"first": 100, "specsFirst": 100, "clusterId": "local", "name": f"d{NUMBER}"},
    ),
    "list on a cluster by project": (
        "DeploymentsOnCluster",
        {"first": 100, "specsFirst": 100, "clusterId": "local", "projectId": "p3"},
    ),
    "list a page": ("Deployments", {"first": 100, "specsFirst": 100, "clusterId": "x"}),
    "get": ("Deployment", {"id": ID, "specsFirst": 100}),
    "get by an unknown cluster": ("Deployment", {"id": ID, "specsFirst": 100, "clusterId": "x"}),
    "status": ("DeploymentStatus", {"id": ID}),
    "statuses": ("DeploymentStatuses", {"first": 20}),
    "history": ("DeploymentHistory", {"id": ID, "first": 10}),
    "rollouts with instances": ("DeploymentRolloutsWithInstances", {"id": ID}),
    "runs": ("DeploymentRuns", {"id": ID, "first": 10}),
    "events": ("DeploymentEvents", {"id": ID, "first": 10}),
    "logs": ("DeploymentLogs", {"id": ID, "first": 10}),
    "log lines": ("DeploymentLogLines", {"id": ID, "instanceName": instance_name(NUMBER), "last": 2}),
    "create": ("DeploymentCreate", {"input": {"name": "new", "projectId": "p3", "spec": SPEC}}),
    "create with a taken name": ("DeploymentCreate", {"input": {"name": "d10", "projectId": "p0", "spec": SPEC}}),
    "update": ("DeploymentUpdate", {"input": {"id": ID, "spec": SPEC}}),
    "rename": ("DeploymentUpdate", {"input": {"id": ID, "name": "renamed"}}),
    "delete": ("DeploymentDelete", {"input": {"id": deployment_id(NUMBER + 1)}}),
}


def assert_same_work(few: Work, many: Work) -> None:
    """Check that a request takes the same work, apart from an index with one more level."""
    assert many.instructions <= 1.1 * few.instructions + 10 * _INSTRUCTIONS
    assert many.scans == few.scans == []


@pytest.mark.parametrize("name", OPERATIONS)
def test_more_deployments(databases: tuple[Backend, Backend], name: str) -> None:
    """A request takes the same work with twenty times the deployments."""
    few, many = (work(backend, *OPERATIONS[name]) for backend in databases)
    assert_same_work(few, many)


def test_a_start_with_more_deployments(databases: tuple[Backend, Backend]) -> None:
    """The start of a server takes the same work with twenty times the deployments."""

    def start(backend: Backend) -> None:
        with backend.database.writing():
            backend.workloads.apply_new_specs()

    few, many = (measured(backend, partial(start, backend)) for backend in databases)
    assert_same_work(few, many)


@pytest.fixture(scope="module")
def histories(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Backend, Backend]]:
    folder = tmp_path_factory.mktemp("histories")

    def fill(connection: sqlite3.Connection, number: int) -> None:
        add_deployments(connection, NUMBER + 1)
        add_revisions(connection, NUMBER, number)
        add_log_lines(connection, NUMBER, number)

    with created(folder, fill, 200, 5_000) as backends:
        yield backends


@pytest.mark.parametrize("name", OPERATIONS)
def test_a_longer_history(histories: tuple[Backend, Backend], name: str) -> None:
    """A request takes the same work with 25 times the revisions of a deployment, and the states and lines of an instance."""
    operation, variables = OPERATIONS[name]
    if name == "delete":  # the last one
        variables = {"input": {"id": ID}}
    few, many = (work(backend, operation, variables) for backend in histories)
    assert_same_work(few, many)


@pytest.fixture(scope="module")
def eventful(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Backend, Backend]]:
    """One deployment has as many events as are kept. In one database, all others have as many too."""
    folder = tmp_path_factory.mktemp("eventful")

    def fill(connection: sqlite3.Connection, others: int) -> None:
        add_deployments(connection, NUMBER + 1)
        for number in range(NUMBER - others, NUMBER + 2):
            add_deployment_events(connection, number, MAX_EVENTS)

    with created(folder, fill, 0, 100) as backends:
        yield backends


@pytest.mark.parametrize("name", OPERATIONS)
def test_more_events(eventful: tuple[Backend, Backend], name: str) -> None:
    """A request takes the same work with a hundred times the events of other deployments."""
    few, many = (work(backend, *OPERATIONS[name]) for backend in eventful)
    assert_same_work(few, many)


@pytest.mark.parametrize("name", ["update", "events"])
def test_the_cost_of_events(tmp_path: Path, name: str) -> None:
    """With as many events as are kept, a request takes a few instructions more for each of them, and reads no whole table."""

    def fill(connection: sqlite3.Connection, number: int) -> None:
        add_deployments(connection, NUMBER + 1)
        add_deployment_events(connection, NUMBER, number)

    with created(tmp_path, fill, 1, MAX_EVENTS) as backends:
        one, many = (work(backend, *OPERATIONS[name]) for backend in backends)
    assert many.instructions <= one.instructions + 10 * MAX_EVENTS
    assert many.scans == []


def test_an_instance_that_is_pending_for_long(tmp_path: Path) -> None:
    """The status takes the same work with 25 times the states of an instance that has never run, such as the progress of a pull."""

    def fill(connection: sqlite3.Connection, number: int) -> None:
        add_deployments(connection, NUMBER + 1)
        add_log_lines(connection, NUMBER, number)
        connection.execute("UPDATE instance_states SET phase = 'Pending'")

    with created(tmp_path, fill, 200, 5_000) as (few, many):
        assert_same_work(work(few, *OPERATIONS["status"]), work(many, *OPERATIONS["status"]))


@pytest.fixture(scope="module")
def scaled(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Backend, Backend]]:
    folder = tmp_path_factory.mktemp("scaled")

    def fill(connection: sqlite3.Connection, number: int) -> None:
        add_deployments(connection, NUMBER + 1)
        add_removed_instances(connection, NUMBER, number)

    with created(folder, fill, 200, 5_000) as backends:
        yield backends


@pytest.mark.parametrize("name", ["status", "statuses", "runs", "get", "update", "rollouts with instances"])
def test_a_run_with_removed_instances(scaled: tuple[Backend, Backend], name: str) -> None:
    """A request takes the same work with 25 times the instances that a run has lost, as autoscaling removes them again and again."""
    few, many = (work(backend, *OPERATIONS[name]) for backend in scaled)
    assert_same_work(few, many)


def delete_most(connection: sqlite3.Connection, count: int) -> None:
    """Add deployments, and delete most, with their instances."""
    add_deployments(connection, count)
    deleted = "SELECT id FROM deployments WHERE seq NOT BETWEEN 650 AND 750"
    connection.execute(f"UPDATE deployments SET dt_deleted = dt_created WHERE id IN ({deleted})")
    connection.execute(f"UPDATE instances SET dt_deleted = dt_created WHERE deployment_id IN ({deleted})")
    connection.execute(f"UPDATE deployment_specs SET dt_invalid = dt_created WHERE deployment_id IN ({deleted})")


@pytest.fixture(scope="module")
def mostly_deleted(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Backend, Backend]]:
    folder = tmp_path_factory.mktemp("deleted")
    with created(folder, delete_most, FEW, MANY) as backends:
        yield backends


def assign_port(records: Records) -> None:
    for instance in records.instances(ID):
        records.store(AssignPort(instance.id))


def store_events(records: Records) -> None:
    for instance in records.instances(ID):
        for number in range(3):
            records.store(SetState(instance.id, "Running", "retrying", f"crash {number}", Reason.CRASHED))
        records.store(Leave(instance.id))


def autoscale(records: Records) -> None:
    query = "SELECT id FROM deployment_specs WHERE deployment_id = ? ORDER BY seq DESC LIMIT 1"
    [newest] = records._db.rows(query, ID)
    records.scales.start(newest["id"], 1)
    records.record([Scaled(newest["id"], records.now, 1, 2, "cpu is 90 %.")])
    decide_all(records, {}, Pass())
    records.scales.serve(newest["id"])


INSTANCES = ["00000000-0000-4000-8000-000000000000"]
CONTROLLER: dict[str, Callable[[Records], object]] = {
    "changed": lambda records: records.changed(records.now),
    "unfinished": Records.unfinished,
    "unknown": lambda records: records.unknown(INSTANCES),
    "removed": lambda records: records.removed(INSTANCES),
    "instances": lambda records: records.instances(ID),
    "wanted": lambda records: records.wanted(ID),
    "a port": assign_port,
    "events": store_events,
    "autoscaling": autoscale,
}


def controller_work(backend: Backend, name: str) -> Work:
    """Measure the work of the controller in one transaction."""
    records = Records(backend.database, backend.workloads, range(20_000, 21_000))

    def run() -> None:
        with backend.database.writing():
            CONTROLLER[name](records)

    return measured(backend, run)


@pytest.mark.parametrize("name", CONTROLLER)
def test_the_controller_with_more_deleted_deployments(mostly_deleted: tuple[Backend, Backend], name: str) -> None:
    """What the controller reads and stores takes the same work with twenty times the deleted deployments."""
    few, many = (controller_work(backend, name) for backend in mostly_deleted)
    assert_same_work(few._replace(scans=[]), many._replace(scans=[]))  # it scans indexes of what is present


@pytest.mark.parametrize("name", CONTROLLER)
def test_the_controller_with_a_longer_history(histories: tuple[Backend, Backend], name: str) -> None:
    """The same with 25 times the revisions of a deployment."""
    few, many = (controller_work(backend, name) for backend in histories)
    assert_same_work(few._replace(scans=[]), many._replace(scans=[]))  # it scans indexes of what is present


def test_the_template_of_a_new_revision(tmp_path: Path) -> None:
    """What a new revision needs takes the same work with 25 times the revisions of its deployment, of which none is equal."""

    def fill(connection: sqlite3.Connection, number: int) -> None:
        add_deployments(connection, NUMBER + 1)
        add_revisions(connection, NUMBER, number)
        connection.execute("UPDATE deployment_specs SET template = printf('%064d', seq)")
        newest = "seq = (SELECT max(seq) FROM deployment_specs)"
        connection.execute(
            f"UPDATE deployment_specs SET template = NULL, data = json_set(data, '$.image', 'new') WHERE {newest}"
        )

    with created(tmp_path, fill, 200, 5_000) as backends:
        few, many = (controller_work(backend, "wanted") for backend in backends)
    assert_same_work(few, many)


def test_the_removal_of_a_deleted_deployment(mostly_deleted: tuple[Backend, Backend]) -> None:
    """A step of the removal takes the same work with twenty times the deployments, and reads no whole table."""

    def step(backend: Backend) -> None:
        ids = removable(backend.database, SIMULATED)
        remove_some(backend.database, rule=SIMULATED, ids=ids)

    few, many = (measured(backend, partial(step, backend)) for backend in mostly_deleted)
    assert_same_work(few, many)
    assert few.instructions > 1000
