"""Opens the database and brings its tables up to date."""

from __future__ import annotations

import os
import sqlite3
from contextlib import ExitStack, closing, suppress
from pathlib import Path

IN_MEMORY = ":memory:"
APPLICATION_ID = 0x47724C73  # by which a file is known as ours from version 2 on

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
        f"PRAGMA application_id = {APPLICATION_ID}",
    ),
)

_OLDEST_SQLITE = (3, 37, 0)  # the first with STRICT tables
_SECONDS_TO_WAIT = 1.0  # for a server that is about to let go of the file


class UnusableDatabaseError(Exception):
    """The database cannot be opened, is none or is another's, is in use, or was made by a newer version."""


def open_database(database: str | Path) -> sqlite3.Connection:
    """The one connection to the database, made or brought up to date if need be. Transactions are begun by hand.

    Raises:
        UnusableDatabaseError: The file cannot be used; it is left as it is.
    """
    if sqlite3.sqlite_version_info < _OLDEST_SQLITE:
        raise UnusableDatabaseError(f"SQLite 3.37 or newer is needed; this Python has {sqlite3.sqlite_version}")
    # An absolute path, as SQLite may take `file:` at the beginning of another for an address.
    place = database if str(database) == IN_MEMORY else Path(database).absolute()
    try:
        if isinstance(place, Path):
            if obstacle := _obstacle(Path(database)):
                raise UnusableDatabaseError(f"cannot open the database {database}: {obstacle}")
            _make(place)
            _look_at(Path(database))
        connection = sqlite3.connect(place, isolation_level=None, timeout=_SECONDS_TO_WAIT)
    except (OSError, sqlite3.Error) as error:
        raise UnusableDatabaseError(f"cannot open the database {database}: {_in_words(error)}") from error
    try:
        _prepare(connection, place)
    except (OSError, sqlite3.Error) as error:
        connection.close()
        raise UnusableDatabaseError(f"cannot use the database {database}: {_in_words(error)}") from error
    return connection


def _obstacle(file: Path) -> str | None:
    """What is in the way of a database there, where that can be seen: SQLite's own words for it are vague."""
    if not file.parent.is_dir():
        return f"there is no folder {file.parent}"
    if file.exists() and not file.is_file():
        return "it is a folder" if file.is_dir() else "it is no file that can keep anything"
    if not os.access(file.parent, os.W_OK):
        return f"nothing can be written into the folder {file.parent}"
    if file.exists() and not os.access(file, os.W_OK):
        return "it cannot be written"
    return None


def _make(file: str | Path) -> None:
    # Specs hold secrets: the file is its owner's alone. SQLite gives the files beside it the same mode. A file that is
    # there is not opened: to close it again would end the locks that another server of this process has on it.
    with suppress(FileExistsError):
        os.close(os.open(file, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))


def _look_at(file: Path) -> None:
    """Makes sure that the file is ours and sound, by a connection that changes nothing.

    Raises:
        UnusableDatabaseError: It is not.
    """
    log, index = (file.with_name(file.name + end) for end in ("-wal", "-shm"))
    # Where nothing lies in a log, the file alone is read, without a trace; else SQLite needs an index of the log.
    in_the_log = log.exists() and log.stat().st_size > 0
    uri = f"{file.absolute().as_uri()}?mode=ro" + ("" if in_the_log else "&immutable=1")
    with ExitStack() as stack:
        if in_the_log and not index.exists():
            stack.callback(index.unlink, missing_ok=True)
        connection = sqlite3.connect(uri, uri=True, isolation_level=None, timeout=_SECONDS_TO_WAIT)
        stack.enter_context(closing(connection))
        version, (application,) = _version(connection), connection.execute("PRAGMA application_id").fetchone()
        tables = {name for (name,) in connection.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")}
        ours = application == APPLICATION_ID or (version == 1 and {"deployments", "replies"} <= tables)
        if not ours and (version or tables):
            raise UnusableDatabaseError(f"cannot use the database {file}: it belongs to another program")
        if version > len(STEPS):
            message = "it was made by a newer version of paperspace-gradient, so install that one"
            raise UnusableDatabaseError(f"cannot use the database {file}: {message}")
        (verdict,) = connection.execute("PRAGMA quick_check(1)").fetchone()
        if verdict != "ok":
            raise UnusableDatabaseError(f"cannot use the database {file}: it is damaged: {verdict}")


def _prepare(connection: sqlite3.Connection, place: str | Path) -> None:
    # One server, one connection: a second one is refused rather than let in between.
    connection.execute("PRAGMA locking_mode = EXCLUSIVE")
    connection.execute("PRAGMA journal_mode = WAL")
    # With WAL, NORMAL loses nothing when the process is killed. FULL would stand a power cut too, at a twelfth of
    # the speed.
    connection.execute("PRAGMA synchronous = NORMAL")
    connection.execute(f"PRAGMA journal_size_limit = {4 * 1024 * 1024}")
    connection.execute("PRAGMA foreign_keys = ON")
    if 0 < (version := _version(connection)) < len(STEPS) and isinstance(place, Path):
        _back_up(connection, f"{place}.version-{version}")
    for version, step in enumerate(STEPS, start=1):
        with connection:
            connection.execute("BEGIN IMMEDIATE")
            if _version(connection) < version:
                for statement in step:
                    connection.execute(statement)
                connection.execute(f"PRAGMA user_version = {version}")


def _back_up(connection: sqlite3.Connection, place: str) -> None:
    _make(place)
    with closing(sqlite3.connect(place)) as copy:
        connection.backup(copy)


def _version(connection: sqlite3.Connection) -> int:
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    return int(version)


def _in_words(error: Exception) -> str:
    if isinstance(error, sqlite3.Error) and getattr(error, "sqlite_errorcode", None) == sqlite3.SQLITE_BUSY:
        return "another server is using it"
    return (isinstance(error, OSError) and error.strerror) or str(error)
