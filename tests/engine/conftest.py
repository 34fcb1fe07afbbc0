"""A private Docker engine with images, and a `DockerEngine` that is connected to it."""

from __future__ import annotations

import os
import socket
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from uuid import uuid4

import pytest
from tests.engine.private_engine import PrivateEngine, busybox

from paperspace.gradient.server.controller.engine import ContainerKey, Workload
from paperspace.gradient.server.docker.address import Address
from paperspace.gradient.server.docker.engine import DockerEngine
from paperspace.gradient.server.docker.requirements import DEFAULT_SETTINGS, Settings

# These tests need a Docker engine of their own. scripts/test-engine runs them.
collect_ignore_glob = [] if os.environ.get("GRADIENT_TEST_ENGINE") else ["*.py"]

# A server in one file, without any tool.
WEB = "web:1"
SHELL = "shell:1"


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    return "asyncio"


def make_images(engine: PrivateEngine) -> None:
    """Make the two images."""
    web = {"httpd": busybox()["bin/busybox"], "www/index.html": "hello\n"}
    serve = 'ENTRYPOINT ["/httpd", "-f", "-p", "8080", "-h", "/www"]'
    engine.import_image(WEB, web, serve)
    engine.import_image(
        SHELL,
        busybox(
            *("sh", "sleep", "cat", "echo", "httpd", "tail", "kill", "env", "wget", "trap", "head", "seq", "nc", "tr"),
            *("chmod", "mkdir", "rm", "touch", "sed"),
        ),
        'ENTRYPOINT ["/bin/sh", "-c"]',
        'CMD ["echo image; sleep 600"]',
    )


@pytest.fixture(scope="session")
def docker() -> Iterator[PrivateEngine]:
    """The private engine, with two images: a web server, and a shell."""
    engine = PrivateEngine(Path(os.environ["GRADIENT_TEST_ENGINE"]))
    try:
        engine.start()
        make_images(engine)
        yield engine
    finally:
        engine.stop()


@asynccontextmanager
async def opened(docker: PrivateEngine, settings: Settings = DEFAULT_SETTINGS) -> AsyncIterator[DockerEngine]:
    """Open an engine. Its containers are removed at the end."""
    engine = DockerEngine(settings, Address(docker.url, "the test"))
    server_id = str(uuid4())
    await engine.open(server_id)
    try:
        yield engine
    finally:
        await engine.close()
        docker.remove_containers(f"gradient.server={server_id}")


@pytest.fixture
async def engine(docker: PrivateEngine) -> AsyncIterator[DockerEngine]:
    async with opened(docker) as engine:
        yield engine


def new_key(deployment_id: str | None = None, attempt: int = 1) -> ContainerKey:
    return ContainerKey(deployment_id or str(uuid4()), str(uuid4()), attempt, "template")


def workload(image: str = SHELL, *command: str, **fields: object) -> Workload:
    values = {"image_id": None, "port": 8080, "env": (), "instance_type": None, "registry": None} | fields
    return Workload(image=image, command=command, **values)  # type: ignore[arg-type]


def shell(script: str, **fields: object) -> Workload:
    """Return a workload that runs a shell script."""
    return workload(SHELL, "/bin/sh", "-c", script, **fields)


def idle() -> Workload:
    """Return a workload that does nothing, and ends at once on SIGTERM."""
    return shell("trap 'exit 0' TERM; while true; do sleep 0.1; done")


@pytest.fixture
def free_port() -> Callable[[], int]:
    """Return a port of 127.0.0.1 that is free, and not returned before."""
    returned: set[int] = set()

    def find() -> int:
        while True:
            with socket.socket() as listener:
                listener.bind(("127.0.0.1", 0))
                port: int = listener.getsockname()[1]
            if port not in returned:
                returned.add(port)
                return port

    return find
