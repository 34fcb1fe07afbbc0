"""`gradient server credentials`: print the credentials of a protected endpoint."""

from __future__ import annotations

import click

from paperspace.gradient.cli._output import output_option, print_data
from paperspace.gradient.cli._server_database import database_file, database_option


@click.command("credentials")
@click.argument("deployment", metavar="NAME|ID")
@database_option
@output_option("json")
def credentials(deployment: str, database: str | None, output: str | None) -> None:
    """Print the user name and the password of a protected endpoint, as USER:PASSWORD.

    Run it on the machine of the server, as the user who runs it: the password is in a file next to the database, or
    derived from a key in such a file.

    \b
    Example:
      curl -u "$(gradient server credentials web)" "$(gradient deployments open web)"
    """
    from paperspace.gradient.server.control.credentials import credentials_of
    from paperspace.gradient.server.control.interface import ControlError

    path = database_file(
        database,
        in_memory="This command needs a database file: the server of a database in memory stores no passwords.",
    )
    try:
        found = credentials_of(path, deployment)
    except ControlError as error:
        raise click.ClickException(str(error)) from error
    if output:
        print_data({"username": found.username, "password": found.password}, output)
    else:
        click.echo(f"{found.username}:{found.password}")
