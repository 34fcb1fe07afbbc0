"""`gradient console`: open the console of the server, or serve one."""

from __future__ import annotations

import asyncio
import errno
import sys
from typing import TYPE_CHECKING
from warnings import catch_warnings

import click

from paperspace.gradient.cli._client import settings_of_command
from paperspace.gradient.cli._commands import Command
from paperspace.gradient.cli._output import print_message

if TYPE_CHECKING:
    from paperspace.gradient.config import Settings

_HOST = "127.0.0.1"
_PORT = 8700


@click.command("console", cls=Command)
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    help=f"Serve the console on this port; 0 selects a free one. Default: {_PORT}, or a free port if it is in use.",
)
@click.option("--no-open", is_flag=True, help="Only print the link.")
def command(port: int | None, *, no_open: bool) -> None:
    """Open a web page with your deployments.

    The page shows deployments as they change, and creates, updates and deletes them. If the server is `gradient server`, it
    serves the page: the command prints a new link to the page, and ends. For other servers, or with --port, the command
    serves the page itself, until Ctrl-C. If the output is a terminal, the command also opens the link in a browser.

    The link works once. The page then works until the server of the page ends. The API key never reaches the browser.

    \b
    Example:
      gradient console
    """
    settings = settings_of_command()
    asyncio.run(_run(settings, port, opens=not no_open and sys.stdout.isatty()))


async def _run(settings: Settings, port: int | None, *, opens: bool) -> None:
    from paperspace.gradient.cli._signals import on_signal
    from paperspace.gradient.console.links import link_of_server
    from paperspace.gradient.console.site import serve_console

    if port is None and (link := await link_of_server(settings)):
        _show(link, opens=opens)
        return
    stop = asyncio.Event()
    try:
        site = await serve_console(settings, _HOST, _PORT if port is None else port, or_free=port is None)
    except OSError as error:
        if error.errno != errno.EADDRINUSE:
            raise
        raise click.ClickException(f"Port {port} is in use. Pass another one; 0 selects a free port.") from error
    async with site:
        on_signal(stop.set)
        _show(site.link(), opens=opens)
        print_message(f"The console for {settings.api_url} is served until Ctrl-C.")
        await stop.wait()


def _show(link: str, *, opens: bool) -> None:
    click.echo(f"Console: {link}")
    if opens:
        with catch_warnings(action="ignore", category=ResourceWarning):  # the browser outlives the command
            click.launch(link)
