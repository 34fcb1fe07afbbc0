"""The whole server on a real engine: deployments run, change, fail, heal and end."""

from __future__ import annotations

import os
import re
import shutil
import signal
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.engine.private_engine import PrivateEngine
from tests.engine.site import SERVE, Site, page, port_in, running_site, spec, wait_for

from paperspace.gradient import errors
from paperspace.gradient.server.docker import commands
from paperspace.gradient.server.docker.api import Api
from paperspace.gradient.server.docker.instance_types import InstanceType
from paperspace.gradient.server.docker.requirements import Settings
from paperspace.gradient.server.secrets import Secret
from paperspace.gradient.server.settings_files import write_settings


@pytest.fixture
def site(docker: PrivateEngine, tmp_path: Path) -> Iterator[Site]:
    with running_site(docker, tmp_path) as site:
        yield site


def test_a_deployment_serves(site: Site) -> None:
    """A created deployment gets ready, says on which port, and its container responds there."""
    id_ = site.create("mnist", wait=True)
    status = site.status(id_)
    assert (status["state"], status["readyReplicas"], status["error"]) == ("ready", 1, None)
    (instance,) = status["instances"]
    assert page(port_in(str(instance["message"]))) == "mnist 1"


def test_image_without_tools(site: Site) -> None:
    """The probe needs nothing inside of the image, and the image's own entrypoint runs."""
    id_ = site.create("web", {"image": "web:1", "port": 8080, "resources": {"replicas": 1}}, wait=True)
    assert [page(port) for port in site.ports(id_)] == ["hello"]


def test_update_replaces_the_containers(site: Site) -> None:
    """After an update, the new revision serves, and the old containers are gone."""
    id_ = site.create("mnist", spec("mnist", 2), wait=True)
    old = {container["id"] for container in site.containers(id_)}
    site.api.update_deployment("mnist", "p", spec("mnist", 2, version="2"), wait=True)
    site.until(id_, lambda _: len(site.containers(id_)) == 2)
    assert old.isdisjoint(container["id"] for container in site.containers(id_))
    assert [page(port) for port in site.ports(id_)] == ["mnist 2", "mnist 2"]


def test_a_change_of_replicas_keeps_the_containers(site: Site) -> None:
    """Scaling up adds containers, scaling down removes some; the others are the same as before."""
    id_ = site.create("mnist", wait=True)
    first = {container["id"] for container in site.containers(id_)}
    site.api.scale_deployment(id_, 3)
    site.api.wait_for_deployment(id_)
    three = {container["id"] for container in site.containers(id_)}
    assert len(three) == 3
    assert first < three
    site.api.scale_deployment(id_, 1)
    site.api.wait_for_deployment(id_)
    site.until(id_, lambda _: len(site.containers(id_)) == 1)
    assert {container["id"] for container in site.containers(id_)} == first


def test_restart_replaces_the_containers(site: Site) -> None:
    """A restart runs the same spec in new containers."""
    id_ = site.create("mnist", wait=True)
    old = site.containers(id_)[0]["id"]
    site.api.restart_deployment(id_, wait=True)
    site.until(id_, lambda _: [container["id"] != old for container in site.containers(id_)] == [True])


@pytest.mark.parametrize(
    ("broken", "reason"),
    [
        (spec("mnist", script="echo out of luck >&2; exit 7"), r"Exited with code 7 \(crash \d\).*out of luck"),
        (
            spec("mnist", script="exec tail /dev/zero", resources={"instanceType": "tiny"}),
            "[Oo]ut of memory|memory limit",
        ),
        (spec("mnist", image="127.0.0.1:1/nosuch:1"), r"Image 127\.0\.0\.1:1/nosuch:1 cannot be pulled: .*refused"),
        (spec("mnist", command=["/nosuch"]), r"The container cannot start: .*/nosuch"),
        (spec("mnist", script="sleep 1000000"), "No HTTP response on port 8080 yet"),
    ],
    ids=["crash", "memory", "image", "command", "silent"],
)
def test_a_broken_revision(docker: PrivateEngine, tmp_path: Path, broken: object, reason: str) -> None:
    """While a new revision fails, the status says why, and the old container serves on."""
    write_settings(tmp_path / "types", {"tiny": InstanceType(1, 0.03)})
    with running_site(docker, tmp_path, Settings(instance_types_file=tmp_path / "types")) as site:
        id_ = site.create("mnist", wait=True)
        (before,) = site.containers(id_)
        site.api.update_deployment("mnist", "p", broken)
        site.until(id_, lambda status: _says(status, reason))
        assert before["id"] in {container["id"] for container in site.containers(id_)}
        assert page(int(before["port"])) == "mnist 1"


