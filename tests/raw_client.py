"""A client of the server that shares no code with the library."""

from __future__ import annotations

import http.client
import json
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple, Protocol
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from collections.abc import Mapping

Json = dict[str, Any]


class Response(NamedTuple):
    """The status, headers and JSON body of a response."""

    status: int
    headers: http.client.HTTPMessage
    body: Any

    @property
    def data(self) -> Any:
        assert "errors" not in self.body, self.body
        return self.body["data"]

    @property
    def error(self) -> Any:
        (error,) = self.body["errors"]
        return error

    @property
    def code(self) -> str:
        return str(self.error["extensions"]["code"])


class ServerSettings(Protocol):
    """The API URL and the API key of a server."""

    @property
    def url(self) -> str: ...
    @property
    def api_key(self) -> str: ...


class Caller:
    """A client without any code of the library: plain HTTP, and a method for each mutation."""

    SPEC: ClassVar[Json] = {
        "image": "tensorflow/serving",
        "port": 8501,
        "resources": {"instanceType": "A100", "replicas": 1},
    }
    CREATE = "mutation ($input: CreateDeploymentInput!) { createDeployment(input: $input) { deployment { id } } }"
    UPDATE = "mutation ($input: UpdateDeploymentInput!) { updateDeployment(input: $input) { deployment { id } } }"
    DELETE = "mutation ($input: DeleteDeploymentInput!) { deleteDeployment(input: $input) { deployment { id } } }"

    def __init__(self, server: ServerSettings) -> None:
        self.server = server

    def http(
        self, method: str, path: str, body: bytes | None = None, headers: Mapping[str, Any] | None = None
    ) -> Response:
        connection = http.client.HTTPConnection(urlsplit(self.server.url).netloc, timeout=30)
        try:
            connection.request(method, path, body, headers or {})
            response = connection.getresponse()
            return Response(response.status, response.headers, json.loads(response.read()))
        finally:
            connection.close()

    def post(self, payload: bytes | Json, **headers: str | bytes | None) -> Response:
        """Post a GraphQL request. `Idempotency_Key="k"` sends the header `Idempotency-Key`; None omits a header."""
        all_headers: dict[str, str | bytes | None] = {
            "Authorization": f"Bearer {self.server.api_key}",
            "Content-Type": "application/json",
        }
        all_headers |= {name.replace("_", "-"): value for name, value in headers.items()}
        body = payload if isinstance(payload, bytes) else json.dumps(payload).encode()
        return self.http(
            "POST", "/graphql", body, {name: value for name, value in all_headers.items() if value is not None}
        )

    def __call__(self, query: str, **variables: Any) -> Response:
        return self.post({"query": query, "variables": variables})

    def create(self, name: str = "demo", project: str = "p1", spec: Json = SPEC, **options: Any) -> str:
        response = self(self.CREATE, input={"name": name, "projectId": project, "spec": spec, **options})
        return str(response.data["createDeployment"]["deployment"]["id"])

    def update(self, id_: str, **changes: Any) -> None:
        assert self(self.UPDATE, input={"id": id_, **changes}).data

    def delete(self, id_: str) -> None:
        assert self(self.DELETE, input={"id": id_}).data
