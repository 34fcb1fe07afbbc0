"""`gradient server secrets`: store the values that `secret:NAME` in a spec stands for, in a file beside the database."""

from __future__ import annotations

import click

from paperspace.gradient._shared.server_files import SECRETS
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


@click.group(SECRETS)
def secrets() -> None:
    """Store secrets, such as passwords and tokens, for specs.

    In a spec, write `secret:NAME` in place of the value of an environment variable, or of the password of a repository. A
    server that runs containers with Docker replaces this text by the stored value; the simulation does not. With
    `endpointSecurity.secret: NAME`, the stored value is the password of the endpoint.

    After a change of a secret, running containers keep the old value of their environment variables. `gradient deployments
    restart` starts new containers with the new value.

    The values are stored in a file next to the database, which only its owner can read. A secret that is not stored is
    read from the environment of the server: `git-token` from GRADIENT_SECRET_GIT_TOKEN.

    \b
    Example:
      gradient server secrets list
    """


@secrets.command("list")
@database_option
@output_option("json", "yaml")
def list_secrets(database: str | None, output: str | None) -> None:
    """List the names of the stored secrets.

    \b
    Example:
      gradient server secrets list
    """
    from paperspace.gradient.server.secrets import read_secrets

    names = list(read_entries(read_secrets, settings_path(database, SECRETS)))
    if output:
        print_data([{"name": name} for name in names], output)
        return
    for name in names:
        click.echo(name)


@secrets.command("set")
@click.argument("name")
@database_option
def set_secret(name: str, database: str | None) -> None:
    """Store a secret, or replace the one with this name.

    The value is read from a prompt or from standard input, without the line break at its end.

    \b
    Example:
      gradient server secrets set git-token < token.txt
    """
    from paperspace.gradient.server.secrets import Secret, read_secrets

    check_name(name)
    path = settings_path(database, SECRETS, create_folder=True)
    read_entries(read_secrets, path)  # before the value is asked for
    text, source = read_secret("Value")
    value = text.removesuffix("\n").removesuffix("\r")
    if not value:
        raise click.UsageError(f"No value: {source} is empty.")
    if "\0" in value:
        raise click.UsageError("A value cannot have the character U+0000.")
    store_entry(read_secrets, path, name, Secret(value))
    print_message(f"Stored secret {name} in {path}")


@secrets.command("delete")
@click.argument("name")
@database_option
def delete_secret(name: str, database: str | None) -> None:
    """Delete a secret. Running containers keep its value.

    \b
    Example:
      gradient server secrets delete git-token
    """
    from paperspace.gradient.server.secrets import read_secrets

    delete_entry(read_secrets, settings_path(database, SECRETS), name, "secret")
