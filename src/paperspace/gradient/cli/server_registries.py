"""`gradient server registries`: store the credentials of private registries, in a file beside the database."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from paperspace.gradient._shared.server_files import REGISTRIES
from paperspace.gradient.cli._output import output_option, print_data, print_message
from paperspace.gradient.cli._secrets import read_secret
from paperspace.gradient.cli._server_database import database_option
from paperspace.gradient.cli._settings_files import (
    check_name,
    delete_entry,
    read_entries,
    settings_path,
    store_entry,
)
from paperspace.gradient.cli._tables import Column, print_table

if TYPE_CHECKING:
    from collections.abc import Callable


@click.group(REGISTRIES)
def registries() -> None:
    """Store the credentials of private registries.

    `containerRegistry` of a spec is the name of a stored registry, whose credentials are used to pull the image. Only
    a server that runs containers with Docker uses them; the simulation pulls no images.

    The credentials are stored in a file next to the database, which only its owner can read.

    \b
    Example:
      gradient server registries list
    """


@registries.command("list")
@database_option
@output_option("json", "yaml")
def list_registries(database: str | None, output: str | None) -> None:
    """List the registries, without their passwords.

    \b
    Example:
      gradient server registries list
    """
    from paperspace.gradient.server.docker.registries import read_registries

    entries = read_entries(read_registries, settings_path(database, REGISTRIES))
    if output:
        print_data(
            [{"name": name, "host": entry.host, "username": entry.username} for name, entry in entries.items()], output
        )
    else:
        columns: dict[Column, Callable[[tuple[str, Any]], str]] = {
            Column("Name"): lambda item: item[0],
            Column("Host"): lambda item: str(item[1].host),
            Column("User name"): lambda item: str(item[1].username),
        }
        print_table(columns, list(entries.items()))


@registries.command("set")
@click.argument("name")
@click.option("--url", required=True, metavar="URL", help="The registry, such as https://ghcr.io.")
@click.option("--username", required=True, metavar="USER", help="The user name.")
@database_option
def set_registry(name: str, url: str, username: str, database: str | None) -> None:
    """Store a registry, or replace the one with this name.

    The password is read from a prompt or from standard input.

    \b
    Example:
      gradient server registries set mine --url https://ghcr.io --username ada < password.txt
    """
    from paperspace.gradient.server.docker.registries import (
        Registry,
        read_registries,
        registry_host,
    )

    check_name(name)
    try:
        host = registry_host(url)
    except ValueError as error:
        raise click.BadParameter("The URL has no host.", param_hint="'--url'") from error
    path = settings_path(database, REGISTRIES, create_folder=True)
    read_entries(read_registries, path)  # before the password is asked for
    text, source = read_secret("Password")
    password = text.rstrip("\r\n")
    if not password:
        raise click.UsageError(f"No password: {source} is empty.")
    store_entry(read_registries, path, name, Registry(host, username, password))
    print_message(f"Stored registry {name} ({host}) in {path}")


@registries.command("delete")
@click.argument("name")
@database_option
def delete_registry(name: str, database: str | None) -> None:
    """Delete a registry.

    \b
    Example:
      gradient server registries delete mine
    """
    from paperspace.gradient.server.docker.registries import read_registries

    delete_entry(read_registries, settings_path(database, REGISTRIES), name, "registry")
