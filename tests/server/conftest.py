"""A server on a real socket, with a clock that stands still until a test moves it, and a caller that talks to it."""

from __future__ import annotations

import http.client
import json
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple, Protocol
from urllib.parse import urlsplit

import pytest

from paperspace.gradient.server import LocalServer

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

Json = dict[str, Any]


class Clock:
    """A clock that stands still."""

    def __init__(self) -> None:
        self.moment = datetime(2024, 5, 17, 9, 30, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.moment

    def forward(self, **by: float) -> None:
        self.moment += timedelta(**by)


class Response(NamedTuple):
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


class Address(Protocol):
    """Whatever says where a server is, and with which key."""

    @property
    def url(self) -> str: ...
    @property
    def api_key(self) -> str: ...


class Caller:
    """Speaks plain HTTP, so that nothing of ours on the client's side is taken for granted."""

    SPEC: ClassVar[Json] = {
        "image": "tensorflow/serving",
        "port": 8501,
        "resources": {"instanceType": "A100", "replicas": 1},
    }
    CREATE = "mutation ($input: CreateDeploymentInput!) { createDeployment(input: $input) { deployment { id } } }"
    UPDATE = "mutation ($input: UpdateDeploymentInput!) { updateDeployment(input: $input) { deployment { id } } }"
    DELETE = "mutation ($input: DeleteDeploymentInput!) { deleteDeployment(input: $input) { deployment { id } } }"

    # A spec whose look at takes the server a good part of a second.
    HEAVY: ClassVar[Json] = {"image": "i", "env": [{"name": "A", "value": ""}] * 34_000}

    def __init__(self, server: Address) -> None:
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
        """Posts a GraphQL request; underscores in the names of headers stand for hyphens, None leaves one out."""
        known: dict[str, str | bytes | None] = {
            "Authorization": f"Bearer {self.server.api_key}",
            "Content-Type": "application/json",
        }
        known |= {name.replace("_", "-"): value for name, value in headers.items()}
        body = payload if isinstance(payload, bytes) else json.dumps(payload).encode()
        return self.http("POST", "/graphql", body, {name: value for name, value in known.items() if value is not None})

    def __call__(self, query: str, **variables: Any) -> Response:
        return self.post({"query": query, "variables": variables})

    def create(self, name: str = "demo", project: str = "p1", spec: Json = SPEC, **more: Any) -> str:
        response = self(self.CREATE, input={"name": name, "projectId": project, "spec": spec, **more})
        return str(response.data["createDeployment"]["deployment"]["id"])

    def update(self, id_: str, **changes: Any) -> None:
        assert self(self.UPDATE, input={"id": id_, **changes}).data

    def delete(self, id_: str) -> None:
        assert self(self.DELETE, input={"id": id_}).data


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def server(clock: Clock) -> Iterator[LocalServer]:
    with LocalServer(actor="Ada Example", now=clock) as running:
        yield running


@pytest.fixture
def caller() -> type[Caller]:
    """For tests that start servers of their own."""
    return Caller


@pytest.fixture
def call(server: LocalServer) -> Caller:
    return Caller(server)


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"
