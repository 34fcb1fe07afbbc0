"""Settings of the engine, in files beside the database: what the commands that change them have in common.

The server reads the files when it starts a container. It need not run while they change.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from paperspace.gradient._shared.private_files import exclusive_change
from paperspace.gradient.cli._output import print_message
from paperspace.gradient.cli._server_database import database_file

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from paperspace.gradient.server.settings_files import Entry


def settings_path(database: str | None, name: str, *, create_folder: bool = False) -> Path:
    """Return the path of a settings file of a database; None selects the default database, whose folder may be created."""
    from paperspace.gradient.server.defaults import beside

    in_memory = "This command needs a database file: a database in memory has no settings."
    return beside(database_file(database, create_folder=create_folder, in_memory=in_memory), name)


def read_entries(read: Callable[[Path], dict[str, Any]], path: Path) -> dict[str, Any]:
    from paperspace.gradient.server.settings_files import SettingsFileError

    try:
        return read(path)
    except SettingsFileError as error:
        raise click.ClickException(str(error)) from error


def check_name(name: str) -> None:
    if not name.strip() or not name.isprintable():
        raise click.BadParameter("A name must have visible characters only, and at least one.", param_hint="'NAME'")


def store_entry(read: Callable[[Path], dict[str, Any]], path: Path, name: str, entry: Entry) -> None:
    """Store an entry of a file, or replace the one with this name. The others are kept, also those stored meanwhile."""
    from paperspace.gradient.server.settings_files import write_settings

    with exclusive_change(path):
        write_settings(path, {**read_entries(read, path), name: entry})


def delete_entry(read: Callable[[Path], dict[str, Any]], path: Path, name: str, kind: str, *, origin: str = "") -> None:
    """Delete an entry of a file, and say so.

    Args:
        read: Reads the file.
        path: The file.
        name: The name of the entry.
        kind: What it is, for messages.
        origin: Which of them the file has, if there are others.
    """
    from paperspace.gradient.server.settings_files import write_settings

    with exclusive_change(path):
        entries = read_entries(read, path)
        if name not in entries:
            raise click.ClickException(f"There is no {origin}{kind} {name}. Stored: {', '.join(entries) or 'none'}.")
        del entries[name]
        write_settings(path, entries)
    print_message(f"Deleted {kind} {name} from {path}")
