"""`gradient server` in a child process."""

from __future__ import annotations

import asyncio
import ctypes
import http.client
import json
import logging
import os
import re
import signal
import socket
import sqlite3
import stat
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing, contextmanager, suppress
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import urlsplit

import pytest
from tests.cli.conftest import GRADIENT, TIMEOUT
from tests.raw_client import Caller

from paperspace.gradient._shared.private_files import write_private
from paperspace.gradient.cli import _server_run
from paperspace.gradient.cli._server_engine import Choice, choose_engine
from paperspace.gradient.cli._server_engine_options import EngineOptions
from paperspace.gradient.cli._server_gateway import GatewayOptions
from paperspace.gradient.cli._server_log import LogFormatter
from paperspace.gradient.server import LocalServer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path


class Running(NamedTuple):
    """The running command, and what it printed when it was ready."""

    process: subprocess.Popen[str]
    lines: list[str]
    url: str
    api_key: str


# Ignores SIGCHLD, as some programs do that start a server, and runs git in the place where the server chooses its engine.
RUNS_GIT = """
import asyncio, os, signal, sys
from pathlib import Path
from paperspace.gradient.cli._server_run import serve
from paperspace.gradient.server.docker.git import Repository

async def choose():
    print(await Repository(Path(sys.argv[1]), os.environ, 1_000_000).run("--version"))
    raise asyncio.CancelledError

signal.signal(signal.SIGCHLD, signal.SIG_IGN)
asyncio.run(serve(choose, None, None, None, ":memory:", 0))
"""


@contextmanager
def running(tmp_path: Path, *options: str, prefix: tuple[str, ...] = (), **environment: str) -> Iterator[Running]:
    """Start the command, wait until it is ready, and kill it after the block."""
    with subprocess.Popen(
        [*prefix, *GRADIENT, "server", "--port", "0", "--engine", "simulated", *options],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "XDG_DATA_HOME": str(tmp_path), "PYTHONUNBUFFERED": "", **environment},
    ) as process:
        try:
            assert process.stdout
            lines = [process.stdout.readline() for _ in range(5)]
            match = re.fullmatch(
                r"Deployments are simulated; no containers run\..*\n"
                r"Listening on (http://127\.0\.0\.1:\d+/graphql)\nexport PAPERSPACE_API_URL=.*\n"
                r"export PAPERSPACE_API_KEY=(\S+)\n"
                r"Console: http://127\.0\.0\.1:\d+/#token=\S+\n",
                "".join(lines),
            )
            assert match, lines
            yield Running(process, lines, match[1], match[2])
        finally:
            process.kill()


def run_server(*options: str) -> subprocess.CompletedProcess[str]:
    """Run the command until it exits, which it does because of an error."""
    return subprocess.run([*GRADIENT, "server", *options], capture_output=True, text=True, timeout=TIMEOUT, check=False)


def test_signal_in_the_last_step_of_the_start(monkeypatch: pytest.MonkeyPatch) -> None:
    """A signal that arrives in the last step of the start stops the server as a later one does: without an error."""
    handlers: list[Callable[[], object]] = []
    monkeypatch.setattr(_server_run, "on_signal", handlers.append)

    async def choose() -> Choice:
        return Choice(None, "simulated")

    def ready(_server: LocalServer) -> None:
        asyncio.get_running_loop().call_soon(handlers[0])

    asyncio.run(_server_run.serve(choose, lambda _: LocalServer(), ready, lambda: "link", ":memory:", 1.0))


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_start_and_stop(tmp_path: Path, number: signal.Signals) -> None:
    """It prints its API URL and the export lines, logs each request, and a signal stops it cleanly."""
    with running(tmp_path) as command:
        url = command.url
        assert command.lines[2] == f"export PAPERSPACE_API_URL={url} PAPERSPACE_API_HOST={url}\n"
        assert Caller(command)("{ deployments { nodes { id } } }").data
        command.process.send_signal(number)
        out, err = command.process.communicate(timeout=TIMEOUT)
        assert (command.process.returncode, out) == (0, "")
        (line,) = err.splitlines()
        assert re.fullmatch(r"\S+ \S+ [0-9a-f]{32} POST /graphql 200 \d+\.\d ms", line)


def test_ignored_ends_of_children(tmp_path: Path) -> None:
    """A parent that ignores SIGCHLD does not change what the server learns about git: each run of it had failed, without a message."""
    command = [sys.executable, "-c", RUNS_GIT, str(tmp_path)]
    result = subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT, check=False)
    assert result.stdout.startswith("b'git version"), result.stderr


