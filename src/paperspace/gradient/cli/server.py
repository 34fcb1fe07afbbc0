"""`gradient server`: run the local server until it is stopped."""

from __future__ import annotations

import asyncio
import errno
import sys
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from paperspace.gradient._shared.private_files import read_private, write_private
from paperspace.gradient.cli._commands import API_KEY_OPTION, API_URL_OPTION, common_options
from paperspace.gradient.cli._output import is_output_error, print_message, redirect_to_null
from paperspace.gradient.cli._server_database import database_path
from paperspace.gradient.cli._server_engine import choose_engine
from paperspace.gradient.cli._server_engine_options import engine_options
from paperspace.gradient.cli._server_gateway import gateway_options
from paperspace.gradient.cli._server_log import log_to_stderr
from paperspace.gradient.cli._server_reset import reset as reset_database
from paperspace.gradient.cli._server_run import serve
from paperspace.gradient.cli.server_control import backup, down, gateway, prune
from paperspace.gradient.cli.server_credentials import credentials
from paperspace.gradient.cli.server_instance_types import instance_types
from paperspace.gradient.cli.server_registries import registries
from paperspace.gradient.cli.server_secrets import secrets
from paperspace.gradient.cli.server_status import status

if TYPE_CHECKING:
    from collections.abc import Iterator

    from paperspace.gradient.cli._server_engine import Choice
    from paperspace.gradient.cli._server_engine_options import EngineOptions
    from paperspace.gradient.cli._server_gateway import GatewayOptions
    from paperspace.gradient.server import LocalServer


def _check_origins(_context: click.Context, _option: click.Parameter, origins: tuple[str, ...]) -> tuple[str, ...]:
    from paperspace.gradient.server.http.cors import check_origin

    try:
        return tuple(check_origin(origin) for origin in origins)
    except ValueError as error:
        raise click.BadParameter(f"{error}.") from error


@click.group("server", invoke_without_command=True)
@click.option("--host", default="127.0.0.1", show_default=True, help="The host to listen on.")
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    default=8600,
    show_default=True,
    help="The port to listen on; 0 selects a free port.",
)
@click.option(
    "--database",
    metavar="PATH",
    help="The database file, or :memory: to store nothing. Default: a file in the user's data folder.",
)
@click.option(
    "--api-key", metavar="KEY", help="The API key of the server. Default: a random key that is kept for later starts."
)
@click.option("--actor", metavar="NAME", help="The author of all revisions. Default: the system user.")
@click.option(
    "--allow-origin",
    "allow_origins",
    metavar="ORIGIN",
    multiple=True,
    callback=_check_origins,
    help="Allow web pages of this origin, such as http://localhost:3000, to use the server (CORS). With *, all pages "
    "are allowed. Can be repeated. Default: none.",
)
@click.option(
    "--save-config", is_flag=True, help="Store the API URL and the API key in the client's configuration file."
)
@click.option(
    "--reset",
    is_flag=True,
    help="Before the start, delete all deployments of the database, with their containers, logs, events and metrics. The "
    "API key, registries, instance types and secrets stay. Asks for confirmation. Refused while a server runs on the "
    "database.",
)
@click.option("--yes", "-y", is_flag=True, help="With --reset: do not ask for confirmation.")
@engine_options
@gateway_options
@click.pass_context
def command(
    context: click.Context,
    *,
    host: str,
    port: int,
    database: str | None,
    api_key: str | None,
    actor: str | None,
    allow_origins: tuple[str, ...],
    save_config: bool,
    reset: bool,
    yes: bool,
    engine: EngineOptions,
    gateway: GatewayOptions,
) -> None:
    """Run a local server with the API of the hosted service.

    When the server is ready, it prints its API URL and two export lines. Paste these lines into another shell: they configure
    the library and the retired official client. The last line is a link to the console, a web page with the deployments. The
    link works once; `gradient console` prints a new link.

    Ctrl-C stops the server. Containers keep running: `gradient server down` stops them too.

    \b
    Example:
      gradient server --port 8600 --database :memory:
    """
    _refuse_ignored_options(context)
    if context.invoked_subcommand is not None:
        return
    # Slow to import, and not needed for the help.
    from paperspace.gradient.cli._server_console import ServerConsole
    from paperspace.gradient.server.controller.controller import Options
    from paperspace.gradient.server.defaults import key_file
    from paperspace.gradient.server.http.listener import is_loopback
    from paperspace.gradient.server.storage.files import IN_MEMORY

    if api_key is None and not is_loopback(host):
        raise click.UsageError(f"With --host {host}, other machines can connect: set an API key with --api-key.")
    log_to_stderr()
    path = database_path(database, create_folder=True)
    if reset:
        reset_database(context, path, yes=yes)
    file = None if api_key is not None or path == IN_MEMORY else key_file(Path(path))
    stored_key = file and _read_key(file)
    console = ServerConsole(host)

    def create(choice: Choice) -> LocalServer:
        return _create_server(
            file if stored_key else None,
            host=host,
            port=port,
            database=path,
            api_key=stored_key or api_key,
            actor=actor,
            allow_origins=allow_origins,
            console=console,
            runtime=choice.runtime,
            engine=choice.engine,
            gateway=choice.gateway,
            options=Options(ports=engine.port_range, drain_timeout=timedelta(seconds=engine.drain_timeout)),
        )

    def ready(server: LocalServer) -> None:
        """Store what the next start or the client needs. The database is known to be valid."""
        if file and not stored_key:
            write_private(file, server.api_key + "\n")
        if save_config:
            _save_config(server)

    with _start_errors(host, port):
        asyncio.run(
            serve(lambda: choose_engine(engine, gateway, path), create, ready, console.link, path, engine.drain_timeout)
        )


