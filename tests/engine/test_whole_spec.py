"""The spec of the documentation, with every field, in real containers."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import AbstractContextManager, suppress
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import pytest
import yaml
from tests.engine.git_server import USER as GIT_USER
from tests.engine.git_server import GitServer
from tests.engine.private_engine import PrivateEngine, busybox
from tests.engine.private_registry import PASSWORD, USER, registry
from tests.engine.python_image import python_files
from tests.engine.site import wait_for
from tests.engine.test_command import running
from tests.engine.test_secret_values import gradient
from tests.repeating import repeated
from tests.server.test_protection import basic

PAGE = Path("docs/spec.md")


def documented_spec() -> dict[str, Any]:
    """Return the first spec of the page."""
    [text, *_] = re.findall(r"^```yaml file=paperspace.yaml\n(.*?)^```$", PAGE.read_text(), re.MULTILINE | re.DOTALL)
    spec: dict[str, Any] = yaml.safe_load(text)
    return spec


def get(url: str, password: str, *, data: bytes | None = None) -> Any:
    """Send a request to a protected endpoint, and return the JSON of the response."""
    with urlopen(Request(url, data, {"Authorization": basic("gradient", password)}), timeout=30) as response:
        return json.loads(response.read())


def load(url: str, password: str) -> AbstractContextManager[None]:
    """Send slow requests during the block."""

    def send() -> None:
        with suppress(OSError):  # of a container that the liveness check restarts
            get(url, password)

    return repeated(send, threads=4)


@pytest.fixture
def host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[GitServer]:
    with GitServer(tmp_path / "git").running() as server:
        server.commit("serving", {"index.html": "of the branch"})
        server.commit("serving", {"index.html": "of another one"}, "dev")
        monkeypatch.delenv("GIT_SSL_CAINFO", raising=False)
        monkeypatch.setenv("SSL_CERT_FILE", str(server.certificate))
        yield server


def make_image(docker: PrivateEngine, image: str, host: str) -> None:
    """Make the image of the spec, and move it to a private registry."""
    program, files = python_files()
    server = f"#!{program}\n{(Path(__file__).parent / 'model_server.py').read_text()}"
    docker.import_image(image, {**busybox("test"), **files, "bin/tensorflow_model_server": server})
    docker.push(image, host, USER, PASSWORD)


def test_every_field(docker: PrivateEngine, host: GitServer, tmp_path: Path) -> None:
    """Each field of the spec has its effect in the containers. Only the names of hosts differ from the page."""
    spec, password = documented_spec(), "a password of many characters"
    folder, models = tmp_path / "server", tmp_path / "models"
    folder.mkdir()
    (models / spec["models"][0]["id"]).mkdir(parents=True)
    (models / spec["models"][0]["id"] / "weights").write_text("weights")
    [repository] = spec["repositories"]["repositories"]
    repository["url"] = host.url_of("serving", "private")
    repository["username"] = GIT_USER
    database = ("--database", str(folder / "gradient.db"))
    with registry(tmp_path / "registry", password=True) as registry_host:
        spec["image"] = spec["image"].replace("registry.example.com", registry_host)
        make_image(docker, spec["image"], registry_host)
        gradient("server", "secrets", "set", "GIT_TOKEN", *database, folder=folder, stdin=host.password)
        gradient("server", "secrets", "set", "web-password", *database, folder=folder, stdin=password)
        options = ("--url", registry_host, "--username", USER)
        gradient("server", "registries", "set", "team-registry", *options, *database, folder=folder, stdin=PASSWORD)
        with running(docker.url, folder, *database, "--engine", "docker", "--models", str(models)) as command:
            api = command.client.deployments
            id_ = api.create_deployment("mnist", "p", spec, wait=True)["id"]
            assert api.diff_deployment("mnist", "p", spec)["changes"] == []
            url = api.get_deployment(id_)["deploymentSpecs"]["nodes"][0]["endpointUrl"]
            _check_containers([get(url, password) for _ in range(40)])
            with pytest.raises(HTTPError, match="401"):
                urlopen(url, timeout=30)
            events = {event["reason"] for event in api.get_deployment_events(id_)}
            assert {"Pulled", "Cloned", "LimitsReduced"} <= events
            assert [path.name for path in (folder / "gradient.db.repositories").iterdir()] == [
                "dataset-dsr8k5qzn401lb5"
            ]
            with load(f"{url}?s=0.4", password):
                wait_for(lambda: api.get_deployment_status(id_)["readyReplicas"] > 2)
            get(url, password, data=b"x")
            wait_for(lambda: "Unhealthy" in {event["reason"] for event in api.get_deployment_events(id_)})
            api.update_deployment(id=id_, spec={**spec, "enabled": False}, wait=True)
            assert docker.docker("ps", "--quiet", "--filter", f"label=gradient.deployment={id_}").stdout == ""


def _check_containers(seen: list[dict[str, Any]]) -> None:
    """Check what the containers have and have received."""
    assert len({entry["host"] for entry in seen}) == 2  # replicas
    for entry in seen:
        assert entry["arguments"] == ["--rest_api_port=8501"]
        assert entry["port"] == 8501
        assert entry["model name"] == "mnist"
        assert entry["model"] == "weights"
        assert entry["code"] == "of the branch"
        assert 0 < int(entry["memory"]) < 2**50  # a limit
        assert entry["authorization"] is None
        startup = [check for check in entry["checks"] if check["check"] is None]
        readiness = [check for check in entry["checks"] if check["check"] == "readiness"]
        assert {check["ready"] for check in startup} == {False, True}  # it waited for the start
        assert {check["host"] for check in readiness} == {"models.example.com"}
