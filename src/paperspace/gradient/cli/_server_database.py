"""The database of `gradient server`, for its subcommands too."""

from __future__ import annotations

from pathlib import Path

import click


def _database_of_server(context: click.Context, _option: click.Parameter, value: str | None) -> str | None:
    """Return the option, or else that of `gradient server --database PATH` before the name of the subcommand."""
    parent = context.parent
    while value is None and parent:
        value = parent.params.get("database")
        parent = parent.parent
    return value


database_option = click.option(
    "--database",
    metavar="PATH",
    callback=_database_of_server,
    help="The database of the server. Default: the one that `gradient server` uses.",
)


def database_path(database: str | None, *, create_folder: bool = False) -> str | Path:
    """Return the path of the database: the option, or else the default file, whose folder may be created."""
    from paperspace.gradient.server.defaults import default_database

    if database is not None:
        if not database.strip():
            raise click.BadParameter("The path is empty. Pass :memory: to store nothing.", param_hint="'--database'")
        return database
    try:
        return default_database(create_folder=create_folder)
    except (OSError, RuntimeError) as error:
        reason = f"{error.filename}: {error.strerror}" if isinstance(error, OSError) else str(error).rstrip(".")
        raise click.ClickException(
            f"Cannot create the default database: {reason}. Pass the path of a file with --database."
        ) from error


def database_file(
    database: str | None,
    *,
    create_folder: bool = False,
    in_memory: str = "This command needs a database file: a database in memory exists only in its server.",
) -> Path:
    """Return the path of a database that is a file, for a subcommand. `in_memory` is the message if it is not one."""
    from paperspace.gradient.server.storage.files import IN_MEMORY

    path = database_path(database, create_folder=create_folder)
    if path == IN_MEMORY:
        raise click.BadParameter(in_memory, param_hint="'--database'")
    return Path(path)
