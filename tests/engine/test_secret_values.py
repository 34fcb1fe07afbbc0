"""Values of secrets, of all kinds and also when something fails: where they are, and that they are nowhere else."""

from __future__ import annotations

import json
import secrets
import subprocess
from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

import pytest
from tests.engine.git_server import USER, GitServer
from tests.engine.private_engine import PrivateEngine
from tests.engine.private_registry import PASSWORD, registry
from tests.engine.private_registry import USER as REGISTRY_USER
from tests.engine.site import spec
from tests.engine.test_command import GRADIENT, Command, environment, running
from tests.repeating import repeated
from tests.server.test_protection import basic

from paperspace.gradient import errors

SCRIPT = "echo $TOKEN > /tmp/index.html; httpd -p 8080 -h /tmp; trap 'exit 0' TERM; sleep 1000000 & wait"


def marker() -> str:
    return f"m4rk3r{secrets.token_hex(16)}"


class Search:
    """A search for texts in all processes of the machine, except in those of containers, until it is stopped."""

    def __init__(self, texts: list[str]) -> None:
        self._texts = [text.encode() for text in texts]
        self._own = Path("/proc/self/ns/mnt").readlink()
        self.found: set[str] = set()
        self.looks = 0
        self.programs: set[bytes] = set()

    def look(self) -> None:
        self.looks += 1
        for process in Path("/proc").glob("[0-9]*"):
            try:
                if (process / "ns/mnt").readlink() != self._own:
                    continue
                for name in ("cmdline", "environ"):
                    content = (process / name).read_bytes()
                    if name == "cmdline":
                        self.programs.add(content.split(b"\0")[0].rpartition(b"/")[2])
                    if any(text in content for text in self._texts):
                        self.found.add(f"{name}: {content!r}")
            except OSError:
                continue

    def running(self) -> AbstractContextManager[None]:
        return repeated(self.look, pause=0.005)


@pytest.fixture
def host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[GitServer]:
    with GitServer(tmp_path / "git").running() as server:
        server.commit("app", {"index.html": "code"})
        server.password = marker()
        monkeypatch.delenv("GIT_SSL_CAINFO", raising=False)
        monkeypatch.setenv("SSL_CERT_FILE", str(server.certificate))
        yield server


def gradient(*arguments: str, folder: Path, stdin: str = "") -> str:
    """Run the command, and return its output."""
    done = subprocess.run(
        [*GRADIENT, *arguments], input=stdin, capture_output=True, text=True, check=True, env=environment("", folder)
    )
    return done.stdout + done.stderr


def files_with(folder: Path, texts: list[str]) -> set[str]:
    """Return the names of the files in a folder that have one of the texts."""
    found = set()
    for file in folder.rglob("*"):
        if file.is_file() and any(text.encode() in file.read_bytes() for text in texts):
            found.add(file.name)
    return found


