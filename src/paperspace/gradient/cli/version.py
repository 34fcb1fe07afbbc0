"""`gradient version`: the command of the retired official client, which prints the number alone."""

from __future__ import annotations

import click

from paperspace.gradient._version import __version__
from paperspace.gradient.cli._commands import Command


@click.command("version", cls=Command)
def command() -> None:
    """Show the version.

    \b
    Example:
      gradient version
    """
    click.echo(__version__)
