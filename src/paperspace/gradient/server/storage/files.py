"""The files of the database: lock, check and open them, and notice when they are removed.

Only their owner may read them, because specs contain secrets. SQLite creates its files with the mode of the database.
"""

from __future__ import annotations

import logging
import os
import sqlite3
import threading
from contextlib import ExitStack, closing, contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from paperspace.gradient.server.errors import StoppedError
from paperspace.gradient.server.storage.migrations import APPLICATION_ID, MIGRATIONS, migrate, version_of

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

_log = logging.getLogger(__name__)

IN_MEMORY = ":memory:"

_MIN_SQLITE_VERSION = (3, 37, 0)  # the first with STRICT tables
_LOCK_TIMEOUT = 1.0  # seconds; another server may be about to close the file
_MAX_WAL_SIZE = 4 * 1024 * 1024
# 16 MB in the WAL. While changes are faster than the checkpoints beside them, a change makes one itself.
_PAGES_BEFORE_CHECKPOINT = 4096
# In KiB, at most. A change touches some 70 pages. With the 2 MiB of SQLite's default, a change of a million deployments
# takes up to twice as long as of a thousand.
_CACHE_SIZE = 64 * 1024
# In bytes, which take a tenth of a second to check. A file of a million deployments takes many seconds.
_MAX_ALWAYS_CHECKED = 32 * 1024 * 1024
_CHECK = "PRAGMA quick_check(1)"
_CHECK_INTERVAL = 0.1  # seconds between two looks at whether the server stops


class UnusableDatabaseError(Exception):
    """The database cannot be opened: the file is not ours, damaged, in use, or from a newer version; or the disk is full."""


def unusable(database: str | Path, reason: str | Exception) -> UnusableDatabaseError:
    """Create the error for a reason, or for what SQLite or the system reported."""
    return UnusableDatabaseError(
        f"cannot open the database {database}: {reason if isinstance(reason, str) else _describe(reason)}"
    )


def _never() -> bool:
    return False


@contextmanager
def open_writer(database: str | Path, stopped: Callable[[], bool] = _never) -> Generator[sqlite3.Connection]:
    """Open the connection that changes the database. Lock the file before, and create or migrate it if needed.

    Transactions are started explicitly. `stopped` says whether to stop: to check a large file takes long.

    Raises:
        UnusableDatabaseError: the file cannot be used; it is unchanged.
        StoppedError: the server stopped first.
    """
    if sqlite3.sqlite_version_info < _MIN_SQLITE_VERSION:
        raise UnusableDatabaseError(f"SQLite 3.37 or newer is required; this Python has {sqlite3.sqlite_version}")
    file = None if str(database) == IN_MEMORY else Path(database)
    with ExitStack() as stack:
        try:
            if file:
                # The file itself, not a symbolic link to it: another server may use it by its other name.
                file = Path(os.path.realpath(file))
                if reason := _unusable_reason(file):
                    raise unusable(database, reason)
                stack.enter_context(locked(file))
                create_private(file)
                check_file(file, has_lock=True)
                _check_content(file, stopped)
            connection = stack.enter_context(closing(connect(file or IN_MEMORY)))
            connection.execute("PRAGMA journal_mode = WAL")
            # With WAL, NORMAL loses nothing if the process is killed. FULL would survive a power failure, at a twelfth
            # of the speed.
            connection.execute("PRAGMA synchronous = NORMAL")
            connection.execute(f"PRAGMA journal_size_limit = {_MAX_WAL_SIZE}")
            connection.execute(f"PRAGMA wal_autocheckpoint = {_PAGES_BEFORE_CHECKPOINT}")
            connection.execute(f"PRAGMA cache_size = -{_CACHE_SIZE}")
            connection.execute("PRAGMA foreign_keys = ON")
            migrate(connection, file and file.absolute())
        except (OSError, sqlite3.Error) as error:
            raise unusable(database, error) from error
        yield connection


@contextmanager
def open_reader(database: str | Path) -> Generator[sqlite3.Connection]:
    """Open one more connection to a database that is open. It cannot change the database."""
    with closing(connect(Path(database))) as connection:
        yield connection


def identities(database: str | Path) -> list[tuple[int, int] | None]:
    """Identify the files of an open database, to notice when one is removed or replaced.

    Changes would be lost, or, without the file of the lock, a second server could use the database.
    """
    if str(database) == IN_MEMORY:
        return []
    found: list[tuple[int, int] | None] = []
    for suffix in ("", "-wal", "-shm", "-lock"):
        try:
            status = os.stat(f"{database}{suffix}")  # noqa: PTH116 - for each change
        except OSError:
            found.append(None)
        else:
            found.append((status.st_dev, status.st_ino))
    return found


def create_private(file: Path) -> None:
    """Create an empty file for its owner only, unless it exists."""
    # Never open an existing file: closing it would release the locks that another server of this process has on it.
    with suppress(FileExistsError):
        create_new(file)


def create_new(file: Path) -> None:
    """Create an empty file for its owner only.

    Raises:
        FileExistsError: it exists, also as a link that leads nowhere. Of two callers, one gets this error.
    """
    os.close(os.open(file, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))


@contextmanager
def locked(database: Path) -> Generator[None]:
    """Lock the database for this server. The lock is that of SQLite on an empty file beside it."""
    file = database.with_name(f"{database.name}-lock")
    if not file.exists() and database.exists():
        check_file(database)  # create nothing beside a file that cannot be used
    create_private(file)
    with closing(connect(file)) as connection:
        connection.execute("PRAGMA journal_mode = OFF")  # nothing is written
        connection.execute("BEGIN EXCLUSIVE")
        yield


