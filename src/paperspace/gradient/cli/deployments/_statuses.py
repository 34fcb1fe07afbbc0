"""The table of the statuses of deployments."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

import click

from paperspace.gradient._shared.lazy import lazy_modules
from paperspace.gradient.cli._tables import Column, print_table, table_lines

if TYPE_CHECKING:
    from collections.abc import Callable

    from paperspace.gradient.deployments import _queries
    from paperspace.gradient.types import Deployment, DeploymentStatus
else:
    [_queries] = lazy_modules("paperspace.gradient.deployments", "_queries")


def print_statuses(statuses: list[DeploymentStatus]) -> None:
    """Print a table of deployments."""
    if statuses:
        print_table(_COLUMNS, statuses)
    else:
        click.echo("No deployments found")


def status_lines(statuses: list[DeploymentStatus]) -> tuple[list[str], str]:
    """Return the lines of the table, the first one with the titles, and the note that names the hidden columns."""
    return table_lines(_COLUMNS, statuses)


def with_state(deployment: Deployment, status: DeploymentStatus) -> dict[str, object]:
    """Return what `list -o json` prints of a deployment."""
    return {
        "id": deployment["id"],
        "name": deployment["name"],
        "state": status["state"],
        "readyReplicas": status["readyReplicas"],
        "replicas": status["replicas"],
        "serving": status["serving"],
        "endpointUrl": status["endpointUrl"],
        "protected": status["protected"],
        "error": status["error"],
        **deployment,
    }


def endpoint(status: DeploymentStatus) -> str:
    """Return the URL of the endpoint, and whether it is protected."""
    return status["endpointUrl"] + (", protected" if status["protected"] else "")


def ready_replicas(status: DeploymentStatus) -> str:
    """Return how many replicas are ready, and how many are desired."""
    return f"{status['readyReplicas']}/{status['replicas']}"


def _age(status: DeploymentStatus) -> str:
    """Return the age in the largest unit that is not zero."""
    seconds = int((datetime.now(UTC) - _queries.parse_time(status["dtCreated"])).total_seconds())
    for unit, length in {"d": 86400, "h": 3600, "m": 60}.items():
        if seconds >= length:
            return f"{seconds // length}{unit}"
    return f"{max(seconds, 0)}s"


def _state(status: DeploymentStatus) -> str:
    """Return the state, and what still serves if the newest revision failed."""
    serving = status["serving"] if status["state"] == "failed" else None
    if serving is None:
        return status["state"]
    return f"failed; earlier revision: {serving['readyReplicas']} of {serving['replicas']} ready"


def _color(state: str) -> str | None:
    """Return the color of a state, whose text may be shortened."""
    return next((color for start, color in _STATE_COLORS.items() if state.startswith(start)), None)


_STATE_COLORS = {"ready": "green", "pending": "yellow", "failed": "red"}

_COLUMNS: dict[Column, Callable[[DeploymentStatus], str]] = {
    Column("Name", min_width=12): lambda status: status["name"],
    Column("ID", rank=5): lambda status: status["id"],
    Column("Image", rank=4, min_width=16): lambda status: status["image"],
    Column("Replicas", rank=2, right=True): ready_replicas,
    Column("State", min_width=len("stopped"), color=_color): _state,
    Column("Endpoint", rank=1): endpoint,
    Column("Age", rank=3, right=True): _age,
}
