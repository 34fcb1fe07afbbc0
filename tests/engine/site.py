"""A server that runs deployments on the private engine, and a client for it."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.client import HTTPException
from pathlib import Path
from typing import Any, Final
from urllib.request import urlopen

from tests.engine.private_engine import PrivateEngine

from paperspace.gradient import Client
from paperspace.gradient.server import LocalServer
from paperspace.gradient.server.controller.controller import Options
from paperspace.gradient.server.docker.address import Address
from paperspace.gradient.server.docker.engine import DockerEngine
from paperspace.gradient.server.docker.requirements import DEFAULT_SETTINGS, Settings
from paperspace.gradient.types import DeploymentStatus

# Serves its own name, ends at once on SIGTERM, and uses no CPU in between.
SERVE: Final = "echo $NAME $VERSION > /tmp/index.html; httpd -p 8080 -h /tmp; trap 'exit 0' TERM; sleep 1000000 & wait"


def spec(name: str, replicas: int = 1, script: str = SERVE, **fields: Any) -> Any:
    """Return a spec of a deployment that serves its name."""
    version = fields.pop("version", "1")
    return {
        "image": "shell:1",
        "port": 8080,
        "command": ["/bin/sh", "-c", script],
        "env": [{"name": "NAME", "value": name}, {"name": "VERSION", "value": version}],
        "resources": {"replicas": replicas, **fields.pop("resources", {})},
        **fields,
    }


class Site:
    """A server on an engine, which can be stopped and started again with the same database."""

    def __init__(
        self, docker: PrivateEngine, folder: Path, settings: Settings = DEFAULT_SETTINGS, url: str | None = None
    ) -> None:
        self.docker = docker
        self._url = url or docker.url
        self._folder = folder
        self._settings = settings
        self._server: LocalServer | None = None
        self._client: Client | None = None

    def start(self) -> None:
        """Start the server."""
        engine = DockerEngine(self._settings, Address(self._url, "the test"))
        self._server = LocalServer(
            database=self._folder / "gradient.db", api_key="key", engine=engine, options=Options(stop_grace=2)
        )
        self._server.start()
        self._client = Client("key", self._server.url)

    def stop(self) -> None:
        """Stop the server. The containers run on."""
        if self._client is not None and self._server is not None:
            self._client.close()
            self._server.stop()
            self._client = self._server = None

    def restart_engine(self, server_is: str) -> None:
        """Restart the engine while the server is `up` or `down`."""
        if server_is == "down":
            self.stop()
        self.docker.stop()
        self.docker.start()
        if server_is == "down":
            self.start()

    @property
    def api(self) -> Any:
        """The functions of the library."""
        assert self._client is not None
        return self._client.deployments

    def create(self, name: str, deployment_spec: Any = None, **options: Any) -> str:
        """Create a deployment, and return its id."""
        created = self.api.create_deployment(name, "p", deployment_spec or spec(name), **options)
        return str(created["id"])

    def status(self, id_: str) -> DeploymentStatus:
        """Return the status of a deployment."""
        return self.api.get_deployment_status(id_)  # type: ignore[no-any-return]

    def until(self, id_: str, condition: Callable[[DeploymentStatus], bool], seconds: float = 60) -> DeploymentStatus:
        """Wait until the status of a deployment meets a condition."""
        end = time.monotonic() + seconds
        while True:
            status = self.status(id_)
            if condition(status):
                return status
            assert time.monotonic() < end, status
            time.sleep(0.02)

    def ready(self, id_: str) -> DeploymentStatus:
        """Wait until a deployment is ready."""
        return self.until(id_, lambda status: status["state"] == "ready")

    def ports(self, id_: str) -> list[int]:
        """Return the ports of the ready instances of a deployment, of all its revisions."""
        return [
            int(container["port"]) for container in self.containers(id_) if container["running"] and container["port"]
        ]

    def containers(self, id_: str | None = None) -> list[dict[str, Any]]:
        """Return the containers of a deployment, or of all."""
        label = "label=gradient.server" if id_ is None else f"label=gradient.deployment={id_}"
        ids = self.docker.docker("ps", "--all", "--quiet", "--no-trunc", "--filter", label).stdout.split()
        if not ids:
            return []
        shown = self.docker.docker("inspect", *ids, check=False).stdout
        return [
            {
                "id": entry["Id"],
                "running": entry["State"]["Running"],
                "pid": entry["State"]["Pid"],
                "port": entry["Config"]["Labels"]["gradient.port"],
                "deployment": entry["Config"]["Labels"]["gradient.deployment"],
                "instance": entry["Config"]["Labels"]["gradient.instance"],
                "env": dict(value.split("=", 1) for value in entry["Config"]["Env"] or ()),
            }
            for entry in json.loads(shown)
        ]


def wait_for(condition: Callable[[], bool]) -> None:
    """Wait until a condition is true."""
    end = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.05)


def page(port: int, path: str = "") -> str:
    """Return what a container serves; an empty text if it does not respond."""
    try:
        with urlopen(f"http://127.0.0.1:{port}/{path}", timeout=5) as response:
            return str(response.read().decode()).strip()
    except (OSError, HTTPException):  # it may also end in the middle of its response
        return ""


def port_in(message: str) -> int:
    """Return the port in a state message, such as "Ready on 127.0.0.1:21007."."""
    match = re.search(r"127\.0\.0\.1:(\d+)", message)
    assert match, message
    return int(match[1])


@contextmanager
def running_site(
    docker: PrivateEngine, folder: Path, settings: Settings = DEFAULT_SETTINGS, url: str | None = None
) -> Iterator[Site]:
    """Run a server, whose engine has another URL than `docker` if that is passed; remove all its containers at the end."""
    site = Site(docker, folder, settings, url)
    try:
        site.start()
        yield site
    finally:
        site.stop()
        docker.remove_containers("gradient.server")