def connect(database: str | Path) -> sqlite3.Connection:
    """Open a connection, without a check of the file. Transactions are started explicitly."""
    # An absolute path, because SQLite may parse a path that starts with `file:` as a URI.
    path = database if isinstance(database, str) else database.absolute()
    return sqlite3.connect(path, isolation_level=None, timeout=_LOCK_TIMEOUT)


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
    if file.exists() and file.stat().st_nlink > 1:
        # Beside each of its names, there would be another WAL and another lock: changes of one server would overwrite those of another.
        return (
            "it has a second name (a hard link), by which another server could use it; replace the file by a copy of it"
        )
    return None


@contextmanager
def open_unchanged(file: Path, *, has_lock: bool = False) -> Generator[sqlite3.Connection]:
    """Connect to the file to read it, without a change of it, or of its WAL.

    If a server begins to change the file meanwhile, what is read may be wrong.

    Args:
        file: The file.
        has_lock: Whether the caller has the lock of the database. Then a -shm file that SQLite creates is removed. Otherwise,
            a server that was started meanwhile may use it.
    """
    file = Path(os.path.realpath(file))  # the WAL is beside the file that a symbolic link leads to
    shm = file.with_name(f"{file.name}-shm")
    # With an empty WAL, read the database file alone and create nothing. Otherwise SQLite needs the -shm file.
    wal_has_content = _ended_uncleanly(file)
    uri = f"{file.absolute().as_uri()}?mode=ro" + ("" if wal_has_content else "&immutable=1")
    with ExitStack() as stack:
        if has_lock and wal_has_content and not shm.exists():
            stack.callback(shm.unlink, missing_ok=True)
        connection = sqlite3.connect(uri, uri=True, isolation_level=None, timeout=_LOCK_TIMEOUT)
        stack.enter_context(closing(connection))
        yield connection


def _ended_uncleanly(file: Path) -> bool:
    """Whether the last server was killed: at a clean end, all changes are in the file, and the WAL is removed."""
    wal = file.with_name(f"{file.name}-wal")
    return wal.exists() and wal.stat().st_size > 0


def check_file(file: Path, *, has_lock: bool = False) -> None:
    """Check that the file is ours, and complete: SQLite compares its size with the size in its header.

    Args:
        file: The file.
        has_lock: Whether the caller has the lock of the database.

    Raises:
        UnusableDatabaseError: it is not.
    """
    with open_unchanged(file, has_lock=has_lock) as connection:
        check_origin(connection, file)


def check_origin(connection: sqlite3.Connection, file: Path) -> None:
    """Check that a file is ours, and not of a newer version.

    Raises:
        UnusableDatabaseError: it is not.
    """
    version, (application_id,) = version_of(connection), connection.execute("PRAGMA application_id").fetchone()
    tables = {name for (name,) in connection.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")}
    is_ours = application_id == APPLICATION_ID or (version == 1 and {"deployments", "replies"} <= tables)
    if not is_ours and (version or tables):
        raise unusable(file, "it belongs to another program")
    if version > len(MIGRATIONS):
        raise unusable(file, "a newer version of paperspace-gradient created it; install that version")


def _check_content(file: Path, stopped: Callable[[], bool]) -> None:
    """Check that the content is intact. The caller has the lock. Of a large file, check all only after an unclean end.

    Otherwise, read the newest row of each table. A damaged page that is read later is reported then.

    Raises:
        UnusableDatabaseError: it is damaged.
        StoppedError: the server stopped first.
    """
    with open_unchanged(file, has_lock=True) as connection:
        is_large = file.stat().st_size > _MAX_ALWAYS_CHECKED
        if is_large and not _ended_uncleanly(file):
            sizes = [connection.execute(f"PRAGMA {name}").fetchone()[0] for name in ("page_count", "page_size")]
            if file.stat().st_size < sizes[0] * sizes[1]:  # SQLite ignores that a part of the last page is missing
                raise unusable(file, "it is damaged: a part is missing")
            for (table,) in connection.execute("SELECT name FROM sqlite_schema WHERE type = 'table'").fetchall():
                connection.execute(f"SELECT * FROM {table} ORDER BY 1 DESC LIMIT 1").fetchall()  # noqa: S608
            return
        if is_large:
            _log.warning("the last server was killed; checking all of the database %s", file)
        with _interrupted_if(stopped, connection):
            (result,) = connection.execute(_CHECK).fetchone()
        if result != "ok":
            raise unusable(file, f"it is damaged: {result}")


@contextmanager
def _interrupted_if(stopped: Callable[[], bool], connection: sqlite3.Connection) -> Generator[None]:
    """Interrupt a long statement of the connection if the server stops.

    Raises:
        StoppedError: it stopped.
    """
    done = threading.Event()

    def watch() -> None:
        while not done.wait(_CHECK_INTERVAL):
            if stopped():
                connection.interrupt()

    watcher = threading.Thread(target=watch, name="gradient check", daemon=True)
    watcher.start()
    try:
        yield
    except sqlite3.OperationalError:
        if stopped():
            raise StoppedError from None
        raise
    finally:
        done.set()
        watcher.join()


def _describe(error: Exception) -> str:
    extended_code = getattr(error, "sqlite_errorcode", 0)
    code = extended_code & 0xFF
    if extended_code == sqlite3.SQLITE_IOERR_SHMMAP:
        return "its file system does not support shared memory (mmap), which SQLite needs; use a folder on a local disk"
    if code == sqlite3.SQLITE_BUSY:
        return "another server is using it"
    if code in (sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR):
        return "the disk is full or failing"
    return (isinstance(error, OSError) and error.strerror) or str(error)
