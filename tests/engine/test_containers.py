"""Containers of the Docker engine: what they are created from, and what is observed of them."""

from __future__ import annotations

import asyncio
import socket
import subprocess
import sys
from collections.abc import Awaitable, Callable
from urllib.error import URLError
from urllib.request import urlopen

import pytest
from aiodocker.containers import DockerContainer
from tests.engine.conftest import WEB, new_key, opened, shell, workload
from tests.engine.private_engine import PrivateEngine

from paperspace.gradient.server.controller.engine import Container, PortInUseError, StartError
from paperspace.gradient.server.docker.engine import DockerEngine

pytestmark = pytest.mark.anyio
Port = Callable[[], int]


async def observed(engine: DockerEngine, container_id: str) -> Container:
    (container,) = (entry for entry in await engine.containers() if entry.id == container_id)
    return container


async def until(condition: Callable[[], Awaitable[bool]]) -> None:
    """Wait until a condition is true."""
    async with asyncio.timeout(30):
        while not await condition():  # noqa: ASYNC110  # the engine cannot be awaited
            await asyncio.sleep(0.05)


async def exited(engine: DockerEngine, container_id: str) -> Container:
    """Wait until a container has exited."""

    async def has_exited() -> bool:
        return (await observed(engine, container_id)).state == "exited"

    await until(has_exited)
    return await observed(engine, container_id)


async def logged(engine: DockerEngine, container_id: str, line: str) -> None:
    """Wait until the last line of a container is this one."""

    async def is_last() -> bool:
        return await engine.last_lines(container_id, 1) == [line]

    await until(is_last)


async def get(port: int) -> str:
    """Read the page of a container, as soon as it responds."""

    def read() -> str:
        with urlopen(f"http://127.0.0.1:{port}/", timeout=5) as response:
            return str(response.read().decode())

    async with asyncio.timeout(30):
        while True:
            try:
                return await asyncio.to_thread(read)
            except (URLError, OSError):
                await asyncio.sleep(0.02)


async def test_a_container_serves_on_its_port(engine: DockerEngine, free_port: Port) -> None:
    """A started container responds on the assigned port of 127.0.0.1, and is listed with its key."""
    key, port = new_key(), free_port()
    container = await engine.start(key, workload(WEB), port)
    assert await get(port) == "hello\n"
    assert container == await observed(engine, container.id)
    assert (container.key, container.state, container.host_port) == (key, "running", port)
    assert container.started_at is not None


async def test_port_is_published_on_loopback_only(engine: DockerEngine, docker: PrivateEngine, free_port: Port) -> None:
    """No other machine can reach a container."""
    container = await engine.start(new_key(), workload(WEB), port := free_port())
    assert docker.docker("port", container.id).stdout.split() == ["8080/tcp", "->", f"127.0.0.1:{port}"]


async def test_start_is_idempotent(engine: DockerEngine, docker: PrivateEngine, free_port: Port) -> None:
    """The same instance and attempt is the same container: running, only created, or exited."""
    key, port = new_key(), free_port()
    running = await engine.start(key, workload(WEB), port)
    assert await engine.start(key, workload(WEB), port) == running
    await engine.stop(running.id, 0)
    assert (await engine.start(key, workload(WEB), port)).state == "exited"

    key, port = new_key(), free_port()
    running = await engine.start(key, workload(WEB), port)
    docker.docker("rm", "--force", running.id)
    created = await engine._create(f"gradient-{key.instance_id}-1", key, workload(WEB), port)  # as if interrupted
    assert created.state == "created"
    started = await engine.start(key, workload(WEB), port)
    assert (started.id, started.state) == (created.id, "running")


async def test_created_container_with_another_port_is_replaced(engine: DockerEngine, free_port: Port) -> None:
    """If the start was interrupted and the port is another one now, the container has the new port."""
    key, old_port, port = new_key(), free_port(), free_port()
    await engine._create(f"gradient-{key.instance_id}-1", key, workload(WEB), old_port)
    assert (await engine.start(key, workload(WEB), port)).host_port == port
    assert await get(port) == "hello\n"
    assert len(await engine.containers()) == 1