@pytest.mark.skipif(sys.platform != "linux", reason="systemd is a program of Linux")
@pytest.mark.parametrize("name", ["{folder}/notify", "@gradient-{folder}"])
def test_service_manager(tmp_path: Path, name: str) -> None:
    """Systemd is notified when the server is ready, through a socket in the file system or in the abstract namespace."""
    address = name.format(folder=tmp_path)
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notifications:
        notifications.bind(address.replace("@", "\0"))
        notifications.settimeout(TIMEOUT)
        with running(tmp_path, NOTIFY_SOCKET=address):
            assert notifications.recv(100) == b"READY=1"


def test_the_export_lines_work_in_a_shell(tmp_path: Path) -> None:
    """A shell that runs the two export lines has the three variables set."""
    with running(tmp_path, "--api-key", "it's$(key)") as command:
        pass
    script = (
        "".join(command.lines[2:4])
        + 'printf "%s\\n" "$PAPERSPACE_API_URL" "$PAPERSPACE_API_HOST" "$PAPERSPACE_API_KEY"'
    )
    shell = subprocess.run(["sh", "-c", script], capture_output=True, text=True, check=True)
    assert shell.stdout.splitlines() == [command.url, command.url, "it's$(key)"]


def test_key_and_data_are_kept(tmp_path: Path) -> None:
    """The next start has the same API key and deployments, from files that only their owner can read."""
    with running(tmp_path) as first:
        id_ = Caller(first).create()
        first.process.terminate()
        first.process.wait(TIMEOUT)
    folder = tmp_path / "paperspace-gradient"
    assert sorted(file.name for file in folder.iterdir()) == ["gradient.db", "gradient.db-lock", "gradient.db.key"]
    assert {stat.S_IMODE(file.stat().st_mode) for file in folder.iterdir()} == {0o600}
    with running(tmp_path) as second:
        assert second.api_key == first.api_key
        assert Caller(second)("{ deployments { nodes { id } } }").data["deployments"]["nodes"] == [{"id": id_}]


def test_first_line_about_a_kept_simulation(tmp_path: Path) -> None:
    """A database that was used with the simulation keeps it, whatever the machine has, and the first line says why."""
    file = tmp_path / "my.db"
    with LocalServer(database=file):
        pass
    engine = EngineOptions(
        "auto",
        "missing",
        range(21000, 21001),
        0,
        strict_instance_types=False,
        models=None,
        repository_limit=1,
        repository_timeout=1,
    )
    gateway = GatewayOptions("127.0.0.1", 0, None, None, None, None, external_gateway=False)
    choice = asyncio.run(choose_engine(engine, gateway, file))
    assert choice == Choice(
        None,
        "Deployments are simulated; no containers run. This database was used with the simulation. For containers, pass "
        "--engine docker.",
    )


def test_a_chosen_key_is_not_stored(tmp_path: Path) -> None:
    """A key from --api-key is not stored; with :memory:, each start generates a key and writes nothing."""
    with running(tmp_path, "--api-key", "chosen", "--database", str(tmp_path / "my.db")) as command:
        assert command.api_key == "chosen"
    assert not (tmp_path / "my.db.key").exists()
    keys = set()
    for _ in range(2):
        with running(tmp_path / "none", "--database", ":memory:") as command:
            keys.add(command.api_key)
    assert len(keys) == 2
    assert not (tmp_path / "none").exists()


def test_actor(tmp_path: Path) -> None:
    """--actor is the author of revisions."""
    with running(tmp_path, "--database", ":memory:", "--actor", "Grace Example") as command:
        call = Caller(command)
        call.create()
        nodes = call("{ deployments { nodes { deploymentSpecs { nodes { actor { fullName } } } } } }").data
        assert "Grace Example" in json.dumps(nodes)


@pytest.mark.parametrize("before", [None, {"apiKey": "old", "other": {"kept": True}}])
def test_save_config(tmp_path: Path, before: Any) -> None:
    """--save-config stores the API URL and key for the client in a private file, and keeps other entries."""
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


def test_saved_config_that_is_not_used(tmp_path: Path) -> None:
    """--save-config says which variables of the environment take precedence over what it has stored."""
    options = ("--database", ":memory:", "--save-config")
    variables: Any = {"PAPERSPACE_API_KEY": "k", "PAPERSPACE_API_HOST": "http://h/graphql"}
    variables["PAPERSPACE_CONFIG_PATH"] = str(tmp_path)
    with running(tmp_path, *options, **variables) as command:
        command.process.terminate()
        assert (
            "PAPERSPACE_API_KEY and PAPERSPACE_API_HOST are set in this shell and take precedence over the file."
            in " ".join(command.process.communicate()[1].split())
        )


