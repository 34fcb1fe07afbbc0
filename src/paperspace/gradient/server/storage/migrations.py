"""Open the database and migrate its tables to the newest version."""

from __future__ import annotations

import os
import sqlite3
from contextlib import ExitStack, closing, suppress
from pathlib import Path

IN_MEMORY = ":memory:"
APPLICATION_ID = 0x47724C73  # marks our files, since version 2

# Each migration runs once, in one transaction together with the new version number. A released migration never
# changes. `seq` numbers the rows of a table in the order of insertion; numbers are never reused.
MIGRATIONS = (
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
        # This index guarantees unique names; no check runs before an insert.
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
        f"PRAGMA application_id = {APPLICATION_ID}",
    ),
)

_MIN_SQLITE_VERSION = (3, 37, 0)  # the first with STRICT tables
_LOCK_TIMEOUT = 1.0  # seconds; another server may be about to close the file


class UnusableDatabaseError(Exception):
    """The database cannot be opened: the file is not ours, damaged, in use, or from a newer version."""


def open_database(database: str | Path) -> sqlite3.Connection:
    """Open the only connection to the database; create or migrate it first if needed.

    Transactions are started explicitly.

    Raises:
        UnusableDatabaseError: the file cannot be used; it is unchanged.
    """
    if sqlite3.sqlite_version_info < _MIN_SQLITE_VERSION:
        raise UnusableDatabaseError(f"SQLite 3.37 or newer is required; this Python has {sqlite3.sqlite_version}")
    # An absolute path, because SQLite may parse a path that starts with `file:` as a URI.
    path = database if str(database) == IN_MEMORY else Path(database).absolute()
    try:
        if isinstance(path, Path):
            if reason := _unusable_reason(Path(database)):
                raise UnusableDatabaseError(f"cannot open the database {database}: {reason}")
            _create_file(path)
            _check_file(Path(database))
        connection = sqlite3.connect(path, isolation_level=None, timeout=_LOCK_TIMEOUT)
    except (OSError, sqlite3.Error) as error:
        raise UnusableDatabaseError(f"cannot open the database {database}: {_describe(error)}") from error
    try:
        _prepare(connection, path)
    except (OSError, sqlite3.Error) as error:
        connection.close()
        raise UnusableDatabaseError(f"cannot use the database {database}: {_describe(error)}") from error
    return connection


def _unusable_reason(file: Path) -> str | None:
    """Return why the file cannot be a database, if the file system shows it: SQLite's messages are vague."""
    if not file.parent.is_dir():
        return f"the folder {file.parent} does not exist"
    if file.exists() and not file.is_file():
        return "it is a folder" if file.is_dir() else "it is not a regular file"
    if not os.access(file.parent, os.W_OK):
        return f"the folder {file.parent} is not writable"
    if file.exists() and not os.access(file, os.W_OK):
        return "the file is not writable"
    return None


def _create_file(file: str | Path) -> None:
    # Specs contain secrets: only the owner may read the file. SQLite creates its other files with the same mode. Never
    # open an existing file: closing it would release the locks that another server of this process has on it.
    with suppress(FileExistsError):
        os.close(os.open(file, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))


def _check_file(file: Path) -> None:
    """Check that the file is ours and intact, through a connection that changes nothing.

    Raises:
        UnusableDatabaseError: it is not.
    """
    wal, shm = (file.with_name(file.name + suffix) for suffix in ("-wal", "-shm"))
    # With an empty WAL, read the database file alone and create nothing. Otherwise SQLite needs the -shm file.
    wal_has_content = wal.exists() and wal.stat().st_size > 0
    uri = f"{file.absolute().as_uri()}?mode=ro" + ("" if wal_has_content else "&immutable=1")
    with ExitStack() as stack:
        if wal_has_content and not shm.exists():
            stack.callback(shm.unlink, missing_ok=True)
        connection = sqlite3.connect(uri, uri=True, isolation_level=None, timeout=_LOCK_TIMEOUT)
        stack.enter_context(closing(connection))
        version, (application_id,) = _version(connection), connection.execute("PRAGMA application_id").fetchone()
        tables = {name for (name,) in connection.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")}
        is_ours = application_id == APPLICATION_ID or (version == 1 and {"deployments", "replies"} <= tables)
        if not is_ours and (version or tables):
            raise UnusableDatabaseError(f"cannot use the database {file}: it belongs to another program")
        if version > len(MIGRATIONS):
            message = "a newer version of paperspace-gradient created it; install that version"
            raise UnusableDatabaseError(f"cannot use the database {file}: {message}")
        (result,) = connection.execute("PRAGMA quick_check(1)").fetchone()
        if result != "ok":
            raise UnusableDatabaseError(f"cannot use the database {file}: it is damaged: {result}")


def _prepare(connection: sqlite3.Connection, path: str | Path) -> None:
    # One server, one connection: reject a second one.
    connection.execute("PRAGMA locking_mode = EXCLUSIVE")
    connection.execute("PRAGMA journal_mode = WAL")
    # With WAL, NORMAL loses nothing if the process is killed. FULL would survive a power failure, at a twelfth of
    # the speed.
    connection.execute("PRAGMA synchronous = NORMAL")
    connection.execute(f"PRAGMA journal_size_limit = {4 * 1024 * 1024}")
    connection.execute("PRAGMA foreign_keys = ON")
    if 0 < (version := _version(connection)) < len(MIGRATIONS) and isinstance(path, Path):
        _back_up(connection, f"{path}.version-{version}")
    for version, statements in enumerate(MIGRATIONS, start=1):
        with connection:
            connection.execute("BEGIN IMMEDIATE")
            if _version(connection) < version:
                for statement in statements:
                    connection.execute(statement)
                connection.execute(f"PRAGMA user_version = {version}")


def _back_up(connection: sqlite3.Connection, path: str) -> None:
    _create_file(path)
    with closing(sqlite3.connect(path)) as backup:
        connection.backup(backup)


def _version(connection: sqlite3.Connection) -> int:
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    return int(version)


def _describe(error: Exception) -> str:
    if isinstance(error, sqlite3.Error) and getattr(error, "sqlite_errorcode", None) == sqlite3.SQLITE_BUSY:
        return "another server is using it"
    return (isinstance(error, OSError) and error.strerror) or str(error)
