"""Backups of a database."""

from __future__ import annotations

import sqlite3
import stat
import subprocess
import sys
import threading
from contextlib import closing
from pathlib import Path

import pytest
from tests.raw_client import Caller

from paperspace.gradient._shared.server_files import SETTINGS
from paperspace.gradient.server import LocalServer, UnusableDatabaseError
from paperspace.gradient.server.storage import backup
from paperspace.gradient.server.storage.backup import Backup, back_up
from paperspace.gradient.server.storage.files import open_writer
from paperspace.gradient.server.storage.migrations import MIGRATIONS


def names(server: LocalServer) -> set[str]:
    data = Caller(server)("{ deployments(first: 100) { nodes { name } } }").data
    return {node["name"] for node in data["deployments"]["nodes"]}


def test_backup_under_load(tmp_path: Path) -> None:
    """A backup while deployments are created has all that were acknowledged before it, is intact, and starts as a database."""
    file, ended = tmp_path / "gradient.db", threading.Event()
    acknowledged: list[str] = []

    def create() -> None:
        while not ended.is_set():
            name = f"d{len(acknowledged)}"
            Caller(server).create(name)
            acknowledged.append(name)

    with LocalServer(database=file) as server:
        client = threading.Thread(target=create)
        client.start()
        try:
            for number in range(3):
                before = {f"d{index}" for index in range(len(acknowledged))}
                back_up(file, tmp_path / f"copy{number}.db")
                after = len(acknowledged)
                with closing(sqlite3.connect(tmp_path / f"copy{number}.db")) as copy:
                    assert copy.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
                    copied = {name for (name,) in copy.execute("SELECT name FROM deployments")}
                assert before <= copied
                assert len(copied) <= after + 1
        finally:
            ended.set()
            client.join()
    with LocalServer(database=tmp_path / "copy2.db") as server:
        assert before <= names(server)


def test_all_that_belongs_to_a_database(tmp_path: Path) -> None:
    """The logs, metrics and settings are copied too; only the owner can read the copies."""
    file, copies = tmp_path / "gradient.db", tmp_path / "copies"
    copies.mkdir()
    with LocalServer(database=file):
        pass
    for name in ("logs", "metrics"):
        with closing(sqlite3.connect(tmp_path / f"gradient.db.{name}")) as side_file:
            side_file.execute("CREATE TABLE lines (text)")
    for name in ("key", "registries", "instance-types", "secrets", "unrelated"):
        (tmp_path / f"gradient.db.{name}").write_text(name)
    written = back_up(file, copies / "x.db")
    names_ = ("", ".instance-types", ".key", ".logs", ".metrics", ".registries", ".secrets")
    expected = [f"x.db{name}" for name in names_]
    assert sorted(path.name for path in copies.iterdir()) == expected == sorted(path.name for path in written.copies)
    assert {stat.S_IMODE(path.stat().st_mode) for path in copies.iterdir()} == {0o600}
    assert (copies / "x.db.key").read_text() == "key"
    for name in ("logs", "metrics"):
        with closing(sqlite3.connect(copies / f"x.db.{name}")) as side_file:
            assert side_file.execute("SELECT name FROM sqlite_schema").fetchall() == [("lines",)]


def test_symbolic_link(tmp_path: Path) -> None:
    """Each name of a database has the same settings and logs: one that was moved, and has a link in its old place, keeps them."""
    file, link = tmp_path / "data/gradient.db", tmp_path / "link.db"
    file.parent.mkdir()
    link.symlink_to(file)
    with LocalServer(database=file) as server:
        id_ = Caller(server).create("d")
        password = server.endpoint_password(id_)
    for name in ("key", "registries", "instance-types", "secrets"):
        (file.parent / f"gradient.db.{name}").write_text(name)
    with LocalServer(database=link) as server:
        assert server.endpoint_password(id_) == password
        written = back_up(link, tmp_path / "copy.db")
    assert {path.name for path in written.copies} == {"copy.db", *(f"copy.db.{name}" for name in SETTINGS)}
    assert {path.name for path in tmp_path.iterdir()} == {"data", "link.db", *(path.name for path in written.copies)}


def test_damaged_files_beside_a_database(tmp_path: Path) -> None:
    """Logs and metrics that are damaged are left out, with the reason, and settings are copied whatever they are."""
    file, copies = tmp_path / "gradient.db", tmp_path / "copies"
    copies.mkdir()
    with LocalServer(database=file):
        pass
    for name in ("logs", "metrics", "secrets"):
        (tmp_path / f"gradient.db.{name}").write_bytes(b"\xff" * 5000)
    done = back_up(file, copies / "x.db")
    assert ["not a database" in str(reason) for reason in done.left_out] == [True, True]
    assert sorted(path.name for path in copies.iterdir()) == ["x.db", "x.db.secrets"]
    assert (copies / "x.db.secrets").read_bytes() == b"\xff" * 5000
    assert sorted(done.copies) == sorted(copies.iterdir())


