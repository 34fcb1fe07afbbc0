"""Gateway: the interface of what sends the requests of endpoints to containers."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from paperspace.gradient.server.protection import Access
    from paperspace.gradient.server.usage import Traffic


class Target(NamedTuple):
    """Where the requests for an instance go."""

    port: int
    """Of 127.0.0.1."""
    protocol: str
    """`http` or `http2`, as in the spec."""


class Routes(NamedTuple):
    """The instances of a deployment that the gateway knows."""

    routed: frozenset[str] = frozenset()
    """The ids of those that get new requests."""
    draining: frozenset[str] = frozenset()
    """The ids of all others that the gateway knows. They may have active requests, or get some if a route took too long."""
    problem: str | None = None
    """A sentence that says why the endpoint does not respond, such as a gateway that does not run."""


NO_ROUTES = Routes()


class Statistics(NamedTuple):
    """The requests that the gateway has counted."""

    traffic: Mapping[str, Traffic] = {}
    """Of each deployment with an endpoint, by its id, since the gateway was opened."""
    active: Mapping[str, int] = {}
    """The number of active and waiting requests of each instance, by its id."""


class GatewayState(NamedTuple):
    """Whether the gateway runs."""

    running: bool
    address: str | None
    """Where it listens, such as `127.0.0.1:8601`. None: it is unknown."""
    problem: str | None = None
    """A sentence that says why endpoints do not respond."""


class GatewayUnavailableError(Exception):
    """The gateway does not run, or does not apply changes. The message says why, and what to do."""


class Router(Protocol):
    """Sends requests to routed instances, and to no others.

    All methods belong to one event loop. Each call can be cancelled and repeated. A call that asks for what is in effect
    already returns at once.
    """

    def call_on_change(self, callback: Callable[[], None]) -> None:
        """Call a function whenever the problem of the routes changes, in place of the function before."""
        ...

    def deployments(self) -> frozenset[str]:
        """Return the ids of the deployments that have an endpoint."""
        ...

    def routes(self, deployment_id: str) -> Routes:
        """Return the routes of a deployment."""
        ...

    async def expose(self, deployment_id: str, access: Access | None = None) -> None:
        """Give a deployment an endpoint, or change who may use it. Without a routed instance, it responds with status 503.

        Args:
            deployment_id: The id of the deployment.
            access: Who may use it. None: everyone. Others get status 401. If the password is unknown, that of before stays.
        """
        ...

    async def route(self, deployment_id: str, instance_id: str, target: Target) -> None:
        """Send requests to an instance. Return when it is in effect.

        Raises:
            GatewayUnavailableError: it is not in effect. It will be when the gateway runs.
        """
        ...

    async def unroute(self, deployment_id: str, instance_id: str) -> None:
        """Send no new requests to an instance. Return when it is in effect."""
        ...

    async def drained(self, deployment_id: str, instance_id: str) -> None:
        """Send no new requests to an instance, also if its route is not in effect yet; return when it has no active ones.

        Raises:
            GatewayUnavailableError: it may still get requests.
        """
        ...

    async def statistics(self) -> Statistics | None:
        """Return the requests that were counted. None: nothing counts them.

        Raises:
            GatewayUnavailableError: they are unknown.
        """
        ...

    async def forget_instance(self, deployment_id: str, instance_id: str) -> None:
        """Forget an instance whose container does not exist any more."""
        ...

    async def forget(self, deployment_id: str) -> None:
        """Remove the endpoint of a deployment."""
        ...


class Gateway(Router, Protocol):
    """A router that is a process of its own. It keeps running, with its routes, when the server ends."""

    async def open(self) -> None:
        """Start the gateway, or connect to the one that runs.

        Raises:
            GatewayUnavailableError: it cannot be started.
        """
        ...

    async def attach(self) -> None:
        """Connect to the gateway that runs, if there is one, as `drain` needs it. None is started.

        Raises:
            GatewayUnavailableError: another server uses the gateway.
        """
        ...

    async def close(self) -> None:
        """Disconnect. The gateway keeps running."""
        ...

    async def drain(self) -> None:
        """Send no new requests to any instance, and return when there are no active ones, and clients have all responses.

        Raises:
            GatewayUnavailableError: it cannot be done.
        """
        ...

    async def remove(self) -> None:
        """Disconnect, stop the gateway, and remove its files.

        Raises:
            GatewayUnavailableError: another server uses the gateway.
        """
        ...

    async def state(self) -> GatewayState:
        """Return whether the gateway runs and responds. Call it after `open`."""
        ...

    def endpoint_url(self, deployment_id: str) -> str:
        """Return the URL of the endpoint of a deployment. Call it after `open`."""
        ...


class NoGateway:
    """Only remembers the routes. Clients connect to the ports of the containers."""

    def __init__(self) -> None:
        self._routed: dict[str, frozenset[str]] = {}

    def call_on_change(self, callback: Callable[[], None]) -> None:
        """Do nothing: there are no problems."""

    def deployments(self) -> frozenset[str]:
        """Return the ids of the deployments with routes."""
        return frozenset(self._routed)

    def routes(self, deployment_id: str) -> Routes:
        """Return the routes of a deployment."""
        return Routes(routed=self._routed.get(deployment_id, frozenset()))

    async def expose(self, deployment_id: str, access: Access | None = None) -> None:
        """Do nothing: there is no endpoint."""

    async def route(self, deployment_id: str, instance_id: str, target: Target) -> None:  # noqa: ARG002  # no requests
        """Remember the instance."""
        self._routed[deployment_id] = self.routes(deployment_id).routed | {instance_id}

    async def unroute(self, deployment_id: str, instance_id: str) -> None:
        """Forget the instance."""
        self._routed[deployment_id] = self.routes(deployment_id).routed - {instance_id}

    async def drained(self, deployment_id: str, instance_id: str) -> None:
        """Return at once: there are no requests that are known."""

    async def statistics(self) -> None:
        """Return that nothing counts requests."""

    async def forget_instance(self, deployment_id: str, instance_id: str) -> None:
        """Do nothing: it is forgotten already."""

    async def forget(self, deployment_id: str) -> None:
        """Forget the routes."""
        self._routed.pop(deployment_id, None)
