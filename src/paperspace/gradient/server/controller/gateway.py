"""Gateway: the interface of what sends the requests of endpoints to containers."""

from __future__ import annotations

from typing import Protocol


class Gateway(Protocol):
    """Sends requests to routed instances, and to no others."""

    def routed(self, deployment_id: str) -> frozenset[str]:
        """Return the ids of the instances of a deployment that get requests."""
        ...

    async def route(self, deployment_id: str, instance_id: str, port: int) -> None:
        """Send requests to an instance, on a port of 127.0.0.1. Return when it is in effect."""
        ...

    async def unroute(self, deployment_id: str, instance_id: str) -> None:
        """Send no new requests to an instance. Return when it is in effect."""
        ...

    async def drained(self, deployment_id: str, instance_id: str) -> None:
        """Return when the instance has no active requests."""
        ...


class NoGateway:
    """Only remembers the routes. Clients connect to the ports of the containers."""

    def __init__(self) -> None:
        self._routes: dict[str, frozenset[str]] = {}

    def routed(self, deployment_id: str) -> frozenset[str]:
        """Return the ids of the instances of a deployment that would get requests."""
        return self._routes.get(deployment_id, frozenset())

    async def route(self, deployment_id: str, instance_id: str, port: int) -> None:  # noqa: ARG002  # no requests
        """Remember the instance."""
        self._routes[deployment_id] = self.routed(deployment_id) | {instance_id}

    async def unroute(self, deployment_id: str, instance_id: str) -> None:
        """Forget the instance."""
        routes = self.routed(deployment_id) - {instance_id}
        if routes:
            self._routes[deployment_id] = routes
        else:
            self._routes.pop(deployment_id, None)

    async def drained(self, deployment_id: str, instance_id: str) -> None:
        """Return at once: there are no requests that are known."""
