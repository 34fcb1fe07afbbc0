"""The commands that watch a deployment: wait, events and logs."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import click

from paperspace.gradient._core.defaults import DEFAULT_WAIT
from paperspace.gradient.cli._commands import connect
from paperspace.gradient.cli._output import output_option, print_data, printable
from paperspace.gradient.cli._progress import wait_with_progress
from paperspace.gradient.cli._tables import Column, print_table
from paperspace.gradient.cli.deployments._group import command
from paperspace.gradient.cli.deployments._target import Target, lookup_project_option, target_parameter

if TYPE_CHECKING:
    from collections.abc import Callable

    from paperspace.gradient.types import DeploymentEvent

_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400}


@command.command()
@target_parameter()
@lookup_project_option
@click.option(
    "--timeout",
    type=click.FloatRange(0, min_open=True),
    default=DEFAULT_WAIT,
    show_default=True,
    metavar="SECONDS",
    help="The seconds to wait.",
)
@output_option("json", "yaml")
def wait(target: Target, project_id: str | None, timeout: float, output: str | None) -> None:
    """Wait until the newest revision is ready, or the deployment is stopped.

    Events are printed to standard error. On a terminal, a progress bar is shown too. The exit code is 6 if the deployment
    fails, and 7 if it is not ready in time.

    \b
    Example:
      gradient deployments wait mnist --timeout 300
    """
    with connect() as client:
        status = wait_with_progress(client, target.find(client, project_id), timeout)
    if output:
        print_data(status, output)
    else:
        click.echo(f"{status['state'].capitalize()} deployment: {status['id']}")


@command.command()
@target_parameter()
@lookup_project_option
@click.option("--follow", "-f", is_flag=True, help="Print events as they happen until the deployment is deleted.")
@click.option("--limit", type=click.IntRange(0), metavar="N", help="Only the last N events.")
@output_option("json", "yaml")
def events(target: Target, project_id: str | None, *, follow: bool, limit: int | None, output: str | None) -> None:
    """List the events of a deployment by time, the last one at the end.

    An event that happened several times is listed once, with its count; its time and message are those of the latest one. -o
    json and -o yaml print all its fields. With --follow, -o json prints one JSON object per line.

    \b
    Examples:
      gradient deployments events mnist
      gradient deployments events mnist -f
    """
    with connect() as client:
        found = target.find(client, project_id)
        if follow:
            for event in client.deployments._follow_deployment_events(found, limit):  # noqa: SLF001  # inside the package
                _print_event(event, output)
            return
        listed = client.deployments.get_deployment_events(found, first=limit)[::-1]
    if output:
        print_data(listed, output)
    elif listed:
        print_table(_EVENT_COLUMNS, listed)
    else:
        click.echo("No events found")


def _print_event(event: DeploymentEvent, output: str | None) -> None:
    """Print an event that happened now."""
    import json

    if output == "yaml":
        print_data([event], output)  # all of them are one list
    elif output:
        click.echo(json.dumps(event))
    else:
        click.echo(printable("  ".join(cell(event) for cell in _EVENT_COLUMNS.values())))


# No column is hidden or shortened: the message matters most, and a terminal wraps it.
_EVENT_COLUMNS: dict[Column, Callable[[DeploymentEvent], str]] = {
    Column("Last time"): lambda event: event["dtLast"],
    Column("Count", right=True): lambda event: str(event["count"]),
    Column("Severity"): lambda event: event["severity"],
    Column("Reason"): lambda event: event["reason"],
    Column("Instance"): lambda event: event["instanceName"] or "-",
    Column("Message"): lambda event: event["message"],
}


class Time(click.ParamType[datetime]):
    """A time in ISO 8601, or the time that passed since then, such as 10m."""

    name = "time"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> datetime:
        """Return the time as a datetime."""
        text = str(value)
        try:
            if text[-1:] in _SECONDS and text[:-1].isdigit():
                return datetime.now(UTC) - timedelta(seconds=int(text[:-1]) * _SECONDS[text[-1]])
            return datetime.fromisoformat(text)
        except (ValueError, OverflowError):
            self.fail(f"expected a time such as 2024-05-17T09:30 or a duration such as 10m, got {text}.", param, ctx)


@command.command()
@target_parameter()
@lookup_project_option
@click.option("--follow", "-f", is_flag=True, help="Print new lines until the deployment is stopped or deleted.")
@click.option("--tail", type=click.IntRange(0), metavar="N", help="Only the last N lines.")
@click.option(
    "--since",
    type=Time(),
    metavar="TIME",
    help="Only lines since this time: a time such as 2024-05-17T09:30, or a duration such as 10m (10 minutes ago).",
)
@click.option("--instance", metavar="NAME", help="Only lines of this instance.")
@output_option("json")
def logs(
    *,
    target: Target,
    project_id: str | None,
    follow: bool,
    tail: int | None,
    since: datetime | None,
    instance: str | None,
    output: str | None,
) -> None:
    """Print the log lines of all instances of a deployment, sorted by time.

    -o json prints one JSON object per line.

    \b
    Examples:
      gradient deployments logs mnist --tail 20 -f
      gradient deployments logs mnist --since 10m
    """
    import json

    with connect() as client:
        found = target.find(client, project_id)
        for line in client.deployments.get_deployment_logs(
            found, instance=instance, tail=tail, since=since, follow=follow
        ):
            if output:
                click.echo(json.dumps(line))
            else:
                click.echo(printable(f"{line['dtCreated']} {line['instanceName']} {line['message']}"))
