"""Opens the database and brings its tables up to date."""

from __future__ import annotations

import os
import sqlite3
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

IN_MEMORY = ":memory:"

# Each step is applied once, in one transaction with the number that says so; a step that has been released never
# changes. `seq` numbers the rows of a table in the order in which they were made and is never given twice.
STEPS = (
    (
        """
        CREATE TABLE clusters (
            id TEXT PRIMARY KEY,
            name TEXT NOT NULL,
            dt_created TEXT NOT NULL,
            dt_modified TEXT NOT NULL
        ) STRICT
        """,
        """
        CREATE TABLE deployments (
            seq INTEGER PRIMARY KEY AUTOINCREMENT,
            id TEXT NOT NULL UNIQUE,
            project_id TEXT NOT NULL,
            name TEXT NOT NULL,
            dt_created TEXT NOT NULL,
            dt_modified TEXT,
            dt_deleted TEXT
        ) STRICT
        """,
        # This index, and no check before it, is what keeps names unique.
        "CREATE UNIQUE INDEX deployments_by_name ON deployments (project_id, name) WHERE dt_deleted IS NULL",
        """
        CREATE TABLE deployment_specs (
            seq INTEGER PRIMARY KEY AUTOINCREMENT,
            id TEXT NOT NULL UNIQUE,
            deployment_id TEXT NOT NULL REFERENCES deployments (id),
            cluster_id TEXT NOT NULL REFERENCES clusters (id),
            actor TEXT NOT NULL,
            data TEXT NOT NULL,
            dt_created TEXT NOT NULL,
            dt_invalid TEXT,
            external_applied TEXT,
            error TEXT
        ) STRICT
        """,
        "CREATE INDEX deployment_specs_by_deployment ON deployment_specs (deployment_id, seq)",
        """
        CREATE TABLE replies (
            idempotency_key BLOB PRIMARY KEY,
            request BLOB NOT NULL,
            reply BLOB NOT NULL,
            dt_created TEXT NOT NULL
        ) STRICT
        """,
        "CREATE INDEX replies_by_age ON replies (dt_created)",
    ),
    (
        """
        CREATE TABLE rollouts (
            seq INTEGER PRIMARY KEY AUTOINCREMENT,
            id TEXT NOT NULL UNIQUE,
            deployment_id TEXT NOT NULL REFERENCES deployments (id),
            spec_id TEXT NOT NULL REFERENCES deployment_specs (id),
            dt_created TEXT NOT NULL
        ) STRICT
        """,
        "CREATE INDEX rollouts_by_deployment ON rollouts (deployment_id, seq)",
        """
        CREATE TABLE runs (
            seq INTEGER PRIMARY KEY AUTOINCREMENT,
            id TEXT NOT NULL UNIQUE,
            rollout_id TEXT NOT NULL REFERENCES rollouts (id),
            deployment_id TEXT NOT NULL REFERENCES deployments (id),
            spec_id TEXT NOT NULL REFERENCES deployment_specs (id),
            dt_created TEXT NOT NULL
        ) STRICT
        """,
        "CREATE INDEX runs_by_rollout ON runs (rollout_id, seq)",
        "CREATE INDEX runs_by_spec ON runs (spec_id, seq)",
        """
        CREATE TABLE instances (
            seq INTEGER PRIMARY KEY AUTOINCREMENT,
            id TEXT NOT NULL UNIQUE,
            run_id TEXT NOT NULL REFERENCES runs (id),
            deployment_id TEXT NOT NULL REFERENCES deployments (id),
            spec_id TEXT NOT NULL REFERENCES deployment_specs (id),
            instance_id TEXT NOT NULL UNIQUE,
            dt_created TEXT NOT NULL,
            dt_deleted TEXT
        ) STRICT
        """,
        "CREATE INDEX instances_by_run ON instances (run_id, seq)",
        "CREATE INDEX instances_by_deployment ON instances (deployment_id, seq)",
        """
        CREATE TABLE instance_states (
            seq INTEGER PRIMARY KEY AUTOINCREMENT,
            id TEXT NOT NULL UNIQUE,
            deployment_run_instance_id TEXT NOT NULL REFERENCES instances (id),
            timestamp TEXT NOT NULL,
            phase TEXT NOT NULL,
            state TEXT NOT NULL,
            message TEXT NOT NULL
        ) STRICT
        """,
        "CREATE INDEX instance_states_by_instance ON instance_states (deployment_run_instance_id, seq)",
        """
        CREATE TABLE log_lines (
            seq INTEGER PRIMARY KEY AUTOINCREMENT,
            deployment_run_instance_id TEXT NOT NULL REFERENCES instances (id),
            line INTEGER NOT NULL,
            message TEXT NOT NULL,
            dt_created TEXT NOT NULL
        ) STRICT
        """,
        "CREATE INDEX log_lines_by_instance ON log_lines (deployment_run_instance_id, seq)",
    ),
)

_OLDEST_SQLITE = (3, 37, 0)  # the first with STRICT tables


class UnusableDatabaseError(Exception):
    """The database cannot be opened, is none, or was made by a newer version."""


def open_database(database: str | Path) -> sqlite3.Connection:
    """A connection to the database, made or brought up to date if need be. Transactions are begun by hand.

    Raises:
        UnusableDatabaseError: The file cannot be used; it is left as it is.
    """
    if sqlite3.sqlite_version_info < _OLDEST_SQLITE:
        raise UnusableDatabaseError(f"SQLite 3.37 or newer is needed; this Python has {sqlite3.sqlite_version}")
    try:
        if str(database) != IN_MEMORY:
            # Specs hold secrets: the file is its owner's alone. SQLite gives the files beside it the same mode.
            os.close(os.open(database, os.O_CREAT | os.O_RDWR, 0o600))
        connection = sqlite3.connect(database, isolation_level=None, timeout=5.0)
    except (OSError, sqlite3.Error) as error:
        raise UnusableDatabaseError(f"cannot open the database {database}: {error}") from error
    try:
        _prepare(connection)
    except (sqlite3.Error, UnusableDatabaseError) as error:
        connection.close()
        raise UnusableDatabaseError(f"cannot use the database {database}: {error}") from error
    return connection


def _prepare(connection: sqlite3.Connection) -> None:
    if _version(connection) > len(STEPS):
        raise UnusableDatabaseError("it was made by a newer version of paperspace-gradient")
    connection.execute("PRAGMA journal_mode = WAL")
    # With WAL, NORMAL loses nothing when the process is killed. FULL would stand a power cut too, at a twelfth of
    # the speed.
    connection.execute("PRAGMA synchronous = NORMAL")
    connection.execute("PRAGMA foreign_keys = ON")
    for version, step in enumerate(STEPS, start=1):
        with connection:
            connection.execute("BEGIN IMMEDIATE")
            if _version(connection) < version:
                for statement in step:
                    connection.execute(statement)
                connection.execute(f"PRAGMA user_version = {version}")


def _version(connection: sqlite3.Connection) -> int:
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    return int(version)
