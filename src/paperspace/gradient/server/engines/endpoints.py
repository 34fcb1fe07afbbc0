"""Responses that the server sends for deployment endpoints: instead of a gateway, or where the gateway is."""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from paperspace.gradient.server.engines.workloads import Workloads
    from paperspace.gradient.server.storage.budget import Budget
    from paperspace.gradient.server.storage.database import Database
    from paperspace.gradient.server.storage.store import Store


class EndpointResponse(NamedTuple):
    """The status and JSON body of an endpoint's response."""

    status: HTTPStatus
    body: Mapping[str, Any]


class Endpoints:
    """Respond for the endpoints of deployments: not found, not ready, or what serves."""

    def __init__(self, database: Database, store: Store, workloads: Workloads) -> None:
        self._db = database
        self._store = store
        self._workloads = workloads

    def response(self, deployment_id: str, budget: Budget) -> EndpointResponse:
        """Return the response of the endpoint of a deployment."""
        with self._db.reading(budget):
            deployment = self._store.deployments_by_id([deployment_id]).get(deployment_id)
            if deployment is None:
                return EndpointResponse(HTTPStatus.NOT_FOUND, {})
            serving = self._workloads.serving(deployment_id)
        body = {
            "deployment": {"id": deployment_id, "name": deployment["name"]},
            "spec": {"id": serving.spec_id} if serving.spec_id else None,
            "simulated": self._workloads.simulated,
            "readyReplicas": serving.ready_replicas,
        }
        return EndpointResponse(HTTPStatus.OK if serving.ready_replicas else HTTPStatus.SERVICE_UNAVAILABLE, body)


def elsewhere(endpoint_url: Callable[[str], str]) -> Callable[[str], Awaitable[EndpointResponse]]:
    """Return what responds for endpoints that have other URLs: a message with the right one."""

    async def respond(deployment_id: str) -> EndpointResponse:
        message = f"The endpoint of this deployment is {endpoint_url(deployment_id)}"
        return EndpointResponse(HTTPStatus.MISDIRECTED_REQUEST, {"message": message})

    return respond
