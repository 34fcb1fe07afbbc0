"""Secrets: the values that `secret:NAME` in a spec stands for.

They are in a file beside the database, or in environment variables of the server.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

from paperspace.gradient.server.docker.settings_files import read_settings

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

_PREFIX = "secret:"  # in any case
_VARIABLE = "GRADIENT_SECRET_"
_NOT_IN_VARIABLES = re.compile(r"[^A-Z0-9_]")


class Secret(NamedTuple):
    """A stored secret."""

    value: str

    def __repr__(self) -> str:
        return "Secret(value=(hidden))"


def secret_name(text: str) -> str | None:
    """Return the name in a reference such as `secret:GIT_TOKEN`. None: the text is no reference."""
    return text[len(_PREFIX) :].strip() if text.lower().startswith(_PREFIX) else None


def variable_of(name: str) -> str:
    """Return the environment variable of a secret: `GRADIENT_SECRET_GIT_TOKEN` for `git-token`."""
    return _VARIABLE + _NOT_IN_VARIABLES.sub("_", name.upper())


def find_secret(name: str, stored: Mapping[str, Secret], environment: Mapping[str, str]) -> str | None:
    """Return the value of a secret: a stored one, or else that of the environment variable. None: there is neither."""
    if name in stored:
        return stored[name].value
    return environment.get(variable_of(name))


def read_secrets(path: Path | None) -> dict[str, Secret]:
    """Return the secrets of the file, by name.

    Raises:
        SettingsFileError: the file is invalid.
    """
    return read_settings(path, lambda value: Secret(**value))