def test_values_of_secrets(docker: PrivateEngine, host: GitServer, tmp_path: Path) -> None:
    """They are in the files that store them and in the environment of the container, and nowhere else.

    Searched are: the files of the database and of the gateway, all command lines and environments of processes while
    deployments are created and fail, labels, responses, errors, events, logs, and the output of the server.
    """
    token, endpoint, wrong, literal = marker(), marker(), marker(), marker()
    folder = tmp_path / "server"
    folder.mkdir()
    database = str(folder / "gradient.db")
    stored = {"token": token, "endpoint": endpoint, "git": host.password, "wrong": wrong}
    outputs = [
        gradient("server", "secrets", "set", name, "--database", database, folder=folder, stdin=value)
        for name, value in stored.items()
    ]
    values = [*stored.values(), PASSWORD]
    search = Search([*values, literal])
    shown: list[Any] = []
    with registry(tmp_path / "registry", password=True) as registry_host, search.running():
        image = f"{registry_host}/app:1"
        docker.docker("tag", "shell:1", image)
        docker.push(image, registry_host, REGISTRY_USER, PASSWORD)
        for name, password in (("mine", PASSWORD), ("other", wrong)):
            options = ("--url", registry_host, "--username", REGISTRY_USER, "--database", database)
            outputs.append(gradient("server", "registries", "set", name, *options, folder=folder, stdin=password))
        repository = {"url": host.url_of("app", "private"), "name": "app", "username": USER, "password": "secret:git"}
        good = spec(
            "web",
            script=SCRIPT,
            image=image,
            containerRegistry="mine",
            env=[{"name": "TOKEN", "value": "secret:token"}],
            repositories={"repositories": [repository]},
            endpointSecurity={"protected": True, "secret": "endpoint"},
        )
        in_url = host.url_of("app", "private", f"{USER}:{literal}@")
        broken = {
            "registry": {**good, "image": f"{registry_host}/app:2", "containerRegistry": "other"},
            "password": {**good, "repositories": {"repositories": [{**repository, "password": "secret:wrong"}]}},
            "url": {**good, "repositories": {"repositories": [{"url": in_url, "name": "app"}]}},
            "nosuch": {
                **good,
                "repositories": {"repositories": [{**repository, "url": host.url_of("nosuch", "private")}]},
            },
            "unknown": {**good, "endpointSecurity": {"protected": True, "secret": "nosuch"}},
        }
        with running(docker.url, folder, "--database", database, "--engine", "docker") as command:
            api = command.client.deployments
            id_ = api.create_deployment("web", "p", good, wait=True)["id"]
            _check_container(docker, id_, token)
            url = api.get_deployment(id_)["deploymentSpecs"]["nodes"][0]["endpointUrl"]
            assert _get(url, endpoint) == token
            assert (
                gradient("server", "credentials", "web", "--database", database, folder=folder)
                == f"gradient:{endpoint}\n"
            )
            for name, data in broken.items():
                broken_id = api.create_deployment(name, "p", data)["id"]
                with pytest.raises(errors.DeploymentFailedError) as caught:
                    api.wait_for_deployment(broken_id, timeout=60)
                shown += [
                    str(caught.value),
                    repr(caught.value),
                    vars(caught.value),
                    *_shown(command, broken_id, spec=name != "url"),
                ]
            shown += _shown(command, id_)
            shown += [
                docker.docker("inspect", *_all(docker), "--format", f"{{{{json .{part}}}}}").stdout for part in _PARTS
            ]
            api.delete_deployment(id_)
            command.process.terminate()
            assert command.process.stdout
            assert command.process.stderr
            shown += [command.process.stdout.read(), command.process.stderr.read()]
    text = f"{shown} {outputs}"
    assert [value for value in [*values, literal] if value in text] == []
    assert search.found == set()
    assert b"git-remote-https" in search.programs
    assert search.looks > 20
    assert files_with(folder, values) == {"gradient.db.secrets", "gradient.db.registries"}
    assert files_with(folder / "gradient.db.gateway", [literal]) == set()
    docker.remove_containers("gradient.server")


_PARTS = ("Config.Labels", "HostConfig", "Args", "Path", "State", "Mounts", "Config.Cmd", "Config.Entrypoint")


def _all(docker: PrivateEngine) -> list[str]:
    return docker.docker("ps", "--all", "--quiet", "--filter", "label=gradient.server").stdout.split()


def _check_container(docker: PrivateEngine, deployment_id: str, token: str) -> None:
    """Check that the container has the value in its environment, and the files of the repository without the password."""
    (container,) = docker.docker(
        "ps", "--quiet", "--filter", f"label=gradient.deployment={deployment_id}"
    ).stdout.split()
    assert docker.docker("exec", container, "/bin/sh", "-c", "echo $TOKEN").stdout.strip() == token
    content = docker.docker("exec", container, "/bin/sh", "-c", "cat /opt/repositories/app/*").stdout
    assert content == "code"


def _get(url: str, password: str) -> str:
    with urlopen(Request(url, headers={"Authorization": basic("gradient", password)}), timeout=30) as response:
        return str(response.read().decode()).strip()


def _shown(command: Command, id_: str, *, spec: bool = True) -> list[Any]:
    """Return all that the API says about a deployment. The spec is left out if it has a secret itself."""
    api = command.client.deployments
    found: list[Any] = [api.get_deployment_status(id_), api.get_deployment_events(id_), api.get_deployment(id_)]
    found += [entry["difference"] for entry in api.get_deployment_history(id_)]
    if spec:
        found += [api.get_deployment_spec(id_), api.get_deployment_history(id_)]
    return [json.dumps(entry, default=str) for entry in found]
