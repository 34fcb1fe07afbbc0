"""Private registries: the credentials that `containerRegistry` of a spec names."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import urlsplit

from paperspace.gradient.server.docker.references import parse_reference
from paperspace.gradient.server.settings_files import read_settings

if TYPE_CHECKING:
    from pathlib import Path


class Registry(NamedTuple):
    """A registry and the credentials for it."""

    host: str
    """The host as in references, with the port if there is one."""
    username: str
    password: str

    def __repr__(self) -> str:
        return f"Registry(host={self.host!r}, username={self.username!r}, password=(hidden))"


def registry_host(url: str) -> str:
    """Return the host of a registry as in references: `https://index.docker.io/v1/` and `docker.io` are the same.

    Raises:
        ValueError: the URL has no host.
    """
    parts = urlsplit(url if "://" in url else f"//{url}")
    host = parts.netloc.rpartition("@")[2]
    if not parts.hostname or any(character.isspace() for character in url):
        raise ValueError(f"no host in {url!r}")
    return parse_reference(f"{host}/image").registry


def read_registries(path: Path | None) -> dict[str, Registry]:
    """Return the registries of the file, by name.

    Raises:
        SettingsFileError: the file is invalid.
    """
    return read_settings(path, lambda value: Registry(**value))
