"""`gradient server`, as people run it."""

from __future__ import annotations

import json
import logging
import os
import re
import signal
import sqlite3
import stat
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest

from paperspace.gradient._shared.private_files import write_private
from paperspace.gradient.cli.server import _Lines

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.server.conftest import Caller


GRADIENT = [sys.executable, "-W", "error", "-c", "from paperspace.gradient.cli import main; main(prog_name='gradient')"]


class Running(NamedTuple):
    """The command, and what it said when it was ready."""

    process: subprocess.Popen[str]
    lines: list[str]
    url: str
    api_key: str


@contextmanager
def running(tmp_path: Path, *options: str, **environment: str) -> Iterator[Running]:
    """The command, once it is ready; ended by SIGKILL if the test has not ended it."""
    with subprocess.Popen(
        [*GRADIENT, "server", "--port", "0", *options],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "XDG_DATA_HOME": str(tmp_path), "PYTHONUNBUFFERED": "", **environment},
    ) as process:
        try:
            assert process.stdout
            lines = [process.stdout.readline() for _ in range(4)]
            found = re.fullmatch(
                r"Listening on (http://127\.0\.0\.1:\d+/graphql)\nexport PAPERSPACE_API_URL=.*\n"
                r"export PAPERSPACE_API_KEY=(\S+)\nDeployments are simulated: .*\n",
                "".join(lines),
            )
            assert found, lines
            yield Running(process, lines, found[1], found[2])
        finally:
            process.kill()


def ended(*options: str) -> subprocess.CompletedProcess[str]:
    """The command, of which is expected that it ends by itself."""
    return subprocess.run([*GRADIENT, "server", *options], capture_output=True, text=True, timeout=30, check=False)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_few_lines_and_a_clean_end(tmp_path: Path, number: signal.Signals, caller: type[Caller]) -> None:
    """It says where it listens and what to export, at once, logs each request, and a signal ends it cleanly."""
    with running(tmp_path) as command:
        url = command.url
        assert command.lines[1] == f"export PAPERSPACE_API_URL={url} PAPERSPACE_API_HOST={url}\n"
        assert caller(command)("{ deployments { nodes { id } } }").data
        command.process.send_signal(number)
        out, err = command.process.communicate(timeout=10)
        assert (command.process.returncode, out) == (0, "")
        (line,) = err.splitlines()
        assert re.fullmatch(r"\S+ \S+ [0-9a-f]{32} POST /graphql 200 \d+\.\d ms", line)


def test_the_export_lines_work_in_a_shell(tmp_path: Path) -> None:
    """A shell that runs the two lines has the three variables set."""
    with running(tmp_path, "--api-key", "it's$(key)") as command:
        pass
    script = (
        "".join(command.lines[1:3])
        + 'printf "%s\\n" "$PAPERSPACE_API_URL" "$PAPERSPACE_API_HOST" "$PAPERSPACE_API_KEY"'
    )
    shell = subprocess.run(["sh", "-c", script], capture_output=True, text=True, check=True)
    assert shell.stdout.splitlines() == [command.url, command.url, "it's$(key)"]


def test_key_and_data_are_kept(tmp_path: Path, caller: type[Caller]) -> None:
    """The next start has the same key and the same deployments, from files that only their owner can read."""
    with running(tmp_path) as first:
        id_ = caller(first).create()
        first.process.terminate()
        first.process.wait(10)
    folder = tmp_path / "paperspace-gradient"
    assert sorted(file.name for file in folder.iterdir()) == ["gradient.db", "gradient.db.key"]
    assert {stat.S_IMODE(file.stat().st_mode) for file in folder.iterdir()} == {0o600}
    with running(tmp_path) as second:
        assert second.api_key == first.api_key
        assert caller(second)("{ deployments { nodes { id } } }").data["deployments"]["nodes"] == [{"id": id_}]


def test_a_chosen_key_is_not_stored(tmp_path: Path) -> None:
    """A key that was given is used and not kept; in memory, each start makes a new key and nothing is written."""
    with running(tmp_path, "--api-key", "chosen", "--database", str(tmp_path / "my.db")) as command:
        assert command.api_key == "chosen"
    assert not (tmp_path / "my.db.key").exists()
    keys = set()
    for _ in range(2):
        with running(tmp_path / "none", "--database", ":memory:") as command:
            keys.add(command.api_key)
    assert len(keys) == 2
    assert not (tmp_path / "none").exists()


