"""The `gradient` command. Each subcommand is a module of its own, imported when it is needed."""

from __future__ import annotations

import click

from paperspace.gradient._version import __version__
from paperspace.gradient.cli._commands import Late, Main

_LATE = {
    "deployments": Late(f"{__name__}.deployments", "command", "Create, change, look at and delete deployments."),
    "server": Late(f"{__name__}.server", "command", "Run the local server, which has the API of the hosted service."),
    "apiKey": Late(f"{__name__}.config", "api_key", "Store an API key for all calls from now on."),
    "logout": Late(f"{__name__}.config", "logout", "Forget the API key that `gradient apiKey` has stored."),
    "config": Late(f"{__name__}.config", "command", "Look at the settings."),
    "schema": Late(
        f"{__name__}.schema", "command", "Compare the schema of a server with ours, or fetch it; print that of a spec."
    ),
}


@click.group(cls=Main, late=_LATE, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, prog_name="gradient")
def main() -> None:
    """Gradient Deployments, from the command line.

    The result goes to standard output, everything else to standard error.

    \b
    Exit codes:
      0  fine               5  the spec is not valid
      1  failed             6  the deployment failed
      2  wrongly called     7  timed out
      3  not found          8  differs
      4  key not accepted   130  interrupted

    \b
    Example:
      gradient deployments create --name mnist --project-id p1 --spec mnist.yaml
    """
