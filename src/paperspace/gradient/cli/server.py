"""`gradient server`: run the local server until it is stopped."""

from __future__ import annotations

import asyncio
import errno
import shlex
import signal
from contextlib import AsyncExitStack, suppress
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import click

from paperspace.gradient._shared.private_files import read_private, write_private
from paperspace.gradient.cli._output import print_message
from paperspace.gradient.cli._server_database import database_path
from paperspace.gradient.cli._server_engine import choose_engine, engine_options
from paperspace.gradient.cli._server_gateway import gateway_options
from paperspace.gradient.cli._server_log import log_to_stderr
from paperspace.gradient.cli.server_instance_types import instance_types
from paperspace.gradient.cli.server_registries import registries
from paperspace.gradient.cli.server_secrets import secrets

if TYPE_CHECKING:
    from collections.abc import Callable

    from paperspace.gradient.cli._server_engine import Choice, EngineOptions
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
    engine: EngineOptions,
    gateway: GatewayOptions,
) -> None:
    """Run a local server with the API of the hosted service.

    When it is ready, it prints its API URL and two export lines. Paste these lines into another shell: they configure the
    library and the retired official client. Ctrl-C stops the server.

    \b
    Example:
      gradient server --port 8600 --database :memory:
    """
    if context.invoked_subcommand is not None:
        return
    # Slow to import, and not needed for the help.
    from paperspace.gradient.errors import ConfigurationError
    from paperspace.gradient.server import LocalServer, UnusableDatabaseError
    from paperspace.gradient.server.controller.controller import Options
    from paperspace.gradient.server.controller.gateway import GatewayUnavailableError
    from paperspace.gradient.server.defaults import key_file
    from paperspace.gradient.server.http.listener import is_loopback
    from paperspace.gradient.server.storage.files import IN_MEMORY

    if api_key is None and not is_loopback(host):
        raise click.UsageError(f"Other machines can connect to {host}: pass --api-key to set the API key.")
    log_to_stderr()
    path = database_path(database)
    file = None if api_key is not None or path == IN_MEMORY else key_file(Path(path))
    stored_key = file and _read_key(file)
    choice = asyncio.run(choose_engine(engine, gateway, path))
    try:
        server = LocalServer(
            host=host,
            port=port,
            database=path,
            api_key=stored_key or api_key,
            actor=actor,
            allow_origins=allow_origins,
            runtime=choice.runtime,
            engine=choice.engine,
            gateway=choice.gateway,
            options=Options(ports=engine.port_range, drain_timeout=timedelta(seconds=engine.drain_timeout)),
        )
    except ValueError as error:
        if stored_key:
            raise click.ClickException(f"Invalid API key in {file}: {error}. {_KEY_FILE_HINT}") from error
        raise click.BadParameter(str(error), param_hint="'--api-key'") from error
    try:
        asyncio.run(_serve(server, choice, None if stored_key else file, save_config=save_config))
    except UnusableDatabaseError as error:
        raise click.ClickException(f"{error}. To use another file, pass --database PATH.") from error
    except ConfigurationError as error:
        raise click.ClickException(f"{error}.") from error
    except GatewayUnavailableError as error:
        raise click.ClickException(str(error)) from error
    except (OSError, UnicodeError) as error:
        if isinstance(error, OSError) and error.errno == errno.EADDRINUSE:
            raise click.ClickException(
                f"Port {port} of {host} is in use. Pass another one with --port; 0 selects a free port."
            ) from error
        raise click.ClickException(f"Cannot start the server: {error}.") from error


command.add_command(registries)
command.add_command(instance_types)
command.add_command(secrets)

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


def _on_signal(stop: Callable[[], object]) -> None:
    """Call the function when the process is to end."""
    for signal_number in (signal.SIGINT, signal.SIGTERM):
        with suppress(NotImplementedError):  # on Windows, where Ctrl-C ends asyncio.run
            asyncio.get_running_loop().add_signal_handler(signal_number, stop)


async def _serve(server: LocalServer, choice: Choice, key_file: Path | None, *, save_config: bool) -> None:
    """Run the server until it is stopped. The key is stored after the start, when the database is known to be valid."""
    if starting := asyncio.current_task():
        _on_signal(starting.cancel)  # to check a large database takes long, or to look up a host
    async with AsyncExitStack() as stack:
        try:
            await stack.enter_async_context(server)
        except asyncio.CancelledError:
            return
        stop = asyncio.Event()
        _on_signal(stop.set)
        if key_file:
            write_private(key_file, server.api_key + "\n")
        if save_config:
            _save_config(server)
        click.echo(choice.line)
        if choice.gateway:
            click.echo(f"Endpoints are at {choice.gateway.endpoint_url('ID')}")
        click.echo(f"Listening on {server.url}")
        # The library reads the first variable, the retired official client the second.
        click.echo(f"export PAPERSPACE_API_URL={server.url} PAPERSPACE_API_HOST={server.url}")
        click.echo(f"export PAPERSPACE_API_KEY={shlex.quote(server.api_key)}")
        await stop.wait()


def _save_config(server: LocalServer) -> None:
    """Store the API URL and the API key in the client's configuration file. Other entries are kept."""
    from paperspace.gradient.cli.config import write_config
    from paperspace.gradient.config import config_path, read_config

    write_config({**read_config(), "apiUrl": server.url, "apiKey": server.api_key})
    print_message(f"Saved the API URL and the API key in {config_path()}")