def test_the_actor_is_who_it_is_said_to_be(tmp_path: Path, caller: type[Caller]) -> None:
    """`--actor` is who makes the specs."""
    with running(tmp_path, "--database", ":memory:", "--actor", "Grace Example") as command:
        call = caller(command)
        call.create()
        nodes = call("{ deployments { nodes { deploymentSpecs { nodes { actor { fullName } } } } } }").data
        assert "Grace Example" in json.dumps(nodes)


@pytest.mark.parametrize("before", [None, {"apiKey": "old", "other": {"kept": True}}])
def test_the_client_is_set_up(tmp_path: Path, before: Any) -> None:
    """`--save-config` writes address and key for the client, to be read by their owner only, and keeps the rest."""
    folder = tmp_path / "settings"
    if before:
        folder.mkdir()
        (folder / "config.json").write_text(json.dumps(before))
    with running(tmp_path, "--database", ":memory:", "--save-config", PAPERSPACE_CONFIG_PATH=str(folder)) as command:
        config = json.loads((folder / "config.json").read_text())
        assert config == {**(before or {}), "apiUrl": command.url, "apiKey": command.api_key}
        assert stat.S_IMODE((folder / "config.json").stat().st_mode) == 0o600
        assert [file.name for file in folder.iterdir()] == ["config.json"]
        script = "from paperspace.gradient import deployments; print(deployments.list_deployments())"
        environment = {name: value for name, value in os.environ.items() if not name.startswith("PAPERSPACE_")}
        environment["PAPERSPACE_CONFIG_PATH"] = str(folder)
        shown = subprocess.run([sys.executable, "-c", script], capture_output=True, env=environment, check=True).stdout
        assert shown == b"[]\n"


def test_a_configuration_that_cannot_be_kept(tmp_path: Path) -> None:
    """A configuration file that holds something else is not overwritten: the command says so and ends."""
    (tmp_path / "config.json").write_text("[1]")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PAPERSPACE_CONFIG_PATH", str(tmp_path))
        command = ended("--port", "0", "--database", ":memory:", "--save-config")
    assert command.returncode == 1
    assert "has to hold a JSON object" in command.stderr
    assert (tmp_path / "config.json").read_text() == "[1]"


def test_what_was_acknowledged_outlives_a_kill(tmp_path: Path, caller: type[Caller]) -> None:
    """After a SIGKILL right behind the answer, every acknowledged deployment is there, and the file is sound."""
    file = tmp_path / "my.db"
    made = []
    for round_ in range(3):
        with running(tmp_path, "--database", str(file)) as command:
            made += [caller(command).create(f"d{round_}-{number}") for number in range(5)]
            command.process.kill()
            command.process.wait(10)
    with running(tmp_path, "--database", str(file)) as command:
        nodes = caller(command)("{ deployments { nodes { id } } }").data["deployments"]["nodes"]
    assert [node["id"] for node in nodes] == made[::-1]
    connection = sqlite3.connect(file)
    assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    connection.close()


def test_requests_under_way_are_answered(tmp_path: Path, caller: type[Caller]) -> None:
    """What is being worked on when the signal comes is answered before the end; what comes later is a 503, not done."""

    def create(number: int) -> Any:
        given = {"name": f"d{number}", "projectId": "p", "spec": caller.HEAVY}
        return call.post({"query": call.CREATE, "variables": {"input": given}})

    with running(tmp_path, "--database", ":memory:") as command, ThreadPoolExecutor() as threads:
        call = caller(command)
        replies = [threads.submit(create, number) for number in range(4)]
        while not any(reply.done() for reply in replies):
            time.sleep(0.01)
        command.process.terminate()
        answers = [reply.result(10) for reply in replies]
        assert sum(answer.status == 200 for answer in answers) > 1
        for answer in answers:
            assert answer.status == 200 or (answer.code, answer.headers["Retry-After"]) == ("SERVICE_UNAVAILABLE", "1")
        command.process.communicate(timeout=10)
        assert command.process.returncode == 0


def test_a_port_in_use_is_one_sentence(tmp_path: Path) -> None:
    """A port that is taken is one sentence that says what to do, and exit code 1."""
    with running(tmp_path, "--database", ":memory:") as command:
        port = command.url.split(":")[2].split("/")[0]
        second = ended("--database", ":memory:", "--port", port)
    assert (second.returncode, second.stdout) == (1, "")
    assert (
        second.stderr
        == f"Error: Port {port} of 127.0.0.1 is in use: choose another one with --port; 0 takes a free one.\n"
    )


