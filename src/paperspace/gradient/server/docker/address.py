"""Find the address of the Docker engine, as the `docker` command does: `DOCKER_HOST`, the context, the usual sockets."""

from __future__ import annotations

import json
import os
import sys
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from paperspace.gradient._shared.private_files import read_private
from paperspace.gradient._shared.secrets import hide_credentials
from paperspace.gradient.server.controller.engine import EngineUnavailableError

if TYPE_CHECKING:
    from collections.abc import Mapping

SOCKETS = ("/var/run/docker.sock", "~/.docker/run/docker.sock")  # the second is Docker Desktop's
PIPE = "npipe:////./pipe/docker_engine"
LOCAL_SCHEMES = ("unix://", "npipe://")


class Address(NamedTuple):
    """The URL of an engine, such as `unix:///var/run/docker.sock`, and the setting that it comes from."""

    url: str
    source: str | None
    """None: the default socket."""

    def __str__(self) -> str:
        source = f"from {self.source}" if self.source else "the default socket"
        return f"{hide_credentials(self.url)} ({source})"


def find_address(environment: Mapping[str, str], home: Path) -> Address:
    """Return the address of this machine's engine. `DOCKER_HOST` takes precedence over `DOCKER_CONTEXT`, as in `docker`.

    Raises:
        EngineUnavailableError: there is none, or the engine is on another machine.
    """
    if host := environment.get("DOCKER_HOST"):
        return _local(Address(host, "DOCKER_HOST"))
    folder = Path(environment.get("DOCKER_CONFIG") or home / ".docker")
    context, source = _context(environment, folder)
    if context != "default":
        return _local(Address(_context_host(folder, context, source), f"the context {context} of {source}"))
    if sys.platform == "win32":
        return Address(PIPE, None)
    paths = [Path(path.replace("~", str(home), 1)) for path in SOCKETS]
    for path in paths:
        if os.access(path, os.F_OK):  # `exists` raises an error if a folder is not accessible
            return Address(f"unix://{path}", None)
    raise EngineUnavailableError(
        f"No Docker engine was found: DOCKER_HOST is not set, and there is no socket {' or '.join(map(str, paths))}. "
        "Install Docker, or start it."
    )


def _local(address: Address) -> Address:
    """Return the address of a local engine; refuse others."""
    if address.url.startswith(LOCAL_SCHEMES):
        return address
    raise EngineUnavailableError(
        f"The Docker engine {address} is not reached through a local socket. Remote engines are not supported, because "
        f"the ports of the containers would be open on another machine. Run the server on that machine, or {_remedy(address)}."
    )


def _remedy(address: Address) -> str:
    return (
        "unset DOCKER_HOST"
        if address.source == "DOCKER_HOST"
        else "select another context with `docker context use` or DOCKER_CONTEXT"
    )


def _context(environment: Mapping[str, str], folder: Path) -> tuple[str, str]:
    """Return the name of the current context, and the setting that it comes from."""
    if name := environment.get("DOCKER_CONTEXT"):
        return name, "DOCKER_CONTEXT"
    path = folder / "config.json"
    try:
        name = json.loads(read_private(path)).get("currentContext") or "default"
    except FileNotFoundError:
        name = "default"
    except (OSError, ValueError, AttributeError) as error:
        raise EngineUnavailableError(f"The settings of Docker in {path} cannot be read: {_reason(error)}.") from error
    return name, str(path)


def _context_host(folder: Path, name: str, source: str) -> str:
    """Return the URL of the engine of a context."""
    path = folder / "contexts" / "meta" / sha256(name.encode()).hexdigest() / "meta.json"
    try:
        return str(json.loads(read_private(path))["Endpoints"]["docker"]["Host"])
    except FileNotFoundError as error:
        raise EngineUnavailableError(
            f"There is no Docker context {name}, which {source} selects. Select one that `docker context ls` lists."
        ) from error
    except (OSError, ValueError, LookupError, TypeError) as error:
        raise EngineUnavailableError(
            f"The Docker context {name} in {path} cannot be read: {_reason(error)}."
        ) from error


def _reason(error: Exception) -> str:
    return getattr(error, "strerror", None) or "unexpected content"
