"""Settings of the engine, in files beside the database: what the commands that change them have in common.

The server reads the files when it starts a container. It need not run while they change.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from paperspace.gradient.cli._server_database import database_path

if TYPE_CHECKING:
    from collections.abc import Callable

REGISTRIES, INSTANCE_TYPES, SECRETS = "registries", "instance-types", "secrets"


def settings_path(database: str | None, name: str) -> Path:
    """Return the path of a settings file of a database; None selects the default database."""
    from paperspace.gradient.server.defaults import beside
    from paperspace.gradient.server.storage.files import IN_MEMORY

    path = database_path(database)
    if path == IN_MEMORY:
        raise click.BadParameter("A database in memory has no settings.", param_hint="'--database'")
    return beside(Path(path), name)


def read_entries(read: Callable[[Path], dict[str, Any]], path: Path) -> dict[str, Any]:
    from paperspace.gradient.server.docker.settings_files import SettingsFileError

    try:
        return read(path)
    except SettingsFileError as error:
        raise click.ClickException(str(error)) from error


def check_name(name: str) -> None:
    if not name.strip() or not name.isprintable():
        raise click.BadParameter("A name must have visible characters only, and at least one.", param_hint="'NAME'")


def delete_entry(entries: dict[str, Any], name: str, kind: str) -> None:
    if name not in entries:
        raise click.ClickException(f"There is no {kind} {name}. Stored: {', '.join(entries) or 'none'}.")
    del entries[name]
