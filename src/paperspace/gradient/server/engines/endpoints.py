"""Responses that the server sends for deployment endpoints: instead of a gateway, or where the gateway is."""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING, Any, NamedTuple

from paperspace.gradient._shared.error_codes import Code
from paperspace.gradient.server.engines.access import access_of
from paperspace.gradient.server.engines.observed_state import serving_of
from paperspace.gradient.server.protection import UNAUTHORIZED

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from paperspace.gradient.server.engines.workloads import Workloads
    from paperspace.gradient.server.storage.budget import Budget
    from paperspace.gradient.server.storage.database import Database
    from paperspace.gradient.server.storage.store import Store


class ServedModel(NamedTuple):
    """The deployment whose model responds, and its revision."""

    name: str
    project_id: str
    image: str
    spec_id: str


class EndpointResponse(NamedTuple):
    """The status and JSON body of an endpoint's response, and the model that would respond in its place, if one is ready."""

    status: HTTPStatus
    body: Mapping[str, Any]
    headers: Mapping[str, str] = {}
    model: ServedModel | None = None


_UNAUTHORIZED = EndpointResponse(
    HTTPStatus.UNAUTHORIZED,
    {"errors": [{"message": UNAUTHORIZED, "extensions": {"code": str(Code.UNAUTHENTICATED)}}]},
    {"WWW-Authenticate": 'Basic realm="gradient"'},
)


class Endpoints:
    """Respond for the endpoints of deployments: not found, not ready, or what serves."""

    def __init__(self, database: Database, store: Store, workloads: Workloads) -> None:
        self._db = database
        self._store = store
        self._workloads = workloads

    def response(self, deployment_id: str, authorization: str | None, budget: Budget) -> EndpointResponse:
        """Return the response of the endpoint of a deployment.

        Args:
            deployment_id: The id of the deployment.
            authorization: The header `Authorization` of the request.
            budget: What the request may read.
        """
        with self._db.reading(budget):
            deployment = self._store.deployments_by_id([deployment_id]).get(deployment_id)
            if deployment is None:
                return EndpointResponse(HTTPStatus.NOT_FOUND, {})
            serving = serving_of(self._db, deployment_id)
            spec_id = serving.spec_id if serving else None
            access = access_of(self._db, self._workloads.passwords, deployment_id, spec_id)
        if access and not access.allows(authorization):
            return _UNAUTHORIZED
        body = {
            "deployment": {"id": deployment_id, "name": deployment["name"]},
            "spec": {"id": spec_id} if spec_id else None,
            "simulated": self._workloads.simulated,
            "readyReplicas": serving.ready_replicas if serving else 0,
        }
        if not serving:
            return EndpointResponse(HTTPStatus.SERVICE_UNAVAILABLE, body, {"Retry-After": "1"})
        model = ServedModel(deployment["name"], deployment["projectId"], serving.image, serving.spec_id)
        return EndpointResponse(HTTPStatus.OK, body, model=model)


def elsewhere(endpoint_url: Callable[[str], str]) -> Callable[[str, str | None], Awaitable[EndpointResponse]]:
    """Return what responds for endpoints that have other URLs: a message with the right one."""

    async def respond(deployment_id: str, _authorization: str | None) -> EndpointResponse:
        message = f"The endpoint of this deployment is {endpoint_url(deployment_id)}"
        return EndpointResponse(HTTPStatus.MISDIRECTED_REQUEST, {"message": message})

    return respond