def _says(status: object, reason: str) -> bool:
    return re.search(reason, str(status)) is not None


def test_an_instance_type_that_is_deleted(docker: PrivateEngine, tmp_path: Path) -> None:
    """If a name of a running spec no longer exists, the next start says so, and succeeds when it exists again."""
    file = tmp_path / "types"
    types = {"small": InstanceType(1, 0.5)}
    write_settings(file, types)
    with running_site(docker, tmp_path, Settings(instance_types_file=file)) as site:
        id_ = site.create("mnist", spec("mnist", resources={"instanceType": "small"}), wait=True)
        write_settings(file, {})
        docker.docker("rm", "--force", site.containers(id_)[0]["id"])
        site.until(id_, lambda status: "Unknown instance type small" in str(status))
        write_settings(file, types)
        site.ready(id_)


def test_secrets(docker: PrivateEngine, tmp_path: Path) -> None:
    """A container gets the value of a secret, a new one after a restart; only Docker's own description of it has the value."""
    file = tmp_path / "secrets"
    write_settings(file, {"token": Secret("v41ue-1")})
    with running_site(docker, tmp_path, Settings(secrets_file=file)) as site:
        env = [{"name": "NAME", "value": "Secret:token"}, {"name": "VERSION", "value": "1"}]
        id_ = site.create("mnist", spec("mnist", env=env), wait=True)
        assert [page(port) for port in site.ports(id_)] == ["v41ue-1 1"]
        write_settings(file, {"token": Secret("v41ue-2")})
        site.api.restart_deployment(id_, wait=True)
        site.until(id_, lambda _: [page(port) for port in site.ports(id_)] == ["v41ue-2 1"])
        described = [site.api.get_deployment(id_), site.status(id_), site.api.get_deployment_history(id_)]
        (container,) = site.containers(id_)
        labels = docker.docker("inspect", "--format", "{{json .Config.Labels}} {{.Args}}", container["id"]).stdout
        processes = docker.docker("top", container["id"], "-o", "pid,args").stdout
        stored = b"".join(path.read_bytes() for path in tmp_path.glob("gradient.db*") if path.is_file())
    assert "v41ue" not in f"{described} {labels} {processes}"
    assert b"v41ue" not in stored


def test_models(docker: PrivateEngine, tmp_path: Path) -> None:
    """A container reads a model below its path, and cannot write to it."""
    (tmp_path / "models/mnist").mkdir(parents=True)
    (tmp_path / "models/mnist/weights.txt").write_text("w31ghts")
    script = f"touch /opt/models/mnist/x && export NAME=writable; export VERSION=$(cat /opt/models/mnist/weights.txt); {SERVE}"
    with running_site(docker, tmp_path, Settings(models=tmp_path / "models")) as site:
        id_ = site.create("mnist", spec("mnist", script=script, models=[{"id": "mnist"}]), wait=True)
        assert [page(port) for port in site.ports(id_)] == ["mnist w31ghts"]


def test_a_file_system_inside_of_a_model(docker: PrivateEngine, tmp_path: Path) -> None:
    """A container reads it, and cannot write to it. It can have another model at the same path."""
    inner = tmp_path / "models/mnist/with space"
    for folder in (inner, tmp_path / "models/other"):
        folder.mkdir(parents=True)
    subprocess.run(["mount", "-t", "tmpfs", "tmpfs", inner], check=True)
    try:
        (inner / "weights.txt").write_text("w31ghts")
        (tmp_path / "models/other/weights.txt").write_text("others")
        script = (
            'for model in /a /b; do echo broken > "$model/with space/weights.txt"; cat "$model/with space/weights.txt"; '
            f"done > /tmp/read; export NAME=$(tr -d '\\n' < /tmp/read); {SERVE}"
        )
        models = [
            {"id": "mnist", "path": "/a"},
            {"id": "mnist", "path": "/b"},
            {"id": "other", "path": "/b/with space"},
        ]
        with running_site(docker, tmp_path, Settings(models=tmp_path / "models")) as site:
            id_ = site.create("mnist", spec("mnist", script=script, models=models), wait=True)
            assert [page(port) for port in site.ports(id_)] == ["w31ghtsothers 1"]
    finally:
        subprocess.run(["umount", "--lazy", inner], check=True)


