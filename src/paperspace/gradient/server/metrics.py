"""The metrics of a server, for Prometheus."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, NamedTuple

from paperspace.gradient._shared.daemon_threads import in_daemon_thread
from paperspace.gradient.server import exposition
from paperspace.gradient.server.storage.identity import SIMULATED
from paperspace.gradient.server.storage.summary import STATES, count_states, deployment_states

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from paperspace.gradient.server.controlled import ControlledDeployments
    from paperspace.gradient.server.dispatcher import Dispatcher
    from paperspace.gradient.server.http.request_counts import Durations, RequestCounts
    from paperspace.gradient.server.storage.database import Database
    from paperspace.gradient.server.storage.summary import DeploymentState
    from paperspace.gradient.server.usage import Reading

MAX_DEPLOYMENTS = 10_000  # with series of their own, the newest ones


class Controlled(NamedTuple):
    """What is known of deployments in containers."""

    lag: float
    """For how many seconds a change has been waiting to be applied."""
    restarts: Mapping[str, int]
    """By the id of the deployment."""
    readings: Mapping[str, Sequence[Reading]]
    """The last readings of each deployment, by its id, oldest first."""


class Snapshot(NamedTuple):
    """Everything that the metrics are made from."""

    engine: str
    counts: Mapping[str, int]
    """The number of deployments in each state."""
    deployments: Sequence[DeploymentState]
    by_status: Mapping[tuple[str, int], int]
    """The number of API requests for each operation and HTTP status."""
    durations: Mapping[str, Durations]
    """Of API requests, by operation."""
    controlled: Controlled | None = None
    """None: deployments are simulated."""


class Exposition(NamedTuple):
    """The metrics as text, and its media type."""

    body: bytes
    content_type: str


class ServerMetrics:
    """Reads the metrics of a server.

    Args:
        dispatcher: Has the database.
        requests: The API requests.
        controlled: The deployments in containers. None: deployments are simulated.
    """

    def __init__(
        self, dispatcher: Dispatcher, requests: RequestCounts, controlled: ControlledDeployments | None
    ) -> None:
        self._dispatcher = dispatcher
        self._requests = requests
        self._controlled = controlled

    async def read(self) -> Exposition:
        """Return the metrics in the text format of Prometheus.

        Raises:
            StoppedError: the server stopped first.
        """
        counts, deployments = await self._dispatcher.read(lambda backend: _read(backend.database))
        snapshot = Snapshot(
            self._controlled.estate.engine.name if self._controlled else SIMULATED,
            counts,
            deployments,
            dict(self._requests.by_status),
            dict(self._requests.durations),
            self._observe(deployments),
        )
        return Exposition(await in_daemon_thread(exposition.text, snapshot), exposition.CONTENT_TYPE)

    def _observe(self, deployments: Sequence[DeploymentState]) -> Controlled | None:
        """Return what the controller knows of deployments. None: there is none."""
        controller = self._controlled.controller if self._controlled else None
        if controller is None:
            return None
        readings = {deployment.id: controller.sampler.readings(deployment.id) for deployment in deployments}
        return Controlled(controller.lag(), controller.restarts(), readings)


def _read(database: Database) -> tuple[Mapping[str, int], Sequence[DeploymentState]]:
    """Return the number of deployments in each state, and the newest deployments."""
    deployments = deployment_states(database, MAX_DEPLOYMENTS)
    if len(deployments) == MAX_DEPLOYMENTS:
        return count_states(database), deployments
    return dict.fromkeys(STATES, 0) | Counter(deployment.state for deployment in deployments), deployments
