"""The commands create, update and delete."""

from __future__ import annotations

import sys
from contextlib import nullcontext
from typing import TYPE_CHECKING

import click

from paperspace.gradient.cli._commands import connect
from paperspace.gradient.cli._completion import complete_id
from paperspace.gradient.cli._exit_codes import ExitCode
from paperspace.gradient.cli._output import output_option, print_data, print_message, printable
from paperspace.gradient.cli._progress import wait_with_progress
from paperspace.gradient.cli.deployments._group import command
from paperspace.gradient.cli.deployments._options import (
    MISSING_ID,
    Overrides,
    cluster_option,
    id_parameter,
    name_and_project,
    name_option,
    override_options,
    project_option,
    read_spec,
    spec_option,
    wait_option,
)
from paperspace.gradient.errors import NotFoundError

if TYPE_CHECKING:
    from paperspace.gradient.types import DeploymentRef


@command.command()
@name_option(help="The name, unique in its project. Default: `name` in the spec file.")
@project_option(help="The project of the deployment. Default: `projectId` in the spec file.")
@spec_option(required=True)
@override_options
@cluster_option(help="The cluster to deploy to. Default: the server's default cluster.")
@wait_option
@output_option("json", "yaml", "id")
def create(
    *,
    name: str | None,
    project_id: str | None,
    spec: str,
    overrides: Overrides,
    cluster_id: str | None,
    wait: bool,
    output: str | None,
) -> None:
    """Create a deployment.

    \b
    Examples:
      gradient deployments create --name mnist --project-id p1 --spec mnist.yaml --wait
      gradient deployments create --spec paperspace.yaml --image registry.example.com/mnist:1.5
      id=$(gradient deployments create --name mnist --project-id p1 --spec - -o id < mnist.json)
    """
    file = read_spec(spec, overrides)
    name, project_id = name_and_project(file, name, project_id)
    with file.located_errors(), connect() as client:
        created = client.deployments.create_deployment(name, project_id, file.spec, cluster_id)
        _print_result("Created", created, output)
        if wait:
            wait_with_progress(client, created["id"])


@command.command()
@id_parameter(required=False)
@name_option(help="The name of the deployment; with an id, its new name.")
@project_option(help="The project of the deployment; with an id, its new project.")
@spec_option()
@override_options
@cluster_option(help="The cluster to deploy to. Default: no change.")
@wait_option
@output_option("json", "yaml", "id")
def update(
    *,
    id: str | None,
    name: str | None,
    project_id: str | None,
    spec: str | None,
    overrides: Overrides,
    cluster_id: str | None,
    wait: bool,
    output: str | None,
) -> None:
    """Update the spec, cluster, name or project of a deployment.

    Without an id, the deployment is found by --name and --project-id, or by `name` and `projectId` in the spec file.
    Options that are not passed change nothing; a spec replaces the whole previous spec.

    \b
    Examples:
      gradient deployments update --id d4e74a9c-b125-4bd7-b143-8f5c386df8a9 --spec mnist.yaml
      gradient deployments update --name mnist --project-id p1 --spec mnist.yaml
      gradient deployments update --id d4e74a9c-b125-4bd7-b143-8f5c386df8a9 --name digits
    """
    file = None if spec is None else read_spec(spec, overrides)
    if file is None and overrides != Overrides():
        raise click.UsageError("--image, --env-file and --env-subst change the spec of a file: pass --spec.")
    if file is not None and id is None:  # with an id, only the options rename or move the deployment
        name, project_id = name_and_project(file, name, project_id)
    content = None if file is None else file.spec
    changes = (name, project_id, content, cluster_id)
    with nullcontext() if file is None else file.located_errors(), connect() as client:
        # An empty id, from a shell variable that is not set, is an error; the name must not be used in its place.
        if id is not None and changes != (None, None, None, None):
            updated = client.deployments.update_deployment(*changes, id=id)
        elif id is None and name is not None and project_id is not None and content is not None:
            updated = client.deployments.update_deployment(name, project_id, content, cluster_id)
        else:
            raise click.UsageError("Pass --id and what to change, or --name, --project-id and --spec.")
        _print_result("Updated", updated, output)
        if wait:
            wait_with_progress(client, updated["id"])


@command.command()
@click.argument("arguments", metavar="[ID]...", nargs=-1, shell_complete=complete_id)
@click.option(
    "--id", "options", metavar="ID", multiple=True, shell_complete=complete_id, help="The id of a deployment."
)
@click.option("--yes", "-y", is_flag=True, help="Do not ask for confirmation.")
def delete(arguments: tuple[str, ...], options: tuple[str, ...], yes: bool) -> None:
    """Delete one or more deployments.

    On a terminal, it asks for confirmation with the names, and deletes nothing if an id does not exist. With --yes, or
    without a terminal, it deletes those that exist; if one does not, the exit code is 3. Without a terminal, more than
    one deployment requires --yes.

    \b
    Examples:
      gradient deployments delete --id d4e74a9c-b125-4bd7-b143-8f5c386df8a9
      gradient deployments list --project-id p1 -o id | xargs -r gradient deployments delete --yes
    """
    ids = list({value.lower(): value for value in (*arguments, *options)}.values())
    if not ids:
        raise click.UsageError(MISSING_ID)
    interactive = sys.stdin.isatty() and sys.stderr.isatty()
    if len(ids) > 1 and not yes and not interactive:
        raise click.UsageError(f"Pass --yes to delete {len(ids)} deployments without a terminal.")
    with connect() as client:
        if interactive and not yes:
            names = [client.deployments.get_deployment(value)["name"] for value in ids]
            question = f"Delete {', '.join(printable(name) for name in names)}?"
            if not click.confirm(question, err=True):
                print_message("Nothing was deleted.")
                raise click.exceptions.Exit(ExitCode.FAILED)
        not_found: list[NotFoundError] = []
        for deployment_id in ids:
            try:
                deleted = client.deployments.delete_deployment(deployment_id)
            except NotFoundError as error:
                not_found.append(error)
            else:
                _print_result("Deleted", deleted, None)
    if not_found:
        raise _combine(not_found)


def _combine(not_found: list[NotFoundError]) -> NotFoundError:
    """Return one error for several. A single error is returned unchanged."""
    if len(not_found) == 1:
        return not_found[0]
    return NotFoundError("; ".join(str(error.args[0]) for error in not_found))


def _print_result(action: str, deployment: DeploymentRef, output: str | None) -> None:
    match output:
        case "id":
            click.echo(deployment["id"])
        case None:
            click.echo(f"{action} deployment: {deployment['id']}")
        case _:
            print_data(deployment, output)
