"""A registry for tests: Debian's `docker-registry`, on a free port of 127.0.0.1, with or without a password."""

from __future__ import annotations

import json
import socket
import subprocess
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING
from urllib.error import HTTPError
from urllib.request import urlopen

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

USER, PASSWORD = "ada", "lovelace"
# bcrypt of the password, with the lowest cost
HTPASSWD = "$2b$04$abcdefghijklmnopqrstuuhiTVLHQPvYzPykOsCOnc5I00eOfh33K"


@contextmanager
def registry(folder: Path, *, password: bool = False) -> Iterator[str]:
    """Run a registry, and return its host and port."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        host = f"127.0.0.1:{listener.getsockname()[1]}"
    folder.mkdir(parents=True)
    (folder / "htpasswd").write_text(f"{USER}:{HTPASSWD}\n")
    settings: dict[str, object] = {
        "version": "0.1",
        "log": {"level": "error"},
        "storage": {"filesystem": {"rootdirectory": str(folder / "data")}, "delete": {"enabled": True}},
        "http": {"addr": host},
    }
    if password:
        settings["auth"] = {"htpasswd": {"realm": "tests", "path": str(folder / "htpasswd")}}
    (folder / "config.yml").write_text(json.dumps(settings))
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(["docker-registry", "serve", folder / "config.yml"], stdout=log, stderr=log)
    try:
        _wait(f"http://{host}/v2/", 401 if password else 200)
        yield host
    finally:
        process.terminate()
        process.wait(30)


def _wait(url: str, status: int) -> None:
    """Wait until the registry responds with a status."""
    for _ in range(300):
        try:
            with urlopen(url, timeout=5) as response:
                found = response.status
        except HTTPError as error:
            found = error.code
        except OSError:
            found = 0
        if found == status:
            return
        time.sleep(0.05)
    raise AssertionError(f"no registry at {url}")
