"""The files that Envoy reads: replaced in one step, and read back by the next server."""

from __future__ import annotations

import json
import logging
import os
from secrets import token_hex
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

from paperspace.gradient.server.controller.gateway import GatewayUnavailableError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from pathlib import Path

    from paperspace.gradient.server.gateway.resources import Resource

_log = logging.getLogger(__name__)

T = TypeVar("T")


class _Content(NamedTuple):
    version: str
    resources: Any


class Files:
    """The files of one folder, and their versions."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._known: dict[str, _Content] = {}

    def read(self, name: str, parse: Callable[[Any], T]) -> T | None:
        """Return what a file contains. None: it does not exist, or it is damaged."""
        try:
            content = json.loads((self.folder / name).read_bytes())
            known = _Content(str(content["version_info"]), content["resources"])
            result = parse(known.resources)
        except FileNotFoundError:
            return None
        except (OSError, ValueError, LookupError, TypeError, RecursionError):
            _log.warning("the file %s of the gateway is damaged; it is written again", self.folder / name)
            return None
        self._known[name] = known
        return result

    def resources(self, name: str) -> Sequence[Resource]:
        """Return the resources in a file that was read or written."""
        return self._known[name].resources  # type: ignore[no-any-return]  # it was written as such

    def contains(self, name: str, resources: Sequence[Resource]) -> bool:
        """Return whether a file has these resources."""
        return name in self._known and self._known[name].resources == resources

    def write(self, name: str, resources: Sequence[Resource]) -> None:
        """Replace a file, unless it has these resources.

        Raises:
            GatewayUnavailableError: the file cannot be written. It is unchanged.
        """
        if not self.contains(name, resources):
            self._replace(name, resources)

    def renew(self, names: Iterable[str]) -> None:
        """Replace files that were read or written by new versions with the same resources.

        Raises:
            GatewayUnavailableError: a file cannot be written. It is unchanged.
        """
        for name in self.versions(names):
            self._replace(name, self._known[name].resources)

    def _replace(self, name: str, resources: Sequence[Resource]) -> None:
        content = _Content(token_hex(8), resources)  # no clock: it may stand still or be set back
        replace(self.folder / name, {"version_info": content.version, "resources": content.resources})
        self._known[name] = content

    def versions(self, names: Iterable[str] | None = None) -> dict[str, str]:
        """Return the versions of files, or of all, if they were read or written. One that was damaged has none until then."""
        return {name: self._known[name].version for name in names or self._known if name in self._known}


def replace(file: Path, content: object) -> None:
    """Write JSON to a file in one step. Only its owner can read it: it may contain secrets.

    Raises:
        GatewayUnavailableError: the file cannot be written. It is unchanged.
    """
    new = file.with_name(f".{file.name}.new")
    try:
        descriptor = os.open(new, os.O_CREAT | os.O_WRONLY | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        with open(descriptor, "w", encoding="utf-8") as stream:  # noqa: PTH123  # a descriptor
            stream.write(json.dumps(content, separators=(",", ":")))  # ten times as fast as `json.dump`
        new.replace(file)
    except OSError as error:
        reason = (error.strerror or str(error)).rstrip(".")
        raise GatewayUnavailableError(f"The gateway's file {file} cannot be written: {reason}.") from error
