"""The `gradient` command: its subcommands, which are imported when they are needed, and its exit code."""

from __future__ import annotations

import io
import os
import sys
from importlib import import_module
from typing import Any, NamedTuple, NoReturn

import click

from paperspace.gradient._version import __version__
from paperspace.gradient.cli._commands import CommonOptions, Group
from paperspace.gradient.cli._errors import exit_code
from paperspace.gradient.cli._output import replace_missing_streams


class LazyCommand(NamedTuple):
    """A command that is imported when it runs: where it is defined, and its summary for the help until then."""

    module: str
    attribute: str
    summary: str


_PACKAGE = "paperspace.gradient.cli"
_SUBCOMMANDS = {
    "deployments": LazyCommand(f"{_PACKAGE}.deployments", "command", "Create, update, inspect and delete deployments."),
    "server": LazyCommand(f"{_PACKAGE}.server", "command", "Run a local server with the API of the hosted service."),
    "console": LazyCommand(f"{_PACKAGE}.console", "command", "Open a web page with your deployments."),
    "apiKey": LazyCommand(f"{_PACKAGE}.config", "api_key", "Store an API key in the configuration file."),
    "logout": LazyCommand(f"{_PACKAGE}.config", "logout", "Remove the API key from the configuration file."),
    "config": LazyCommand(f"{_PACKAGE}.config", "command", "Inspect the settings."),
    "schema": LazyCommand(f"{_PACKAGE}.schema", "command", "Compare and fetch GraphQL schemas; print the spec schema."),
    "version": LazyCommand(f"{_PACKAGE}.version", "command", "Show the version."),
}

# Commands of the retired official client that do not exist here: what to do instead. None: nothing.
_RETIRED = {
    "clusters": "You do not need to create a cluster: pass any id as --cluster-id.",
    "login": "Use `gradient apiKey KEY`.",
    "models": "`gradient server --models DIR` serves the models of a folder to deployments.",
    "projects": "You do not need to create a project: pass any id as --project-id.",
    "secrets": "`gradient server secrets` stores secrets for specs, on the machine of the server.",
    **dict.fromkeys(("datasets", "machines", "notebooks", "storageProviders", "workflows")),
}


class MainGroup(Group):
    """The top-level command. Printing a help text imports only the commands in it."""

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
        """Find the command that was called; say what to do instead of one of the retired client."""
        if args[0] in _RETIRED:
            instead = _RETIRED[args[0]] or "This command manages deployments only."
            ctx.fail(f"`gradient {args[0]}` of the retired official client does not exist here. {instead}")
        try:
            return super().resolve_command(ctx, args)
        except click.exceptions.NoSuchCommand as error:  # click does not know the lazy commands
            raise click.exceptions.NoSuchCommand(args[0], possibilities=self.lazy_commands, ctx=ctx) from error

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002  # the same
        """Write the list of commands in the help without importing them."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, lazy.summary) for name, lazy in self.lazy_commands.items()])

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command that was called."""
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt as error:
            raise click.Abort from error  # before click prints an empty line, on a terminal or not

    def main(self, *args: Any, **settings: Any) -> NoReturn:
        """Run the command line and exit the process with its exit code."""
        replace_missing_streams()
        if isinstance(sys.stdout, io.TextIOWrapper):
            sys.stdout.reconfigure(errors="backslashreplace")  # prints characters that the encoding does not have
        if os.environ.get("_GRADIENT_COMPLETE", "").startswith("bash"):
            from paperspace.gradient.cli._bash_completion import register

            register()
        options = CommonOptions()
        settings |= {"standalone_mode": False, "obj": options}
        sys.exit(exit_code(lambda: super(MainGroup, self).main(*args, **settings), options))


@click.group(
    cls=MainGroup,
    lazy_commands=_SUBCOMMANDS,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.version_option(__version__, prog_name="gradient")
def main() -> None:
    """Manage Gradient Deployments.

    Results go to standard output, messages and errors to standard error.

    \b
    Exit codes:
      0  success            6  deployment failed
      1  failed             7  timed out
      2  usage error        8  different
      3  not found          130  interrupted
      4  not authorized     143  terminated
      5  invalid spec

    \b
    Example:
      gradient deployments create --name mnist --project-id p1 --spec mnist.yaml
    """
