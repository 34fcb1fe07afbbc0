"""The commands create and delete."""

from __future__ import annotations

import sys

import click

from paperspace.gradient.cli._client import connect
from paperspace.gradient.cli._exit_codes import ExitCode
from paperspace.gradient.cli._output import output_option, print_message, printable
from paperspace.gradient.cli._progress import wait_with_progress
from paperspace.gradient.cli.deployments._deleter import Deleter
from paperspace.gradient.cli.deployments._group import command
from paperspace.gradient.cli.deployments._options import (
    Overrides,
    cluster_option,
    name_and_project,
    name_option,
    override_options,
    print_result,
    project_option,
    read_spec,
    spec_option,
    wait_options,
)
from paperspace.gradient.cli.deployments._target import Target, find_all, targets_parameter


@command.command()
@name_option(help="The name, unique in its project. Default: `name` in the spec file.")
@project_option(help="The project of the deployment. Default: `projectId` in the spec file.")
@spec_option(required=True)
@override_options
@cluster_option(help="The cluster to deploy to. Default: the server's default cluster.")
@wait_options
@output_option("json", "yaml", "id")
def create(
    *,
    name: str | None,
    project_id: str | None,
    spec: str,
    overrides: Overrides,
    cluster_id: str | None,
    wait: float | None,
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
        created = client.deployments._create(  # noqa: SLF001  # inside the package
            name, project_id, file.spec, cluster_id, with_specs=wait is not None
        )
        print_result("Created", {"id": created.id}, output)
        if wait:
            wait_with_progress(client, created.id, wait, created.spec_id)


@command.command()
@targets_parameter(or_project=False)
@click.option("--yes", "-y", is_flag=True, help="Do not ask for confirmation.")
@output_option("json", "yaml", "id")
def delete(targets: list[Target], project_id: str | None, *, yes: bool, output: str | None) -> None:
    """Delete one or more deployments.

    On a terminal, the command shows the names and asks for confirmation. With --yes, or without a terminal, it does not
    ask. Without a terminal, it deletes more than one deployment only with --yes.

    If one of the deployments does not exist, the exit code is 3. A command that asks for confirmation then deletes no deployment at all.
    If the command does not ask, it deletes the other deployments. If several deployments have the same name, the command
    lists these deployments and deletes nothing.

    With several deployments, -o json and -o yaml print a list of those that were deleted.

    \b
    Examples:
      gradient deployments delete mnist --project-id p1
      gradient deployments delete --id d4e74a9c-b125-4bd7-b143-8f5c386df8a9
      gradient deployments list --project-id p1 -o id | xargs -r gradient deployments delete --yes
    """
    interactive = sys.stdin.isatty() and sys.stderr.isatty()
    if len(targets) > 1 and not yes and not interactive:
        raise click.UsageError(f"Pass --yes to delete {len(targets)} deployments without a terminal.")
    with connect() as client:
        deleter = Deleter(client, output, as_list=len(targets) > 1)
        if interactive and not yes:
            names = find_all(client, targets, project_id)
            if not click.confirm(f"Delete {', '.join(map(printable, names.values()))}?", err=True):
                print_message("Nothing was deleted.")
                raise click.exceptions.Exit(ExitCode.FAILED)
            ids = list(names)
        else:
            ids = deleter.find(targets, project_id)
        deleter.delete(ids)
