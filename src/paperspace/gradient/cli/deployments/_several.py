"""`wait` and `logs` for several deployments."""

from __future__ import annotations

from functools import partial
from heapq import merge
from typing import TYPE_CHECKING, NamedTuple

import click

from paperspace.gradient._shared.lazy import lazy_modules
from paperspace.gradient.cli._output import print_data, print_message, printable
from paperspace.gradient.cli.deployments._together import Ended, Failures, labels_of, together
from paperspace.gradient.errors import DeploymentFailedError, GradientError, WaitTimeoutError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator, Mapping

    from paperspace.gradient.cli.deployments._together import Label
    from paperspace.gradient.client import Client
    from paperspace.gradient.deployments import _queries, _status
    from paperspace.gradient.deployments._api import AsyncDeployments
    from paperspace.gradient.types import DeploymentStatus, LogLine, WatchEvent
else:
    _queries, _status = lazy_modules("paperspace.gradient.deployments", "_queries", "_status")


def wait_for_several(client: Client, names: Mapping[str, str], timeout: float, output: str | None) -> int:
    """Wait until all deployments have ended, and print how. Return the exit code of the first failure.

    Args:
        client: The client.
        names: The names of the deployments by id.
        timeout: The seconds to wait.
        output: The output format. None: a line for each.
    """
    statuses, code = watch_several(client, names, timeout)
    if output:
        unknown = {"state": None}
        print_data([statuses.get(id_, {"id": id_, "name": name, **unknown}) for id_, name in names.items()], output)
    else:
        for id_, name in names.items():
            click.echo(printable(_end(id_, name, statuses.get(id_))))
    return code


def watch_several(
    client: Client, names: Mapping[str, str], timeout: float, spec_ids: Mapping[str, str | None] | None = None
) -> tuple[dict[str, DeploymentStatus], int]:
    """Wait until all deployments have ended. Print their events and errors to standard error, each line with its name.

    Args:
        client: The client.
        names: The names of the deployments by id.
        timeout: The seconds to wait.
        spec_ids: The revisions to wait for, by the id of the deployment. None: the newest of each.

    Returns:
        The last statuses that are known, by id, and the exit code of the first failure.
    """
    labels = labels_of(names)
    failures = Failures(labels)
    statuses: dict[str, DeploymentStatus] = {}
    stream = partial(_watch, timeout=timeout, spec_ids=spec_ids or {})
    for id_, item in together(client.deployments, names, stream):
        if not isinstance(item, Ended):
            statuses[id_] = item["status"]
            if item["type"] != "failed":
                print_message(item["message"], label=labels[id_].start())
        elif item.error is not None:
            failures.report(id_, item.error)
            if not isinstance(item.error, DeploymentFailedError | WaitTimeoutError):
                statuses.pop(id_, None)  # it may have changed since
    return statuses, failures.code


async def _watch(
    deployments: AsyncDeployments, id: str, *, timeout: float, spec_ids: Mapping[str, str | None]
) -> AsyncIterator[WatchEvent]:
    """Yield the events of a deployment. If it fails, raise the error of a wait."""
    async for event in deployments.watch_deployment(id, spec_id=spec_ids.get(id), timeout=timeout):
        yield event
        if failure := await deployments._failure(event["status"]):  # noqa: SLF001  # inside the package
            raise failure


def _end(id: str, name: str, status: DeploymentStatus | None) -> str:
    """Describe how a deployment ended, in the same way as for a single one."""
    state = status["state"] if status else "unknown"
    serving = f"; {_status.serving_text(status['serving'])}" if status and status["serving"] else ""
    return f"{state.capitalize()} deployment: {id} ({name}){serving}"


class LogOptions(NamedTuple):
    """Which lines are printed, as in `get_deployment_logs`."""

    tail: int | None
    since: str | None
    follow: bool


def print_logs_of_several(client: Client, names: Mapping[str, str], options: LogOptions, output: str | None) -> int:
    """Print the log lines of deployments, each with the name of its deployment. Return the exit code of the first failure.

    Lines that exist are sorted by time over all deployments. Lines that are followed come as they are read.

    Args:
        client: The client.
        names: The names of the deployments by id.
        options: Which lines to print.
        output: The output format. None: text.
    """
    labels = labels_of(names)
    failures = Failures(labels)
    if options.follow:
        for id_, item in together(client.deployments, names, partial(_followed, options=options)):
            if not isinstance(item, Ended):
                _print_line(labels[id_], id_, names[id_], item, output)
            elif item.error is not None:
                failures.report(id_, item.error)
        return failures.code
    readable = (_readable(client, id_, options, failures) for id_ in names)
    for id_, line in merge(*readable, key=lambda entry: _queries.parse_time(entry[1]["dtCreated"])):
        _print_line(labels[id_], id_, names[id_], line, output)
    return failures.code


def _followed(deployments: AsyncDeployments, id: str, *, options: LogOptions) -> AsyncIterator[LogLine]:
    """Yield the lines of a deployment, also those that it adds."""
    return deployments.get_deployment_logs(id, **options._asdict())


def _readable(client: Client, id: str, options: LogOptions, failures: Failures) -> Iterator[tuple[str, LogLine]]:
    """Yield the lines of a deployment with its id, until they cannot be read."""
    try:
        for line in client.deployments.get_deployment_logs(id, **options._asdict()):
            yield id, line
    except GradientError as error:
        failures.report(id, error)


def _print_line(label: Label, id: str, name: str, line: LogLine, output: str | None) -> None:
    import json

    if output:
        click.echo(json.dumps({"deploymentId": id, "deploymentName": name, **line}))
    else:
        click.echo(label.start() + printable(log_text(line)))


def log_text(line: LogLine) -> str:
    """Return a line of a log as text."""
    return f"{line['dtCreated']} {line['instanceName']} {line['message']}"
