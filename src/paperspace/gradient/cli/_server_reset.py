"""`gradient server --reset`: delete the deployments of a database before its server starts."""

from __future__ import annotations

import asyncio
from pathlib import Path

import click

from paperspace.gradient._shared.counting import count
from paperspace.gradient.cli._output import print_message
from paperspace.gradient.cli._server_engine import engine_of, find_left
from paperspace.gradient.cli.server_control import control_of


def reset(context: click.Context, database: str | Path, *, yes: bool) -> None:
    """Delete the deployments of a database, with their containers. Nothing is asked or deleted if there is no file.

    Raises:
        ClickException: a server runs, or a container or a file cannot be removed.
    """
    from paperspace.gradient.server.control.client import listens
    from paperspace.gradient.server.control.interface import ControlError
    from paperspace.gradient.server.control.listener import control_path
    from paperspace.gradient.server.storage.files import IN_MEMORY, UnusableDatabaseError
    from paperspace.gradient.server.storage.reset import delete

    file = Path(database)
    if database == IN_MEMORY or not file.is_file():
        return
    try:
        if listens(control_path(file)):
            raise click.ClickException(
                f"A server runs on {file}. Stop it first, with `gradient server down` or Ctrl-C."
            )
    except ControlError as error:
        raise click.ClickException(str(error)) from error
    question = f"Delete all deployments of {file}, with their containers, logs, events and metrics?"
    if not (yes or click.confirm(question, err=True)):
        print_message("Nothing was deleted, and the server was not started.")
        context.exit(1)
    try:
        asyncio.run(_remove_containers(file))
        delete(file)
    except click.ClickException as error:
        raise click.ClickException(
            f"The database was not deleted: its containers may still exist: {error.message}"
        ) from error
    except UnusableDatabaseError as error:
        raise click.ClickException(f"{error}.") from error
    except OSError as error:
        raise click.ClickException(f"Cannot delete {error.filename or file}: {error.strerror or error}.") from error
    print_message(f"Deleted all deployments of {file}.")


async def _remove_containers(database: Path) -> None:
    """Stop and remove all containers of a database. Without the database, no command would know them.

    Raises:
        ClickException: they cannot be removed, there are others that the database does not know, or it is simulated now.
    """
    from paperspace.gradient.server.controller.engine import EngineUnavailableError

    if engine_of(database) is None:
        try:
            left = await find_left(database)
        except EngineUnavailableError as error:
            raise click.ClickException(f"{error} If there is no Docker any more, delete the file.") from error
        if left:
            raise click.ClickException(left)
        return
    async with control_of(database) as control:
        unknown = await control.unknown()
    if unknown:
        raise click.ClickException(
            f"The database does not know {count(len(unknown), 'container')} of this server. `gradient server prune` shows and "
            "removes them."
        )
    async with control_of(database) as control:
        await control.take_down(now=True, report=print_message)
