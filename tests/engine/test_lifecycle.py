"""The life cycle of `gradient server` with real containers: its end, `down`, `status`, `prune`, backups and the gateway unit."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from tests.engine.private_engine import PrivateEngine
from tests.engine.site import Site, spec, wait_for
from tests.engine.test_command import GRADIENT, Command, environment, fetch, refused, running

from paperspace.gradient.cli.main import main

# Responds to each request, and to those for /slow after two seconds.
SLOW = r"""
echo 'read method path version
while read line && [ ${#line} -gt 1 ]; do :; done
case $path in /slow*) echo waiting >> /tmp/log; sleep 2;; esac
printf "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 5\r\n\r\ndone\n"' > /tmp/respond
trap 'exit 0' TERM
nc -ll -p 8080 -e /bin/sh /tmp/respond & wait
"""


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder for the database, with a path that is short enough for sockets."""
    with tempfile.TemporaryDirectory(prefix="gl") as folder:
        yield Path(folder)


@pytest.fixture(autouse=True)
def no_containers(docker: PrivateEngine) -> Iterator[None]:
    yield
    docker.remove_containers("gradient.server")


def gradient(docker: PrivateEngine, folder: Path, *arguments: str, stdin: str = "") -> Result:
    """Run a subcommand of `gradient server` in this process."""
    return CliRunner().invoke(main, ["server", *arguments], input=stdin, env=environment(docker.url, folder))


def status(docker: PrivateEngine, folder: Path, *arguments: str) -> dict[str, Any]:
    """Return the report of `gradient server status`."""
    report: dict[str, Any] = json.loads(gradient(docker, folder, "status", "-o", "json", *arguments).stdout)
    return report


def wait(command: Command, name: str) -> None:
    """Wait until the deployment with a name is ready."""
    (deployment,) = command.client.deployments.list_deployments(name=name)
    command.client.deployments.wait_for_deployment(deployment["id"], timeout=60)


def ready(command: Command, name: str, **fields: Any) -> str:
    """Create a deployment that is ready; return its endpoint."""
    api = command.client.deployments
    id_ = api.create_deployment(name, "p", spec(name, **fields), wait=True)["id"]
    return str(api.get_deployment_status(id_)["endpointUrl"])


class Machine:
    """All that a server can leave behind: containers, networks, processes, listening ports and files."""

    def __init__(self, docker: PrivateEngine, folder: Path) -> None:
        self.containers = set(docker.docker("ps", "--all", "--quiet", "--no-trunc").stdout.split())
        self.networks = set(docker.docker("network", "ls", "--format", "{{.Name}}").stdout.split())
        self.volumes = set(docker.docker("volume", "ls", "--quiet").stdout.split())
        self.processes = {
            name for name in map(_command, Path("/proc").glob("[0-9]*")) if "envoy" in name or "gradient" in name
        }
        self.ports = {
            line.split()[1]
            for table in ("/proc/net/tcp", "/proc/net/tcp6")
            for line in Path(table).read_text().splitlines()[1:]
            if line.split()[3] == "0A"
        }
        self.sockets = {
            name for line in Path("/proc/net/unix").read_text().splitlines() if "gradient" in (name := line.split()[-1])
        }
        self.temporary = {
            path.name for path in Path(tempfile.gettempdir()).iterdir() if path.name.startswith("gradient")
        }
        self.files = {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


def _command(process: Path) -> str:
    try:
        return (process / "cmdline").read_bytes().decode(errors="replace").replace("\0", " ").strip()
    except OSError:
        return ""


@contextmanager
def others(docker: PrivateEngine) -> Iterator[str]:
    """Run a container of another program."""
    id_ = docker.docker("run", "--detach", "--network", "none", "shell:1", "sleep 600").stdout.strip()
    try:
        yield id_
    finally:
        docker.docker("rm", "--force", id_)


def test_nothing_is_left(docker: PrivateEngine, folder: Path) -> None:
    """After `delete` of all and `down`, here without a server, only the database is left. Others keep what they have."""
    with others(docker) as other:
        docker.docker("network", "rm", "gradient", check=False)
        before = Machine(docker, folder)
        with running(docker.url, folder) as command:
            ready(command, "a")
            (deployment,) = command.client.deployments.list_deployments()
            command.client.deployments.delete_deployment(deployment["id"])
            wait_for(lambda: Site(docker, folder).containers() == [])
        command.process.wait(60)
        assert Machine(docker, folder).processes != before.processes  # the gateway
        down = gradient(docker, folder, "down")
        assert (down.exit_code, down.stdout) == (0, ""), down.stderr
        assert_only_the_database(Machine(docker, folder), before)
        assert docker.docker("inspect", "--format", "{{.State.Running}}", other).stdout == "true\n"


def assert_only_the_database(after: Machine, before: Machine) -> None:
    """Check that only the files of the database were added."""
    metrics = "paperspace-gradient/gradient.db.metrics"  # it exists only after two readings
    assert after.files | {metrics} == {
        f"paperspace-gradient/gradient.db{suffix}" for suffix in ("", "-lock", ".key", ".logs", ".metrics")
    }
    assert vars(after) | {"files": before.files} == vars(before)


def test_down_lets_requests_end(docker: PrivateEngine, folder: Path) -> None:
    """`down` completes an active request and leaves only the database; the next start of the server starts all again."""
    docker.docker("network", "rm", "gradient", check=False)
    before = Machine(docker, folder)
    with running(docker.url, folder) as command, ThreadPoolExecutor(1) as threads:
        url = ready(command, "slow", script=SLOW)
        ready(command, "other")
        active = threads.submit(fetch, f"{url}/slow")
        (container,) = [entry for entry in Site(docker, folder).containers() if entry["env"]["NAME"] == "slow"]
        wait_for(lambda: docker.docker("exec", container["id"], "/bin/cat", "/tmp/log", check=False).returncode == 0)
        down = gradient(docker, folder, "down")
        assert down.exit_code == 0, down.stderr
        assert "Stopped 2 deployments. The next start of the server starts what was stopped." in down.stderr
        assert active.result(60) == (200, "done\n")
        assert command.process.wait(60) == 0
    assert_only_the_database(Machine(docker, folder), before)
    report = status(docker, folder)
    assert report["deployments"]["counts"] == {"ready": 0, "pending": 2, "failed": 0, "stopped": 0}
    assert report["gateway"] == {"running": False, "address": None, "problem": None}
    with running(docker.url, folder) as command:
        for name in ("slow", "other"):
            wait(command, name)
        report = status(docker, folder)
        assert (report["problems"], report["deployments"]["counts"]["ready"]) == ([], 2)
        assert gradient(docker, folder, "down", "--now").exit_code == 0


def test_what_a_stopped_server_leaves(docker: PrivateEngine, folder: Path) -> None:
    """Ctrl-C leaves deployments running, and says how many, where, that nothing restarts them, and how to stop them."""
    with running(docker.url, folder, "--database", str(folder / "my.db")) as command:
        urls = [ready(command, name) for name in ("a", "b")]
        command.process.send_signal(signal.SIGINT)
        _, errors = command.process.communicate(timeout=60)
        assert command.process.returncode == 0
    base, down = urls[0].rpartition("/")[0], f"gradient server down --database {folder}/my.db"
    assert [line for line in errors.splitlines() if not re.match(r"\d{4}-\d\d-\d\d ", line)] == [
        f"2 deployments keep running, with endpoints at {base}/ID",
        f"Until the server runs again, nothing restarts their containers. `{down}` stops them.",
    ]
    assert [fetch(f"{url}/index.html") for url in urls] == [(200, "a 1\n"), (200, "b 1\n")]
    assert gradient(docker, folder, "down", "--now", "--database", f"{folder}/my.db").exit_code == 0


def test_database_in_memory(docker: PrivateEngine, folder: Path) -> None:
    """With a database in memory and Docker, everything ends with the server."""
    docker.docker("network", "rm", "gradient", check=False)
    before = Machine(docker, folder)
    with running(docker.url, folder, "--database", ":memory:", "--engine", "docker") as command:
        ready(command, "a")
        assert Machine(docker, folder).containers != before.containers
        command.process.terminate()
        _, errors = command.process.communicate(timeout=60)
        assert command.process.returncode == 0
        assert "A second Ctrl-C ends the server at once" in errors
    assert vars(Machine(docker, folder)) == vars(before)


def test_restored_backup(docker: PrivateEngine, folder: Path) -> None:
    """After the restore of an older backup, the API is right, and unknown containers are kept, shown and pruned."""
    copy = folder / "copy" / "x.db"
    copy.parent.mkdir()
    with running(docker.url, folder) as command:
        old = ready(command, "old")
        assert gradient(docker, folder, "backup", str(copy)).exit_code == 0
        new = ready(command, "new")
        error = refused(docker.url, folder, "--gateway-port", "0", "--database", str(copy))
        assert "another server on this machine uses a copy of this database" in error
        assert "Stop that server, or pass --engine simulated" in error
    command.process.wait(60)
    with running(docker.url, folder, "--database", str(copy)) as command:
        api = command.client.deployments
        assert [entry["name"] for entry in api.list_deployments()] == ["old"]
        wait(command, "old")
        arguments = ("--database", str(copy))
        report = status(docker, folder, *arguments)
        (unknown,) = report["unknownContainers"]
        assert unknown["deploymentId"] == new.rpartition("/")[2]
        assert any("gradient server prune" in problem for problem in report["problems"])
        asked = gradient(docker, folder, "prune", *arguments, stdin="n\n")
        assert unknown["id"][:12] in asked.stdout
        assert "Nothing was removed." in asked.stderr
        containers = {entry["deployment"] for entry in Site(docker, folder).containers()}
        assert containers == {old.rpartition("/")[2], new.rpartition("/")[2]}
        pruned = gradient(docker, folder, "prune", "--yes", *arguments)
        assert (pruned.exit_code, "Removed 1 container." in pruned.stderr) == (0, True)
        assert {entry["deployment"] for entry in Site(docker, folder).containers()} == {old.rpartition("/")[2]}
        assert status(docker, folder, *arguments)["problems"] == []
        command.process.terminate()
        _, errors = command.process.communicate(timeout=60)
        assert "containers of this server that are not in its database: 1; they are kept." in errors
    assert gradient(docker, folder, "down", "--now", *arguments).exit_code == 0
    assert gradient(docker, folder, "down", "--now").exit_code == 0


def test_reset(docker: PrivateEngine, folder: Path) -> None:
    """`--reset` removes the containers of its database and starts empty. It refuses while containers would be left."""
    arguments = ("--database", str(folder / "my.db"))
    with running(docker.url, folder, *arguments) as command:
        ready(command, "a")
        command.process.terminate()
        command.process.wait(60)
    assert len(Site(docker, folder).containers()) == 1
    unreachable = {"DOCKER_HOST": f"unix://{folder}/missing.sock"}
    refusal = CliRunner().invoke(
        main, ["server", "--reset", "--yes", *arguments], env=environment(docker.url, folder) | unreachable
    )
    assert (refusal.exit_code, "its containers may still exist" in refusal.stderr) == (1, True)
    assert len(Site(docker, folder).containers()) == 1
    with running(docker.url, folder, *arguments, "--reset", "--yes") as command:
        assert command.client.deployments.list_deployments() == []
        assert Site(docker, folder).containers() == []
        ready(command, "b")
    assert gradient(docker, folder, "down", "--now", *arguments).exit_code == 0


def test_a_change_to_the_simulation(docker: PrivateEngine, folder: Path) -> None:
    """A database that is simulated now does not hide the containers that it had: the commands name them, and how to remove them."""
    arguments = ("--database", str(folder / "my.db"))
    with running(docker.url, folder, *arguments) as command:
        url = ready(command, "a")
        command.process.terminate()
        command.process.wait(60)
    left = "Docker still has 1 container of this database, "
    with running(docker.url, folder, *arguments, "--engine", "simulated") as command:
        assert command.first_line.startswith(f"Deployments are simulated. {left}")
        assert [problem[: len(left)] for problem in status(docker, folder, *arguments)["problems"]] == [left]
        assert gradient(docker, folder, "prune", *arguments).stderr.startswith(f"Error: {left}")
        command.process.terminate()
        command.process.wait(60)
    assert left in status(docker, folder, *arguments)["problems"][-1]
    assert fetch(f"{url}/index.html") == (200, "a 1\n")
    assert left in gradient(docker, folder, "down", *arguments).stderr
    refusal = gradient(docker, folder, "--reset", "--yes", *arguments)
    assert (
        refusal.exit_code,
        f"The database was not deleted: its containers may still exist: {left}" in refusal.stderr,
    ) == (1, True)
    with running(docker.url, folder, *arguments, "--engine", "docker") as command:
        wait(command, "a")
    assert gradient(docker, folder, "down", "--now", *arguments).exit_code == 0
    assert Site(docker, folder).containers() == []
    with running(docker.url, folder, *arguments, "--engine", "simulated", "--reset", "--yes") as command:
        assert command.first_line == "Deployments are simulated; no containers run."


def test_gateway_unit(docker: PrivateEngine, folder: Path) -> None:
    """With `gradient server gateway`, endpoints respond while the server is restarted, and after the gateway is."""
    database = str(folder / "my.db")

    @contextmanager
    def unit() -> Iterator[subprocess.Popen[bytes]]:
        command = [*GRADIENT, "server", "gateway", "--database", database]
        with subprocess.Popen(command, env=environment(docker.url, folder), stderr=subprocess.DEVNULL) as process:
            try:
                yield process
            finally:
                process.terminate()

    options = ("--database", database, "--external-gateway")
    with unit() as gateway:
        with running(docker.url, folder, *options) as command:
            url = ready(command, "a")
            assert status(docker, folder, "--database", database)["problems"] == []
        command.process.wait(60)
        assert fetch(f"{url}/index.html") == (200, "a 1\n")
        with running(docker.url, folder, *options) as command:
            assert command.client.deployments.get_deployment_status(url.rpartition("/")[2])["endpointUrl"] == url
            assert fetch(f"{url}/index.html") == (200, "a 1\n")
            gateway.terminate()
            assert gateway.wait(60) == 0
            wait_for(lambda: "gateway" in " ".join(status(docker, folder, "--database", database)["problems"]))
            with unit():
                wait_for(lambda: status(docker, folder, "--database", database)["problems"] == [])
                assert fetch(f"{url}/index.html") == (200, "a 1\n")
                assert gradient(docker, folder, "down", "--now", "--database", database).exit_code == 0
