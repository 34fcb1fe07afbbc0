"""The process of Envoy: it outlives the server, is used by the next one, and is started again when it ends."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import stat
import subprocess
import tempfile
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest
from tests.server.gateway.site import LONG, Load, Replica, Visitor, until, visiting

from paperspace.gradient.server.controller.gateway import GatewayUnavailableError, Routes, Target
from paperspace.gradient.server.gateway import envoy as envoy_module
from paperspace.gradient.server.gateway import gateway as gateway_module
from paperspace.gradient.server.gateway.binary import find_envoy
from paperspace.gradient.server.gateway.gateway import EnvoyGateway
from paperspace.gradient.server.gateway.options import Certificate
from paperspace.gradient.server.gateway.process import MAX_LOG, Process, limit_log, program_version

pytestmark = pytest.mark.anyio

Create = Callable[..., EnvoyGateway]


def pid_of(gateway: EnvoyGateway) -> int:
    """Return the id of the process. It is stored until another process is started."""
    return int((gateway._folder / "envoy.pid").read_text())


def files_of(folder: Path) -> list[Path]:
    """Return what is in a folder."""
    return list(folder.iterdir())


def mode_of(path: Path) -> int:
    """Return the permissions."""
    return stat.S_IMODE(path.stat().st_mode)


async def test_next_server_uses_the_process(new_gateway: Create, replicas: list[Replica]) -> None:
    """Envoy serves while no server runs; the next server uses it, with its routes, and loses no request."""
    first, second = new_gateway(), new_gateway()
    await first.open()
    await first.route("x", "a", replicas[0].target)
    await first.route("x", "b", replicas[1].target)
    await first.unroute("x", "b")
    await first.expose("y")
    pid = pid_of(first)
    async with Load(first).running() as load:
        await first.close()
        await load.more(50)
        await second.open()
        await load.more(50)
    assert load.lost == []
    assert pid_of(second) == pid
    assert second.endpoint_url("x") == first.endpoint_url("x")
    assert second.deployments() == {"x", "y"}
    assert second.routes("x") == Routes(routed=frozenset("a"), draining=frozenset("b"))


async def test_only_the_owner_can_use_it(gateway: EnvoyGateway, replicas: list[Replica], folder: Path) -> None:
    """Other users can neither read the files nor connect to the admin interface."""
    await gateway.route("x", "a", replicas[0].target)
    modes = {path.name: mode_of(path) for path in files_of(folder)}
    assert mode_of(folder) == 0o700
    assert set(modes.values()) == {0o600}
    assert "admin.sock" in modes


async def test_process_has_no_terminal_and_inherits_nothing(new_gateway: Create) -> None:
    """Ctrl-C of the server does not reach the process, and it keeps no file of the server open."""
    with tempfile.NamedTemporaryFile() as file:
        os.set_inheritable(file.fileno(), True)
        gateway = new_gateway()
        await gateway.open()
        pid = pid_of(gateway)
        assert os.getsid(pid) != os.getsid(0)
        assert os.getpgid(pid) != os.getpgid(0)
        assert file.name not in {str(entry.readlink()) for entry in files_of(Path(f"/proc/{pid}/fd"))}


async def test_ephemeral(new_gateway: Create) -> None:
    """An ephemeral process ends with the server, and its folder is removed."""
    gateway = new_gateway(ephemeral=True)
    await gateway.open()
    pid = pid_of(gateway)
    await gateway.close()
    assert not os.path.exists(f"/proc/{pid}/exe")  # noqa: ASYNC240, PTH110  # nothing to wait for
    assert not gateway._folder.exists()


async def test_files_of_an_ephemeral_process_stay_young(new_gateway: Create, monkeypatch: pytest.MonkeyPatch) -> None:
    """Programs that clean /tmp remove old files, so those of an ephemeral gateway are touched from time to time."""
    monkeypatch.setattr(gateway_module, "TOUCH_INTERVAL", 0.01)
    gateway = new_gateway(ephemeral=True)
    await gateway.open()
    await gateway.expose("x")
    files = [gateway._folder, *files_of(gateway._folder)]
    for file in files:
        os.utime(file, (0, 0))
    await until(lambda: all(file.stat().st_mtime > 0 for file in files))


@pytest.mark.parametrize("opened", [False, True])
async def test_stop(new_gateway: Create, opened: bool) -> None:
    """The process can be stopped, also when no server runs."""
    first, second = new_gateway(), new_gateway()
    await first.open()
    pid = pid_of(first)
    if not opened:
        await first.close()
    await (first if opened else second).stop()
    assert not os.path.exists(f"/proc/{pid}/exe")  # noqa: ASYNC240, PTH110  # nothing to wait for
    await second.stop()  # there is no process


async def test_nothing_is_left_open_after_an_error(new_gateway: Create, tmp_path: Path) -> None:
    """If a gateway cannot be opened while a process of Envoy runs, as with a missing certificate, no file descriptor is left."""
    first = new_gateway()
    await first.open()
    await first.close()
    missing = Certificate(tmp_path / "chain.pem", tmp_path / "key.pem")
    left = []
    for _ in range(3):
        with pytest.raises(GatewayUnavailableError, match="cannot be read"):
            await new_gateway(certificate=missing).open()
        left.append(len(files_of(Path("/dev/fd"))))
    assert left == [left[0]] * 3


async def test_killed_process(gateway: EnvoyGateway, visitor: Visitor, replicas: list[Replica]) -> None:
    """A process that is killed is started again, with its routes; meanwhile the problem is reported."""
    await gateway.route("x", "a", replicas[0].target)
    problems: list[str | None] = []
    gateway.call_on_change(lambda: problems.append(gateway.routes("x").problem))
    for _ in range(2):
        problems.clear()
        old = pid_of(gateway)
        os.kill(old, signal.SIGKILL)
        await until(lambda: len(problems) == 2)
        assert problems == ["The gateway ended. The server starts it again.", None]
        assert pid_of(gateway) != old
        assert await visitor.name() == "a"


async def test_changes_while_it_does_not_run(
    gateway: EnvoyGateway, visitor: Visitor, replicas: list[Replica], monkeypatch: pytest.MonkeyPatch
) -> None:
    """While the process does not run, changes are kept. A route is refused with a reason, and then in effect."""
    a, b, _ = replicas
    await gateway.route("x", "a", a.target)
    start = gateway._envoy.start

    async def fail() -> None:
        raise GatewayUnavailableError("It fails.")

    monkeypatch.setattr(gateway._envoy, "start", fail)
    os.kill(pid_of(gateway), signal.SIGKILL)
    problem = "It fails. The server tries again."
    await until(lambda: gateway.routes("x").problem == problem)
    await gateway.unroute("x", "a")
    await gateway.drained("x", "a")
    with pytest.raises(GatewayUnavailableError, match="It fails"):
        await gateway.route("x", "b", b.target)
    assert gateway.routes("x") == Routes(frozenset("b"), frozenset("a"), problem)
    monkeypatch.setattr(gateway._envoy, "start", start)
    await until(lambda: gateway.routes("x").problem is None)
    assert await visitor.name() == "b"


async def test_killed_between_servers(new_gateway: Create, replicas: list[Replica]) -> None:
    """If the process has ended while no server ran, the next server starts it with the routes of the files."""
    first, second = new_gateway(), new_gateway()
    await first.open()
    await first.route("x", "a", replicas[0].target)
    await first.close()
    os.kill(pid_of(first), signal.SIGKILL)
    await second.open()
    assert second.endpoint_url("x") == first.endpoint_url("x")
    async with visiting(second) as visitor:
        assert await visitor.name() == "a"


async def test_process_that_does_not_respond(new_gateway: Create, monkeypatch: pytest.MonkeyPatch) -> None:
    """A process that does not respond to the next server is replaced."""
    first, second = new_gateway(), new_gateway()
    await first.open()
    await first.close()
    pid = pid_of(first)
    os.kill(pid, signal.SIGSTOP)
    monkeypatch.setattr(envoy_module, "START_TIMEOUT", 1.0)
    await second.open()
    assert pid_of(second) != pid
    assert second._port == first._port


async def test_stored_id_of_another_process(new_gateway: Create, folder: Path) -> None:
    """A stored id that now belongs to another process is ignored: that process is left alone."""
    first, second = new_gateway(), new_gateway()
    await first.open()
    await first.stop()
    (folder / "envoy.pid").write_text(f"{os.getpid()}\n")
    await second.open()
    assert pid_of(second) != os.getpid()


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("rds.json", b""),
        ("rds.json", b'{"version_info": "1", "resources": [{}]}'),
        ("eds-http.json", b"null"),
        ("eds-http.json", b'{"version_info": "1", "resources": [{"endpoints": 1}]}'),
        ("lds.json", b"[]"),
        ("cds.json", b"\xff\x00"),
        ("bootstrap.json", b"{"),
        ("envoy.pid", b""),
        ("envoy.pid", b"-1"),
    ],
)
async def test_damaged_file(
    new_gateway: Create, replicas: list[Replica], folder: Path, name: str, content: bytes
) -> None:
    """A file that is damaged is written again. The routes can be added again, if they were in it."""
    first, second = new_gateway(), new_gateway()
    await first.open()
    await first.route("x", "a", replicas[0].target)
    await first.stop()
    (folder / name).write_bytes(content)
    await second.open()
    await second.expose("x")
    await second.route("x", "a", replicas[0].target)
    async with visiting(second) as visitor:
        assert await visitor.name() == "a"


async def test_folder_in_use(new_gateway: Create) -> None:
    """Two servers cannot use the same folder; the first one is not disturbed."""
    first, second = new_gateway(), new_gateway()
    await first.open()
    with pytest.raises(GatewayUnavailableError, match="Another server uses the gateway's folder"):
        await second.open()
    await first.expose("x")


@pytest.mark.parametrize("running", [False, True])
async def test_port_in_use(new_gateway: Create, running: bool) -> None:
    """If another program uses the port, the error says so. A process that runs on another port is not disturbed."""
    first = new_gateway()
    if running:
        await first.open()
        await first.close()
        pid = pid_of(first)
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        with pytest.raises(GatewayUnavailableError) as error:
            await new_gateway(port=port).open()
    assert str(error.value) == (
        f"The gateway cannot listen on 127.0.0.1:{port}: another program uses this port. Stop it, or select another "
        "port with --gateway-port."
    )
    if running:
        again = new_gateway()
        await again.open()
        assert pid_of(again) == pid


@pytest.mark.parametrize(
    ("host", "message"),
    [
        (
            "192.0.2.1",
            "The gateway cannot listen on 192.0.2.1:0: no network interface of this machine has this address.",
        ),
        ("label..empty", "The host name label..empty cannot be resolved."),
    ],
)
async def test_host_that_cannot_be_used(new_gateway: Create, host: str, message: str) -> None:
    """An address of another machine and a host name without an address are different errors."""
    with pytest.raises(GatewayUnavailableError) as error:
        await new_gateway(host=host).open()
    assert str(error.value) == f"{message} Correct --gateway-host."


async def test_port_that_is_taken_while_it_does_not_run(gateway: EnvoyGateway, monkeypatch: pytest.MonkeyPatch) -> None:
    """If another program takes the port before the process is started again, the problem says so until it is free."""
    start = gateway._envoy.start
    taken = asyncio.Event()

    async def start_later() -> Process:
        await taken.wait()
        return await start()

    monkeypatch.setattr(gateway._envoy, "start", start_later)
    await gateway.expose("x")
    os.kill(pid_of(gateway), signal.SIGKILL)
    await until(lambda: gateway.routes("x").problem is not None)
    with socket.create_server(("127.0.0.1", gateway._port)):
        taken.set()
        await until(lambda: "Address already in use" in (gateway.routes("x").problem or ""))
    await until(lambda: gateway.routes("x").problem is None)
    async with visiting(gateway) as visitor:
        assert await visitor.name() == "503"


@asynccontextmanager
async def followed(first: EnvoyGateway, second: EnvoyGateway, replica: Replica) -> AsyncGenerator[Visitor]:
    """Let a gateway follow another one while a request is active, which ends as before; the process stays. Yield its visitor."""
    await first.open()
    await first.route("x", "a", replica.target)
    async with visiting(first) as visitor:
        slow = asyncio.create_task(visitor.name("x", "?seconds=1"))
        await until(lambda: replica.active == 1)
        await first.close()
        pid = pid_of(first)
        await second.open()
        assert await slow == "a"
        assert pid_of(second) == pid
        yield visitor


async def test_other_port(new_gateway: Create, replicas: list[Replica], unused_port: int) -> None:
    """The next server can use another port without a new process; active requests on the port before go on."""
    first, second = new_gateway(), new_gateway(port=unused_port)
    async with followed(first, second, replicas[0]):
        pass
    assert second.endpoint_url("x") == f"http://127.0.0.1:{unused_port}/endpoints/x"
    async with visiting(second) as visitor:
        assert await visitor.name() == "a"


@pytest.mark.parametrize("hosts", [("127.0.0.1", "0.0.0.0"), ("0.0.0.0", "127.0.0.1")])
async def test_other_host(
    new_gateway: Create, replicas: list[Replica], unused_port: int, hosts: tuple[str, str]
) -> None:
    """The next server can use another host with the same port, without a new process; active requests go on."""
    first, second = (new_gateway(host=host, port=unused_port) for host in hosts)
    async with followed(first, second, replicas[0]) as visitor:
        assert await visitor.name() == "a"
    assert (await second.state()).address == f"{hosts[1]}:{unused_port}"


async def until_listening(port: int) -> None:
    """Return when something accepts connections on a port of 127.0.0.1."""
    async with asyncio.timeout(LONG):
        while True:
            with suppress(ConnectionRefusedError):
                _, writer = await asyncio.open_connection("127.0.0.1", port)
                writer.close()
                return


@pytest.mark.parametrize("stalled", [False, True])
async def test_other_host_that_cannot_be_used(
    new_gateway: Create, unused_port: int, monkeypatch: pytest.MonkeyPatch, stalled: bool
) -> None:
    """If the next server cannot use another host, a process that runs is not disturbed. One that does not respond is replaced."""
    monkeypatch.setattr(gateway_module, "_APPLY_TIMEOUT", 0.5)
    first, third = new_gateway(port=unused_port), new_gateway(port=unused_port, host="0.0.0.0")
    await first.open()
    await first.close()
    pid = pid_of(first)
    with socket.create_server(("127.0.0.2", unused_port)):
        for host in ("0.0.0.0", "192.0.2.1"):
            with pytest.raises(GatewayUnavailableError, match=f"The gateway cannot listen on {host}:{unused_port}"):
                await new_gateway(port=unused_port, host=host).open()
            await until_listening(unused_port)
    if stalled:
        os.kill(pid, signal.SIGSTOP)
    await third.open()
    assert (pid_of(third) != pid) == stalled


async def test_interrupted_start_with_another_host(
    new_gateway: Create, unused_port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """If a start with another host is interrupted, a process that runs listens as before."""
    first, second = new_gateway(port=unused_port), new_gateway(port=unused_port, host="0.0.0.0")
    await first.open()
    await first.close()
    applied = EnvoyGateway._in_effect

    async def interrupted(gateway: EnvoyGateway, names: list[str]) -> bool:
        await applied(gateway, names)
        raise asyncio.CancelledError

    monkeypatch.setattr(EnvoyGateway, "_in_effect", interrupted)
    with pytest.raises(asyncio.CancelledError):
        await second.open()
    await until_listening(unused_port)


async def test_other_settings_of_the_process(new_gateway: Create, folder: Path) -> None:
    """A process that was started with other settings, as by another version of the library, is replaced."""
    first, second = new_gateway(), new_gateway()
    await first.open()
    await first.close()
    pid = pid_of(first)
    settings = json.loads((folder / "bootstrap.json").read_bytes())
    (folder / "bootstrap.json").write_text(json.dumps({**settings, "node": {"id": "old", "cluster": "old"}}))
    await second.open()
    assert pid_of(second) != pid


async def test_upgraded_program(new_gateway: Create, folder: Path) -> None:
    """A process is replaced if its program has another version since it was started, and is kept otherwise."""
    real, program = find_envoy(None), folder.with_name("envoy")
    program.symlink_to(real)
    first, second, third = (new_gateway(envoy=program) for _ in range(3))
    await first.open()
    await first.close()
    before = pid_of(first)
    program.unlink()
    program.write_text(f'#!/bin/sh\n[ "$1" = --version ] && echo "$0  version: 2" || exec "{real}" "$@"\n')
    program.chmod(0o700)
    await second.open()
    after = pid_of(second)
    assert after != before
    await second.close()
    await third.open()
    assert pid_of(third) == after


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="only root can mount")
def test_program_of_another_container(tmp_path: Path) -> None:
    """The version of a process is that of the program in its container, not of the one with the same path in ours."""
    program, theirs = tmp_path / "program", tmp_path / "theirs"
    for file, version in ((program, 2), (theirs, 1)):
        file.write_text(f"#!/bin/sh\necho 'program  version: {version}'\n")
        file.chmod(0o700)
    script = f"mount --bind /bin/sh {program}; exec {program} -c 'mount --bind {theirs} {program}; echo; read line'"
    command = ["unshare", "--mount", "/bin/sh", "-c", script]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdin
        assert process.stdout
        process.stdout.readline()
        found = program_version(process.pid)
        process.stdin.write(b"\n")
    assert found == "1"


async def test_long_path(new_gateway: Create, folder: Path) -> None:
    """A folder whose path is too long for a socket works; its socket is in a private folder with a short path."""
    deep = folder.joinpath(*["long-name-of-a-folder"] * 8)
    first, second = new_gateway(folder=deep), new_gateway(folder=deep)
    await first.open()
    await first.close()
    pid = pid_of(first)
    await second.open()
    assert pid_of(second) == pid
    short = second._envoy.socket.parent
    assert mode_of(short) == 0o700
    await second.stop()
    second._envoy.socket.unlink(missing_ok=True)
    short.rmdir()


async def test_folder_with_spaces(new_gateway: Create, folder: Path) -> None:
    """A path with spaces, quotes and other characters works."""
    odd = folder / "a b'c\"$HOME;ü"
    first, second = new_gateway(folder=odd), new_gateway(folder=odd)
    await first.open()
    await first.close()
    pid = pid_of(first)
    await second.open()
    assert pid_of(second) == pid


async def test_program_that_ends_at_once(new_gateway: Create, tmp_path: Path) -> None:
    """If the program ends at once, the error has the end of its output, and no process remains. Nothing is tried again."""
    program = tmp_path / "envoy"
    program.write_text("#!/bin/sh\necho 'cannot load a library.' >&2\nexit 1\n")
    program.chmod(0o755)
    with pytest.raises(GatewayUnavailableError) as error:
        await new_gateway(envoy=program).open()
    assert str(error.value) == "The gateway ended right after it was started: cannot load a library."


@pytest.mark.parametrize("milliseconds", range(0, 60, 6))
async def test_closed_while_it_is_started(new_gateway: Create, folder: Path, milliseconds: int) -> None:
    """A start that is cancelled leaves no process that the next call does not find."""
    gateway = new_gateway()
    opening = asyncio.create_task(gateway.open())
    await asyncio.sleep(milliseconds / 1000)
    opening.cancel()
    await asyncio.gather(opening, return_exceptions=True)
    await gateway.stop()
    assert not running_with(folder)


def running_with(folder: Path) -> list[str]:
    """Return the processes that have the folder in their command line."""
    files = [path / "cmdline" for path in Path("/proc").iterdir() if path.name.isdigit()]
    found = []
    for file in files:
        with suppress(OSError):
            if os.fsencode(folder) in file.read_bytes():
                found.append(str(file))
    return found


async def test_slow_program(new_gateway: Create, replicas: list[Replica], tmp_path: Path) -> None:
    """A process that takes long to start is waited for; changes meanwhile are in effect when it serves."""
    program = tmp_path / "envoy"
    program.write_text(f'#!/bin/sh\nsleep 1.5\nexec "{find_envoy(None)}" "$@"\n')
    program.chmod(0o755)
    gateway = new_gateway(envoy=program)
    await gateway.open()
    os.kill(pid_of(gateway), signal.SIGKILL)
    await until(lambda: gateway.routes("x").problem is not None)
    await until(lambda: gateway._supervisor._process is not None)
    await gateway.route("x", "a", replicas[0].target)
    async with visiting(gateway) as visitor:
        assert await visitor.name() == "a"


async def test_full_disk(gateway: EnvoyGateway, replicas: list[Replica], monkeypatch: pytest.MonkeyPatch) -> None:
    """If a file cannot be written, the call fails with a reason, nothing changes, and it can be repeated."""
    await gateway.route("x", "a", replicas[0].target)

    def fail(*_: object, **_options: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("json.dumps", fail)
        with pytest.raises(GatewayUnavailableError, match="cannot be written: No space left on device"):
            await gateway.route("x", "b", replicas[1].target)
    assert gateway.routes("x").routed == {"a"}
    await gateway.route("x", "b", replicas[1].target)
    assert gateway.routes("x").routed == {"a", "b"}


def test_log_is_limited(tmp_path: Path) -> None:
    """A log that has become too large keeps only its end, and the process continues to append to it."""
    log = tmp_path / "log"
    with log.open("ab") as process:
        process.write(b"x" * (MAX_LOG + 1) + b"end")
        process.flush()
        limit_log(log)
        process.write(b"!")
    assert log.stat().st_size < MAX_LOG / 10
    assert log.read_bytes().endswith(b"xend!")


async def test_target_of_another_deployment(gateway: EnvoyGateway, visitor: Visitor, replicas: list[Replica]) -> None:
    """A port that an instance of another deployment used before leads to the new one only."""
    await gateway.route("x", "old", replicas[0].target)
    await gateway.route("y", "new", Target(replicas[0].port, "http"))
    assert await visitor.name("y") == "a"
    assert await visitor.name("x") == "503"