@pytest.mark.parametrize("large", ["", ".logs"])
def test_a_full_disk(tmp_path: Path, large: str) -> None:
    """If a copy cannot be written, also that of the logs, the command fails, names the copy, and leaves none."""
    file, copies = tmp_path / "gradient.db", tmp_path / "copies"
    copies.mkdir()
    with LocalServer(database=file):
        pass
    with closing(sqlite3.connect(f"{file}{large}")) as connection, connection:
        connection.execute("CREATE TABLE large (content)")
        connection.execute("INSERT INTO large VALUES (zeroblob(2000000))")
    script = (
        "import resource\n"
        "from paperspace.gradient.cli.main import main\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, 1_000_000))\n"
        "main()"
    )
    arguments = ["server", "backup", "--database", str(file), str(copies / "x.db")]
    done = subprocess.run([sys.executable, "-c", script, *arguments], capture_output=True, text=True, check=False)
    message = f"Error: Cannot write {copies / 'x.db'}{large}: the disk is full or failing.\n"
    assert (done.returncode, done.stderr, list(copies.iterdir())) == (1, message, [])


@pytest.mark.parametrize("existing", ["x.db", "x.db.key"])
def test_nothing_is_overwritten(tmp_path: Path, existing: str) -> None:
    """An existing file is kept, and no half of a backup is left beside it."""
    file = tmp_path / "gradient.db"
    with LocalServer(database=file):
        pass
    (tmp_path / "gradient.db.key").write_text("key")
    (tmp_path / existing).write_text("kept")
    with pytest.raises(FileExistsError):
        back_up(file, tmp_path / "x.db")
    assert [path.name for path in tmp_path.glob("x.db*")] == [existing]
    assert (tmp_path / existing).read_text() == "kept"


def test_two_backups_with_one_name(tmp_path: Path) -> None:
    """Of two backups that begin at the same time, only one gets a name: the other one removes nothing of it."""
    file = tmp_path / "gradient.db"
    with LocalServer(database=file):
        pass
    for name in SETTINGS:
        (tmp_path / f"gradient.db.{name}").write_text(name)
    done: list[Backup | FileExistsError] = []

    def run(target: Path) -> None:
        both.wait()
        try:
            done.append(back_up(file, target))
        except FileExistsError as error:
            done.append(error)

    for number in range(50):
        both = threading.Barrier(2)
        threads = [threading.Thread(target=run, args=[tmp_path / f"{number}.db"]) for _ in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    finished = [result for result in done if isinstance(result, Backup)]
    assert len(finished) == 50
    assert all(copy.exists() for result in finished for copy in result.copies)


def test_locked_logs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A backup does not wait for ever for logs that another program has locked: they are left out."""
    file = tmp_path / "gradient.db"
    with LocalServer(database=file):
        pass
    monkeypatch.setattr(backup, "_TIMEOUT", 0.1)
    done: list[Backup] = []
    thread = threading.Thread(target=lambda: done.append(back_up(file, tmp_path / "copy.db")), daemon=True)
    with closing(sqlite3.connect(f"{file}.logs")) as other:
        other.execute("PRAGMA locking_mode = EXCLUSIVE")
        other.execute("CREATE TABLE locked (x)")
        other.commit()
        thread.start()
        thread.join(20)
    ((copies, [left_out]),) = done
    assert copies == [tmp_path / "copy.db"]
    assert "gradient.db.logs" in str(left_out)


@pytest.mark.parametrize(
    "name",
    ["gradient.db.logs", "gradient.db.metrics", "gradient.db.gateway", "gradient.db-wal", "gradient.db.logs-shm"],
)
def test_names_of_the_server(tmp_path: Path, name: str) -> None:
    """A copy does not get a name that the server uses later: the logs could not be stored, for example."""
    file = tmp_path / "gradient.db"
    with LocalServer(database=file):
        pass
    before = set(tmp_path.iterdir())
    with pytest.raises(FileExistsError, match="uses this name"):
        back_up(file, tmp_path / name)
    assert set(tmp_path.iterdir()) == before
    back_up(file, tmp_path / "gradient.db.monday")


def test_what_is_no_database(tmp_path: Path) -> None:
    """A missing file, one of another program, and a newer database are errors; no copy is left."""
    (tmp_path / "text").write_text("text " * 1000)
    with closing(sqlite3.connect(tmp_path / "other.db")) as other:
        other.execute("CREATE TABLE t (x)")
    with open_writer(tmp_path / "newer.db") as newer:
        newer.execute(f"PRAGMA user_version = {len(MIGRATIONS) + 1}")
    reasons = {"missing": "no such file", "text": "not a database", "other.db": "another program", "newer.db": "newer"}
    for name, reason in reasons.items():
        with pytest.raises(UnusableDatabaseError, match=reason):
            back_up(tmp_path / name, tmp_path / "copy.db")
        assert not (tmp_path / "copy.db").exists()
