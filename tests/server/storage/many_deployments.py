"""Many deployments, and long histories, written into a database with few statements. The benchmark uses them too."""

from __future__ import annotations

import json
from contextlib import contextmanager
from typing import TYPE_CHECKING
from uuid import UUID

from paperspace.gradient.server.storage.files import open_writer

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterator
    from pathlib import Path

IMAGE = "tensorflow/serving"
PROJECTS = 10
_CACHE = 4_000_000  # kB, at most: of the pages of the database that are read and changed again
_TIME, _EARLIER = "'2024-05-17T09:20:00.000Z'", "'2024-05-17T09:10:00.000Z'"
_DATA = json.dumps({"image": IMAGE, "resources": {"replicas": 1}})
_STATES = (("Pending", "pending"), ("Running", "pending"), ("Running", "healthy"))


def deployment_id(number: int) -> str:
    """Return the id of a deployment of `add_deployments`."""
    return str(UUID(f"{_scrambled(number):08x}000040008000{number:012x}"))


def instance_name(number: int) -> str:
    """Return the name of its instance."""
    return f"instance-{_scrambled(number):08x}-{number}"


@contextmanager
def fast_writer(file: Path) -> Iterator[sqlite3.Connection]:
    """Open a database to add very many rows. If the process is killed meanwhile, it is damaged."""
    with open_writer(file) as connection:
        for setting in ("journal_mode = OFF", "synchronous = OFF", "foreign_keys = OFF", f"cache_size = -{_CACHE}"):
            connection.execute(f"PRAGMA {setting}")
        yield connection


@contextmanager
def indexes_created_afterwards(connection: sqlite3.Connection) -> Iterator[None]:
    """Drop the indexes, and create them again at the end: this takes less time than to insert many rows into them."""
    query = "SELECT name, sql FROM sqlite_schema WHERE type = 'index' AND sql IS NOT NULL"
    indexes = connection.execute(query).fetchall()
    for name, _ in indexes:
        connection.execute(f"DROP INDEX {name}")
    yield
    for _, statement in indexes:
        connection.execute(statement)


def add_deployments(connection: sqlite3.Connection, count: int) -> None:
    """Add deployments with the numbers from 1 to `count`: `d1` in project `p1`, and so on; each has one ready instance."""
    connection.execute("BEGIN")
    connection.execute(f"INSERT INTO clusters VALUES ('local', 'local', {_TIME}, {_TIME})")
    _insert(connection, count, "deployments", id=_id(0), project_id=f"'p' || x % {PROJECTS}", name="'d' || x")
    _add_revisions(connection, count, _id(0))
    connection.execute("COMMIT")