def test_a_revision_that_keeps_crashing(site: Site) -> None:
    """A revision that crashes five times in a row fails: the wait and `error` say why once, and that the old one serves."""
    id_ = site.create("mnist", wait=True)
    before = site.status(id_)["specId"]
    crash = spec("mnist", script="echo out of luck >&2; exit 7")
    with pytest.raises(errors.DeploymentFailedError, match="Exited with code 7") as caught:
        site.api.update_deployment("mnist", "p", crash, wait=True)
    assert [line["message"] for line in caught.value.logs] == ["out of luck"] * 5
    status = site.status(id_)
    assert status["state"] == "failed"
    assert status["error"] == "Exited with code 7 (crash 5); no more restarts."
    assert status["serving"] == {"specId": before, "replicas": 1, "readyReplicas": 1}
    assert site.api.list_deployment_statuses() == [status]
    text = f"failed: {status['error']} Revision {before} still serves (1 of 1 replicas ready)."
    first, *others = str(caught.value).splitlines()
    assert first == f"deployment mnist ({id_}) {text}"
    assert [line.split(": ")[-1].strip() for line in others] == ["out of luck"] * 5 + ["Crashed (5 times)"]
    site.until(id_, lambda _: len(site.containers(id_)) == 1)  # the old one
    assert [page(port) for port in site.ports(id_)] == ["mnist 1"]


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"resources": {"instanceType": "X"}}, "Unknown instance type X; known: C2"),
        ({"containerRegistry": "mine"}, "Unknown registry mine"),
        ({"image": "team/App"}, "not a valid reference"),
        ({"models": [{"id": "m"}]}, "models[0]: this server has no models."),
        ({"env": [{"name": "A", "value": "secret:x"}]}, "Unknown secret x in env[0].value; known: none."),
    ],
)
def test_what_the_engine_cannot_run(site: Site, fields: object, words: str) -> None:
    """A spec that cannot run is an error of the spec, in one sentence, and nothing is started."""
    id_ = site.create("mnist", spec("mnist", **fields))  # type: ignore[arg-type]
    status = site.status(id_)
    assert status["state"] == "failed"
    assert words in str(status["error"])
    assert site.containers(id_) == []


@pytest.mark.parametrize("damage", ["kill -9", "docker rm", "docker stop", "docker kill"])
def test_what_ends_is_started_again(site: Site, damage: str) -> None:
    """A container that is killed, removed or stopped by hand is replaced, on a port that serves."""
    id_ = site.create("mnist", wait=True)
    (before,) = site.containers(id_)
    match damage:
        case "kill -9":
            os.kill(before["pid"], signal.SIGKILL)
        case "docker rm":
            site.docker.docker("rm", "--force", before["id"])
        case "docker stop":
            site.docker.docker("stop", before["id"])
        case _:
            site.docker.docker("kill", before["id"])
    wait_for(lambda: before["id"] not in {entry["id"] for entry in site.containers(id_) if entry["running"]})
    site.ready(id_)
    wait_for(lambda: [page(port) for port in site.ports(id_)] == ["mnist 1"])


def test_delete_removes_the_containers(site: Site) -> None:
    """Nothing of a deleted deployment is left."""
    id_ = site.create("mnist", spec("mnist", 2), wait=True)
    site.api.delete_deployment(id_)
    wait_for(lambda: site.containers(id_) == [])


def test_stop_after_scaling(site: Site) -> None:
    """A deployment is stopped when all its instances are gone, also those that moved to a newer revision."""
    id_ = site.create("mnist", wait=True)
    site.api.scale_deployment(id_, 2)
    site.api.stop_deployment(id_)
    assert site.api.wait_for_deployment(id_)["state"] == "stopped"


def test_stop_and_start(site: Site) -> None:
    """A stopped deployment has no containers; started again, it serves."""
    id_ = site.create("mnist", wait=True)
    site.api.stop_deployment(id_)
    site.api.wait_for_deployment(id_)
    wait_for(lambda: site.containers(id_) == [])
    site.api.start_deployment(id_)
    site.api.wait_for_deployment(id_)
    assert [page(port) for port in site.ports(id_)] == ["mnist 1"]


def test_a_restarted_server_adopts_the_containers(site: Site) -> None:
    """Containers run on while the server is down, and the restarted server keeps them."""
    id_ = site.create("mnist", spec("mnist", 2), wait=True)
    before = {container["id"] for container in site.containers(id_)}
    ports = sorted(site.ports(id_))
    site.stop()
    assert [page(port) for port in ports] == ["mnist 1"] * 2
    site.start()
    site.ready(id_)
    site.api.scale_deployment(id_, 3)
    site.api.wait_for_deployment(id_)
    assert before < {container["id"] for container in site.containers(id_)}


