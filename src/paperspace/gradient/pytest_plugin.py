"""A pytest plugin for code that uses Gradient Deployments: the fixture `gradient_server`.

pytest loads it by itself wherever the package is installed. docs/testing.md shows how it is used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime

    from paperspace.gradient.server.disturbances import Disturbance

# A container starts in hundredths of a second instead of seconds.
_STEP = 0.01


class GradientServer:
    """A local server of the test's own, and what can be done to it.

    The methods that take the name of a deployment work on those that are there and on those still to come. Those that
    concern answers count requests to the API, whoever sends them.

    Attributes:
        url: The address of its API.
        api_key: The key that it wants.
    """

    def __init__(self) -> None:
        from datetime import timedelta

        from paperspace.gradient.server import LocalServer
        from paperspace.gradient.server.simulation import Simulation

        self._advanced = timedelta()
        self._simulation = Simulation(step=timedelta(seconds=_STEP))
        self._server = LocalServer(runtime=self._simulation, now=self._now, actor="Test User")
        self._server.start()
        self.url = self._server.url
        self.api_key = self._server.api_key

    def stop(self) -> None:
        """Stops it. The fixture does so at the end of the test."""
        self._server.stop()

    def advance(self, *, seconds: float = 0, minutes: float = 0, hours: float = 0) -> None:
        """Moves its clock forward: all that takes time has happened at once."""
        from datetime import timedelta

        self._advanced += timedelta(seconds=seconds, minutes=minutes, hours=hours)

    def fail(self, name: str) -> None:
        """The instances of this deployment cannot be started: their state is `errored`."""
        self._set_fate(name, "fail")

    def crash_loop(self, name: str) -> None:
        """The instances of this deployment crash again and again: `retrying`, and after a few times `failed`."""
        self._set_fate(name, "crash-loop")

    def stay_pending(self, name: str) -> None:
        """The instances of this deployment stay `pending`."""
        self._set_fate(name, "pending")

    def recover(self, name: str) -> None:
        """The instances of this deployment become healthy after all."""
        self._set_fate(name, "healthy")

    def load(self, name: str, replicas: int) -> None:
        """The load calls for so many replicas of this deployment; within the bounds of its autoscaling it gets them."""
        self._simulation.loads[name] = replicas
        self._server.reconsider(name)

    def rate_limit(self, times: int = 1, *, retry_after: int = 1) -> None:
        """The next requests are refused with status 429, and told to come again after so many seconds."""
        from paperspace.gradient.server.disturbances import rate_limit

        self._disturb(times, rate_limit(retry_after))

    def delay(self, seconds: float, times: int = 1) -> None:
        """The next requests are carried out so many seconds later."""
        from paperspace.gradient.server.disturbances import delay

        self._disturb(times, delay(seconds))

    def drop(self, times: int = 1, *, executed: bool = False) -> None:
        """The connection breaks instead of the next answers: before the request is carried out, or after."""
        from paperspace.gradient.server.disturbances import drop

        self._disturb(times, drop(executed=executed))

    def _now(self) -> datetime:
        from datetime import UTC, datetime

        return datetime.now(UTC) + self._advanced

    def _set_fate(self, name: str, fate: str) -> None:
        from paperspace.gradient.server.simulation import Fate

        self._simulation.fates[name] = Fate(fate)
        self._server.reconsider(name)

    def _disturb(self, times: int, what: Disturbance) -> None:
        self._server.disturb(*[what] * times)


@pytest.fixture
def gradient_server() -> Iterator[GradientServer]:
    """A fresh local server on a free port. The environment and the default client point to it until the test ends."""
    from paperspace.gradient import _default

    server = GradientServer()
    try:
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("PAPERSPACE_API_URL", server.url)
            patch.setenv("PAPERSPACE_API_HOST", server.url)
            patch.setenv("PAPERSPACE_API_KEY", server.api_key)
            patch.setattr(_default, "_session", None)
            yield server
    finally:
        server.stop()
