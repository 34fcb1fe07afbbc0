"""Health checks of real containers: readiness decides about requests, liveness restarts, startup gives time."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from tests.engine.conftest import idle, new_key, opened, shell
from tests.engine.private_engine import PrivateEngine
from tests.engine.site import Site, page, running_site, spec, wait_for
from tests.engine.test_command import Command, fetch, running
from tests.engine.test_lifecycle import folder, no_containers  # noqa: F401  # fixtures
from tests.repeating import repeated

from paperspace.gradient.server.controller.engine import ContainerMissingError, Execution, ExecutionError
from paperspace.gradient.server.docker.engine import DockerEngine
from paperspace.gradient.server.tasks import cancel

# Serves the files in /tmp on port 8080, and on 9090; /cgi-bin/slow responds after a while with the name of its container.
SERVE = r"""
mkdir /tmp/cgi-bin
printf '#!/bin/sh\nsleep 0.3\nprintf "Content-Type: text/plain\\r\\n\\r\\n"\ncat /etc/hostname\n' > /tmp/cgi-bin/slow
chmod +x /tmp/cgi-bin/slow
touch /tmp/ready /tmp/live
echo web > /tmp/index.html
sleep ${DELAY:-0}
httpd -p 8080 -h /tmp
httpd -p 9090 -h /tmp
trap 'exit 0' TERM
sleep 1000000 & wait
"""


def checked(name: str, replicas: int = 1, delay: int = 0, **checks: Any) -> Any:
    """Return a spec with health checks that come every second."""
    quick = {check: {"periodSeconds": 1, "timeoutSeconds": 10, **fields} for check, fields in checks.items()}
    found = spec(name, replicas, SERVE, healthChecks=quick)
    found["env"].append({"name": "DELAY", "value": str(delay)})
    return found


@pytest.fixture
def site(docker: PrivateEngine, tmp_path: Path) -> Iterator[Site]:
    with running_site(docker, tmp_path) as site:
        yield site


def events(site: Site, id_: str, reason: str) -> list[str]:
    """Return the messages of the events with a reason."""
    return [event["message"] for event in site.api.get_deployment_events(id_) if event["reason"] == reason]


@contextmanager
def load(url: str) -> Iterator[Callable[[], list[tuple[int, str]]]]:
    """Send requests all the time; yield a function that returns the responses so far."""
    responses: list[tuple[int, str]] = []
    with repeated(lambda: responses.append(fetch(url)), threads=4):
        yield lambda: list(responses)


def test_readiness_takes_a_replica_out_of_traffic(docker: PrivateEngine, folder: Path) -> None:  # noqa: F811
    """A replica whose readiness check fails gets no more requests, loses none, and gets some again when it passes."""
    with running(docker.url, folder) as command:
        api = command.client.deployments
        deployment = checked("web", 2, readiness={"path": "/ready", "failureThreshold": 1})
        id_ = api.create_deployment("web", "p", deployment, wait=True)["id"]
        url = f"{api.get_deployment_status(id_)['endpointUrl']}/cgi-bin/slow"
        before = {container["id"] for container in Site(docker, folder).containers(id_)}
        ill, well = sorted(before)
        with load(url) as responses:
            wait_for(lambda: {name[:12] for _, name in responses()} == {ill[:12], well[:12]})
            docker.docker("exec", ill, "/bin/rm", "/tmp/ready")
            wait_for(lambda: ready_replicas(command, id_) == 1)
            (message,) = [
                entry["message"] for entry in api.get_deployment_status(id_)["instances"] if entry["state"] != "healthy"
            ]
            assert message == "readiness: GET /ready returned 404 (1 of 1 failures)."
            wait_for(lambda: {name[:12] for _, name in responses()[-20:]} == {well[:12]})
            docker.docker("exec", ill, "/bin/touch", "/tmp/ready")
            wait_for(lambda: ready_replicas(command, id_) == 2)
            wait_for(lambda: {name[:12] for _, name in responses()[-20:]} == {ill[:12], well[:12]})
        assert {status for status, _ in responses()} == {200}
        assert {container["id"] for container in Site(docker, folder).containers(id_)} == before
        reasons = [event["reason"] for event in api.get_deployment_events(id_)]
        assert "Unready" in reasons
        assert "Crashed" not in reasons


def ready_replicas(command: Command, id_: str) -> int:
    return command.client.deployments.get_deployment_status(id_)["readyReplicas"]


def test_liveness_restarts(site: Site) -> None:
    """A container whose liveness check fails is replaced; the event says what the check saw."""
    check = {"exec": {"command": ["/bin/cat", "/tmp/live"]}, "failureThreshold": 2}
    id_ = site.create("web", checked("web", liveness=check), wait=True)
    (first,) = site.containers(id_)
    site.docker.docker("exec", first["id"], "/bin/rm", "/tmp/live")
    wait_for(lambda: bool(events(site, id_, "Unhealthy")))
    (message,) = events(site, id_, "Unhealthy")
    assert message.startswith("liveness: /bin/cat exited with code 1: cat: can't open")
    assert message.endswith("(2 of 2 failures); restarting after 1 s.")
    site.until(id_, lambda _: [entry["id"] for entry in site.containers(id_)] not in ([], [first["id"]]))
    site.ready(id_)
    assert len(site.containers(id_)) == 1


@pytest.mark.parametrize("check", [{"exec": {"command": ["/bin/echo"]}}, {"path": "/", "timeoutSeconds": 1}])
def test_a_paused_container_is_restarted(site: Site, check: dict[str, Any]) -> None:
    """A container that somebody has paused fails its liveness check, whether that is a command or a request."""
    id_ = site.create("web", checked("web", liveness={**check, "failureThreshold": 2}), wait=True)
    (first,) = site.containers(id_)
    site.docker.docker("pause", first["id"])
    site.until(id_, lambda _: [entry["id"] for entry in site.containers(id_)] not in ([], [first["id"]]))
    (message,) = events(site, id_, "Unhealthy")
    assert "(2 of 2 failures)" in message
    site.ready(id_)


def test_a_command_that_cannot_be_run(site: Site) -> None:
    """A liveness check whose program does not exist does not restart the container; an event says why."""
    check = {"exec": {"command": ["/nosuch"]}, "failureThreshold": 1}
    id_ = site.create("web", checked("web", liveness=check), wait=True)
    (first,) = site.containers(id_)
    wait_for(lambda: bool(events(site, id_, "CheckUnknown")))
    (message,) = events(site, id_, "CheckUnknown")
    assert message.startswith("liveness: /nosuch cannot be run: OCI runtime exec failed: exec failed: ")
    assert [entry["id"] for entry in site.containers(id_)] == [first["id"]]
    assert events(site, id_, "Unhealthy") == []


def test_a_port_whose_proxy_is_gone(site: Site) -> None:
    """If Docker's proxy for the port of a container is killed, the liveness check fails, and a new container serves."""
    id_ = site.create("web", checked("web", liveness={"path": "/", "failureThreshold": 2}), wait=True)
    (first,) = site.containers(id_)
    (port,) = site.ports(id_)
    for process in proxies(port):
        os.kill(process, signal.SIGKILL)
    wait_for(lambda: page(port) == "")
    site.until(id_, lambda _: [entry["id"] for entry in site.containers(id_)] not in ([], [first["id"]]))
    (message,) = events(site, id_, "Unhealthy")
    assert message.startswith("liveness: GET / failed, connection refused")
    site.ready(id_)
    assert page(port) == "web"


