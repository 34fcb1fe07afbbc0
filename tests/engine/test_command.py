"""`gradient server` with a real engine: which engine it chooses, and what it says about it."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple
from urllib.error import HTTPError
from urllib.request import urlopen

from tests.engine.private_engine import PrivateEngine
from tests.engine.site import Site, page, spec, wait_for

from paperspace.gradient import Client

GRADIENT = (sys.executable, "-c", "from paperspace.gradient.cli.main import main; main()")


class Command(NamedTuple):
    """A running command: the first line of its output, its API URL, and a client."""

    process: subprocess.Popen[str]
    first_line: str
    url: str
    client: Client


def environment(docker_host: str, folder: Path) -> dict[str, str]:
    return {**os.environ, "DOCKER_HOST": docker_host, "HOME": str(folder), "XDG_DATA_HOME": str(folder)}


@contextmanager
def running(docker_host: str, folder: Path, *options: str) -> Iterator[Command]:
    """Run the command, and end it with SIGTERM."""
    with subprocess.Popen(
        [*GRADIENT, "server", "--port", "0", "--gateway-port", "0", *options],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment(docker_host, folder),
    ) as process:
        try:
            assert process.stdout
            lines = [process.stdout.readline()]
            while lines[-1] and not lines[-1].startswith("Console: "):
                lines.append(process.stdout.readline())
            url = re.match(r"Listening on (\S+)", lines[-4])
            key = re.match(r"export PAPERSPACE_API_KEY=(\S+)", lines[-2])
            assert url, lines
            assert key, lines
            with Client(key[1], url[1]) as client:
                yield Command(process, lines[0].strip(), url[1], client)
        finally:
            process.terminate()


def refused(docker_host: str, folder: Path, *options: str) -> str:
    """Run the command until it exits with an error, and return the error."""
    done = subprocess.run(
        [*GRADIENT, "server", "--port", "0", *options],
        capture_output=True,
        text=True,
        env=environment(docker_host, folder),
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stdout) == (1, "")
    assert "Traceback" not in done.stderr
    return done.stderr


def test_a_new_database_gets_docker(docker: PrivateEngine, tmp_path: Path) -> None:
    """If an engine responds, a new database uses it; the first line says so; a deployment serves on a port of the range."""
    site = Site(docker, tmp_path)
    with running(docker.url, tmp_path, "--port-range", "31000-31001") as command:
        assert re.fullmatch(rf"Deployments run on Docker \d+\S* \({docker.url}\)\.", command.first_line)
        id_ = command.client.deployments.create_deployment("mnist", "p", spec("mnist"), wait=True)["id"]
        (port,) = site.ports(id_)
        assert 31000 <= port <= 31001
        assert page(port) == "mnist 1"
        failed = command.client.deployments.create_deployment("many", "p", spec("many", 3))["id"]
        status = command.client.deployments.get_deployment_status(failed)
        assert status["error"] == "3 replicas need 3 ports, but --port-range 31000-31001 has only 2."
    assert page(port) == "mnist 1"  # the containers outlive the server
    with running(docker.url, tmp_path) as command:
        command.client.deployments.delete_deployment(id_)
        wait_for(lambda: site.containers(id_) == [])


def test_a_database_keeps_its_engine(docker: PrivateEngine, tmp_path: Path) -> None:
    """What a database was used with stays, until another engine is asked for."""
    nowhere = f"unix://{tmp_path}/nosuch.sock"
    with running(nowhere, tmp_path) as command:
        assert command.first_line.startswith(
            f"Deployments are simulated; no containers run. The Docker engine {nowhere} (from DOCKER_HOST) does not run."
        )
    simulation_kept = (
        "Deployments are simulated; no containers run. This database was used with the simulation. For containers, pass "
        "--engine docker."
    )
    with running(docker.url, tmp_path) as command:
        assert command.first_line == simulation_kept
    with running(docker.url, tmp_path, "--engine", "docker") as command:
        assert command.first_line.startswith("Deployments run on Docker ")
    with running(nowhere, tmp_path) as command:
        assert command.first_line.startswith(
            f"This database uses Docker, which is not available now: The Docker engine {nowhere} (from DOCKER_HOST)"
        )
        assert command.first_line.endswith("The server tries to connect again.")
        assert command.client.deployments.list_deployments() == []
    with running(docker.url, tmp_path, "--engine", "simulated") as command:
        assert command.first_line == "Deployments are simulated; no containers run."
    with running(docker.url, tmp_path) as command:
        assert command.first_line == simulation_kept


def test_databases_in_memory_are_simulated(docker: PrivateEngine, tmp_path: Path) -> None:
    """Nothing would end the containers of a database in memory, so it uses no engine unless one is asked for."""
    with running(docker.url, tmp_path, "--database", ":memory:") as command:
        assert command.first_line == (
            "Deployments are simulated; no containers run. The database is in memory. For containers, pass --engine docker."
        )


def test_docker_was_asked_for(tmp_path: Path) -> None:
    """If Docker was asked for and cannot be used, the command exits and says why and what to do."""
    option = ("--engine", "docker")
    socket = f"unix://{tmp_path}/nosuch.sock"
    assert refused(socket, tmp_path, *option) == (
        f"Error: The Docker engine {socket} (from DOCKER_HOST) does not run. Start it, for example with "
        "`sudo systemctl start docker`.\n"
    )
    assert "Remote engines are not supported" in refused("tcp://10.0.0.1:2375", tmp_path, *option)
    assert "No Docker engine was found: DOCKER_HOST is not set" in refused("", tmp_path, *option)
    (tmp_path / ".docker").mkdir()
    (tmp_path / ".docker/config.json").write_text(json.dumps({"currentContext": "nosuch"}))
    assert "There is no Docker context nosuch" in refused("", tmp_path, *option)
    assert not list(tmp_path.glob("**/*.db"))


def test_endpoints_respond_from_containers(docker: PrivateEngine, tmp_path: Path) -> None:
    """An endpoint responds as soon as its deployment is ready; it does so without the server, and at the same URL later."""
    site = Site(docker, tmp_path)
    with running(docker.url, tmp_path) as command:
        api = command.client.deployments
        id_ = api.create_deployment("mnist", "p", spec("mnist"), wait=True)["id"]
        url = api.get_deployment_status(id_)["endpointUrl"]
        assert fetch(f"{url}/index.html") == (200, "mnist 1\n")
        assert fetch(f"{url.removesuffix(id_)}other")[0] == 404
        status, text = fetch(f"{command.url.removesuffix('/graphql')}/endpoints/{id_}")
        assert (status, url in text) == (421, True)
        stopped = api.create_deployment("stopped", "p", spec("stopped", 0), wait=True)["id"]
        stopped_url = api.get_deployment_status(stopped)["endpointUrl"]
        wait_for(lambda: fetch(stopped_url)[0] == 503)  # the gateway learns of it just after the API
    assert fetch(url) == (200, "mnist 1\n")
    with running(docker.url, tmp_path) as command:
        api = command.client.deployments
        assert api.get_deployment_status(id_)["endpointUrl"] == url
        api.update_deployment(id=id_, spec=spec("mnist", version="2"), wait=True)
        assert fetch(url) == (200, "mnist 2\n")
        api.delete_deployment(id_)
        wait_for(lambda: site.containers(id_) == [] and fetch(url)[0] == 404)


def fetch(url: str) -> tuple[int, str]:
    """Return the status and the text of a response."""
    try:
        with urlopen(url, timeout=30) as response:
            return response.status, response.read().decode()
    except HTTPError as error:
        return error.code, error.read().decode()
