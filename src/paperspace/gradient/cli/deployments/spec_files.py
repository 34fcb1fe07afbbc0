"""The commands that bring deployments to the state of spec files: apply, diff and validate."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from paperspace.gradient.cli._commands import connect
from paperspace.gradient.cli._exit_codes import ExitCode
from paperspace.gradient.cli._output import output_option, print_data, print_message, printable
from paperspace.gradient.cli._progress import wait_with_progress
from paperspace.gradient.cli.deployments._group import command
from paperspace.gradient.cli.deployments._options import (
    cluster_option,
    image_option,
    name_option,
    project_option,
    read_spec,
    show_secrets_option,
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
@show_secrets_option
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
    show_secrets: bool,
    output: str | None,
) -> None:
    """Create a deployment, or update it if its spec differs.

    The changes are printed to standard error, without the values of environment variables.

    \b
    Example:
      gradient deployments apply --name mnist --project-id p1 --spec paperspace.yaml --wait
    """
    if dry_run and wait:
        raise click.UsageError("--dry-run and --wait cannot be used together.")
    content = read_spec(spec, image)
    with connect() as client:
        applied = client.deployments.apply_deployment(
            name, project_id, content, cluster_id, dry_run=dry_run, show_secrets=show_secrets
        )
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
@show_secrets_option
@output_option("json", "yaml")
def diff(
    *,
    name: str,
    project_id: str,
    spec: str,
    cluster_id: str | None,
    image: str | None,
    exit_code: bool,
    show_secrets: bool,
    output: str | None,
) -> int:
    """Show what `apply` would change, without changing it.

    The values of environment variables are compared, but shown only with --show-secrets.

    \b
    Examples:
      gradient deployments diff --name mnist --project-id p1 --spec paperspace.yaml --exit-code
      gradient deployments diff --name mnist --project-id p1 --spec paperspace.yaml --show-secrets
    """
    content = read_spec(spec, image)
    with connect() as client:
        difference = client.deployments.diff_deployment(
            name, project_id, content, cluster_id, show_secrets=show_secrets
        )
    if output:
        print_data(difference, output)
    elif difference["text"]:
        click.echo(printable(difference["text"]))
    return ExitCode.DIFFERENT if exit_code and difference["changes"] else ExitCode.SUCCESS


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
