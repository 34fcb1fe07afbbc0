"""The command `status`: the state of deployments, for a person and for scripts."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from paperspace.gradient._shared.lazy import lazy_modules
from paperspace.gradient.cli._client import connect
from paperspace.gradient.cli._output import output_option, print_data, printable
from paperspace.gradient.cli.deployments._group import command
from paperspace.gradient.cli.deployments._options import project_option
from paperspace.gradient.cli.deployments._statuses import endpoint, print_statuses, ready_replicas
from paperspace.gradient.cli.deployments._target import Target, target_parameter

if TYPE_CHECKING:
    from collections.abc import Iterator

    from paperspace.gradient.deployments import _status
    from paperspace.gradient.types import DeploymentStatus
else:
    [_status] = lazy_modules("paperspace.gradient.deployments", "_status")


@command.command()
@target_parameter(required=False)
@project_option(help="Only deployments of this project. Default: all.")
@output_option("json", "yaml")
def status(target: Target | None, project_id: str | None, output: str | None) -> None:
    """Show the state of a deployment: its replicas, endpoint, instances, and what is wrong.

    Without a name or an id, all deployments are listed. -o json and -o yaml print what `get_deployment_status` of the
    library returns, or a list of this for all deployments.

    \b
    Examples:
      gradient deployments status mnist
      gradient deployments status mnist -o json | jq -r .state
    """
    with connect() as client:
        if target is None:
            statuses = client.deployments.list_deployment_statuses(project_id=project_id, first=None)
            if output:
                print_data(statuses, output)
            else:
                print_statuses(statuses)
            return
        shown = client.deployments.get_deployment_status(target.find(client, project_id))
    if output:
        print_data(shown, output)
    else:
        for line in _lines(shown):
            click.echo(printable(line))


def _lines(status: DeploymentStatus) -> Iterator[str]:
    """Yield the lines that describe a status."""
    facts = {
        "Name": status["name"],
        "ID": status["id"],
        "State": _status.state_text(status),
        "Replicas": f"{ready_replicas(status)} ready",
        "Image": status["image"],
        "Endpoint": endpoint(status),
        "Revision": f"{status['specId']}, created {status['dtSpecCreated']}",
    }
    if not status["applied"] and not status["error"]:
        facts["Revision"] += ", not applied yet"
    if status["error"]:
        facts["Error"] = status["error"]
    width = max(map(len, facts)) + 3  # with the colon, and two spaces
    yield from (f"{title + ':':{width}}{value}" for title, value in facts.items())
    if status["instances"]:
        yield "Instances:"
    for instance in status["instances"]:
        message = "" if instance["message"] in {None, status["error"]} else instance["message"]
        yield f"  {instance['name'] or 'not named yet'}  {instance['state'] or 'unknown'}  {message}".rstrip()