def proxies(port: int) -> list[int]:
    """Return the ids of Docker's processes that listen on a port of 127.0.0.1."""
    pattern = f"docker-proxy .*-host-port {port} "
    found = subprocess.run(["pgrep", "--full", pattern], stdout=subprocess.PIPE, check=True).stdout
    return [int(process) for process in found.split()]


def test_startup_gives_time(site: Site) -> None:
    """While the startup check waits, nothing else is checked: a liveness check that would fail restarts nothing."""
    checks: Any = {
        "startup": {"path": "/", "failureThreshold": 60},
        "liveness": {"path": "/live", "failureThreshold": 1, "timeoutSeconds": 1},
    }
    id_ = site.create("web", checked("web", delay=4, **checks))
    wait_for(lambda: bool(site.containers(id_)))
    (first,) = site.containers(id_)
    site.until(id_, lambda status: "startup: GET / failed" in str(status["instances"]))
    site.ready(id_)
    assert [container["id"] for container in site.containers(id_)] == [first["id"]]
    assert events(site, id_, "Unhealthy") == []


def test_a_startup_that_fails_fails_the_revision(site: Site) -> None:
    """A new revision that never passes its startup check fails with that reason, and the old one serves on."""
    id_ = site.create("web", checked("web"), wait=True)
    (before,) = site.containers(id_)
    never = checked("web", delay=1, startup={"path": "/nothing", "failureThreshold": 1})
    site.api.update_deployment("web", "p", never)
    site.until(id_, lambda status: "startup: GET /nothing returned 404 (1 of 1 failures)" in str(status["instances"]))
    assert page(int(before["port"])) == "web"
    assert before["id"] in {container["id"] for container in site.containers(id_)}


def test_a_change_of_checks_keeps_the_container(site: Site) -> None:
    """New checks apply to the container that runs; a check of another port needs a new one, which publishes the port."""
    id_ = site.create("web", checked("web", readiness={"path": "/ready"}), wait=True)
    (first,) = site.containers(id_)
    site.api.update_deployment(
        "web", "p", checked("web", readiness={"path": "/live", "failureThreshold": 1}), wait=True
    )
    assert [container["id"] for container in site.containers(id_)] == [first["id"]]
    site.docker.docker("exec", first["id"], "/bin/rm", "/tmp/live")
    site.until(id_, lambda status: "readiness: GET /live returned 404" in str(status["instances"]))
    site.docker.docker("exec", first["id"], "/bin/touch", "/tmp/live")
    site.ready(id_)
    other_port = checked("web", readiness={"path": "/ready", "port": 9090, "failureThreshold": 1})
    site.api.update_deployment("web", "p", other_port, wait=True)
    site.until(id_, lambda _: [entry["id"] != first["id"] for entry in site.containers(id_)] == [True])
    (second,) = site.containers(id_)
    published = site.docker.docker("port", second["id"], "9090/tcp").stdout
    assert published.startswith("127.0.0.1:")
    site.docker.docker("exec", second["id"], "/bin/rm", "/tmp/ready")
    site.until(id_, lambda status: "readiness: GET /ready returned 404" in str(status["instances"]))


