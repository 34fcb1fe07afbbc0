"""`gradient server down`, `status`, `prune` and `backup` with the simulation; signals while the server starts."""

from __future__ import annotations

import json
import os
import signal
import socket
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from tests.cli.conftest import GRADIENT, TIMEOUT, run_process
from tests.cli.test_server import running
from tests.raw_client import Caller

from paperspace.gradient.server import LocalServer
from paperspace.gradient.server.storage.files import open_writer
from paperspace.gradient.server.storage.migrations import MIGRATIONS


@pytest.fixture
def database(tmp_path: Path) -> str:
    return str(tmp_path / "my.db")


def contents(folder: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in folder.iterdir() if file.is_file()}


def test_down(tmp_path: Path, database: str) -> None:
    """`down` ends a running server; its data is kept, and the exit is a success, without a word of containers."""
    with running(tmp_path, "--database", database) as command:
        id_ = Caller(command).create()
        done = run_process("server", "down", "--database", database)
        assert (done.returncode, done.stdout) == (0, "")
        assert done.stderr == "Everything is stopped. There were no containers.\n"
        assert command.process.poll() == 0  # the command waits for the end of the server
        assert command.process.stderr
        assert "keep" not in command.process.stderr.read()
    assert sorted(contents(tmp_path)) == ["my.db", "my.db-lock", "my.db.key"]
    assert run_process("server", "down", "--database", database).returncode == 0
    with running(tmp_path, "--database", database) as command:
        assert Caller(command)("{ deployments { nodes { id } } }").data["deployments"]["nodes"] == [{"id": id_}]


def test_status(tmp_path: Path, database: str) -> None:
    """`status` describes a running server, with exit code 0, and one that does not run, with exit code 3."""
    with running(tmp_path, "--database", database) as command:
        Caller(command).create()
        done = run_process("server", "--database", database, "status", "-o", "json")
        report = json.loads(done.stdout)
        assert (done.returncode, report["problems"]) == (0, [])
        assert (report["server"]["url"], report["server"]["pid"]) == (command.url, command.process.pid)
        assert sum(report["deployments"]["counts"].values()) == 1
        assert report["database"]["size"] > 0
        text = run_process("server", "status", "--database", database).stdout
        assert f"API URL:      {command.url}" in text
        assert text.endswith("\nNo problems.\n")
        command.process.terminate()
        command.process.wait(TIMEOUT)
    before = contents(tmp_path)
    done = run_process("server", "status", "--database", database)
    assert done.returncode == 3
    assert "Server:       not running" in done.stdout
    assert f"- The server does not run. Start it with `gradient server --database {database}`." in done.stdout
    assert contents(tmp_path) == before


def test_status_of_a_failed_deployment(tmp_path: Path, database: str) -> None:
    """If a deployment has failed, `status` says why, with exit code 1."""
    with running(tmp_path, "--database", database) as command:
        call = Caller(command)
        spec = {"image": "i", "resources": {"replicas": 101}}
        call(call.CREATE, input={"name": "many", "projectId": "p", "spec": spec})
        done = run_process("server", "status", "--database", database)
        assert done.returncode == 1
        assert "- Deployment many: " in done.stdout


def test_databases_that_cannot_be_used(tmp_path: Path) -> None:
    """Without a database, and with one of a newer version, each command says so and changes nothing."""
    newer = tmp_path / "newer.db"
    with open_writer(newer) as connection:
        connection.execute(f"PRAGMA user_version = {len(MIGRATIONS) + 1}")
    before = contents(tmp_path)
    for file, reason in ((tmp_path / "missing.db", "no"), (newer, "newer version")):
        for arguments in (["down"], ["prune"], ["backup", str(tmp_path / "copy.db")], ["status"], ["--port", "0"]):
            if arguments == ["--port", "0"] and file != newer:
                continue
            done = run_process("server", "--database", str(file), *arguments)
            assert done.returncode == (3 if arguments == ["status"] else 1), arguments
            assert reason in done.stderr + done.stdout
            assert "Traceback" not in done.stderr
            assert contents(tmp_path) == before, arguments
    done = run_process("server", "down", "--database", ":memory:")
    assert (done.returncode, "exists only in its server" in done.stderr) == (2, True)


