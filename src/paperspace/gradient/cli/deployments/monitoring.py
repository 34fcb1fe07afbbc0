"""The commands that watch a deployment: wait, logs."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import click

from paperspace.gradient._core.defaults import DEFAULT_WAIT
from paperspace.gradient.cli._client import deployments
from paperspace.gradient.cli._output import output_option, printable, write_data
from paperspace.gradient.cli.deployments._group import command, id_parameter
from paperspace.gradient.cli.deployments._wait import wait_for

_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}


@command.command()
@id_parameter()
@click.option(
    "--timeout",
    type=click.FloatRange(0, min_open=True),
    default=DEFAULT_WAIT,
    show_default=True,
    metavar="SECONDS",
    help="How long.",
)
@output_option("json", "yaml")
def wait(id: str, timeout: float, output: str | None) -> None:
    """Wait until the newest spec of a deployment is at work, or the deployment is stopped for good.

    What happens meanwhile is told on stderr: on a terminal with a bar of the replicas that are ready. A deployment that
    fails ends with exit code 6, and one that is not ready in time with 7.

    \b
    Example:
      gradient deployments wait d4e74a9c-b125-4bd7-b143-8f5c386df8a9 --timeout 300
    """
    with deployments() as calls:
        status = wait_for(calls, id, timeout)
    if output:
        write_data(status, output)
    else:
        click.echo(f"{status['state'].capitalize()} deployment: {status['id']}")


class Since(click.ParamType[datetime]):
    """A moment, or how long ago it was."""

    name = "moment"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> datetime:
        """The moment."""
        text = str(value)
        try:
            if text[-1:] in _UNITS and text[:-1].isdigit():
                return datetime.now(UTC) - timedelta(seconds=int(text[:-1]) * _UNITS[text[-1]])
            return datetime.fromisoformat(text)
        except (ValueError, OverflowError):
            self.fail(f"{text} is neither a moment such as 2024-05-17T09:30 nor a time such as 10m.", param, ctx)


@command.command()
@id_parameter()
@click.option("--follow", "-f", is_flag=True, help="Go on until the deployment is stopped or deleted.")
@click.option("--tail", type=click.IntRange(0), metavar="N", help="The last N lines only.")
@click.option("--since", type=Since(), metavar="WHEN", help="Lines since a moment in ISO 8601, or since 10s, 10m, 10h.")
@click.option("--instance", metavar="NAME", help="The log of this instance only.")
@output_option("json")
def logs(
    id: str, follow: bool, tail: int | None, since: datetime | None, instance: str | None, output: str | None
) -> None:
    """Print the log lines of a deployment by time, over all its instances.

    With -o json, each line is a JSON object on a line of its own.

    \b
    Examples:
      gradient deployments logs d4e74a9c-b125-4bd7-b143-8f5c386df8a9 --tail 20 -f
      gradient deployments logs d4e74a9c-b125-4bd7-b143-8f5c386df8a9 --since 10m
    """
    import json

    with deployments() as calls:
        for line in calls.get_deployment_logs(id, instance=instance, tail=tail, since=since, follow=follow):
            if output:
                click.echo(json.dumps(line))
            else:
                click.echo(printable(f"{line['dtCreated']} {line['instanceName']} {line['message']}"))
