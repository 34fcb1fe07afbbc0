"""`gradient server --reset`: the deployments of a database are deleted, and its settings stay."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from tests.cli.conftest import Run, run_on_terminal, run_process
from tests.cli.test_server import running
from tests.raw_client import Caller

from paperspace.gradient.server import LocalServer

LIST = "{ deployments { nodes { id } } }"
SETTINGS = ["my.db-lock", "my.db.key", "my.db.secrets"]


@pytest.fixture
def used(tmp_path: Path) -> Path:
    """A database with a deployment, and the files that a server and its containers leave next to it."""
    database = tmp_path / "my.db"
    with running(tmp_path, "--database", str(database)) as command:
        Caller(command).create()
        command.process.kill()
        command.process.wait()
    for name in ("logs", "metrics", "logs-wal", "metrics-shm", "logs.damaged", "metrics.damaged", "secrets"):
        (tmp_path / f"my.db.{name}").touch()
    (tmp_path / "my.db.repositories/clone").mkdir(parents=True)
    (tmp_path / "other.db").touch()
    assert (tmp_path / "my.db-wal").exists()  # the server was killed
    return database


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_reset(used: Path) -> None:
    """The server starts without deployments, with the same API key. Only what belongs to its database is deleted."""
    key = used.with_name("my.db.key").read_text(encoding="utf-8").strip()
    with running(used.parent, "--database", str(used), "--reset", "--yes") as command:
        assert Caller(command)(LIST).data["deployments"]["nodes"] == []
        assert command.api_key == key
        command.process.terminate()
        assert f"Deleted all deployments of {used}.\n" in command.process.communicate()[1]
    assert names(used.parent) == ["my.db", *SETTINGS, "other.db"]


@pytest.mark.parametrize(("typed", "code"), [(b"n\r", 1), (b"\r", 1), (b"\x03", 130)])
def test_the_question(used: Path, typed: bytes, code: int) -> None:
    """It asks; without a yes, nothing is deleted, and no server is started."""
    before = names(used.parent)
    done = run_on_terminal("server", "--reset", "--database", str(used), "--port", "0", typed=typed, columns=300)
    assert done.code == code
    assert f"Delete all deployments of {used}, with their containers, logs, events and metrics? [y/N]" in done.text
    assert "Listening" not in done.text
    assert names(used.parent) == before


def test_without_a_terminal(used: Path) -> None:
    """Where nobody can be asked, nothing is deleted without `--yes`."""
    before = names(used.parent)
    done = run_process("server", "--reset", "--database", str(used), "--port", "0")
    assert (done.returncode, done.stdout, names(used.parent)) == (1, "", before)


def test_a_running_server(tmp_path: Path, run: Run) -> None:
    """It is refused while a server runs on the database, by whichever path: with its control socket, and without."""
    database, link = tmp_path / "my.db", tmp_path / "link.db"
    link.symlink_to(database)
    with running(tmp_path, "--database", str(database)) as command:
        id_ = Caller(command).create()
        for path in (database, link):
            done = run("server", "--reset", "--yes", "--database", str(path), "--port", "0")
            message = f"Error: A server runs on {path}. Stop it first, with `gradient server down` or Ctrl-C.\n"
            assert (done.exit_code, done.stderr) == (1, message)
        assert Caller(command)(LIST).data["deployments"]["nodes"] == [{"id": id_}]
        command.process.terminate()
        command.process.wait()
    with LocalServer(database=database):
        before = names(tmp_path)
        done = run("server", "--reset", "--yes", "--database", str(database), "--port", "0")
        assert (done.exit_code, "another server is using it" in done.stderr) == (1, True)
        assert names(tmp_path) == before


def test_containers_that_are_not_known(used: Path, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """A database that is simulated now, and had containers, is not deleted while Docker does not respond."""
    with closing(sqlite3.connect(used)) as connection, connection:
        connection.execute("UPDATE instances SET port = 24000")
    monkeypatch.setenv("DOCKER_HOST", f"unix://{used.parent}/missing.sock")
    before = names(used.parent)
    done = run("server", "--reset", "--yes", "--database", str(used), "--port", "0")
    assert done.exit_code == 1
    assert "The database was not deleted: its containers may still exist: The Docker engine" in done.stderr
    assert done.stderr.endswith("If there is no Docker any more, delete the file.\n")
    assert names(used.parent) == before


def test_other_files(tmp_path: Path, run: Run) -> None:
    """A file of another program is not deleted. A database that does not exist yet is created, without a question."""
    other = tmp_path / "notes.txt"
    other.write_text("mine" * 100, encoding="utf-8")
    done = run("server", "--reset", "--yes", "--database", str(other), "--port", "0")
    assert (done.exit_code, "cannot open the database" in done.stderr) == (1, True)
    assert other.read_text(encoding="utf-8") == "mine" * 100
    with running(tmp_path, "--database", str(tmp_path / "new.db"), "--reset") as command:
        assert Caller(command)(LIST).data["deployments"]["nodes"] == []
