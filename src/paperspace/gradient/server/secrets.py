"""Secrets: the values that `secret:NAME` in a spec stands for.

They are in a file beside the database, or in environment variables of the server.
"""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING, NamedTuple

from paperspace.gradient.server.engines.runtime import UnsupportedSpecError
from paperspace.gradient.server.settings_files import SettingsFileError, read_settings

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


class SecretValues:
    """The values that references in a spec stand for.

    Args:
        file: The file with the stored secrets.
        environment: The environment variables of the server.
    """

    def __init__(self, file: Path | None, environment: Mapping[str, str] = os.environ) -> None:
        self._file = file
        self._environment = environment
        self._stored: Mapping[str, Secret] | None = None  # read at the first reference

    def value(self, text: str, field: str) -> str:
        """Return the value that a text stands for: that of a secret, or the text itself.

        Args:
            text: The value in the spec.
            field: Its path in the spec, for the error.

        Raises:
            UnsupportedSpecError: there is no such secret, or the file is invalid.
        """
        name = secret_name(text)
        return text if name is None else self.named(name, field)

    def named(self, name: str, field: str) -> str:
        """Return the value of a secret.

        Args:
            name: Its name.
            field: The path in the spec where it is named, for the error.

        Raises:
            UnsupportedSpecError: there is no such secret, it is no text, or the file is invalid.
        """
        stored = self._read()
        value = find_secret(name, stored, self._environment)
        if value is None:
            raise UnsupportedSpecError(
                f"Unknown secret {name} in {field}; known: {', '.join(stored) or 'none'}. Store it with "
                f"`gradient server secrets set {name}`, or start the server with {variable_of(name)} in its environment."
            )
        try:
            value.encode()
        except UnicodeEncodeError:  # Python reads other bytes of variables as surrogates, which nothing can send
            raise UnsupportedSpecError(
                f"The value of secret {name} in {field} is not UTF-8. Store it with `gradient server secrets set {name}`."
            ) from None
        return value

    def _read(self) -> Mapping[str, Secret]:
        if self._stored is None:
            try:
                self._stored = read_secrets(self._file)
            except SettingsFileError as error:
                raise UnsupportedSpecError(str(error)) from error
        return self._stored