def test_what_ended_while_the_server_was_down_is_started_again(site: Site) -> None:
    """Containers that ended or were removed while the server was down are replaced."""
    id_ = site.create("mnist", spec("mnist", 2), wait=True)
    first, second = site.containers(id_)
    site.stop()
    site.docker.docker("rm", "--force", first["id"])
    os.kill(second["pid"], signal.SIGKILL)
    site.start()
    wait_for(lambda: [page(port) for port in site.ports(id_)] == ["mnist 1"] * 2)
    site.ready(id_)


@pytest.mark.parametrize("server_is", ["up", "down"])
def test_engine_restart(site: Site, server_is: str) -> None:
    """After a restart of the engine, each port leads to the deployment that it belongs to, or to nothing."""
    names = [f"d{number}" for number in range(4)]
    ids = {name: site.create(name, spec(name, 2)) for name in names}
    for id_ in ids.values():
        site.ready(id_)
    owners = {port: f"{name} 1" for name in names for port in site.ports(ids[name])}
    site.restart_engine(server_is)

    def serves_again() -> bool:
        for port, name in owners.items():
            assert page(port) in {name, ""}
        return all(len([port for port in site.ports(id_) if page(port)]) == 2 for id_ in ids.values())

    wait_for(serves_again)
    for name in names:
        assert [page(port) for port in site.ports(ids[name])] == [f"{name} 1"] * 2


def test_a_container_that_can_never_start(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """A created container that the engine fails to start, without saying that it is its fault, is replaced."""
    damaged: list[str] = []

    async def damage_and_start(api: Api, container_id: str, host_port: int) -> None:
        if not damaged:
            folder = site.docker.folder / "data" / "containers" / container_id
            shutil.rmtree(folder)
            folder.touch()  # Docker creates a folder again
            damaged.append(container_id)
        await start(api, container_id, host_port)

    start = commands.start
    monkeypatch.setattr(commands, "start", damage_and_start)
    id_ = site.create("mnist")
    site.ready(id_)
    assert damaged[0] not in {container["id"] for container in site.containers()}
    assert [page(port) for port in site.ports(id_)] == ["mnist 1"]


def test_an_engine_that_is_down(site: Site) -> None:
    """While the engine is down, the API serves and the states say so; what was created then is started later."""
    site.docker.stop()
    try:
        id_ = site.create("mnist")
        site.until(id_, lambda status: "does not run" in str(status["instances"]))
    finally:
        site.docker.start()
    site.ready(id_)
    assert [page(port) for port in site.ports(id_)] == ["mnist 1"]


def test_port_in_use(site: Site) -> None:
    """A port that another program uses is skipped."""
    with socket.create_server(("127.0.0.1", 21000)), socket.create_server(("127.0.0.1", 21001)):
        id_ = site.create("mnist", spec("mnist", 2, SERVE), wait=True)
        assert {21000, 21001}.isdisjoint(site.ports(id_))


def test_a_container_of_an_image_of_a_container(site: Site) -> None:
    """A container that was made with `docker commit` has our labels. Its end changes nothing, and it is not touched."""
    id_ = site.create("mnist", wait=True)
    (ours,) = site.containers(id_)
    site.docker.docker("commit", ours["id"], "copy:1")
    copy = site.docker.docker("run", "--detach", "--entrypoint", "/bin/sleep", "copy:1", "1000").stdout.strip()
    site.docker.docker("kill", copy)
    ended = site.docker.docker("inspect", "--format", "{{.State.Status}}", copy).stdout
    other = site.create("other", wait=True)  # all containers were listed since
    site.api.update_deployment(id=id_, spec=spec("mnist", 2), wait=True)
    running = [container["id"] for container in site.containers(id_) if container["running"]]
    assert (ended, ours["id"] in running, len(running)) == ("exited\n", True, 2)
    site.api.delete_deployment(other)
    site.api.delete_deployment(id_)
    wait_for(lambda: [container["id"] for container in site.containers()] == [copy])


def test_foreign_containers_are_not_touched(site: Site) -> None:
    """Containers without our label run on, whatever happens to deployments."""
    foreign = site.docker.docker("run", "--detach", "--network", "none", "shell:1", "sleep 1000").stdout.strip()
    try:
        id_ = site.create("mnist", wait=True)
        site.api.delete_deployment(id_)
        wait_for(lambda: site.containers(id_) == [])
        assert site.docker.docker("inspect", "--format", "{{.State.Running}}", foreign).stdout == "true\n"
    finally:
        site.docker.docker("rm", "--force", foreign)