def _refuse_ignored_options(context: click.Context) -> None:
    """Refuse options that would have no effect: those of a client, and those of the server before another command.

    Raises:
        UsageError: there is one.
    """
    common, subcommand = common_options(), context.invoked_subcommand
    for option, value in ((API_KEY_OPTION, common.api_key), (API_URL_OPTION, common.api_url)):
        if value is not None:
            hint = "" if subcommand or option != API_KEY_OPTION else " Pass the API key of the server after `server`."
            raise click.UsageError(
                f"{option} works only with commands that connect to the API, not with `server`.{hint}"
            )
    for parameter in context.command.params if subcommand else ():
        given = context.get_parameter_source(str(parameter.name)) is ParameterSource.COMMANDLINE
        if given and parameter.name != "database":  # which the commands use too
            raise click.UsageError(f"{parameter.opts[0]} cannot be combined with `{subcommand}`.")


def _create_server(file_of_key: Path | None, **settings: Any) -> LocalServer:
    """Create the server. The API key comes from a file, or from an option (None)."""
    from paperspace.gradient.server import LocalServer

    try:
        return LocalServer(**settings)
    except ValueError as error:
        if file_of_key:
            raise click.ClickException(f"Invalid API key in {file_of_key}: {error}. {_KEY_FILE_HINT}") from error
        raise click.BadParameter(str(error), param_hint="'--api-key'") from error


@contextmanager
def _start_errors(host: str, port: int) -> Iterator[None]:
    """Convert the errors of a start to those of the command."""
    from paperspace.gradient.errors import ConfigurationError
    from paperspace.gradient.server import UnusableDatabaseError
    from paperspace.gradient.server.controller.gateway import GatewayUnavailableError

    try:
        yield
    except UnusableDatabaseError as error:
        raise click.ClickException(f"{error}. To use another file, pass --database PATH.") from error
    except ConfigurationError as error:
        raise click.ClickException(f"{error}.") from error
    except GatewayUnavailableError as error:
        raise click.ClickException(str(error)) from error
    except (OSError, UnicodeError) as error:
        if isinstance(error, OSError) and is_output_error(error):
            redirect_to_null(sys.stdout)
            raise click.ClickException(f"Cannot write to standard output: {error.strerror}.") from error
        if isinstance(error, OSError) and error.errno == errno.EADDRINUSE:
            raise click.ClickException(
                f"Port {port} of {host} is in use, perhaps by another `gradient server`: use or stop that one, or pass "
                "another port with --port; 0 selects a free port."
            ) from error
        raise click.ClickException(f"Cannot start the server: {error}.") from error


for subcommand in (status, down, prune, backup, gateway, registries, instance_types, secrets, credentials):
    command.add_command(subcommand)

_KEY_FILE_HINT = "Remove the file, or pass --api-key."


def _read_key(file: Path) -> str | None:
    """Read the key of an earlier start; None if no key is stored."""
    try:
        return read_private(file).decode("ascii").strip() or None
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or "not ASCII"
        raise click.ClickException(f"Cannot read the API key in {file}: {reason}. {_KEY_FILE_HINT}") from error


def _save_config(server: LocalServer) -> None:
    """Store the API URL and the API key in the client's configuration file. Other entries are kept."""
    from paperspace.gradient.cli.config import store_in_config, warn_of_environment
    from paperspace.gradient.config import config_path, read_config

    store_in_config(read_config, {"apiUrl": server.url, "apiKey": server.api_key})
    print_message(f"Saved the API URL and the API key in {config_path()}")
    warn_of_environment("PAPERSPACE_API_KEY", "PAPERSPACE_API_URL", "PAPERSPACE_API_HOST")
