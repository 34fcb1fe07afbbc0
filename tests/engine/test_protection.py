"""Protected endpoints of real containers, through the gateway."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import pytest
from tests.engine.private_engine import PrivateEngine
from tests.engine.python_image import APPLICATION, make_application_image
from tests.engine.test_command import running
from tests.repeating import repeated
from tests.server.test_protection import basic

PASSWORD = "a password of many characters"


@pytest.fixture(scope="module", autouse=True)
def _image(docker: PrivateEngine) -> None:
    make_application_image(docker)


def spec(version: str, security: Any) -> Any:
    return {
        "image": APPLICATION,
        "port": 8080,
        "env": [{"name": "NAME", "value": "web"}, {"name": "VERSION", "value": version}],
        "endpointSecurity": security,
    }


PUBLIC, PROTECTED = None, {"protected": True, "secret": "web"}


def send(url: str, password: str | None) -> tuple[int, Any]:
    """Send a request; return its status and its JSON."""
    headers = {} if password is None else {"Authorization": basic("gradient", password)}
    try:
        with urlopen(Request(url, b"x", headers), timeout=30) as response:
            return response.status, json.loads(response.read())
    except HTTPError as error:
        with error:
            return error.code, json.loads(error.read())


@contextmanager
def sending(url: str, password: str | None) -> Iterator[list[int]]:
    """Send requests during the block, one after the other; yield the list of their statuses."""
    statuses: list[int] = []
    with repeated(lambda: statuses.append(send(url, password)[0])):
        yield statuses


def ids(docker: PrivateEngine) -> set[str]:
    return set(docker.docker("ps", "--quiet", "--filter", "label=gradient.server").stdout.split())


def test_a_protected_deployment(docker: PrivateEngine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Requests need the password, which the container does not get; a change replaces no container and loses no request.

    Once the endpoint is protected, no request without the password gets in, also while a new revision replaces the
    containers. The endpoint stays protected while the server is stopped.
    """
    monkeypatch.setenv("GRADIENT_SECRET_WEB", PASSWORD)
    database = ("--database", str(tmp_path / "gradient.db"), "--engine", "docker")
    with running(docker.url, tmp_path, *database) as command:
        api = command.client.deployments
        id_ = api.create_deployment("web", "p", spec("1", PUBLIC), wait=True)["id"]
        url = api.get_deployment(id_)["deploymentSpecs"]["nodes"][0]["endpointUrl"]
        before = ids(docker)
        with sending(url, PASSWORD) as with_password, sending(url, None) as without:
            api.update_deployment(id=id_, spec=spec("1", PROTECTED), wait=True)
            while 401 not in without:
                pass
            assert ids(docker) == before
            api.update_deployment(id=id_, spec=spec("2", PROTECTED), wait=True)
            api.scale_deployment(id_, 2)
            api.wait_for_deployment(id_)
        assert set(with_password) == {200}
        assert set(without[without.index(401) :]) == {401}
        status, body = send(f"{url}/a", PASSWORD)
        assert (status, body["version"], body["path"], body["received"]) == (200, "2", "/a", 1)
        assert "authorization" not in body["headers"]
        assert send(url, PASSWORD[:-1])[0] == 401
        before = ids(docker)
        api.update_deployment(id=id_, spec={**spec("2", {"protected": True}), "resources": {"replicas": 2}}, wait=True)
    with running(docker.url, tmp_path, *database) as command:
        assert send(url, None)[0] == send(url, PASSWORD)[0] == 401
        assert ids(docker) == before
        command.client.deployments.update_deployment(id=id_, spec=spec("2", PUBLIC), wait=True)
        while send(url, None)[0] == 401:
            pass
        command.client.deployments.delete_deployment(id_)
        while ids(docker):
            pass
