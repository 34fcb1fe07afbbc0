"""The commands that watch deployments: wait, events, logs and top."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from paperspace.gradient._core.defaults import DEFAULT_WAIT
from paperspace.gradient._shared.lazy import lazy_modules
from paperspace.gradient.cli._client import connect
from paperspace.gradient.cli._exit_codes import ExitCode
from paperspace.gradient.cli._live import can_redraw, redraw
from paperspace.gradient.cli._numbers import NumberRange
from paperspace.gradient.cli._output import output_option, print_data, printable
from paperspace.gradient.cli._progress import wait_with_progress
from paperspace.gradient.cli._tables import Column, print_table, table_lines
from paperspace.gradient.cli.deployments._group import command
from paperspace.gradient.cli.deployments._options import project_option
from paperspace.gradient.cli.deployments._several import (
    LogOptions,
    log_text,
    print_logs_of_several,
    wait_for_several,
)
from paperspace.gradient.cli.deployments._target import (
    Target,
    find_all,
    lookup_project_option,
    target_parameter,
    targets_parameter,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from paperspace.gradient._generated.deployments_metrics import Deployment as DeploymentWithMetrics
    from paperspace.gradient.deployments import _arguments
    from paperspace.gradient.types import DeploymentEvent, DeploymentMetrics
else:
    [_arguments] = lazy_modules("paperspace.gradient.deployments", "_arguments")


@command.command()
@targets_parameter(or_project=True)
@click.option(
    "--timeout",
    type=NumberRange(0, min_open=True),
    default=DEFAULT_WAIT,
    show_default=True,
    metavar="SECONDS",
    help="The seconds to wait.",
)
@click.option(
    "--revision",
    "spec_id",
    metavar="REVISION-ID",
    help="Wait for this revision, and fail if it is not the newest. Default: whichever is the newest.",
)
@output_option("json", "yaml")
def wait(targets: list[Target], project_id: str | None, timeout: float, spec_id: str | None, output: str | None) -> int:
    """Wait until the newest revision is ready, or the deployment is stopped.

    Events are printed to standard error. On a terminal, a progress bar is shown too. The exit code is 6 if the deployment
    fails, and 7 if it is not ready in time.

    With several deployments, or a project, each line has the name of its deployment. The command waits for all
    deployments, and prints the result of each deployment at the end. The exit code is that of the first failure.

    \b
    Examples:
      gradient deployments wait mnist --timeout 300
      gradient deployments wait mnist fashion
      gradient deployments wait --project-id p1
    """
    with connect() as client:
        if len(targets) != 1:
            if spec_id is not None:
                raise click.UsageError("--revision works with one deployment only.")
            return wait_for_several(client, find_all(client, targets, project_id), timeout, output)
        status = wait_with_progress(client, targets[0].find(client, project_id), timeout, spec_id)
    if output:
        print_data(status, output)
    else:
        click.echo(f"{status['state'].capitalize()} deployment: {status['id']}")
    return ExitCode.SUCCESS


@command.command()
@target_parameter()
@lookup_project_option
@click.option("--follow", "-f", is_flag=True, help="Print events as they happen until the deployment is deleted.")
@click.option("--limit", type=click.IntRange(0), metavar="N", help="Only the last N events.")
@output_option("json", "yaml")
def events(target: Target, project_id: str | None, *, follow: bool, limit: int | None, output: str | None) -> None:
    """List the events of a deployment by time, the last one at the end.

    An event that happened several times is listed once, with its count, and with the time and the message of the last time.
    -o json and -o yaml print all fields of the events. With --follow, -o json prints one JSON object per line.

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