@pytest.mark.anyio
async def test_commands(engine: DockerEngine, docker: PrivateEngine, free_port: Callable[[], int]) -> None:
    """A command has an exit code and an output. One that does not end in time is not started twice."""
    container = await engine.start(new_key(), idle(), free_port())

    async def execute(*command: str, timeout: float = 30) -> Execution:
        return await engine.execute(container.id, command, timeout)

    both = await execute("/bin/sh", "-c", "echo out; echo err >&2; exit 3")
    assert (both.exit_code, sorted(both.output.splitlines())) == (3, ["err", "out"])
    assert await execute("/bin/sh", "-c", "exit 0") == Execution(0, "")
    long = await execute("/bin/seq", "100000")
    assert (long.exit_code, long.output[-7:], len(long.output)) == (0, "100000\n", 1000)
    with pytest.raises(ExecutionError, match='"/nosuch"'):
        await execute("/nosuch")
    assert await execute("/bin/sh", "-c", "echo OCI; exit 126") == Execution(126, "OCI\n")
    waits = ("/bin/sh", "-c", "echo x >> /tmp/runs; while [ ! -e /tmp/end ]; do sleep 0.1; done")
    for _ in range(3):
        assert (await execute(*waits, timeout=0.5)).exit_code is None
    assert (await execute("/bin/cat", "/tmp/runs")).output == "x\n"
    await execute("/bin/sh", "-c", "echo > /tmp/end; sleep 0.5")
    assert await execute(*waits) == Execution(0, "")
    await engine.stop(container.id, 0)
    with pytest.raises(ContainerMissingError):
        await execute("/bin/cat", "/tmp/runs")
    with pytest.raises(ContainerMissingError):
        await engine.execute("0" * 64, ("/bin/cat",), 1)
    gone = await engine.start(new_key(), shell("sleep 600"), free_port())
    docker.docker("pause", gone.id)
    assert await engine.execute(gone.id, ("/bin/cat",), 1) == Execution(126, "the container is paused")
    docker.docker("unpause", gone.id)


@pytest.mark.anyio
async def test_interrupted_command(engine: DockerEngine, docker: PrivateEngine, free_port: Callable[[], int]) -> None:
    """A command whose check was changed, or whose server was restarted, is not started again until it has ended."""
    container = await engine.start(new_key(), idle(), free_port())

    async def execute(engine: DockerEngine, script: str, timeout: float = 30) -> Execution:
        return await engine.execute(container.id, ("/bin/sh", "-c", script), timeout)

    waits = "echo x >> /tmp/runs; while [ ! -e /tmp/end ]; do sleep 0.1; done"
    check = asyncio.create_task(execute(engine, waits))
    while "x" not in (await execute(engine, "cat /tmp/runs")).output:
        pass
    await cancel([check])
    assert (await execute(engine, waits, timeout=0.5)).exit_code is None
    async with opened(docker) as next_server:
        assert (await execute(next_server, waits, timeout=0.5)).exit_code is None
        assert (await execute(engine, "cat /tmp/runs")).output == "x\n"
        check = asyncio.create_task(execute(next_server, waits))
        await execute(engine, "echo > /tmp/end")
        assert await check == Execution(0, "")
    assert (await execute(engine, "cat /tmp/runs")).output == "x\nx\n"


@pytest.mark.anyio
async def test_command_that_the_engine_has_forgotten(
    docker: PrivateEngine, free_port: Callable[[], int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A command that did not end in time, and that the engine does not know any more, does not stop the check forever."""
    waits = ("/bin/sh", "-c", "while [ ! -e /tmp/end ]; do sleep 0.1; done")
    with monkeypatch.context() as patch:
        patch.setenv("DOCKERD_OPTIONS", " ".join([*docker.options(), "--live-restore"]))
        restart(docker)
        async with opened(docker) as engine:
            container = await engine.start(new_key(), idle(), free_port())
            assert (await engine.execute(container.id, waits, 0.5)).exit_code is None
            await asyncio.to_thread(restart, docker)  # the container and the command continue to run
            await engine.execute(container.id, ("/bin/touch", "/tmp/end"), 30)
            assert await engine.execute(container.id, waits, 30) == Execution(0, "")
    restart(docker)


def restart(docker: PrivateEngine) -> None:
    """Restart the engine."""
    docker.stop()
    docker.start()
