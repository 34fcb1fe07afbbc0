"""The local server that a test controls. docs/testing.md shows how to use it."""

from __future__ import annotations

import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, Self

from paperspace.gradient._shared.lazy import lazy_modules
from paperspace.gradient._shared.spec_rules import normalize_name
from paperspace.gradient._testing.default_server import default_server
from paperspace.gradient._testing.fault_injection import FaultInjection, check_numbers

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from datetime import datetime
    from types import TracebackType

    from paperspace.gradient import server
    from paperspace.gradient._shared import event_loops
    from paperspace.gradient._shared.model_messages import ModelRequest
    from paperspace.gradient.server.engines import simulation
else:
    [server] = lazy_modules("paperspace.gradient", "server")
    [event_loops] = lazy_modules("paperspace.gradient._shared", "event_loops")
    [simulation] = lazy_modules("paperspace.gradient.server.engines", "simulation")

# Seconds per step of a simulated container: with the default of the simulation, tests would wait for seconds.
_STEP = 0.01

_MAX_ADVANCE = 100 * 365 * 24 * 3600.0  # seconds; the simulation computes every step of that time


class GradientServer(FaultInjection):
    """A local server for tests, with methods that control its clock, its containers and its responses.

    It starts at once, and stops at the end of a `with` block, or by `stop`.

    Methods that take the name of a deployment affect existing deployments and those created later. Methods that take
    `times` affect that many of the next requests to the API, from any client: of one operation, or of all.

    Attributes:
        url: The API URL.
        api_key: The API key.

    Example:
        >>> from paperspace.gradient.pytest_plugin import GradientServer
        >>> with GradientServer() as server, Client(server.api_key, server.url) as client:
        ...     client.deployments.list_deployments()
        []
    """

    def __init__(self) -> None:
        from datetime import UTC, datetime, timedelta

        self._lock = threading.Lock()  # for what several threads of a test may change at the same time
        self._advanced = timedelta()
        self._start = datetime.now(UTC), event_loops.monotonic()
        self._simulation = simulation.Simulation(step=timedelta(seconds=_STEP))
        self._server = server.LocalServer(
            runtime=self._simulation, now=self._now, actor="Test User", record_requests=True
        )
        self._server.start()
        self.url = self._server.url
        self.api_key = self._server.api_key

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    @contextmanager
    def as_default(self) -> Iterator[None]:
        """Let the environment and the default client use the server during a block, and no configuration file.

        At the end of the block, the default client of the block is closed, and the one before is used again. If blocks
        overlap, the one that began last counts, until it ends.

        Example:
            >>> from paperspace.gradient.pytest_plugin import GradientServer
            >>> with GradientServer() as server, server.as_default():
            ...     deployments.list_deployments()
            []
        """
        with default_server(self.url, self.api_key):
            yield

    def stop(self) -> None:
        """Stop the server. The fixture does this at the end of the test.

        Example:
            >>> gradient_server.stop()
        """
        self._server.stop()

    def advance(self, *, seconds: float = 0, minutes: float = 0, hours: float = 0) -> None:
        """Move the server's clock forward, so that containers start or fail without waiting.

        Args:
            seconds: The seconds to add.
            minutes: The minutes to add.
            hours: The hours to add.

        Raises:
            ValueError: A number is not finite or negative, or the clock would be more than 100 years ahead.

        Example:
            >>> created = deployments.create_deployment("mnist", "p1", {"image": "nginx"})
            >>> gradient_server.advance(minutes=1)
            >>> deployments.get_deployment_status(created["id"])["state"]
            'ready'
        """
        from datetime import timedelta

        check_numbers(seconds=seconds, minutes=minutes, hours=hours)
        with self._lock:
            total = self._advanced.total_seconds() + seconds + 60.0 * minutes + 3600.0 * hours
            if total > _MAX_ADVANCE:
                raise ValueError("the server's clock can be at most 100 years ahead")
            self._advanced = timedelta(seconds=total)

    def fail(self, name: str, *, image: str | None = None) -> None:
        """Make the instances of a deployment fail to start: their state becomes `errored`.

        Args:
            name: The name of the deployment.
            image: Only the instances with this image, so that one revision fails and the others do not. None: all.

        Example:
            >>> gradient_server.fail("mnist")
            >>> created = deployments.create_deployment("mnist", "p1", {"image": "nginx"})
            >>> gradient_server.advance(minutes=1)
            >>> deployments.get_deployment_status(created["id"])["state"]
            'failed'
        """
        self._set_scenario(name, "fail", image)

    def crash_loop(self, name: str, *, image: str | None = None) -> None:
        """Make the instances of a deployment crash after each start: `retrying`, then `failed`.

        Args:
            name: The name of the deployment.
            image: Only the instances with this image. None: all.

        Example:
            >>> gradient_server.crash_loop("mnist")
            >>> created = deployments.create_deployment("mnist", "p1", {"image": "nginx"})
            >>> gradient_server.advance(hours=1)
            >>> deployments.get_deployment_status(created["id"])["instances"][0]["state"]
            'failed'
        """
        self._set_scenario(name, "crash-loop", image)

    def stay_pending(self, name: str, *, image: str | None = None) -> None:
        """Keep the instances of a deployment `pending`.

        Args:
            name: The name of the deployment.
            image: Only the instances with this image. None: all.

        Example:
            >>> gradient_server.stay_pending("mnist")
            >>> created = deployments.create_deployment("mnist", "p1", {"image": "nginx"})
            >>> gradient_server.advance(hours=1)
            >>> deployments.get_deployment_status(created["id"])["state"]
            'pending'
        """
        self._set_scenario(name, "pending", image)

    def recover(self, name: str) -> None:
        """Make the instances of a deployment healthy, after `fail`, `crash_loop` or `stay_pending`.

        Args:
            name: The name of the deployment.

        Example:
            >>> gradient_server.stay_pending("mnist")
            >>> created = deployments.create_deployment("mnist", "p1", {"image": "nginx"})
            >>> gradient_server.recover("mnist")
            >>> deployments.wait_for_deployment(created["id"])["state"]
            'ready'
        """
        self._set_scenario(name, "healthy")

    def load(self, name: str, *, cpu: float = 0, memory: float = 0, request_duration: float = 0) -> None:
        """Set the load of a deployment, which autoscaling follows. All replicas share it.

        Autoscaling decides every 15 seconds, with the metrics of the spec. So `cpu=180` is 180 % for one replica, 90 %
        for each of two, and 60 % for each of three.

        Args:
            name: The name of the deployment.
            cpu: The CPU in percent that one replica would use if it were alone.
            memory: The memory in percent that one replica would use if it were alone.
            request_duration: The seconds that a request would take if there were one replica.

        Raises:
            ValueError: A value is not a finite number, 0 or more.

        Example:
            >>> autoscaling = {"maxReplicas": 5, "metrics": [{"metric": "cpu", "value": 60}]}
            >>> spec = {"image": "nginx", "resources": {"replicas": 1, "autoscaling": autoscaling}}
            >>> created = deployments.create_deployment("mnist", "p1", spec)
            >>> gradient_server.load("mnist", cpu=180)
            >>> gradient_server.advance(minutes=1)
            >>> deployments.get_deployment_status(created["id"])["replicas"]
            3
        """
        load = {"cpu": cpu, "memory": memory, "requestDuration": request_duration}
        check_numbers(cpu=cpu, memory=memory, request_duration=request_duration)
        name = _checked(name)
        self._simulation.loads[name] = load
        self._server.reconcile(name)

    def respond(self, name: str, handler: Callable[[ModelRequest], object] | None) -> None:
        """Let a function respond for the endpoint of a deployment, in place of its model.

        It gets each request to the endpoint while an instance is ready, up to 1 MiB, and has 30 seconds to respond. Its
        result is the response: `bytes`, or a value that is sent as JSON, or a `ModelResponse` with a status or headers.
        If it raises, the status is 500. It runs in a thread; several requests can be in progress at a time.

        Args:
            name: The name of the deployment.
            handler: The function. None: the simulation responds again.

        Raises:
            TypeError: `handler` is not a function, or is async.

        Example:
            >>> import urllib.request
            >>> gradient_server.respond("mnist", lambda request: {"predictions": [7], "path": request.path})
            >>> created = deployments.create_deployment("mnist", "p1", {"image": "nginx"}, wait=True)
            >>> url = deployments.get_deployment_status(created["id"])["endpointUrl"]
            >>> urllib.request.urlopen(f"{url}/v1/models/mnist:predict").read()
            b'{"predictions": [7], "path": "/v1/models/mnist:predict"}'
        """
        from inspect import iscoroutinefunction

        called = getattr(type(handler), "__call__", None)  # noqa: B004  # it may be async, that of an object too
        if handler is not None and (
            not callable(handler) or iscoroutinefunction(handler) or iscoroutinefunction(called)
        ):
            raise TypeError("handler: expected a function that is not async, or None")
        self._server.respond(_checked(name), handler)

    def endpoint_password(self, id: str) -> str:
        """Return the generated password of a protected endpoint. The user name is `gradient`.

        It does not apply if the spec names a secret.

        Args:
            id: The id of the deployment.

        Example:
            >>> spec = {"image": "nginx", "endpointSecurity": {"protected": True}}
            >>> created = deployments.create_deployment("mnist", "p1", spec)
            >>> len(gradient_server.endpoint_password(created["id"]))
            22
        """
        return self._server.endpoint_password(id)

    def _now(self) -> datetime:
        """Return the time of the server. It continues while a test freezes the time: otherwise no instance would start."""
        from datetime import timedelta

        start, seconds = self._start
        return start + timedelta(seconds=event_loops.monotonic() - seconds) + self._advanced

    def _set_scenario(self, name: str, scenario: str, image: str | None = None) -> None:
        """Set the scenario of an image; that of all images replaces every other one."""
        name = _checked(name)
        with self._lock:
            others = {} if image is None else self._simulation.scenarios.get(name, {})
            self._simulation.scenarios[name] = {**others, image: simulation.Scenario(scenario)}
        self._server.reconcile(name)


def _checked(name: str) -> str:
    """Return the name of a deployment as the server compares it. It need not exist yet.

    Raises:
        ValueError: It is not a text, or empty.
    """
    if not isinstance(name, str) or not name:
        raise ValueError(f"name: expected the name of a deployment, got {name!r}")
    return normalize_name(name)
