"""The group, and the parameters that several of its commands have."""

from __future__ import annotations

from functools import wraps
from typing import TYPE_CHECKING, Any

import click

from paperspace.gradient.cli._commands import Group
from paperspace.gradient.cli._completion import complete_id, complete_name

if TYPE_CHECKING:
    from collections.abc import Callable

    Function = Callable[..., Any]


@click.group("deployments", cls=Group)
def command() -> None:
    """Create, change, look at and delete deployments.

    \b
    Example:
      gradient deployments list --project-id p1
    """


def id_parameter(*, required: bool = True) -> Callable[[Function], Function]:
    """The id of a deployment, as an argument or as the option `--id`; the function gets it as `id`."""

    def add(function: Function) -> Function:
        @click.argument("argument", metavar="[ID]", required=False, shell_complete=complete_id)
        @click.option("--id", metavar="ID", shell_complete=complete_id, help="The id of the deployment.")
        @wraps(function)
        def with_id(*, id: str | None, argument: str | None, **others: Any) -> Any:
            if id is not None and argument is not None:
                raise click.UsageError(f"Two ids are given, {argument} and {id}; give one.")
            given = argument if id is None else id
            if required and given is None:
                raise click.UsageError("The id of the deployment is missing. `gradient deployments list` shows it.")
            return function(id=given, **others)

        return with_id

    return add


def name_option(*, required: bool = False, help: str) -> Callable[[Function], Function]:
    """The name of a deployment."""
    return click.option("--name", metavar="NAME", required=required, shell_complete=complete_name, help=help)


def project_option(*, required: bool = False, help: str) -> Callable[[Function], Function]:
    """The id of a project."""
    return click.option("--project-id", "--projectId", "project_id", metavar="ID", required=required, help=help)


def cluster_option(*, help: str) -> Callable[[Function], Function]:
    """The id of a cluster."""
    return click.option("--cluster-id", "--clusterId", "cluster_id", metavar="ID", help=help)
