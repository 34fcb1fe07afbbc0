"""Database files: which ones the server accepts or rejects, and migrations of older ones."""

from __future__ import annotations

import json
import os
import re
import signal
import sqlite3
import stat
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from paperspace.gradient.server import LocalServer, UnusableDatabaseError
from paperspace.gradient.server.storage import files, migrations
from paperspace.gradient.server.storage.files import open_writer
from paperspace.gradient.server.storage.migrations import MIGRATIONS

if TYPE_CHECKING:
    from pathlib import Path

    from tests.raw_client import Caller


not_root = pytest.mark.skipif(os.geteuid() == 0, reason="everything can be written by root")

ID = "00000000-0000-0000-0000-000000000001"


def assert_rejected_unchanged(file: Path, match: str) -> None:
    """Check that opening the file raises an error, and that no file in the folder changes."""
    before = {path: path.read_bytes() for path in file.parent.iterdir()}
    with pytest.raises(UnusableDatabaseError, match=match):
        LocalServer(database=file).start()
    assert {path: path.read_bytes() for path in file.parent.iterdir()} == before


def write_and_kill(file: Path, *statements: str) -> None:
    """Change a file as a killed process leaves it: with changes only in the WAL."""
    script = (
        "import os, signal, sqlite3, sys\n"
        "connection = sqlite3.connect(sys.argv[1], isolation_level=None)\n"
        "connection.execute('PRAGMA journal_mode = WAL')\n"
        "for statement in sys.argv[2:]: connection.execute(statement)\n"
        "os.kill(os.getpid(), signal.SIGKILL)"
    )
    subprocess.run([sys.executable, "-c", script, str(file), *statements], check=False)


@pytest.mark.parametrize("in_the_log", [False, True])
def test_newer_version(tmp_path: Path, in_the_log: bool) -> None:
    """A database of a newer version is rejected; it and its WAL stay unchanged."""
    file = tmp_path / "gradient.db"
    with open_writer(file):
        pass
    newer = f"PRAGMA user_version = {len(MIGRATIONS) + 1}"
    if in_the_log:
        write_and_kill(file, newer)
        assert (tmp_path / "gradient.db-wal").exists()
        (tmp_path / "gradient.db-shm").unlink()
    else:
        connection = sqlite3.connect(file)
        connection.execute(newer)
        connection.close()
    assert_rejected_unchanged(file, "newer version of paperspace-gradient")


@pytest.mark.parametrize("content", [b"no database, " * 400, b"SQLite format 3\0" + b"\xff" * 4096])
def test_not_a_database(tmp_path: Path, content: bytes) -> None:
    """A file that is not a database is rejected and stays unchanged."""
    file = tmp_path / "notes.txt"
    file.write_bytes(content)
    assert_rejected_unchanged(file, r"notes\.txt")


@pytest.mark.parametrize("version", [0, 1, len(MIGRATIONS)])
def test_another_program(tmp_path: Path, version: int) -> None:
    """A database of another program is rejected, whatever its version number."""
    file = tmp_path / "other.db"
    connection = sqlite3.connect(file)
    connection.execute("CREATE TABLE deployments (a)")
    connection.execute(f"PRAGMA user_version = {version}")
    connection.close()
    assert_rejected_unchanged(file, "another program")


def test_damaged_file(tmp_path: Path, caller: type[Caller]) -> None:
    """A damaged database is rejected and stays unchanged."""
    file = tmp_path / "gradient.db"
    with LocalServer(database=file) as server:
        for number in range(50):
            caller(server).create(f"d{number}", spec={"image": "i", "env": [{"name": "A", "value": "x" * 2000}]})
    content = bytearray(file.read_bytes())
    content[8 * 4096 : 12 * 4096] = b"\xff" * 4 * 4096
    file.write_bytes(content)
    assert_rejected_unchanged(file, "damaged|malformed")


def damaged(file: Path, caller: type[Caller]) -> str:
    """Create a database in which the oldest of many specs is damaged; return the id of its deployment."""
    with LocalServer(database=file) as server:
        ids = [
            caller(server).create(f"d{number}", spec={"image": "i", "env": [{"name": "A", "value": "x" * 9000}]})
            for number in range(30)
        ]
    content = bytearray(file.read_bytes())
    middle = content.index(b"x" * 4000) - 200
    content[middle : middle + 5000] = b"\xff" * 5000
    file.write_bytes(content)
    return ids[0]