def test_a_database_that_does_not_say_its_engine(tmp_path: Path, database: str) -> None:
    """If the page that names the engine is damaged, no command says that there are no containers, and nothing is deleted."""
    with open_writer(database) as connection:
        [(page,)] = connection.execute("SELECT rootpage FROM sqlite_schema WHERE name = 'server'").fetchall()
        [(size,)] = connection.execute("PRAGMA page_size").fetchall()
    with Path(database).open("r+b") as file:
        file.seek((page - 1) * size)
        file.write(b"\xff" * size)
    before = contents(tmp_path)
    for arguments in (["down"], ["prune"], ["status"], ["--reset", "--yes", "--port", "0"]):
        done = run_process("server", "--database", database, *arguments)
        assert done.returncode == (3 if arguments == ["status"] else 1), arguments
        assert "malformed. So it is not known which containers it has" in done.stderr + done.stdout, arguments
        assert contents(tmp_path) == before, arguments


def test_prune_with_the_simulation(database: str) -> None:
    """With the simulation there is nothing to prune."""
    with LocalServer(database=database):
        pass
    done = run_process("server", "prune", "--database", database)
    assert (done.returncode, "simulated" in done.stderr) == (1, True)


def test_backup(tmp_path: Path, database: str) -> None:
    """`backup` copies the database of a running server; the server starts with the copy."""
    copy = str(tmp_path / "copy.db")
    with running(tmp_path, "--database", database) as command:
        id_ = Caller(command).create()
        done = run_process("server", "backup", copy, "--database", database)
        assert (done.returncode, done.stderr) == (0, f"Wrote {copy}\nWrote {copy}.key\n")
        again = run_process("server", "backup", copy, "--database", database)
        assert (again.returncode, again.stderr) == (1, f"Error: Cannot write {copy}: it exists already.\n")
        with running(tmp_path, "--database", copy) as restored:
            assert restored.api_key == command.api_key
            assert Caller(restored)("{ deployments { nodes { id } } }").data["deployments"]["nodes"] == [{"id": id_}]
    with closing(sqlite3.connect(copy)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)


@pytest.fixture
def silent_engine() -> Iterator[tuple[str, socket.socket]]:
    """The address of an engine that accepts connections and never responds."""
    with tempfile.TemporaryDirectory() as folder, socket.socket(socket.AF_UNIX) as listener:
        listener.bind(f"{folder}/docker.sock")
        listener.listen()
        yield f"unix://{folder}/docker.sock", listener


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("option", ["auto", "docker"])
def test_a_signal_while_the_engine_does_not_respond(
    tmp_path: Path, database: str, silent_engine: tuple[str, socket.socket], number: signal.Signals, option: str
) -> None:
    """While the engine does not respond at the start, a signal ends the server without an error. Nothing was created."""
    address, listener = silent_engine
    with subprocess.Popen(
        [*GRADIENT, "server", "--port", "0", "--database", database, "--engine", option],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "DOCKER_HOST": address},
    ) as process:
        try:
            connection, _ = listener.accept()
            with connection:
                process.send_signal(number)
                output, errors = process.communicate(timeout=TIMEOUT)
        finally:
            process.kill()
    assert (process.returncode, output, errors) == (0, "", "")
    assert not list(tmp_path.iterdir())


STUCK = """
import asyncio, signal, sys
from paperspace.gradient.server.http.middleware import RequestMiddleware
async def drain(self):
    print("draining", flush=True)
    await asyncio.sleep(600)
RequestMiddleware.drain = drain
from paperspace.gradient.cli.main import main
main()
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_second_signal(database: str, number: signal.Signals) -> None:
    """A second signal ends the server at once, also if its end hangs."""
    arguments = ["server", "--port", "0", "--database", database, "--engine", "simulated"]
    with subprocess.Popen([sys.executable, "-c", STUCK, *arguments], stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout
            while not process.stdout.readline().startswith("Console: "):
                pass
            process.send_signal(number)
            assert process.stdout.readline() == "draining\n"
            process.send_signal(number)
            assert process.wait(TIMEOUT) == -number
        finally:
            process.kill()