def test_invalid_configuration_is_kept(tmp_path: Path) -> None:
    """--save-config does not overwrite an invalid configuration file: the command exits with an error."""
    (tmp_path / "config.json").write_text("[1]")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PAPERSPACE_CONFIG_PATH", str(tmp_path))
        command = run_server("--port", "0", "--database", ":memory:", "--save-config")
    assert command.returncode == 1
    assert "expected a JSON object" in command.stderr
    assert (tmp_path / "config.json").read_text() == "[1]"


def test_acknowledged_changes_survive_a_kill(tmp_path: Path) -> None:
    """After a SIGKILL right after the response, every acknowledged deployment exists, and the database is intact."""
    file = tmp_path / "my.db"
    created = []
    for round_ in range(3):
        with running(tmp_path, "--database", str(file)) as command:
            created += [Caller(command).create(f"d{round_}-{number}") for number in range(5)]
            command.process.kill()
            command.process.wait(TIMEOUT)
    with running(tmp_path, "--database", str(file)) as command:
        nodes = Caller(command)("{ deployments { nodes { id } } }").data["deployments"]["nodes"]
    assert [node["id"] for node in nodes] == created[::-1]
    connection = sqlite3.connect(file)
    assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    connection.close()


def test_requests_at_a_stop(tmp_path: Path) -> None:
    """After SIGTERM, requests are completed or get a 503. Those with a result are stored, those with a 503 changed nothing.

    How many are completed depends on the speed of the machine: `test_new_requests_while_the_server_drains` holds one in
    progress, and sees it completed.
    """
    variables = [{"name": f"A{number}", "value": ""} for number in range(20_000)]  # which take a while to check

    def create(number: int) -> Any:
        input_ = {"name": f"d{number}", "projectId": "p", "spec": {"image": "i", "env": variables}}
        try:
            return call.post({"query": call.CREATE, "variables": {"input": input_}})
        except (OSError, http.client.HTTPException):
            return None  # it reached the server too late, or its time was over

    file = tmp_path / "my.db"
    with running(tmp_path, "--database", str(file)) as command, ThreadPoolExecutor() as threads:
        call = Caller(command)
        futures = [threads.submit(create, number) for number in range(4)]
        while not any(future.done() for future in futures):
            time.sleep(0.01)
        command.process.terminate()
        responses = {f"d{number}": future.result(TIMEOUT) for number, future in enumerate(futures)}
        command.process.communicate(timeout=TIMEOUT)
        assert command.process.returncode == 0
    with closing(sqlite3.connect(file)) as connection:
        stored = {name for (name,) in connection.execute("SELECT name FROM deployments")}
    responded = {name: response for name, response in responses.items() if response is not None}
    completed = {name for name, response in responded.items() if response.status == 200 and response.data}
    rejected = responded.keys() - completed
    assert completed
    assert completed <= stored
    assert not rejected & stored
    for name in rejected:
        response = responded[name]
        assert (response.status, response.code, response.headers["Retry-After"]) == (503, "SERVICE_UNAVAILABLE", "1")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_during_the_lookup_of_the_host(tmp_path: Path, number: signal.Signals) -> None:
    """While no name server responds for --host, a signal ends the server."""
    script = """
import socket, sys, time
def getaddrinfo(*arguments, **options):
    print("looking up", arguments[0], flush=True)
    time.sleep(600)
socket.getaddrinfo = getaddrinfo
from paperspace.gradient.cli.main import main
main()
"""
    options = ["--host=unknown.test", "--port=0", "--api-key=k", f"--database={tmp_path / 'gradient.db'}"]
    with subprocess.Popen(
        [sys.executable, "-c", script, "server", *options], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        try:
            assert process.stdout
            assert process.stdout.readline() == "looking up unknown.test\n"
            process.send_signal(number)
            output, errors = process.communicate(timeout=TIMEOUT)
        finally:
            process.kill()
    assert (process.returncode, output, errors) == (0, "", "")


def test_port_in_use(tmp_path: Path) -> None:
    """A port in use is an error that says what to do, with exit code 1."""
    with running(tmp_path, "--database", ":memory:") as command:
        port = command.url.split(":")[2].split("/")[0]
        second = run_server("--database", ":memory:", "--port", port)
    assert (second.returncode, second.stdout) == (1, "")
    assert (
        second.stderr.split()
        == (
            f"Error: Port {port} of 127.0.0.1 is in use, perhaps by another `gradient server`: use or stop that one, or pass "
            "another port with --port; 0 selects a free port."
        ).split()
    )


@pytest.mark.parametrize(
    ("options", "code", "words"),
    [
        (["--host", "0.0.0.0", "--database", ":memory:"], 2, "--api-key"),
        (["--host", "::", "--database", ":memory:"], 2, "--api-key"),
        (["--api-key", "é", "--database", ":memory:"], 2, "visible ASCII"),
        (["--port", "70000"], 2, "70000"),
        (["--port", "0", "--database", "/nowhere/at/all.db"], 1, "database /nowhere/at/all.db: the folder"),
        (["--port", "0", "--api-key", "k", "--database", "/nowhere/at/all.db"], 1, "database /nowhere/at/all.db: "),
        (["--port", "0", "--database", ""], 2, "'--database': The path is empty"),
        (["--host", "é" * 100, "--api-key", "k", "--database", ":memory:"], 1, "Cannot start the server"),
        (["--host", "192.0.2.1", "--api-key", "k", "--database", ":memory:"], 1, "Cannot start the server"),
    ],
)
def test_invalid_options(options: list[str], code: int, words: str) -> None:
    """Options that cannot work are errors without a traceback."""
    command = run_server(*options)
    assert command.returncode == code
    assert words in command.stderr
    assert "Traceback" not in command.stderr


def test_output_that_cannot_be_written() -> None:
    """A server that cannot write its API URL to standard output ends with an error that says so."""
    reading, broken = os.pipe()
    os.close(reading)
    words = [*GRADIENT, "server", "--port", "0", "--database", ":memory:", "--engine", "simulated"]
    full = os.open("/dev/full", os.O_WRONLY)
    for output, reason in {broken: "Broken pipe", full: "No space left on device"}.items():
        command = subprocess.run(words, stdout=output, stderr=subprocess.PIPE, text=True, timeout=TIMEOUT, check=False)
        assert (command.returncode, command.stderr) == (1, f"Error: Cannot write to standard output: {reason}.\n")
        os.close(output)


def test_invalid_database(tmp_path: Path) -> None:
    """A file or directory that is no database is an error with a hint, and no key file is written beside it."""
    (tmp_path / "notes.txt").write_text("notes " * 1000)
    (tmp_path / "folder").mkdir()
    for name, reason in {"notes.txt": "file is not a database", "folder": "it is a folder"}.items():
        command = run_server("--port", "0", "--database", str(tmp_path / name))
        assert (command.returncode, command.stdout) == (1, "")
        message = f"Error: cannot open the database {tmp_path / name}: {reason}."
        assert command.stderr == f"{message} To use another file, pass --database PATH.\n"
    assert sorted(file.name for file in tmp_path.iterdir()) == ["folder", "notes.txt"]


@pytest.mark.parametrize(
    ("content", "message"), [("é", "Cannot read the"), ("two words", "Invalid"), (None, "Cannot read the")]
)
def test_invalid_key_file(tmp_path: Path, content: str | None, message: str) -> None:
    """An invalid key file is an error that names it; the file is kept."""
    file = tmp_path / "my.db.key"
    file.mkdir() if content is None else file.write_text(content, encoding="utf-8")
    command = run_server("--port", "0", "--database", str(tmp_path / "my.db"))
    assert command.returncode == 1
    assert f"{message} API key in {file}: " in command.stderr
    assert "Remove the file, or pass --api-key." in command.stderr
    assert [entry.name for entry in tmp_path.iterdir()] == ["my.db.key"]


def test_no_default_database(tmp_path: Path) -> None:
    """If the data directory cannot be created, the error names it and the option for another file."""
    (tmp_path / "notes.txt").write_text("notes")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_DATA_HOME", str(tmp_path / "notes.txt"))
        command = run_server("--port", "0")
    assert command.returncode == 1
    assert command.stderr.startswith(f"Error: Cannot create the default database: {tmp_path / 'notes.txt'}")
    assert "--database" in command.stderr


def test_private_file_cannot_be_written(tmp_path: Path) -> None:
    """The error names the file, not the temporary file that replaces it."""
    for file in (tmp_path / "missing" / "a.key", tmp_path):
        with pytest.raises(OSError, match=r"No such file|Is a directory|Directory not empty") as caught:
            write_private(file, "")
        assert caught.value.filename == str(file)


def test_help_is_quick() -> None:
    """`gradient --help` lists the server without importing what it needs."""
    script = (
        "import sys; sys.argv = ['gradient', '--help']\n"
        "from paperspace.gradient.cli.main import main\n"
        "try: main()\n"
        "except SystemExit: print(sorted({'aiohttp', 'graphql', 'gql', 'pydantic'} & set(sys.modules)))"
    )
    shown = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout
    assert re.search("server +Run a local server", shown)
    assert shown.endswith("[]\n")


def test_log_formatter() -> None:
    """A log record of several lines cannot look like several records, or control a terminal."""
    record = logging.LogRecord("n", logging.INFO, "", 1, "one\n2024-01-01 two\r\x1b[2J%s", ("é",), None)
    assert LogFormatter("%(message)s").format(record) == "one\n  2024-01-01 two\\r\\x1b[2Jé"


def send(command: Running, count: int) -> None:
    """Send small requests, which are logged, on one connection."""
    with closing(http.client.HTTPConnection(urlsplit(command.url).netloc, timeout=TIMEOUT)) as connection:
        for _ in range(count):
            connection.request("GET", "/healthz")
            assert connection.getresponse().read()


def test_stderr_that_nobody_reads(tmp_path: Path) -> None:
    """If nobody reads stderr, the server still responds and stops; the log says how many records it dropped."""
    with running(tmp_path) as command:
        send(command, 3000)  # a pipe holds about 900 lines, and the queue 1,000
        assert command.process.stderr
        lines = [command.process.stderr.readline() for _ in range(1500)]
        send(command, 1)
        command.process.terminate()
        lines += command.process.stderr.readlines()
        assert command.process.wait(TIMEOUT) == 0
        dropped = [int(line.split()[0]) for line in lines if "records were dropped: stderr was not read" in line]
        assert len(lines) - len(dropped) + sum(dropped) == 3001
        assert sum(dropped) > 0


def test_stop_while_nobody_reads_stderr(tmp_path: Path) -> None:
    """The server stops although the log cannot be written."""
    with running(tmp_path) as command:
        send(command, 1200)
        command.process.terminate()
        assert command.process.wait(TIMEOUT) == 0


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no limit of file descriptors")
def test_few_file_descriptors(tmp_path: Path) -> None:
    """With few file descriptors, the server accepts as many connections as it can serve, and rejects further ones."""
    with ExitStack() as stack:
        command = stack.enter_context(running(tmp_path, prefix=("sh", "-c", 'ulimit -n 100 && exec "$@"', "sh")))
        address = urlsplit(command.url)
        connections = []
        for _ in range(200):
            connection = stack.enter_context(
                socket.create_connection((str(address.hostname), int(address.port or 0)), timeout=TIMEOUT)
            )
            connection.sendall(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
            with suppress(ConnectionError):
                connections.append(connection.recv(4096).split(b" ")[1])
        assert connections.count(b"200") == 36
        assert set(connections) == {b"200", b"503"}


def test_many_files() -> None:
    """A server on an engine can open as many files as the system allows: it follows the log of each container."""
    code = (
        "import resource; from paperspace.gradient.cli._server_run import allow_many_files as allow;"
        "_, hard = resource.getrlimit(resource.RLIMIT_NOFILE); resource.setrlimit(resource.RLIMIT_NOFILE, (64, hard));"
        "allow(); print(resource.getrlimit(resource.RLIMIT_NOFILE) == (hard, hard))"
    )
    assert subprocess.check_output([sys.executable, "-c", code], text=True) == "True\n"


@pytest.mark.skipif(not hasattr(ctypes.CDLL(None), "mallopt"), reason="only glibc keeps large blocks")
def test_large_blocks_are_returned() -> None:
    """The memory of large responses is returned to the system when they are freed, also if smaller blocks behind them are used."""
    code = """
import resource
from pathlib import Path
from paperspace.gradient.cli._server_run import return_large_blocks

def resident():
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize() // 1024**2

return_large_blocks()
large = bytes(range(250)) * 32768
del large  # from now on, glibc would keep blocks of this size
blocks = [(bytes(range(250)) * 32768, bytes(range(250)) * 40) for _ in range(30)]
peak = resident()
small = [small for _, small in blocks]
del blocks
print(peak - resident())
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=TIMEOUT, check=True)
    assert int(done.stdout) > 200
