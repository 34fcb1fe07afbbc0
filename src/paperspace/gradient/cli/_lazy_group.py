"""A group whose commands are imported when they run: a command starts without the modules of the others."""

from __future__ import annotations

from importlib import import_module
from typing import Any, NamedTuple

import click

from paperspace.gradient.cli._commands import Group


class LazyCommand(NamedTuple):
    """A command that is imported when it runs: where it is defined, and its summary for the help until then."""

    module: str
    attribute: str
    summary: str


class LazyGroup(Group):
    """A group that imports a command when it is called. Printing the help of the group imports none of its commands."""

    def __init__(self, *args: Any, lazy_commands: dict[str, LazyCommand], **settings: Any) -> None:
        super().__init__(*args, **settings)
        self.lazy_commands = lazy_commands

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002  # click's signature
        """Return the names of the commands in the order of the help."""
        return list(self.lazy_commands)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002  # the same
        """Import a command and return it."""
        if cmd_name not in self.lazy_commands:
            return None
        lazy = self.lazy_commands[cmd_name]
        command: click.Command = getattr(import_module(lazy.module), lazy.attribute)
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command that was called."""
        try:
            return super().resolve_command(ctx, args)
        except click.exceptions.NoSuchCommand as error:  # click does not know the lazy commands
            raise click.exceptions.NoSuchCommand(args[0], possibilities=self.lazy_commands, ctx=ctx) from error

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002  # the same
        """Write the list of commands in the help without importing them."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, lazy.summary) for name, lazy in self.lazy_commands.items()])