def test_a_large_damaged_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caller: type[Caller]) -> None:
    """A large file is checked after an unclean end only; otherwise, damage is reported by the request that reads it."""
    file = tmp_path / "gradient.db"
    id_ = damaged(file, caller)
    monkeypatch.setattr(files, "_MAX_ALWAYS_CHECKED", 0)
    with LocalServer(database=file) as server:
        call = caller(server)
        call.create("another")
        response = call(f'{{ deployment(id: "{id_}") {{ deploymentSpecs {{ nodes {{ data {{ image }} }} }} }} }}')
        assert response.code == "SERVICE_UNAVAILABLE"
        assert response.error["message"] == "the database is damaged; restore it from a copy"
    write_and_kill(file, "UPDATE clusters SET name = 'changed'")
    (tmp_path / "gradient.db-shm").unlink()
    assert_rejected_unchanged(file, "damaged|malformed")


@pytest.mark.parametrize("size", [1, 1 / 2, 1 / 100])
def test_a_large_truncated_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, size: float) -> None:
    """A truncated file is rejected, also one of which only the last page is missing, and that is not checked completely."""
    file = tmp_path / "gradient.db"
    with LocalServer(database=file):
        pass
    monkeypatch.setattr(files, "_MAX_ALWAYS_CHECKED", 0)
    file.write_bytes(file.read_bytes()[: max(int((file.stat().st_size - 1) * size), 1000)])
    assert_rejected_unchanged(file, "damaged|malformed")


