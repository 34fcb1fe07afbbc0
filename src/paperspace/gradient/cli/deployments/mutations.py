"""The commands create and delete."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click

from paperspace.gradient.cli._commands import connect
from paperspace.gradient.cli._exit_codes import ExitCode
from paperspace.gradient.cli._output import output_option, print_line, print_message, printable
from paperspace.gradient.cli._progress import wait_with_progress
from paperspace.gradient.cli.deployments._group import command
from paperspace.gradient.cli.deployments._options import (
    NOT_FOUND,
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
from paperspace.gradient.errors import NotFoundError

if TYPE_CHECKING:
    from paperspace.gradient.client import Client


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
def delete(targets: list[Target], project_id: str | None, yes: bool) -> None:
    """Delete one or more deployments.

    On a terminal, the command shows the names and asks for confirmation. With --yes, or without a terminal, it does not
    ask. Without a terminal, it deletes more than one deployment only with --yes.

    If one of the deployments does not exist, the exit code is 3. A command that asks for confirmation then deletes no deployment at all.
    If the command does not ask, it deletes the other deployments. If several deployments have the same name, the command
    lists these deployments and deletes nothing.

    \b
    Examples:
      gradient deployments delete mnist --project-id p1
      gradient deployments delete --id d4e74a9c-b125-4bd7-b143-8f5c386df8a9
      gradient deployments list --project-id p1 -o id | xargs -r gradient deployments delete --yes
    """
    interactive = sys.stdin.isatty() and sys.stderr.isatty()
    if len(targets) > 1 and not yes and not interactive:
        raise click.UsageError(f"Pass --yes to delete {len(targets)} deployments without a terminal.")
    not_found: list[NotFoundError] = []
    with connect() as client:
        if interactive and not yes:
            names = find_all(client, targets, project_id)
            if not click.confirm(f"Delete {', '.join(map(printable, names.values()))}?", err=True):
                print_message("Nothing was deleted.")
                raise click.exceptions.Exit(ExitCode.FAILED)
            ids = list(names)
        else:
            ids = _find_existing(client, targets, project_id, not_found)
        for deployment_id in ids:
            try:
                deleted = client.deployments.delete_deployment(deployment_id)
            except NotFoundError as error:
                print_line(NOT_FOUND)
                not_found.append(error)
            else:
                print_result("Deleted", deleted, None)
    if not_found:
        raise _combine(not_found)


def _find_existing(
    client: Client, targets: list[Target], project_id: str | None, not_found: list[NotFoundError]
) -> list[str]:
    """Return the ids of deployments, each once. Report names that none has, and collect their errors."""
    ids: dict[str, str] = {}
    for target in targets:
        try:
            id_ = target.find(client, project_id)
        except NotFoundError as error:
            print_line(NOT_FOUND)
            not_found.append(error)
        else:
            ids[id_.lower()] = id_
    return list(ids.values())


def _combine(not_found: list[NotFoundError]) -> NotFoundError:
    """Return one error for several. A single error is returned unchanged."""
    if len(not_found) == 1:
        return not_found[0]
    return NotFoundError("; ".join(str(error.args[0]) for error in not_found))
