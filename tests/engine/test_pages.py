"""The code on the pages that needs a Docker engine."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.engine.private_engine import PrivateEngine, busybox
from tests.samples import run_module
from tools import TOP

SOCKET = Path("/run/docker.sock")


def make_nginx(docker: PrivateEngine) -> None:
    """Make an image with the name and the title of a known one, which cannot be pulled here. It ends at once on SIGTERM."""
    files = busybox("sh", "httpd", "sleep") | {"www/index.html": "<title>Welcome to nginx!</title>\n"}
    script = "trap 'exit 0' TERM; httpd -p 80 -h /www; sleep 1000000 & wait"
    docker.import_image("nginx:latest", files, f'ENTRYPOINT ["/bin/sh", "-c", "{script}"]')


@pytest.fixture
def usual_socket(docker: PrivateEngine, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The engine has its usual socket, as on other machines."""
    monkeypatch.delenv("DOCKER_HOST", raising=False)
    SOCKET.symlink_to(docker.socket)
    yield
    SOCKET.unlink()
    docker.remove_containers("gradient.server")


@pytest.mark.usefixtures("usual_socket")
@pytest.mark.parametrize("page", ["README.md", "docs/containers.md"])
def test_page(docker: PrivateEngine, page: str) -> None:
    """The page runs containers, prints what it shows, and leaves no container."""
    make_nginx(docker)
    done = run_module("tools.docs.run", "--engine", str(TOP / page), timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    assert docker.docker("ps", "--all", "--quiet").stdout == ""
