"""The commands that change something: create, update and delete."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click

from paperspace.gradient.cli._client import deployments
from paperspace.gradient.cli._completion import complete_id
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
from paperspace.gradient.errors import NotFoundError

if TYPE_CHECKING:
    from paperspace.gradient.types import DeploymentRef


@command.command()
@name_option(required=True, help="The name, unique in its project.")
@project_option(required=True, help="The project that it belongs to.")
@spec_option(required=True)
@cluster_option(help="The cluster to deploy onto. By default the server's.")
@WAIT
@output_option("json", "yaml", "id")
def create(*, name: str, project_id: str, spec: str, cluster_id: str | None, wait: bool, output: str | None) -> None:
    """Create a deployment and start it.

    \b
    Examples:
      gradient deployments create --name mnist --project-id p1 --spec mnist.yaml --wait
      id=$(gradient deployments create --name mnist --project-id p1 --spec - -o id < mnist.json)
    """
    content = read_spec(spec)
    with deployments() as calls:
        created = calls.create_deployment(name, project_id, content, cluster_id)
        _say("Created", created, output)
        if wait:
            wait_for(calls, created["id"])


@command.command()
@id_parameter(required=False)
@name_option(help="The name; with an id, the new name.")
@project_option(help="The project; with an id, the project to move it to.")
@spec_option(required=False)
@cluster_option(help="The cluster to deploy onto from now on. By default no change.")
@WAIT
@output_option("json", "yaml", "id")
def update(
    *,
    id: str | None,
    name: str | None,
    project_id: str | None,
    spec: str | None,
    cluster_id: str | None,
    wait: bool,
    output: str | None,
) -> None:
    """Change a deployment: give it another spec, cluster, name or project.

    Without an id, it is the deployment of that name in that project. What is not given stays as it is; a spec is
    given whole.

    \b
    Examples:
      gradient deployments update --id d4e74a9c-b125-4bd7-b143-8f5c386df8a9 --spec mnist.yaml
      gradient deployments update --name mnist --project-id p1 --spec mnist.yaml
      gradient deployments update --id d4e74a9c-b125-4bd7-b143-8f5c386df8a9 --name digits
    """
    content = None if spec is None else read_spec(spec)
    changes = (name, project_id, content, cluster_id)
    with deployments() as calls:
        # An empty id, out of a variable that is not set, is a bad id: never a reason to look by name.
        if id is not None and changes != (None, None, None, None):
            updated = calls.update_deployment(*changes, id=id)
        elif id is None and name is not None and project_id is not None and content is not None:
            updated = calls.update_deployment(name, project_id, content, cluster_id)
        else:
            raise click.UsageError("Give --id and what to change, or --name, --project-id and --spec.")
        _say("Updated", updated, output)
        if wait:
            wait_for(calls, updated["id"])


@command.command()
@click.argument("arguments", metavar="[ID]...", nargs=-1, shell_complete=complete_id)
@click.option(
    "--id", "options", metavar="ID", multiple=True, shell_complete=complete_id, help="The id of a deployment."
)
@click.option("--yes", "-y", is_flag=True, help="Do not ask.")
def delete(arguments: tuple[str, ...], options: tuple[str, ...], yes: bool) -> None:
    """Delete one or more deployments.

    On a terminal it asks first, by name, and does nothing where one is not found. Elsewhere, or with --yes, it does
    not ask, and deletes the others all the same; the exit code is 3 then. Elsewhere, more than one needs --yes.

    \b
    Examples:
      gradient deployments delete --id d4e74a9c-b125-4bd7-b143-8f5c386df8a9
      gradient deployments list --project-id p1 -o id | xargs -r gradient deployments delete --yes
    """
    ids = list({entry.lower(): entry for entry in (*arguments, *options)}.values())
    if not ids:
        raise click.UsageError("The id of the deployment is missing. `gradient deployments list` shows it.")
    interactive = sys.stdin.isatty() and sys.stderr.isatty()
    if len(ids) > 1 and not yes and not interactive:
        raise click.UsageError(f"{len(ids)} deployments would be deleted, and there is nobody to ask: give --yes.")
    with deployments() as calls:
        if interactive and not yes:
            names = [calls.get_deployment(entry)["name"] for entry in ids]
            question = f"Delete {', '.join(printable(name) for name in names)}?"
            if not click.confirm(question, err=True):
                tell("Nothing was deleted.")
                raise click.exceptions.Exit(ExitCode.FAILED)
        missing: list[NotFoundError] = []
        for entry in ids:
            try:
                deleted = calls.delete_deployment(entry)
            except NotFoundError as error:
                missing.append(error)
            else:
                _say("Deleted", deleted, None)
    if missing:
        raise _joined(missing)


def _joined(missing: list[NotFoundError]) -> NotFoundError:
    """One error for them all; a single one stays what it is."""
    if len(missing) == 1:
        return missing[0]
    return NotFoundError("; ".join(str(error.args[0]) for error in missing))


def _say(what: str, deployment: DeploymentRef, output: str | None) -> None:
    match output:
        case "id":
            click.echo(deployment["id"])
        case None:
            click.echo(f"{what} deployment: {deployment['id']}")
        case _:
            write_data(deployment, output)
