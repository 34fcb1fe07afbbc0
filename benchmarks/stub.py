"""A TLS server with prepared responses.

`python -m benchmarks.stub CERTIFICATE KEY` prints its port, and stops at the end of its standard input. The `projectId`
of a list request is the number of deployments in the list.
"""

from __future__ import annotations

import asyncio
import ssl
import sys
from functools import cache
from itertools import count
from typing import Any

import orjson
from aiohttp import web

PAGE = 100
_HEADERS = {"Content-Type": "application/graphql-response+json; charset=utf-8"}


def deployment(number: int) -> dict[str, Any]:
    """Make a deployment with one spec, as the API returns it."""
    id_ = f"{number:08x}-c125-4bd7-b143-8f5c386df8a9"
    data = {"image": "tensorflow/serving", "port": 8501, "resources": {"instanceType": "A100", "replicas": 1}}
    spec = {
        "id": f"{number:08x}-4bd7-4bd7-b143-8f5c386df8a9",
        "data": data,
        "endpointUrl": "https://model-endpoint.example.com",
        "actor": {"fullName": "First Last"},
    }
    specs = {"nodes": [spec], "pageInfo": {"hasNextPage": False, "endCursor": "1"}}
    return {"id": id_, "name": f"Deployment {number}", "deploymentSpecs": specs}


@cache
def page(start: int, total: int) -> bytes:
    """Make the page of a list that starts at this number."""
    end = min(start + PAGE, total)
    info = {"hasNextPage": end < total, "endCursor": str(end)}
    nodes = [deployment(number) for number in range(start, end)]
    body: bytes = orjson.dumps({"data": {"deployments": {"nodes": nodes, "pageInfo": info}}})
    return body


_one = orjson.dumps({"data": {"deployment": deployment(1)}})
_created = b'{"data":{"createDeployment":{"deployment":{"id":"%08x-c125-4bd7-b143-8f5c386df8a9"}}}}'
_numbers = count(1)


async def respond(request: web.Request) -> web.Response:
    """Return the prepared response to an operation."""
    payload = orjson.loads(await request.read())
    match payload.get("operationName", "Deployment"):  # gql sends none
        case "Deployment":
            body = _one
        case "Deployments":
            variables = payload["variables"]
            body = page(int(variables.get("after") or 0), int(variables["projectId"]))
        case "DeploymentCreate":
            body = _created % next(_numbers)
        case other:
            return web.Response(status=400, text=f"unknown operation {other}")
    return web.Response(body=body, headers=_HEADERS)


async def serve(certificate: str, key: str) -> None:
    """Serve until the end of standard input."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    app = web.Application()
    app.router.add_post("/graphql", respond)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    site = web.TCPSite(runner, "localhost", 0, ssl_context=context)
    await site.start()
    print(runner.addresses[0][1], flush=True)
    await asyncio.to_thread(sys.stdin.read)
    await runner.cleanup()


if __name__ == "__main__":
    asyncio.run(serve(*sys.argv[1:]))
