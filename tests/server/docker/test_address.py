"""Where the Docker engine is looked for, and which engines are refused."""

from __future__ import annotations

import json
from hashlib import sha256
from pathlib import Path

import pytest

from paperspace.gradient.server.controller.engine import EngineUnavailableError
from paperspace.gradient.server.docker import address
from paperspace.gradient.server.docker.address import find_address

DESKTOP = "unix:///home/ada/.docker/desktop/docker.sock"


def write_context(folder: Path, name: str, host: str, *, current: bool = True) -> None:
    """Write a context as `docker context create` does."""
    meta = folder / "contexts/meta" / sha256(name.encode()).hexdigest()
    meta.mkdir(parents=True)
    (meta / "meta.json").write_text(json.dumps({"Name": name, "Endpoints": {"docker": {"Host": host}}}))
    if current:
        (folder / "config.json").write_text(json.dumps({"currentContext": name}))


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home folder, on a machine without the usual socket."""
    monkeypatch.setattr(address, "SOCKETS", ("~/run/docker.sock", "~/.docker/run/docker.sock"))
    return tmp_path


def test_precedence(home: Path) -> None:
    """`DOCKER_HOST` comes before `DOCKER_CONTEXT`, then the current context, then the usual sockets, as in `docker`."""
    socket = home / ".docker/run/docker.sock"
    socket.parent.mkdir(parents=True)
    socket.touch()
    default = find_address({}, home)
    assert default == (f"unix://{socket}", None)
    assert str(default) == f"unix://{socket} (the default socket)"
    write_context(home / ".docker", "desktop-linux", DESKTOP)
    assert find_address({}, home) == (
        DESKTOP,
        f"the context desktop-linux of {home}/.docker/config.json",
    )
    assert find_address({"DOCKER_CONTEXT": "default"}, home).source is None
    write_context(home / ".docker", "other", "unix:///other.sock", current=False)
    environment = {"DOCKER_CONTEXT": "other"}
    assert find_address(environment, home) == ("unix:///other.sock", "the context other of DOCKER_CONTEXT")
    environment |= {"DOCKER_HOST": "unix:///run/user/1000/docker.sock"}
    assert find_address(environment, home) == ("unix:///run/user/1000/docker.sock", "DOCKER_HOST")
    assert find_address({"DOCKER_HOST": ""}, home).url == DESKTOP


def test_docker_config(home: Path) -> None:
    """`DOCKER_CONFIG` replaces the folder of the settings."""
    write_context(home / "elsewhere", "mine", DESKTOP)
    assert find_address({"DOCKER_CONFIG": str(home / "elsewhere")}, home).url == DESKTOP


@pytest.mark.parametrize(
    "host", ["tcp://127.0.0.1:2375", "ssh://ada@server", "https://ada:secret@server:2376", "server"]
)
def test_remote_engines_are_refused(home: Path, host: str) -> None:
    """An engine that is not reached through a socket is refused, with the reason and without its password."""
    with pytest.raises(EngineUnavailableError) as caught:
        find_address({"DOCKER_HOST": host}, home)
    message = str(caught.value)
    assert "the ports of the containers would be open on another machine" in message
    assert message.endswith("Run the server on that machine, or unset DOCKER_HOST.")
    assert "secret" not in message
    write_context(home / ".docker", "remote", host)
    with pytest.raises(EngineUnavailableError, match="select another context with `docker context use`"):
        find_address({}, home)


def test_no_engine(home: Path) -> None:
    """Without any engine, the message says what was tried and what to do."""
    with pytest.raises(EngineUnavailableError) as caught:
        find_address({}, home)
    assert str(caught.value) == (
        f"No Docker engine was found: DOCKER_HOST is not set, and there is no socket {home}/run/docker.sock or "
        f"{home}/.docker/run/docker.sock. Install Docker, or start it."
    )


def test_home_that_cannot_be_used(home: Path) -> None:
    """A home folder that cannot be used has no socket: that is not a failure."""
    with pytest.raises(EngineUnavailableError, match="No Docker engine was found"):
        find_address({"DOCKER_CONTEXT": "default"}, home / ("x" * 300))


def test_context_that_does_not_exist(home: Path) -> None:
    """A context that is selected but does not exist is an error: another engine is not used in its place."""
    with pytest.raises(EngineUnavailableError, match="There is no Docker context nosuch, which DOCKER_CONTEXT selects"):
        find_address({"DOCKER_CONTEXT": "nosuch"}, home)


@pytest.mark.parametrize("content", ["{", "[]", '{"Endpoints": {}}'])
def test_invalid_files(home: Path, content: str) -> None:
    """Files of Docker that cannot be read are named."""
    folder = home / ".docker"
    write_context(folder, "mine", DESKTOP)
    (meta,) = folder.rglob("meta.json")
    meta.write_text(content)
    with pytest.raises(EngineUnavailableError, match=f"{meta} cannot be read: unexpected content"):
        find_address({}, home)
    (folder / "config.json").write_text("[")
    with pytest.raises(EngineUnavailableError, match=r"config\.json cannot be read: unexpected content"):
        find_address({}, home)
