"""The `gradient` command. Each subcommand is a module of its own, imported when it is needed."""

from __future__ import annotations

from importlib import import_module

import click

from paperspace.gradient._version import __version__

_COMMANDS = ("schema", "server")


class _Commands(click.Group):
    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - as click has it
        return sorted(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002 - as click has it
        if cmd_name not in _COMMANDS:
            return None
        command: click.Command = import_module(f"{__name__}.{cmd_name}").command
        return command


@click.group(cls=_Commands)
@click.version_option(__version__, prog_name="gradient")
def main() -> None:
    """Gradient Deployments, from the command line."""
