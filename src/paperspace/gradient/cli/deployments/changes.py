"""The commands that bring a deployment to a state: apply, diff, scale, stop, start, history, rollback, validate."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from paperspace.gradient._spec.diff import hide_secrets
from paperspace.gradient.cli._client import deployments
from paperspace.gradient.cli._errors import ExitCode
from paperspace.gradient.cli._output import output_option, printable, tell, write_data
from paperspace.gradient.cli._spec_options import read_spec, spec_option
from paperspace.gradient.cli.deployments._group import (
    cluster_option,
    command,
    id_parameter,
    name_option,
    project_option,
)
from paperspace.gradient.cli.deployments._wait import WAIT, wait_for

if TYPE_CHECKING:
    from paperspace.gradient.types import AppliedDeployment

IMAGE = click.option("--image", metavar="IMAGE", help="The image that `:image` in the file stands for.")


@command.command()
@name_option(required=True, help="The name of the deployment.")
@project_option(required=True, help="The project that it belongs to.")
@spec_option(required=True)
@cluster_option(help="The cluster to deploy onto. By default wherever it is, or the server's default.")
@IMAGE
@click.option("--dry-run", is_flag=True, help="Only say what would be done.")
@WAIT
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
    """Create a deployment, update it, or do nothing, whichever brings it to the spec.

    What changes is shown on stderr.

    \b
    Example:
      gradient deployments apply --name mnist --project-id p1 --spec paperspace.yaml --wait
    """
    if dry_run and wait:
        raise click.UsageError("A dry run changes nothing to wait for: give --dry-run or --wait.")
    content = read_spec(spec, image)
    with deployments() as calls:
        applied = calls.apply_deployment(name, project_id, content, cluster_id, dry_run=dry_run)
        _say(name, applied, output, dry_run=dry_run)
        if wait and applied["id"] is not None:
            wait_for(calls, applied["id"])


def _say(name: str, applied: AppliedDeployment, output: str | None, *, dry_run: bool) -> None:
    match output:
        case "json" | "yaml":
            write_data(applied, output)
        case "id":
            if applied["id"]:
                click.echo(applied["id"])
        case _:
            if applied["difference"]["text"]:
                tell(applied["difference"]["text"])
            done = f"{applied['action'].capitalize()} deployment: {applied['id'] or name}"
            click.echo(f"Not done, a dry run: {done}" if dry_run else done)


@command.command()
@name_option(required=True, help="The name of the deployment.")
@project_option(required=True, help="The project that it belongs to.")
@spec_option(required=True)
@cluster_option(help="The cluster that it is to be on. By default wherever it is.")
@IMAGE
@click.option("--exit-code", is_flag=True, help="Exit with 8 where something differs.")
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
    """Show what `apply` would change. Nothing is changed.

    \b
    Example:
      gradient deployments diff --name mnist --project-id p1 --spec paperspace.yaml --exit-code
    """
    content = read_spec(spec, image)
    with deployments() as calls:
        difference = calls.diff_deployment(name, project_id, content, cluster_id)
    if output:
        write_data(difference, output)
    elif difference["text"]:
        click.echo(printable(difference["text"]))
    return ExitCode.DIFFERS if exit_code and difference["changes"] else ExitCode.FINE


@command.command()
@id_parameter()
@click.option("--replicas", type=click.IntRange(0), required=True, metavar="N", help="How many replicas to run.")
def scale(id: str, replicas: int) -> None:
    """Change the number of replicas, and nothing else.

    \b
    Example:
      gradient deployments scale d4e74a9c-b125-4bd7-b143-8f5c386df8a9 --replicas 3
    """
    with deployments() as calls:
        scaled = calls.scale_deployment(id, replicas)
    click.echo(f"Scaled deployment: {scaled['id']}")


@command.command()
@id_parameter()
def stop(id: str) -> None:
    """Stop a deployment. Its spec stays as it is otherwise.

    \b
    Example:
      gradient deployments stop d4e74a9c-b125-4bd7-b143-8f5c386df8a9
    """
    with deployments() as calls:
        click.echo(f"Stopped deployment: {calls.stop_deployment(id)['id']}")


@command.command()
@id_parameter()
def start(id: str) -> None:
    """Start a deployment that was stopped.

    \b
    Example:
      gradient deployments start d4e74a9c-b125-4bd7-b143-8f5c386df8a9
    """
    with deployments() as calls:
        click.echo(f"Started deployment: {calls.start_deployment(id)['id']}")


@command.command()
@id_parameter()
@output_option("json", "yaml", "id")
def history(id: str, output: str | None) -> None:
    """Show the specs of a deployment, the newest first: who made each, when, and what it changed.

    With -o json or -o yaml, each is printed as `get_deployment_history` of the library returns it, but for passwords,
    which are hidden in every output.

    \b
    Example:
      gradient deployments history d4e74a9c-b125-4bd7-b143-8f5c386df8a9
    """
    with deployments() as calls:
        revisions = calls.get_deployment_history(id)
    if output in {"json", "yaml"}:
        write_data(_without_passwords(revisions), output or "json")
        return
    for revision in revisions:
        if output == "id":
            click.echo(revision["id"])
            continue
        maker = revision["actor"]["fullName"] or "somebody"
        click.echo(printable(f"{revision['id']}  {revision['dtCreated']}  {maker}"))
        for line in revision["difference"]["text"].splitlines() or ["changes nothing"]:
            click.echo(printable(f"    {line}"))


def _without_passwords(value: object) -> object:
    """The same, with passwords hidden as in a difference."""
    match value:
        case dict():
            return {key: _without_passwords(hide_secrets(key, entry)) for key, entry in value.items()}
        case list():
            return [_without_passwords(entry) for entry in value]
        case _:
            return value


@command.command()
@id_parameter()
@click.option("--to", metavar="SPEC-ID", required=True, help="The spec to put back; `history` shows them.")
def rollback(id: str, to: str) -> None:
    """Put an earlier spec back into force, as a new one.

    \b
    Example:
      gradient deployments rollback d4e74a9c-b125-4bd7-b143-8f5c386df8a9 --to 8f5c4a9c-4bd7-b143-b125-8f5c386df8a9
    """
    with deployments() as calls:
        click.echo(f"Rolled back deployment: {calls.rollback_deployment(id, to)['id']}")


@command.command()
@click.argument("file", required=False, type=click.Path(dir_okay=False, allow_dash=True))
@IMAGE
def validate(file: str | None, image: str | None) -> None:
    """Check a spec file; every mistake is shown with its line. Nothing is sent.

    Without FILE it is the first of paperspace.yaml, .yml, .json, .jsonc, .toml, and .paperspace/app.yaml and so on.

    \b
    Example:
      gradient deployments validate paperspace.yaml
    """
    read_spec(file, image)
    click.echo("The spec is valid.")
