"""`gradient deployments list --watch`: the list, and then what changes in it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple, cast

import click

from paperspace.gradient.cli._live import can_redraw, polls, redraw
from paperspace.gradient.cli._output import print_message
from paperspace.gradient.cli.deployments._statuses import status_lines, with_state
from paperspace.gradient.errors import NotFoundError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from paperspace.gradient.client import Client
    from paperspace.gradient.types import Deployment, DeploymentStatus


class Filters(NamedTuple):
    """Which deployments are listed."""

    name: str | None
    project_id: str | None
    cluster_id: str | None
    limit: int | None

    def statuses(self, client: Client) -> list[DeploymentStatus]:
        """Return the statuses of these deployments, newest first."""
        return client.deployments.list_deployment_statuses(
            self.name, self.project_id, self.cluster_id, first=self.limit
        )


def watch_list(client: Client, filters: Filters, output: str | None) -> None:
    """Show the list, and its changes until Ctrl-C: on a terminal in its place, elsewhere a line for each."""
    if output is None and can_redraw():
        redraw(lambda: status_lines(filters.statuses(client)))
        return
    changes = _Changes(client, filters, output)
    for lines, note in polls(changes.latest):
        for line in lines:
            click.echo(line)
        if note:  # on a terminal that cannot redraw
            print_message(note)


class _Changes:
    """What changes in the list, from one poll to the next."""

    def __init__(self, client: Client, filters: Filters, output: str | None) -> None:
        self._client = client
        self._filters = filters
        self._output = output
        self._known: dict[str, DeploymentStatus] | None = None

    def latest(self) -> tuple[list[str], str]:
        """Return the lines of what has changed; the first time, those of the list, with its note.

        After an error, the next call returns what this one would have returned, and what has changed since.
        """
        known, statuses, note = self._known or {}, self._filters.statuses(self._client), ""
        current = {status["id"]: status for status in statuses}
        missing = [status for id_, status in known.items() if id_ not in current]
        deleted = [_deleted(status) for status in missing if _is_deleted(self._client, status["id"])]
        changed = [status for status in statuses if _differs(known.get(status["id"]), status)] + deleted
        if self._output:
            lines = list(_objects(self._client, changed))
        else:
            (titles, *rows), note = status_lines([*statuses, *deleted])
            ids = {status["id"] for status in changed}
            lines = [row for row, status in zip(rows, [*statuses, *deleted], strict=True) if status["id"] in ids]
            if self._known is None:
                lines.insert(0, titles)
            else:
                note = ""
        self._known = current
        return lines, note


def _differs(before: DeploymentStatus | None, after: DeploymentStatus) -> bool:
    """Return whether anything but the states of instances differs."""
    return before is None or {**before, "instances": []} != {**after, "instances": []}


def _is_deleted(client: Client, id: str) -> bool:
    """Return whether a deployment is deleted. If it is not, it does not match the filters any more."""
    try:
        client.deployments.get_deployment_status(id)
    except NotFoundError:
        return True
    return False


def _deleted(status: DeploymentStatus) -> DeploymentStatus:
    """Return the last status of a deployment that is deleted, with a state that only this command has."""
    last: dict[str, Any] = {"state": "deleted", "replicas": 0, "readyReplicas": 0, "serving": None, "error": None}
    return cast("DeploymentStatus", {**status, **last})


def _objects(client: Client, statuses: Sequence[DeploymentStatus]) -> Iterator[str]:
    """Yield what `list -o json` prints of each deployment, as a line of its own."""
    import json

    for status in statuses:
        deployment: Deployment = {"id": status["id"], "name": status["name"], "deploymentSpecs": {"nodes": []}}
        if str(status["state"]) != "deleted":
            try:
                deployment = client.deployments.get_deployment(status["id"])
            except NotFoundError:
                continue  # deleted in the meantime, as the next poll shows
        yield json.dumps(with_state(deployment, status))
