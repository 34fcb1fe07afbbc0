"""The commands that read: list, get and open."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING
from warnings import catch_warnings

import click

from paperspace.gradient._shared.lazy import lazy_modules
from paperspace.gradient.cli._client import connect
from paperspace.gradient.cli._output import output_option, print_data, print_message, printable
from paperspace.gradient.cli.deployments._group import command
from paperspace.gradient.cli.deployments._options import NOT_FOUND, cluster_option, name_option, project_option
from paperspace.gradient.cli.deployments._statuses import print_statuses, with_state
from paperspace.gradient.cli.deployments._target import Target, lookup_project_option, target_parameter
from paperspace.gradient.cli.deployments._watched_list import Filters, watch_list
from paperspace.gradient.errors import NotFoundError

if TYPE_CHECKING:
    from paperspace.gradient._spec import files
else:
    [files] = lazy_modules("paperspace.gradient._spec", "files")


@command.command("list")
@name_option(help="Only deployments with exactly this name.")
@project_option(help="Only deployments in this project.")
@cluster_option(
    help="Only deployments that have a revision on this cluster. Their revisions on other clusters are left out."
)
@click.option("--limit", type=click.IntRange(0), metavar="N", help="Only the newest N deployments.")
@click.option("--watch", "-w", is_flag=True, help="Show changes until Ctrl-C.")
@output_option("json", "yaml", "name", "id")
def list_(
    *,
    name: str | None,
    project_id: str | None,
    cluster_id: str | None,
    limit: int | None,
    watch: bool,
    output: str | None,
) -> None:
    """List deployments, newest first.

    If the terminal is too narrow for the table, some columns are hidden. A pipe or a file gets all columns. -o json and
    -o yaml print what `list_deployments` of the library returns, and the state, the replicas and the endpoint of each
    deployment. -o name and -o id print one name or id per line.

    With --watch, the table is updated on a terminal. A pipe or a file gets the table, and then a row for each change. With
    -o json, each row is a JSON object in its own line. The last row of a deleted deployment has the state `deleted`.

    \b
    Examples:
      gradient deployments list --project-id p1
      gradient deployments list --watch
      gradient deployments list -o json | jq -r '.[] | select(.state == "failed") | .name'
    """
    if watch and output not in {None, "json"}:
        raise click.UsageError("With --watch, pass -o json or no -o.")
    with connect() as client:
        if watch:
            watch_list(client, Filters(name, project_id, cluster_id, limit), output)
            return
        if output in {"name", "id"}:
            for deployment in client.deployments.list_deployments(name, project_id, cluster_id, first=limit):
                click.echo(printable(deployment["name" if output == "name" else "id"]))
            return
        statuses = client.deployments.list_deployment_statuses(name, project_id, cluster_id, first=limit)
        if output is None:
            print_statuses(statuses)
            return
        deployments = client.deployments.list_deployments(name, project_id, cluster_id, first=limit)
    by_id = {status["id"]: status for status in statuses}
    # A deployment that was created between the two requests has no status yet: it is left out, as it would be a moment ago.
    print_data([with_state(node, by_id[node["id"]]) for node in deployments if node["id"] in by_id], output)


@command.command()
@target_parameter()
@lookup_project_option
@click.option("--spec", is_flag=True, help="Print only the newest spec, as a spec file.")
@output_option("json", "yaml")
def get(target: Target, project_id: str | None, spec: bool, output: str | None) -> None:
    """Show a deployment with all its revisions, newest first.

    Without options, it prints the same JSON as the retired official client: each revision with its whole spec, its
    cluster, and its runs with their instances. -o json and -o yaml print what `get_deployment` of the library returns.

    --spec prints the newest spec as a spec file: YAML, or JSON with -o json. You can pass this output to `--spec -` of
    `apply`, `create`, `update` and `diff`.

    The output contains the secrets of the spec. Only -o json and -o yaml without --spec print no secrets.

    \b
    Examples:
      gradient deployments get mnist
      gradient deployments get --id d4e74a9c-b125-4bd7-b143-8f5c386df8a9 -o yaml
      gradient deployments get mnist --spec > mnist.yaml
      gradient deployments get mnist --spec | gradient deployments create --name copy --project-id p1 --spec -
    """
    as_retired = not spec and output is None
    with connect() as client:
        try:
            found = target.find(client, project_id)
            data: object
            if spec:
                data = files.file_content(client.deployments.get_deployment_spec(found))
                output = output or "yaml"
            elif output:
                data = client.deployments.get_deployment(found)
            else:
                data = _connections_to_lists(client.deployments._get_deployment_details(found))  # noqa: SLF001  # inside the package
        except NotFoundError:
            if as_retired:
                click.echo(NOT_FOUND)
            raise
    print_data(data, output or "json")


@command.command("open")
@target_parameter()
@lookup_project_option
@click.option("--no-browser", is_flag=True, help="Only print the URL.")
def open_(target: Target, project_id: str | None, no_browser: bool) -> None:
    """Print the endpoint of a deployment, and open it in a browser.

    If the output is not a terminal, the URL is only printed.

    \b
    Examples:
      gradient deployments open mnist
      curl "$(gradient deployments open mnist)"
    """
    with connect() as client:
        status = client.deployments.get_deployment_status(target.find(client, project_id))
    url = status["endpointUrl"]
    click.echo(printable(url))
    if status["protected"]:
        print_message(
            f"The endpoint is protected. On the machine of the server, `gradient server credentials {status['name']}` prints "
            "the user name and the password."
        )
    if no_browser or not sys.stdout.isatty():
        return
    if not url.startswith(("http://", "https://")):  # a server must not open files
        raise click.ClickException("The URL is not opened, because it does not start with http:// or https://.")
    with catch_warnings(action="ignore", category=ResourceWarning):  # the browser outlives the command
        click.launch(url)


def _connections_to_lists(value: object) -> object:
    """Replace every connection, which is a dict with only `nodes`, by the list of its nodes."""
    match value:
        case {"nodes": nodes, **others} if not others:
            return _connections_to_lists(nodes)
        case dict():
            return {key: _connections_to_lists(entry) for key, entry in value.items()}
        case list():
            return [_connections_to_lists(entry) for entry in value]
        case _:
            return value
