"""The other clients, used as their documentation shows. All send the same query."""

from __future__ import annotations

import asyncio
import json
import ssl
import threading
from typing import Any

import aiohttp
import httpx
import orjson
from gql import Client as GQLClient
from gql import gql
from gql.transport.aiohttp import AIOHTTPTransport
from gql.transport.requests import RequestsHTTPTransport
from pydantic import BaseModel
from sgqlc.endpoint.http import HTTPEndpoint

from paperspace.gradient._core.documents import load_document
from paperspace.gradient.types import DeploymentSpecInput

KEY = "a-key-for-the-benchmark"
HEADERS = {"Authorization": f"Bearer {KEY}", "Content-Type": "application/json"}
ID = "00000001-c125-4bd7-b143-8f5c386df8a9"

GET = load_document("Deployment").text
LIST = load_document("Deployments").text
CREATE = load_document("DeploymentCreate").text
SPEC: DeploymentSpecInput = {
    "image": "tensorflow/serving",
    "port": 8501,
    "resources": {"instanceType": "A100", "replicas": 1},
}
VARIABLES = {"id": ID, "specsFirst": 100}


def get_payload() -> dict[str, Any]:
    """Make the body of a get request."""
    return {"query": GET, "operationName": "Deployment", "variables": VARIABLES}


class Floor:
    """aiohttp and orjson alone: no validation, no errors, no retries. The lower limit for a client on aiohttp."""

    def __init__(self, url: str, tls: ssl.SSLContext | bool = True) -> None:
        self.url = url
        self.tls = tls

    async def open(self) -> None:
        """Open the connection pool."""
        self.session = aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=self.tls))

    async def close(self) -> None:
        """Close the connection pool."""
        await self.session.close()

    async def post(self, payload: dict[str, Any]) -> Any:
        """Send a request; return the data of the response."""
        async with self.session.post(self.url, data=orjson.dumps(payload), headers=HEADERS) as response:
            content = await response.read()
        return orjson.loads(content)["data"]

    async def get(self) -> Any:
        """Get a deployment."""
        return await self.post(get_payload())

    async def create(self) -> Any:
        """Create a deployment."""
        arguments = {"name": "n", "projectId": "p1", "spec": SPEC}
        return await self.post(
            {"query": CREATE, "operationName": "DeploymentCreate", "variables": {"input": arguments}}
        )

    async def list(self, total: int) -> list[Any]:
        """List deployments, page by page."""
        nodes: list[Any] = []
        after = None
        while True:
            variables = {"projectId": str(total), "first": 100, "specsFirst": 100, "after": after}
            data = await self.post({"query": LIST, "operationName": "Deployments", "variables": variables})
            nodes += data["deployments"]["nodes"]
            if not data["deployments"]["pageInfo"]["hasNextPage"]:
                return nodes
            after = data["deployments"]["pageInfo"]["endCursor"]


class FloorOnThread:
    """The same for sync code: on an event loop in a separate thread."""

    def __init__(self, url: str, tls: ssl.SSLContext) -> None:
        self.floor = Floor(url, tls)
        self.loop = asyncio.new_event_loop()
        threading.Thread(target=self.loop.run_forever, daemon=True).start()
        asyncio.run_coroutine_threadsafe(self.floor.open(), self.loop).result()

    def get(self) -> Any:
        """Get a deployment."""
        return asyncio.run_coroutine_threadsafe(self.floor.get(), self.loop).result()

    def close(self) -> None:
        """Close the connections and stop the loop."""
        asyncio.run_coroutine_threadsafe(self.floor.close(), self.loop).result()
        self.loop.call_soon_threadsafe(self.loop.stop)


def official(url: str) -> Any:
    """Get a deployment as the retired official client does: with a new gql client on requests for each call."""
    transport = RequestsHTTPTransport(url=url, headers=HEADERS, verify=True)
    client = GQLClient(transport=transport, fetch_schema_from_transport=False)
    return client.execute(_gql(GET, VARIABLES))


def gql_aiohttp(url: str, tls: ssl.SSLContext) -> Any:
    """Get a deployment with the aiohttp transport of gql from sync code: a new connection for each call."""
    transport = AIOHTTPTransport(url=url, headers=HEADERS, ssl=tls)
    return GQLClient(transport=transport, fetch_schema_from_transport=False).execute(_gql(GET, VARIABLES))


def _gql(text: str, variables: dict[str, Any]) -> Any:
    request = gql(text)
    request.variable_values = variables
    return request


class SGQLC:
    """The endpoint of sgqlc, on urllib."""

    def __init__(self, url: str) -> None:
        self.endpoint = HTTPEndpoint(url, HEADERS)

    def get(self) -> Any:
        """Get a deployment."""
        response = self.endpoint(GET, VARIABLES, operation_name="Deployment")
        return response["data"]


class _Resources(BaseModel):
    instanceType: str | None
    replicas: int


class _Data(BaseModel):
    image: str
    port: int | None
    resources: _Resources | None


class _Actor(BaseModel):
    fullName: str | None


class _Spec(BaseModel):
    id: Any
    data: _Data
    endpointUrl: str
    actor: _Actor


class _PageInfo(BaseModel):
    hasNextPage: bool
    endCursor: str | None


class _Specs(BaseModel):
    nodes: list[_Spec]
    pageInfo: _PageInfo


class _Deployment(BaseModel):
    id: Any
    name: str
    deploymentSpecs: _Specs


class _Get(BaseModel):
    deployment: _Deployment | None


class HTTPX:
    """httpx with a connection pool, json and pydantic models, as in the clients of ariadne-codegen."""

    def __init__(self, url: str, tls: ssl.SSLContext) -> None:
        self.url = url
        self.client = httpx.Client(headers=HEADERS, verify=tls)

    def get(self) -> Any:
        """Get a deployment."""
        response = self.client.post(self.url, content=json.dumps(get_payload()), headers=HEADERS)
        if not response.is_success:
            raise RuntimeError(response.status_code)
        return _Get.model_validate(response.json()["data"])

    def close(self) -> None:
        """Close the connection pool."""
        self.client.close()
