"""References of images, such as `ghcr.io/team/app:1.2`: their parts, as Docker reads them."""

from __future__ import annotations

import re
from typing import NamedTuple

DOCKER_HUB = "docker.io"
LATEST = "latest"

_ALIASES = {"index.docker.io": DOCKER_HUB, "registry-1.docker.io": DOCKER_HUB}

_REGISTRY = r"(?:[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?|\[[0-9a-fA-F:]+\])(?::[0-9]+)?"
_COMPONENT = r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*"
_DIGEST = r"sha256:[0-9a-f]{64}|sha384:[0-9a-f]{96}|sha512:[0-9a-f]{128}"
_REFERENCE = re.compile(
    rf"(?:(?P<registry>{_REGISTRY})/)?"
    rf"(?P<repository>{_COMPONENT}(?:/{_COMPONENT})*)"
    r"(?::(?P<tag>\w[\w.-]{0,127}))?"
    rf"(?:@(?P<digest>{_DIGEST}))?",
    re.ASCII,
)


class Reference(NamedTuple):
    """The parts of a reference."""

    registry: str
    """The host, and the port if there is one."""
    repository: str
    tag: str | None
    """None: the reference has a digest."""
    digest: str | None

    @property
    def name(self) -> str:
        """The registry and the repository."""
        return f"{self.registry}/{self.repository}"

    def __str__(self) -> str:
        return f"{self.name}@{self.digest}" if self.digest else f"{self.name}:{self.tag}"


def parse_reference(image: str) -> Reference:
    """Return the parts of a reference. Without a registry it is Docker Hub, without a tag `latest`.

    Raises:
        ValueError: it is not a reference.
    """
    match = _REFERENCE.fullmatch(image)
    if match is None:
        raise ValueError(image)
    registry, repository = match["registry"], match["repository"]
    if registry is not None and not _is_host(registry):
        registry, repository = None, f"{registry}/{repository}"
        if not re.fullmatch(rf"{_COMPONENT}(?:/{_COMPONENT})*", repository):
            raise ValueError(image)
    registry = _ALIASES.get(registry or DOCKER_HUB, registry or DOCKER_HUB)
    if registry == DOCKER_HUB and "/" not in repository:
        repository = f"library/{repository}"
    digest = match["digest"]
    return Reference(registry, repository, None if digest else match["tag"] or LATEST, digest)


def _is_host(text: str) -> bool:
    """Whether the part before the first slash is a registry, as Docker decides it."""
    return "." in text or ":" in text or text == "localhost" or text != text.lower()
