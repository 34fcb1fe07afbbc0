"""The commands that change what a deployment runs, or show its changes: scale, stop, start, history, rollback."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from paperspace.gradient._shared.secrets import hide_in_spec
from paperspace.gradient.cli._commands import connect
from paperspace.gradient.cli._output import output_option, print_data, printable
from paperspace.gradient.cli.deployments._group import command
from paperspace.gradient.cli.deployments._options import id_parameter, show_secrets_option

if TYPE_CHECKING:
    from paperspace.gradient.types import DeploymentRevision


@command.command()
@id_parameter()
@click.option("--replicas", type=click.IntRange(0), required=True, metavar="N", help="The number of replicas to run.")
def scale(id: str, replicas: int) -> None:
    """Change only the number of replicas of a deployment.

    \b
    Example:
      gradient deployments scale d4e74a9c-b125-4bd7-b143-8f5c386df8a9 --replicas 3
    """
    with connect() as client:
        scaled = client.deployments.scale_deployment(id, replicas)
    click.echo(f"Scaled deployment: {scaled['id']}")


@command.command()
@id_parameter()
def stop(id: str) -> None:
    """Stop all replicas of a deployment, without changing its spec otherwise.

    \b
    Example:
      gradient deployments stop d4e74a9c-b125-4bd7-b143-8f5c386df8a9
    """
    with connect() as client:
        click.echo(f"Stopped deployment: {client.deployments.stop_deployment(id)['id']}")


@command.command()
@id_parameter()
def start(id: str) -> None:
    """Start a stopped deployment.

    \b
    Example:
      gradient deployments start d4e74a9c-b125-4bd7-b143-8f5c386df8a9
    """
    with connect() as client:
        click.echo(f"Started deployment: {client.deployments.start_deployment(id)['id']}")


@command.command()
@id_parameter()
@show_secrets_option
@output_option("json", "yaml", "id")
def history(id: str, *, show_secrets: bool, output: str | None) -> None:
    """List the revisions of a deployment, newest first.

    Each revision has its author, its time and its changes. -o json and -o yaml print what `get_deployment_history` of
    the library returns, with hidden secrets. `gradient deployments get` shows them.

    \b
    Examples:
      gradient deployments history d4e74a9c-b125-4bd7-b143-8f5c386df8a9
      gradient deployments history d4e74a9c-b125-4bd7-b143-8f5c386df8a9 --show-secrets
    """
    with connect() as client:
        revisions = client.deployments.get_deployment_history(id, show_secrets=show_secrets)
    if output in {"json", "yaml"}:
        print_data([_without_secrets(revision, show_secrets) for revision in revisions], output or "json")
        return
    for revision in revisions:
        if output == "id":
            click.echo(revision["id"])
            continue
        author = revision["actor"]["fullName"] or "unknown"
        click.echo(printable(f"{revision['id']}  {revision['dtCreated']}  {author}"))
        for line in revision["difference"]["text"].splitlines() or ["no changes"]:
            click.echo(printable(f"    {line}"))


def _without_secrets(revision: DeploymentRevision, show_secrets: bool) -> dict[str, object]:
    return {**revision, "data": hide_in_spec(revision["data"], show_secrets=show_secrets)}


@command.command()
@id_parameter()
@click.option(
    "--to",
    metavar="REVISION-ID",
    required=True,
    help="The id of the revision. `gradient deployments history` lists them.",
)
def rollback(id: str, to: str) -> None:
    """Deploy an earlier revision again, as a new revision.

    \b
    Example:
      gradient deployments rollback d4e74a9c-b125-4bd7-b143-8f5c386df8a9 --to 8f5c4a9c-4bd7-b143-b125-8f5c386df8a9
    """
    with connect() as client:
        click.echo(f"Rolled back deployment: {client.deployments.rollback_deployment(id, to)['id']}")