ENDLESS = "WITH RECURSIVE n (x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n) SELECT count(*) FROM n"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_during_the_check(tmp_path: Path, number: signal.Signals) -> None:
    """The check of a large file after an unclean end is announced, and a signal ends it."""
    file = tmp_path / "gradient.db"
    with LocalServer(database=file):
        pass
    write_and_kill(file, "CREATE TABLE more (x)")
    script = (
        "from paperspace.gradient.cli.main import main\n"
        "from paperspace.gradient.server.storage import files\n"
        f"files._MAX_ALWAYS_CHECKED, files._CHECK = 0, {ENDLESS!r}\n"
        "main()"
    )
    command = [sys.executable, "-c", script, "server", "--port=0", "--api-key=k", f"--database={file}"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr
        assert "checking all of the database" in process.stderr.readline()
        process.send_signal(number)
        output, errors = process.communicate(timeout=60)
    assert (process.returncode, output, errors) == (0, "", "")


def test_a_second_server_is_rejected(tmp_path: Path, caller: type[Caller]) -> None:
    """A second server on a file is rejected, and the first one continues; after its stop, the file can be used."""
    file = tmp_path / "gradient.db"
    with LocalServer(database=file) as server:
        id_ = caller(server).create()
        with pytest.raises(UnusableDatabaseError, match="another server is using it"):
            LocalServer(database=file).start()
        script = (
            "import sys; from paperspace.gradient.server import LocalServer; LocalServer(database=sys.argv[1]).start()"
        )
        second = subprocess.run([sys.executable, "-c", script, str(file)], capture_output=True, text=True, check=False)
        assert "another server is using it" in second.stderr
        caller(server).update(id_, name="goes on")
    with LocalServer(database=file) as server:
        assert caller(server)("{ deployments { nodes { name } } }").data["deployments"]["nodes"] == [
            {"name": "goes on"}
        ]


def older_file(file: Path, monkeypatch: pytest.MonkeyPatch, caller: type[Caller]) -> None:
    """Create a database of version 1 with a deployment."""
    with monkeypatch.context() as context:
        context.setattr(migrations, "MIGRATIONS", MIGRATIONS[:1])
        with open_writer(file):
            pass
    connection = sqlite3.connect(file)
    for cluster in ("local", "unused"):
        connection.execute("INSERT INTO clusters VALUES (?, ?, '2024', '2024')", (cluster, cluster))
    connection.execute(
        "INSERT INTO deployments (id, project_id, name, dt_created) VALUES (?, 'p', 'old', '2024')", (ID,)
    )
    connection.execute(
        "INSERT INTO deployment_specs (id, deployment_id, cluster_id, actor, data, dt_created)"
        " VALUES (?, ?, 'local', 'A', ?, '2024')",
        (ID, ID, json.dumps(caller.SPEC)),
    )
    connection.commit()
    connection.close()


def test_older_version(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caller: type[Caller]) -> None:
    """An older database is copied and migrated, and its deployments run. Clusters that no spec refers to are removed."""
    file = tmp_path / "gradient.db"
    older_file(file, monkeypatch, caller)
    with LocalServer(database=file) as server:
        query = (
            "{ deployments { nodes { name deploymentRollouts { nodes { deploymentRuns { nodes { replicas } } } } } } }"
        )
        call = caller(server)
        events = "{ deployments { nodes { events { nodes { reason message } } } } }"
        message = "A created the deployment: tensorflow/serving, 1 replica."
        assert call(events).data["deployments"]["nodes"][0]["events"]["nodes"] == [
            {"reason": "RolloutStarted", "message": message}
        ]
        (node,) = call(query).data["deployments"]["nodes"]
        assert (node["name"], node["deploymentRollouts"]["nodes"][0]["deploymentRuns"]["nodes"]) == (
            "old",
            [{"replicas": 1}],
        )
    connection = sqlite3.connect(file)
    assert connection.execute("SELECT id FROM clusters").fetchall() == [("local",)]
    connection.close()
    copy = tmp_path / "gradient.db.version-1"
    assert stat.S_IMODE(copy.stat().st_mode) == 0o600
    connection = sqlite3.connect(copy)
    assert connection.execute("PRAGMA user_version").fetchone() == (1,)
    assert connection.execute("SELECT name FROM deployments").fetchall() == [("old",)]
    connection.close()


@pytest.mark.parametrize("statements", [1, 8, 16, len(MIGRATIONS[1]) + 8])
def test_a_kill_during_a_migration(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caller: type[Caller], statements: int
) -> None:
    """A server killed during a migration leaves the old or the new version, never a mixture."""
    file = tmp_path / "gradient.db"
    older_file(file, monkeypatch, caller)
    script = """
import os, signal, sqlite3, sys
from paperspace.gradient.server.storage import files
class Killing(sqlite3.Connection):
    left = int(sys.argv[2])
    def execute(self, *arguments):
        Killing.left -= 1
        if Killing.left == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        return super().execute(*arguments)
connect = sqlite3.connect
def killing(path, **options):
    options.pop("uri", None) is None and options.update(factory=Killing)
    return connect(path, uri="mode=ro" in str(path), **options)
files.sqlite3.connect = killing
with files.open_writer(sys.argv[1]):
    pass
"""
    for _ in range(2):
        killed = subprocess.run([sys.executable, "-c", script, str(file), str(statements)], check=False)
        assert killed.returncode == -signal.SIGKILL
        connection = sqlite3.connect(file)
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        (version,) = connection.execute("PRAGMA user_version").fetchone()
        tables = {name for (name,) in connection.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")}
        assert version == (2 if "log_lines" in tables else 1)
        connection.close()
    with LocalServer(database=file) as server:
        assert caller(server)("{ deployments { nodes { name } } }").data["deployments"]["nodes"] == [{"name": "old"}]


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("missing/gradient.db", "the folder {folder}/missing does not exist"),
        ("notes.txt/gradient.db", "the folder {folder}/notes.txt does not exist"),
        ("folder", "it is a folder"),
        ("folder/", "it is a folder"),
        ("", "it is a folder"),
        ("/dev/null", "it is not a regular file"),
        ("x" * 300, "File name too long"),
        pytest.param("readonly.db", "the file is not writable", marks=not_root),
        pytest.param("readonly/gradient.db", "the folder {folder}/readonly is not writable", marks=not_root),
        pytest.param("locked/gradient.db", "Permission denied", marks=not_root),
    ],
)
def test_invalid_paths(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, path: str, words: str) -> None:
    """A path that cannot be a database raises an error with path and reason, and creates nothing."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "notes.txt").write_text("notes")
    with open_writer("readonly.db"):
        pass
    (tmp_path / "readonly.db").chmod(0o444)
    for name, mode in {"folder": 0o700, "readonly": 0o500, "locked": 0o000}.items():
        (tmp_path / name).mkdir(mode=mode)
    before = sorted(tmp_path.iterdir())
    message = f"cannot open the database {tmp_path / path}: {words.format(folder=tmp_path)}"
    with pytest.raises(UnusableDatabaseError, match=f"^{re.escape(message)}$"):
        LocalServer(database=path).start()
    assert sorted(tmp_path.iterdir()) == before


def test_a_file_name_is_not_a_uri(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caller: type[Caller]) -> None:
    """A file name that SQLite could parse as a URI is a file name, also for the copy of an older version."""
    monkeypatch.chdir(tmp_path)
    older_file(tmp_path / "file:a.db?mode=memory", monkeypatch, caller)
    with LocalServer(database="file:a.db?mode=memory") as server:
        caller(server).create("kept")
    assert sorted(file.name for file in tmp_path.iterdir()) == [
        "file:a.db?mode=memory",
        "file:a.db?mode=memory-lock",
        "file:a.db?mode=memory.version-1",
    ]
