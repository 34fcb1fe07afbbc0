"""The commands that look: list and get."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

import click

from paperspace.gradient.cli._client import deployments
from paperspace.gradient.cli._output import output_option, printable, write_data
from paperspace.gradient.cli._tables import Column, draw
from paperspace.gradient.cli.deployments._group import (
    cluster_option,
    command,
    id_parameter,
    name_option,
    project_option,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from paperspace.gradient.types import DeploymentStatus


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
        if output is None:
            _show(calls.list_deployment_statuses(name, project_id, cluster_id, first=limit))
            return
        found = calls.list_deployments(name, project_id, cluster_id, first=limit)
    if output in {"json", "yaml"}:
        write_data(found, output)
        return
    for deployment in found:
        click.echo(printable(deployment["name" if output == "name" else "id"]))


def _show(statuses: list[DeploymentStatus]) -> None:
    if statuses:
        draw(_COLUMNS, statuses)
    else:
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


def _replicas(status: DeploymentStatus) -> str:
    return f"{status['readyReplicas']}/{status['replicas']}"


def _age(status: DeploymentStatus) -> str:
    """How long ago it was created, in the largest unit that is over."""
    seconds = int((datetime.now(UTC) - datetime.fromisoformat(status["dtCreated"])).total_seconds())
    for unit, length in {"d": 86400, "h": 3600, "m": 60}.items():
        if seconds >= length:
            return f"{seconds // length}{unit}"
    return f"{max(seconds, 0)}s"


# The table. A column more is a line here and perhaps a function above.
_COLUMNS: dict[Column, Callable[[DeploymentStatus], str]] = {
    Column("Name", least=12): lambda status: status["name"],
    Column("ID"): lambda status: status["id"],
    Column("Image", rank=4, least=16): lambda status: status["image"],
    Column("Replicas", rank=1, right=True): _replicas,
    Column("State", rank=2): lambda status: status["state"],
    Column("Endpoint", rank=5): lambda status: status["endpointUrl"],
    Column("Age", rank=3, right=True): _age,
}
