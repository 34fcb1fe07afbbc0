"""The commands that change what a deployment runs: apply, diff, scale, stop, start, history, rollback, validate."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from paperspace.gradient._spec.diff import hide_secrets
from paperspace.gradient.cli._commands import connect
from paperspace.gradient.cli._exit_codes import ExitCode
from paperspace.gradient.cli._output import output_option, print_data, print_message, printable
from paperspace.gradient.cli._progress import wait_with_progress
from paperspace.gradient.cli.deployments._group import command
from paperspace.gradient.cli.deployments._options import (
    cluster_option,
    id_parameter,
    image_option,
    name_option,
    project_option,
    read_spec,
    spec_option,
    wait_option,
)

if TYPE_CHECKING:
    from paperspace.gradient.types import AppliedDeployment


@command.command()
@name_option(required=True, help="The name of the deployment.")
@project_option(required=True, help="The project of the deployment.")
@spec_option(required=True)
@cluster_option(help="The cluster to deploy to. Default: its current cluster, or the server's default cluster.")
@image_option
@click.option("--dry-run", is_flag=True, help="Only show what would change.")
@wait_option
@output_option("json", "yaml", "id")
def apply(
    *,
    name: str,
    project_id: str,
    spec: str,
    cluster_id: str | None,
    image: str | None,
    dry_run: bool,
    wait: bool,
    output: str | None,
) -> None:
    """Create a deployment, or update it if its spec differs.

    The changes are printed to standard error.

    \b
    Example:
      gradient deployments apply --name mnist --project-id p1 --spec paperspace.yaml --wait
    """
    if dry_run and wait:
        raise click.UsageError("--dry-run and --wait cannot be used together.")
    content = read_spec(spec, image)
    with connect() as client:
        applied = client.deployments.apply_deployment(name, project_id, content, cluster_id, dry_run=dry_run)
        _print_applied(name, applied, output, dry_run=dry_run)
        if wait and applied["id"] is not None:
            wait_with_progress(client, applied["id"])


def _print_applied(name: str, applied: AppliedDeployment, output: str | None, *, dry_run: bool) -> None:
    match output:
        case "json" | "yaml":
            print_data(applied, output)
        case "id":
            if applied["id"]:
                click.echo(applied["id"])
        case _:
            if applied["difference"]["text"]:
                print_message(applied["difference"]["text"])
            result = f"{applied['action'].capitalize()} deployment: {applied['id'] or name}"
            click.echo(f"Dry run: {result}" if dry_run else result)


@command.command()
@name_option(required=True, help="The name of the deployment.")
@project_option(required=True, help="The project of the deployment.")
@spec_option(required=True)
@cluster_option(help="The cluster to compare with. Default: its current cluster.")
@image_option
@click.option("--exit-code", is_flag=True, help="Exit with code 8 if there are changes.")
@output_option("json", "yaml")
def diff(
    name: str,
    project_id: str,
    spec: str,
    cluster_id: str | None,
    image: str | None,
    exit_code: bool,
    output: str | None,
) -> int:
    """Show what `apply` would change, without changing it.

    \b
    Example:
      gradient deployments diff --name mnist --project-id p1 --spec paperspace.yaml --exit-code
    """
    content = read_spec(spec, image)
    with connect() as client:
        difference = client.deployments.diff_deployment(name, project_id, content, cluster_id)
    if output:
        print_data(difference, output)
    elif difference["text"]:
        click.echo(printable(difference["text"]))
    return ExitCode.DIFFERENT if exit_code and difference["changes"] else ExitCode.SUCCESS


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
@output_option("json", "yaml", "id")
def history(id: str, output: str | None) -> None:
    """List the revisions of a deployment, newest first.

    Each revision has its author, its time and its changes. -o json and -o yaml print what `get_deployment_history` of
    the library returns, with hidden passwords.

    \b
    Example:
      gradient deployments history d4e74a9c-b125-4bd7-b143-8f5c386df8a9
    """
    with connect() as client:
        revisions = client.deployments.get_deployment_history(id)
    if output in {"json", "yaml"}:
        print_data(_without_secrets(revisions), output or "json")
        return
    for revision in revisions:
        if output == "id":
            click.echo(revision["id"])
            continue
        author = revision["actor"]["fullName"] or "unknown"
        click.echo(printable(f"{revision['id']}  {revision['dtCreated']}  {author}"))
        for line in revision["difference"]["text"].splitlines() or ["no changes"]:
            click.echo(printable(f"    {line}"))


def _without_secrets(value: object) -> object:
    """Copy plain data with passwords hidden, as in a difference."""
    match value:
        case dict():
            return {key: _without_secrets(hide_secrets(key, entry)) for key, entry in value.items()}
        case list():
            return [_without_secrets(entry) for entry in value]
        case _:
            return value


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


@command.command()
@click.argument("file", required=False, type=click.Path(dir_okay=False, allow_dash=True))
@image_option
def validate(file: str | None, image: str | None) -> None:
    """Validate a spec file, without sending it.

    Every problem is printed with its line. The default FILE is the first that exists of paperspace.yaml, .yml, .json,
    .jsonc and .toml, then .paperspace/app.yaml and so on.

    \b
    Example:
      gradient deployments validate paperspace.yaml
    """
    read_spec(file, image)
    click.echo("The spec is valid.")
