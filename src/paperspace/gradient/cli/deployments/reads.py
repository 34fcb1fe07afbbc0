"""The commands that look: list and get."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from paperspace.gradient.cli._calls import deployments
from paperspace.gradient.cli._tables import Column, draw
from paperspace.gradient.cli._text import output_option, printable, write_data
from paperspace.gradient.cli.deployments._group import (
    cluster_option,
    command,
    id_parameter,
    name_option,
    project_option,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from paperspace.gradient.types import Deployment, DeploymentSpec


@command.command("list")
@name_option(help="Only the deployment of exactly this name.")
@project_option(help="Only deployments of this project.")
@cluster_option(help="Only deployments that have a spec on this cluster, with those specs.")
@click.option("--limit", type=click.IntRange(0), metavar="N", help="The newest N only. By default all.")
@output_option("json", "yaml", "name", "id")
def list_(
    name: str | None, project_id: str | None, cluster_id: str | None, limit: int | None, output: str | None
) -> None:
    """List deployments, the newest first.

    On a terminal that is too narrow for the table, columns are left out; piped elsewhere, it is always whole. With
    -o json or -o yaml, each deployment is printed as `get_deployment` of the library returns it; with -o name or
    -o id, one a line.

    \b
    Examples:
      gradient deployments list --project-id p1
      gradient deployments list -o json | jq '.[].name'
    """
    with deployments() as calls:
        found = calls.list_deployments(name, project_id, cluster_id, first=limit)
    match output:
        case "name" | "id":
            for deployment in found:
                click.echo(printable(deployment[output]))
        case "json" | "yaml":
            write_data(found, output)
        case _ if found:
            draw(_COLUMNS, found)
        case _:
            click.echo("No deployments found")


@command.command()
@id_parameter()
@output_option("json", "yaml")
def get(id: str, output: str | None) -> None:
    """Show a deployment with all its specs, the newest first.

    It is printed as JSON with lists in place of connections, as the earlier official client did. With -o json or
    -o yaml, it is printed as `get_deployment` of the library returns it.

    \b
    Examples:
      gradient deployments get --id d4e74a9c-b125-4bd7-b143-8f5c386df8a9
      gradient deployments get d4e74a9c-b125-4bd7-b143-8f5c386df8a9 -o yaml
    """
    with deployments() as calls:
        found = calls.get_deployment(id)
    write_data(found if output else _with_lists(found), output or "json")


def _with_lists(value: object) -> object:
    """The same with every connection, which is a dict with nothing but `nodes`, as a list."""
    match value:
        case {"nodes": nodes, **others} if not others:
            return _with_lists(nodes)
        case dict():
            return {key: _with_lists(entry) for key, entry in value.items()}
        case list():
            return [_with_lists(entry) for entry in value]
        case _:
            return value


def _newest(deployment: Deployment) -> DeploymentSpec | None:
    """The spec that is to run. A deployment made elsewhere may have none."""
    return next(iter(deployment["deploymentSpecs"]["nodes"]), None)


def _image(deployment: Deployment) -> str:
    spec = _newest(deployment)
    return spec["data"]["image"] if spec else "-"


def _replicas(deployment: Deployment) -> str:
    spec = _newest(deployment)
    resources = spec["data"]["resources"] if spec else None
    return str(resources["replicas"]) if resources else "-"


def _endpoint(deployment: Deployment) -> str:
    spec = _newest(deployment)
    return spec["endpointUrl"] if spec else "-"


# The table. A column more is a line here and a function above.
_COLUMNS: dict[Column, Callable[[Deployment], str]] = {
    Column("Name", least=12): lambda deployment: deployment["name"],
    Column("ID"): lambda deployment: deployment["id"],
    Column("Image", rank=2, least=16): _image,
    Column("Replicas", rank=1, right=True): _replicas,
    Column("Endpoint", rank=3): _endpoint,
}