class Time(click.ParamType[str]):
    """A time in ISO 8601, or the time that passed since then, such as 10m."""

    name = "time"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Check the text, and return it."""
        text = str(value)
        try:
            _arguments.parse_since(text)
        except ValueError:
            self.fail(f"expected a time such as 2024-05-17T09:30 or a duration such as 10m, got {text}.", param, ctx)
        return text


@command.command()
@targets_parameter(or_project=True)
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
    targets: list[Target],
    project_id: str | None,
    follow: bool,
    tail: int | None,
    since: str | None,
    instance: str | None,
    output: str | None,
) -> int:
    """Print the log lines of all instances of a deployment, sorted by time.

    -o json prints one JSON object per line.

    With several deployments, or a project, each line has the name of its deployment; with -o json, in `deploymentName`.
    --tail prints the last lines of each deployment. If the log of a deployment cannot be read, the command prints the other
    logs, and the exit code is that of the first failure.

    \b
    Examples:
      gradient deployments logs mnist --tail 20 -f
      gradient deployments logs mnist --since 10m
      gradient deployments logs mnist fashion -f
    """
    import json

    if instance is not None and len(targets) != 1:
        raise click.UsageError("--instance works with one deployment only.")
    with connect() as client:
        if len(targets) != 1:
            names = find_all(client, targets, project_id)
            return print_logs_of_several(client, names, LogOptions(tail, since, follow), output)
        found = targets[0].find(client, project_id)
        for line in client.deployments.get_deployment_logs(
            found, instance=instance, tail=tail, since=since, follow=follow
        ):
            click.echo(json.dumps(line) if output else printable(log_text(line)))
    return ExitCode.SUCCESS


@command.command()
@target_parameter(required=False)
@project_option(help="Only deployments of this project. Default: all.")
@click.option("--once", is_flag=True, help="Print one table, and exit.")
@output_option("json", "yaml")
def top(target: Target | None, project_id: str | None, *, once: bool, output: str | None) -> None:
    """Show what deployments use, and which requests they get.

    Without a name, all deployments are listed. On a terminal, the table is updated until you press Ctrl-C.

    The figures are those of the last 10 seconds. CPU and Memory: what all replicas use together, and their limits. Active:
    the requests that the replicas have now. Errors/s: the requests per second that ended with status 500 or higher. P50 and
    P95: the median and the 95th percentile of the durations of requests. A hyphen means that a figure is unknown. The figures
    of simulated deployments are unknown.

    \b
    Examples:
      gradient deployments top
      gradient deployments top mnist --once
    """
    with connect() as client:
        found = target and target.find(client, project_id)

        def latest() -> list[DeploymentWithMetrics]:
            return client.deployments._get_latest_metrics(found, project_id)  # noqa: SLF001  # inside the package

        if output:
            print_data([{**entry, "metrics": next(iter(entry["metrics"]), None)} for entry in latest()], output)
        elif once or not can_redraw():
            if shown := latest():
                print_table(_USAGE_COLUMNS, shown)
            else:
                click.echo("No deployments found")
        else:
            redraw(lambda: table_lines(_USAGE_COLUMNS, latest()))


def _figure(show: Callable[[DeploymentMetrics], str | None]) -> Callable[[DeploymentWithMetrics], str]:
    """Return the function of a column: a hyphen if there is no figure."""
    return lambda deployment: (show(deployment["metrics"][-1]) if deployment["metrics"] else None) or "-"


def _cpus(point: DeploymentMetrics) -> str | None:
    return None if point["cpu"] is None else f"{point['cpu']:.2f}{_limit(point['cpuLimit'], '{:g}'.format)}"


def _memory(point: DeploymentMetrics) -> str | None:
    return None if point["memory"] is None else f"{_bytes(point['memory'])}{_limit(point['memoryLimit'], _bytes)}"


def _limit(value: float | None, show: Callable[[float], str]) -> str:
    return f"/{show(value)}" if value else ""


def _bytes(number: float) -> str:
    """Return a number of bytes in the largest unit with at least one digit before the point, such as `1.5Gi`."""
    for unit in ("Ti", "Gi", "Mi"):
        if number >= (size := _UNITS[unit]):
            return f"{number / size:.1f}{unit}"
    return f"{number / 1024:.0f}Ki"


_UNITS = {"Mi": 1024**2, "Gi": 1024**3, "Ti": 1024**4}


def _rate(value: float | None) -> str | None:
    return None if value is None else f"{value:.1f}"


def _duration(seconds: float | None) -> str | None:
    """Return a duration with two digits or more, such as `12ms`."""
    if seconds is None:
        return None
    if seconds >= 1:
        return f"{seconds:.1f}s"
    milliseconds = seconds * 1000
    return f"{milliseconds:.0f}ms" if milliseconds >= 10 else f"{milliseconds:.1f}ms"  # noqa: PLR2004  # two digits


_USAGE_COLUMNS: dict[Column, Callable[[DeploymentWithMetrics], str]] = {
    Column("Name", min_width=12): lambda deployment: deployment["name"],
    Column("ID", rank=4): lambda deployment: deployment["id"],
    Column("Replicas", right=True): _figure(lambda point: f"{point['readyReplicas']}/{point['replicas']}"),
    Column("CPU", right=True): _figure(_cpus),
    Column("Memory", rank=1, right=True): _figure(_memory),
    Column("Active", rank=3, right=True): _figure(
        lambda point: None if point["activeRequests"] is None else str(point["activeRequests"])
    ),
    Column("Requests/s", right=True): _figure(lambda point: _rate(point["requestsPerSecond"])),
    Column("Errors/s", rank=2, right=True): _figure(lambda point: _rate(point["errorsPerSecond"])),
    Column("P50", rank=2, right=True): _figure(lambda point: _duration(point["requestDurationP50"])),
    Column("P95", right=True): _figure(lambda point: _duration(point["requestDurationP95"])),
}
