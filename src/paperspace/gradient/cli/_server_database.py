"""The database of `gradient server`, for its subcommands too."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from pathlib import Path


def database_path(database: str | None) -> str | Path:
    """Return the path of the database: the option, or else the default file."""
    from paperspace.gradient.server.defaults import default_database

    if database is not None:
        if not database.strip():
            raise click.BadParameter("The path is empty. Pass :memory: to store nothing.", param_hint="'--database'")
        return database
    try:
        return default_database()
    except (OSError, RuntimeError) as error:
        reason = f"{error.filename}: {error.strerror}" if isinstance(error, OSError) else str(error).rstrip(".")
        raise click.ClickException(
            f"Cannot create the default database: {reason}. Pass the path of a file with --database."
        ) from error
