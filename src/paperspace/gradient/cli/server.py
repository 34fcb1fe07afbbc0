"""`gradient server`: the local server, until it is told to stop."""

from __future__ import annotations

import asyncio
import errno
import logging
import shlex
import signal
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import click

from paperspace.gradient._shared.private_files import write_private
from paperspace.gradient.cli._output import tell

if TYPE_CHECKING:
    from paperspace.gradient.server import LocalServer


@click.command("server")
@click.option("--host", default="127.0.0.1", show_default=True, help="The address to listen on.")
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    default=8600,
    show_default=True,
    help="The port to listen on; 0 takes a free one.",
)
@click.option(
    "--database",
    metavar="PATH",
    help="The file to keep everything in, or :memory: to keep nothing. By default a file in the user's data folder.",
)
@click.option("--api-key", metavar="KEY", help="The key that callers have to send. By default one is made and kept.")
@click.option("--actor", metavar="NAME", help="Who makes the specs. By default the system's user.")
@click.option(
    "--save-config", is_flag=True, help="Write the address and the key into the client's configuration file too."
)
def command(
    *, host: str, port: int, database: str | None, api_key: str | None, actor: str | None, save_config: bool
) -> None:
    """Run the local server, which has the API of the hosted service.

    When it is ready it prints its address and the two lines to run in another shell so that the library and the
    official command line talk to it. It runs until it is interrupted.

    \b
    Example:
      gradient server --port 8600 --database :memory:
    """
    # Slow to import, and the help of the whole command imports this module too.
    from paperspace.gradient.errors import ConfigurationError
    from paperspace.gradient.server import LocalServer, UnusableDatabaseError
    from paperspace.gradient.server.defaults import key_file
    from paperspace.gradient.server.http.listener import is_loopback
    from paperspace.gradient.server.storage.migrations import IN_MEMORY

    if api_key is None and not is_loopback(host):
        raise click.UsageError(f"{host} can be reached from other machines: choose the key yourself, with --api-key.")
    _log_to_stderr()
    place = _place(database)
    kept = None if api_key is not None or place == IN_MEMORY else key_file(Path(place))
    stored = kept and _stored_key(kept)
    try:
        server = LocalServer(host=host, port=port, database=place, api_key=stored or api_key, actor=actor)
    except ValueError as error:
        if stored:
            raise click.ClickException(f"The key in {kept} cannot be right: {error}. {_WAY_OUT}") from error
        raise click.BadParameter(str(error), param_hint="'--api-key'") from error
    try:
        asyncio.run(_serve(server, None if stored else kept, save_config=save_config))
    except UnusableDatabaseError as error:
        raise click.ClickException(f"{error}. Another file can be given with --database, or :memory:.") from error
    except ConfigurationError as error:
        raise click.ClickException(f"{error}.") from error
    except (OSError, UnicodeError) as error:
        if isinstance(error, OSError) and error.errno == errno.EADDRINUSE:
            hint = "choose another one with --port; 0 takes a free one"
            raise click.ClickException(f"Port {port} of {host} is in use: {hint}.") from error
        raise click.ClickException(f"The server cannot start: {error}.") from error


_WAY_OUT = "Remove the file, or give --api-key."


def _place(database: str | None) -> str | Path:
    """Where everything is kept."""
    from paperspace.gradient.server.defaults import default_database

    if database is not None:
        if not database.strip():
            raise click.BadParameter("The path is empty. :memory: keeps nothing.", param_hint="'--database'")
        return database
    try:
        return default_database()
    except (OSError, RuntimeError) as error:
        reason = f"{error.filename}: {error.strerror}" if isinstance(error, OSError) else str(error).rstrip(".")
        raise click.ClickException(
            f"There is no place for the database: {reason}. Give one with --database."
        ) from error


def _stored_key(file: Path) -> str | None:
    """The key of an earlier start, if there was one."""
    try:
        return file.read_text(encoding="ascii").strip() or None
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or "it is not made of ASCII characters"
        raise click.ClickException(f"The key in {file} cannot be read: {reason}. {_WAY_OUT}") from error


class _Lines(logging.Formatter):
    """Records as lines: what goes on over several, as a traceback does, is indented; nothing steers a terminal."""

    def format(self, record: logging.LogRecord) -> str:
        text = super().format(record).replace("\n", "\n  ")
        return "".join(c if c.isprintable() or c == "\n" else ascii(c)[1:-1] for c in text)


def _log_to_stderr() -> None:
    handler = logging.StreamHandler()
    handler.setFormatter(_Lines("%(asctime)s %(message)s"))
    logging.basicConfig(level=logging.INFO, handlers=[handler])


async def _serve(server: LocalServer, key_file: Path | None, *, save_config: bool) -> None:
    """Runs the server until it is told to stop; keeps its key, now that the database is known to be one."""
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        with suppress(NotImplementedError):  # on Windows, where Ctrl-C ends asyncio.run anyway
            asyncio.get_running_loop().add_signal_handler(number, stop.set)
    async with server:
        if key_file:
            write_private(key_file, server.api_key + "\n")
        click.echo(f"Listening on {server.url}")
        # The library reads the first of the names, the retired official client the second.
        click.echo(f"export PAPERSPACE_API_URL={server.url} PAPERSPACE_API_HOST={server.url}")
        click.echo(f"export PAPERSPACE_API_KEY={shlex.quote(server.api_key)}")
        if save_config:
            _save_config(server)
        click.echo("Deployments are simulated: their life is told, no container is run.")
        await stop.wait()


def _save_config(server: LocalServer) -> None:
    """Puts address and key into the client's configuration file, beside whatever else is in it."""
    from paperspace.gradient.cli.config import write_config
    from paperspace.gradient.config import config_path, read_config

    write_config({**read_config(), "apiUrl": server.url, "apiKey": server.api_key})
    tell(f"Saved to {config_path()}")