async def test_container_that_is_not_listed_is_replaced(
    engine: DockerEngine, free_port: Port, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A container that the engine knows and never lists, as after a restart with a full disk, is replaced when it is started again."""
    key, port = new_key(), free_port()
    hidden = await engine.start(key, workload(WEB), port)
    client = (await engine._api()).client
    list_all = client.containers.list

    async def list_others(**options: object) -> list[DockerContainer]:
        return [entry for entry in await list_all(**options) if entry.id != hidden.id]

    monkeypatch.setattr(client.containers, "list", list_others)
    container = await engine.start(key, workload(WEB), port)
    assert [listed.id for listed in await engine.containers()] == [container.id]
    assert await engine._inspect(hidden.id) is None


async def test_port_in_use(engine: DockerEngine, free_port: Port) -> None:
    """If another program or another container has the port, the error says so and no container is left."""
    with socket.create_server(("127.0.0.1", free_port())) as listener:
        port = listener.getsockname()[1]
        with pytest.raises(PortInUseError, match=f"^Port {port} of 127.0.0.1 is in use.$"):
            await engine.start(new_key(), workload(WEB), port)
    assert await engine.containers() == []
    port = free_port()
    await engine.start(new_key(), workload(WEB), port)
    with pytest.raises(PortInUseError):
        await engine.start(new_key(), workload(WEB), port)
    assert len(await engine.containers()) == 1


@pytest.mark.parametrize(
    ("command", "message"),
    [
        (("/nosuch", "--flag"), 'exec: "/nosuch": stat /nosuch: no such file or directory'),
        (("nosuch",), 'exec: "nosuch": executable file not found in $PATH'),
        (("/www",), 'exec: "/www": permission denied'),
    ],
)
async def test_command_that_cannot_start(
    engine: DockerEngine, free_port: Port, command: tuple[str, ...], message: str
) -> None:
    """A command that does not exist is an error with the reason, and no container is left."""
    with pytest.raises(StartError) as caught:
        await engine.start(new_key(), workload(WEB, *command), free_port())
    assert message in str(caught.value)
    assert str(caught.value).startswith("The container cannot start: ")
    assert await engine.containers() == []


async def test_command_replaces_entrypoint(engine: DockerEngine, free_port: Port) -> None:
    """`command` replaces the entrypoint and the arguments of the image; without one, the image's are used."""
    container = await engine.start(new_key(), workload("shell:1", "/bin/echo", "a  b", "$HOME"), free_port())
    await exited(engine, container.id)
    assert await engine.last_lines(container.id, 10) == ["a  b $HOME"]
    container = await engine.start(new_key(), workload(), free_port())
    await logged(engine, container.id, "image")


async def test_environment(engine: DockerEngine, free_port: Port) -> None:
    """Variables of the spec are set, whatever their value contains."""
    env = (("A", "x=y z"), ("B", "line 1\nline 2"), ("C", ""))
    container = await engine.start(new_key(), shell('echo "[$A] [$B] [$C]"', env=env), free_port())
    await exited(engine, container.id)
    assert await engine.last_lines(container.id, 10) == ["[x=y z] [line 1", "line 2] []"]


@pytest.mark.parametrize(("script", "code"), [("exit 0", 0), ("exit 7", 7), ("kill -TERM $$; exit 8", 8)])
async def test_exit_code(engine: DockerEngine, free_port: Port, script: str, code: int) -> None:
    """The exit code of a container is observed."""
    container = await engine.start(new_key(), shell(script), free_port())
    container = await exited(engine, container.id)
    assert (container.exit_code, container.out_of_memory) == (code, False)
    assert container.started_at is not None
    assert container.finished_at is not None


async def test_killed(engine: DockerEngine, docker: PrivateEngine, free_port: Port) -> None:
    """The exit code of a killed container is 128 and the number of the signal."""
    container = await engine.start(new_key(), workload(WEB), free_port())
    docker.docker("kill", container.id)
    container = await exited(engine, container.id)
    assert (container.exit_code, container.out_of_memory) == (137, False)


async def test_out_of_memory(engine: DockerEngine, free_port: Port) -> None:
    """A container that the kernel kills at its memory limit is reported as out of memory."""
    container = await engine.start(new_key(), shell("exec tail /dev/zero", instance_type="C2"), free_port())
    container = await exited(engine, container.id)
    assert (container.exit_code, container.out_of_memory) == (137, True)


async def test_last_lines(engine: DockerEngine, free_port: Port) -> None:
    """Both outputs are read, the last lines in order; a container that does not exist has none."""
    container = await engine.start(new_key(), shell("for i in 1 2 3; do echo $i; echo e$i >&2; done"), free_port())
    await exited(engine, container.id)
    assert sorted(await engine.last_lines(container.id, 10)) == ["1", "2", "3", "e1", "e2", "e3"]
    assert len(await engine.last_lines(container.id, 2)) == 2
    assert await engine.last_lines("0" * 64, 10) == []


async def test_last_lines_are_cut(engine: DockerEngine, free_port: Port) -> None:
    """A long line does not fill a message."""
    container = await engine.start(new_key(), shell("head -c 100000 /dev/zero"), free_port())
    await exited(engine, container.id)
    assert [len(line) for line in await engine.last_lines(container.id, 10)] == [1000]


async def test_stop_sends_sigterm_first(engine: DockerEngine, free_port: Port) -> None:
    """A container that handles SIGTERM ends by itself, within its grace period."""
    script = "trap 'echo bye; exit 3' TERM; echo up; while true; do sleep 0.1; done"
    container = await engine.start(new_key(), shell(script), free_port())
    await logged(engine, container.id, "up")
    await engine.stop(container.id, 30)
    assert (await observed(engine, container.id)).exit_code == 3
    assert await engine.last_lines(container.id, 1) == ["bye"]


async def test_stop_kills_after_the_grace_period(engine: DockerEngine, free_port: Port) -> None:
    """A container that ignores SIGTERM is killed."""
    container = await engine.start(new_key(), shell("trap '' TERM; while true; do sleep 0.1; done"), free_port())
    await engine.stop(container.id, 1)
    assert (await observed(engine, container.id)).exit_code == 137


async def test_stop_and_remove_of_nothing(engine: DockerEngine, free_port: Port) -> None:
    """What does not exist is stopped and removed already."""
    container = await engine.start(new_key(), workload(WEB), free_port())
    await asyncio.gather(*(engine.remove(container.id) for _ in range(4)))
    await engine.stop(container.id, 10)
    await engine.remove(container.id)
    assert await engine.containers() == []


async def test_containers_cannot_reach_each_other(engine: DockerEngine, docker: PrivateEngine, free_port: Port) -> None:
    """Traffic between containers is disabled: they cannot bypass the server."""
    server, client = [await engine.start(new_key(), workload(WEB), port := free_port()) for _ in range(2)]
    await get(port)

    def connect(address: str) -> int:
        """Connect from inside the network of the client; 0: success."""
        script = "import socket, sys; s = socket.socket(); s.settimeout(2); sys.exit(s.connect_ex((sys.argv[1], 8080)))"
        pid = docker.docker("inspect", "--format", "{{.State.Pid}}", client.id).stdout.strip()
        command = ["nsenter", "--target", pid, "--net", sys.executable, "-c", script, address]
        return subprocess.run(command, check=False).returncode

    addresses = '{{(index .NetworkSettings.Networks "gradient").IPAddress}}'
    server_address, own_address = docker.docker("inspect", "--format", addresses, server.id, client.id).stdout.split()
    assert connect(own_address) == 0
    assert connect(server_address) != 0


async def test_containers_of_others_are_not_listed(
    engine: DockerEngine, docker: PrivateEngine, free_port: Port
) -> None:
    """Containers without our label, of other servers, or with incomplete labels, are not listed."""
    labels = ["a=b", "gradient.server=other", f"gradient.server={engine._server_id}"]
    for number, label in enumerate(labels):
        docker.docker("create", "--label", label, "--name", f"foreign-{number}", WEB)
    try:
        assert await engine.containers() == []
        container = await engine.start(new_key(), workload(WEB), free_port())
        assert [entry.id for entry in await engine.containers()] == [container.id]
    finally:
        docker.docker("rm", "foreign-0", "foreign-1", "foreign-2")


async def test_name_of_another_container(engine: DockerEngine, docker: PrivateEngine, free_port: Port) -> None:
    """A container of somebody else that has our name is not touched; the error says what to do."""
    key = new_key()
    name = f"gradient-{key.instance_id}-1"
    docker.docker("create", "--name", name, WEB)
    with pytest.raises(StartError, match=f"Another container has the name {name}. Remove it with `docker rm {name}`."):
        await engine.start(key, workload(WEB), free_port())
    docker.docker("rm", name)


async def test_network_that_was_removed_is_created_again(
    engine: DockerEngine, docker: PrivateEngine, free_port: Port
) -> None:
    """`docker network prune` while nothing runs does not stop later starts."""
    docker.docker("network", "rm", "gradient")
    await engine.start(new_key(), workload(WEB), port := free_port())
    assert await get(port) == "hello\n"


async def test_containers_that_start_at_the_same_time_create_one_network(
    docker: PrivateEngine, free_port: Port
) -> None:
    """Two servers start three containers each after `docker network prune`. All run, and there is one network."""
    async with opened(docker) as first, opened(docker) as second:
        docker.docker("network", "rm", "gradient")
        ports = [free_port() for _ in range(6)]
        servers = (first, second) * 3
        await asyncio.gather(
            *(server.start(new_key(), workload(WEB), port) for server, port in zip(servers, ports, strict=True))
        )
        assert docker.docker("network", "ls", "--quiet", "--filter", "name=^gradient$").stdout.count("\n") == 1
        assert [await get(port) for port in ports] == ["hello\n"] * 6


async def test_limits_are_set(engine: DockerEngine, docker: PrivateEngine, free_port: Port) -> None:
    """The limits of the instance type apply to the container; without one, there are none."""
    limits = "{{.HostConfig.NanoCpus}} {{.HostConfig.Memory}} {{.HostConfig.MemorySwap}}"
    container = await engine.start(new_key(), workload(WEB, instance_type="C2"), free_port())
    assert docker.docker("inspect", "--format", limits, container.id).stdout == f"1000000000 {2**30} {2**30}\n"
    container = await engine.start(new_key(), workload(WEB), free_port())
    assert docker.docker("inspect", "--format", limits, container.id).stdout == "0 0 0\n"


async def test_types_larger_than_the_machine_are_reduced(engine: DockerEngine, free_port: Port) -> None:
    """More CPUs, memory and GPUs than the machine has do not stop a container from running."""
    large = workload(WEB, instance_type="A100-80Gx8")
    (note,) = engine.check(large)
    assert note.startswith("Instance type A100-80Gx8 has 96 CPUs, 720 GiB, 8 GPUs, but this machine has only ")
    await engine.start(new_key(), large, port := free_port())
    assert await get(port) == "hello\n"