@pytest.mark.parametrize(
    ("options", "code", "words"),
    [
        (["--host", "0.0.0.0", "--database", ":memory:"], 2, "--api-key"),
        (["--host", "::", "--database", ":memory:"], 2, "--api-key"),
        (["--api-key", "é", "--database", ":memory:"], 2, "visible ASCII"),
        (["--port", "70000"], 2, "70000"),
        (["--port", "0", "--database", "/nowhere/at/all.db"], 1, "database /nowhere/at/all.db: there is no folder"),
        (["--port", "0", "--api-key", "k", "--database", "/nowhere/at/all.db"], 1, "database /nowhere/at/all.db: "),
        (["--port", "0", "--database", ""], 2, "'--database': The path is empty"),
        (["--host", "é" * 100, "--api-key", "k", "--database", ":memory:"], 1, "cannot start"),
        (["--host", "192.0.2.1", "--api-key", "k", "--database", ":memory:"], 1, "cannot start"),
    ],
)
def test_what_cannot_work_is_said_in_words(options: list[str], code: int, words: str) -> None:
    """What cannot work is said in words, without a traceback."""
    command = ended(*options)
    assert command.returncode == code
    assert words in command.stderr
    assert "Traceback" not in command.stderr


def test_nothing_is_made_beside_what_is_no_database(tmp_path: Path) -> None:
    """A file or folder that cannot be the database is named as it was given, with a way out, and gets no key."""
    (tmp_path / "notes.txt").write_text("notes " * 1000)
    (tmp_path / "folder").mkdir()
    for name, reason in {"notes.txt": "file is not a database", "folder": "it is a folder"}.items():
        command = ended("--port", "0", "--database", str(tmp_path / name))
        assert (command.returncode, command.stdout) == (1, "")
        said = f"Error: cannot open the database {tmp_path / name}: {reason}."
        assert command.stderr == f"{said} Another file can be given with --database, or :memory:.\n"
    assert sorted(file.name for file in tmp_path.iterdir()) == ["folder", "notes.txt"]


@pytest.mark.parametrize(
    ("content", "reason"), [("é", "cannot be read"), ("two words", "cannot be right"), (None, "cannot be read")]
)
def test_a_kept_key_that_cannot_be_used(tmp_path: Path, content: str | None, reason: str) -> None:
    """A kept key that cannot be used is an error that names its file, and is left as it is."""
    file = tmp_path / "my.db.key"
    file.mkdir() if content is None else file.write_text(content, encoding="utf-8")
    command = ended("--port", "0", "--database", str(tmp_path / "my.db"))
    assert command.returncode == 1
    assert f"The key in {file} {reason}: " in command.stderr
    assert "Remove the file, or give --api-key." in command.stderr
    assert [entry.name for entry in tmp_path.iterdir()] == ["my.db.key"]


def test_no_place_for_the_database(tmp_path: Path) -> None:
    """A data folder that cannot be made is named, with the option to give another place."""
    (tmp_path / "notes.txt").write_text("notes")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_DATA_HOME", str(tmp_path / "notes.txt"))
        command = ended("--port", "0")
    assert command.returncode == 1
    assert command.stderr.startswith(f"Error: There is no place for the database: {tmp_path / 'notes.txt'}")
    assert "--database" in command.stderr


def test_a_private_file_that_cannot_be_written(tmp_path: Path) -> None:
    """What cannot be written is named as its caller calls it, and not as the draft that nobody has heard of."""
    for file in (tmp_path / "missing" / "a.key", tmp_path):
        with pytest.raises(OSError, match=r"No such file|Is a directory|Directory not empty") as caught:
            write_private(file, "")
        assert caught.value.filename == str(file)


def test_help_is_quick() -> None:
    """The help of the whole command lists the server without importing what the server needs."""
    script = (
        "import sys; sys.argv = ['gradient', '--help']\n"
        "from paperspace.gradient.cli import main\n"
        "try: main()\n"
        "except SystemExit: print(sorted({'aiohttp', 'graphql', 'gql', 'pydantic'} & set(sys.modules)))"
    )
    shown = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout
    assert re.search("server +Run the local server", shown)
    assert shown.endswith("[]\n")


def test_records_are_lines() -> None:
    """In the log of the command, a record of several lines cannot look like several records, or steer a terminal."""
    record = logging.LogRecord("n", logging.INFO, "", 1, "one\n2024-01-01 two\r\x1b[2J%s", ("é",), None)
    assert _Lines("%(message)s").format(record) == "one\n  2024-01-01 two\\r\\x1b[2Jé"
