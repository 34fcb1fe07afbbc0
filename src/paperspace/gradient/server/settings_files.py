"""Small JSON files beside the database, with settings of the engine by name."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from paperspace.gradient._shared.private_files import read_private, write_private

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

T = TypeVar("T")


class Entry(Protocol):
    """An entry of a file: a named tuple."""

    def _asdict(self) -> dict[str, Any]: ...


class SettingsFileError(Exception):
    """A file with settings cannot be used; the message is a sentence."""


def read_settings(path: Path | None, parse: Callable[[Mapping[str, Any]], T]) -> dict[str, T]:
    """Return the entries of a file, by name; no entries if it does not exist.

    Raises:
        SettingsFileError: it is invalid.
    """
    if path is None:
        return {}
    try:
        return {str(name): parse(value) for name, value in json.loads(read_private(path)).items()}
    except (FileNotFoundError, NotADirectoryError):
        return {}
    except (OSError, ValueError, TypeError, AttributeError, LookupError) as error:
        reason = getattr(error, "strerror", None) or "unexpected content"
        raise SettingsFileError(f"The file {path} cannot be read: {reason}. Correct or remove it.") from error


def write_settings(path: Path, entries: Mapping[str, Entry]) -> None:
    """Replace the entries of a file. Only its owner can read it."""
    write_private(path, json.dumps({name: entry._asdict() for name, entry in entries.items()}, indent=2) + "\n")
