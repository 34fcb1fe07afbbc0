"""The `gradient` command: its subcommands, which are imported when they are needed, and its exit code."""

from __future__ import annotations

import io
import os
import sys
from typing import Any, NoReturn

import click

from paperspace.gradient._version import __version__
from paperspace.gradient.cli._commands import CommonOptions
from paperspace.gradient.cli._errors import exit_code
from paperspace.gradient.cli._lazy_group import LazyCommand, LazyGroup
from paperspace.gradient.cli._output import buffer_streams, replace_missing_streams

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


class MainGroup(LazyGroup):
    """The top-level command."""

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command that was called; say what to do instead of one of the retired client."""
        if args[0] in _RETIRED:
            instead = _RETIRED[args[0]] or "This command manages deployments only."
            ctx.fail(f"`gradient {args[0]}` of the retired official client does not exist here. {instead}")
        return super().resolve_command(ctx, args)

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command that was called."""
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt as error:
            raise click.Abort from error  # before click prints an empty line, on a terminal or not

    def main(self, *args: Any, **settings: Any) -> NoReturn:
        """Run the command line and exit the process with its exit code."""
        replace_missing_streams()
        buffer_streams()
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