def add_revisions(connection: sqlite3.Connection, number: int, count: int) -> None:
    """Add earlier revisions to a deployment: one half with a removed instance each, and then one half with none."""
    connection.execute("BEGIN")
    id_, spec = f"'{deployment_id(number)}'", {"dt_invalid": _TIME}
    _add_revisions(connection, count // 2, id_, 10, spec, {"dt_deleted": _EARLIER})
    _add_runs(connection, count // 2, id_, 30, spec)
    connection.execute("COMMIT")


def add_removed_instances(connection: sqlite3.Connection, number: int, count: int) -> None:
    """Add removed instances to the run of a deployment, as autoscaling leaves them."""
    connection.execute("BEGIN")
    query = "SELECT run_id, spec_id FROM instances WHERE instance_id = ?"
    run, spec = connection.execute(query, [instance_name(number)]).fetchone()
    columns = {"deployment_id": f"'{deployment_id(number)}'", "run_id": f"'{run}'", "spec_id": f"'{spec}'"}
    columns |= {"id": _id(50), "instance_id": "'removed-' || x", "dt_deleted": _TIME}
    _insert(connection, count, "instances", **columns)
    _add_events(connection, count, _id(50), 51, _EARLIER)
    connection.execute("COMMIT")


def add_log_lines(connection: sqlite3.Connection, number: int, count: int) -> None:
    """Add states and log lines to the instance of a deployment."""
    connection.execute("BEGIN")
    of_instance = f"(SELECT id FROM instances WHERE instance_id = '{instance_name(number)}')"
    (instance_id,) = connection.execute(f"SELECT {of_instance}").fetchone()
    _add_events(connection, count, f"'{instance_id}'", 20)
    connection.execute("COMMIT")


def add_deployment_events(connection: sqlite3.Connection, number: int, count: int) -> None:
    """Add events to a deployment."""
    connection.execute("BEGIN")
    columns = {"severity": "'NORMAL'", "reason": "'Started'", "message": "'m'", "count": "1", "dt_last": _TIME}
    deployment = {"deployment_id": f"'{deployment_id(number)}'"}
    id_ = f"printf('%08x-0028-4000-8000-%012x', {number}, x)"
    _insert(connection, count, "deployment_events", id=id_, **deployment, **columns)
    connection.execute("COMMIT")


def add_expired_responses(connection: sqlite3.Connection, count: int) -> None:
    """Add saved responses that have expired."""
    connection.execute("BEGIN")
    columns = {"idempotency_key": "randomblob(32)", "request": "randomblob(32)", "reply": "zeroblob(300)"}
    _insert(connection, count, "replies", **columns)
    connection.execute("COMMIT")


def _add_revisions(
    connection: sqlite3.Connection,
    count: int,
    deployment: str,
    kind: int = 0,
    spec: dict[str, str] | None = None,
    instance: dict[str, str] | None = None,
) -> None:
    _add_runs(connection, count, deployment, kind, spec)
    name = f"printf('instance-%08x-%d', {_SCRAMBLED}, x)" if instance is None else "'earlier-' || x"
    ids = {"id": _id(kind + 4), "run_id": _id(kind + 3), "spec_id": _id(kind + 1), "instance_id": name}
    _insert(connection, count, "instances", **ids, deployment_id=deployment, **(instance or {}))
    _add_events(connection, count, _id(kind + 4), kind + 5, _TIME if instance is None else _EARLIER)


def _add_runs(
    connection: sqlite3.Connection, count: int, deployment: str, kind: int, spec: dict[str, str] | None
) -> None:
    common = {"deployment_id": deployment, "spec_id": _id(kind + 1)}
    data = {"cluster_id": "'local'", "actor": "'A'", "data": f"'{_DATA}'", "external_applied": _TIME}
    _insert(connection, count, "deployment_specs", id=_id(kind + 1), deployment_id=deployment, **data, **(spec or {}))
    _insert(connection, count, "rollouts", id=_id(kind + 2), **common)
    _insert(connection, count, "runs", id=_id(kind + 3), rollout_id=_id(kind + 2), **common)


def _add_events(connection: sqlite3.Connection, count: int, instance: str, kind: int, time: str = _TIME) -> None:
    of_instance = {"deployment_run_instance_id": instance}
    for number, (phase, state) in enumerate(_STATES):
        columns = {"phase": f"'{phase}'", "state": f"'{state}'", "message": "'m'", "timestamp": time}
        _insert(connection, count, "instance_states", dt=None, id=_id(kind + number), **columns, **of_instance)
        line = f"3 * (x - 1) + {number + 4}" if instance.startswith("'") else str(number + 1)
        _insert(connection, count, "log_lines", time, line=line, message="'m'", **of_instance)


def _insert(connection: sqlite3.Connection, number: int, table: str, dt: str | None = _TIME, **columns: str) -> None:
    """Insert rows; each column has an SQL expression of the number of the row, `x`."""
    columns |= {} if dt is None else {"dt_created": dt}
    connection.execute(
        f"WITH RECURSIVE numbers (x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM numbers WHERE x < {number})"
        f" INSERT INTO {table} ({', '.join(columns)}) SELECT {', '.join(columns.values())} FROM numbers"
    )


_SCRAMBLED = "x * 2654435761 % 4294967296"  # ids are random: neighbors in the list are not neighbors in an index


def _scrambled(number: int) -> int:
    return number * 2654435761 % 4294967296


def _id(kind: int) -> str:
    return f"printf('%08x-{kind:04x}-4000-8000-%012x', {_SCRAMBLED}, x)"
