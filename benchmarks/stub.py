"""A TLS server that knows all its answers beforehand: it runs in a process of its own and takes next to no time.

Run as `python -m benchmarks.stub CERTIFICATE KEY`, it prints its port, and goes when its standard input ends. The `projectId`
that a list asks for is the number of deployments that it is to have.
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
    """A deployment as the API answers it: one spec, as the documentation shows it."""
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
    """The page of a list that begins at a number."""
    end = min(start + PAGE, total)
    info = {"hasNextPage": end < total, "endCursor": str(end)}
    nodes = [deployment(number) for number in range(start, end)]
    body: bytes = orjson.dumps({"data": {"deployments": {"nodes": nodes, "pageInfo": info}}})
    return body


_one = orjson.dumps({"data": {"deployment": deployment(1)}})
_created = b'{"data":{"createDeployment":{"deployment":{"id":"%08x-c125-4bd7-b143-8f5c386df8a9"}}}}'
_numbers = count(1)


async def answer(request: web.Request) -> web.Response:
    """Answers an operation by its name."""
    asked = orjson.loads(await request.read())
    match asked.get("operationName", "Deployment"):  # gql sends none
        case "Deployment":
            body = _one
        case "Deployments":
            variables = asked["variables"]
            body = page(int(variables.get("after") or 0), int(variables["projectId"]))
        case "DeploymentCreate":
            body = _created % next(_numbers)
        case other:
            return web.Response(status=400, text=f"{other}?")
    return web.Response(body=body, headers=_HEADERS)


async def serve(certificate: str, key: str) -> None:
    """Serves until standard input ends."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    app = web.Application()
    app.router.add_post("/graphql", answer)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    site = web.TCPSite(runner, "localhost", 0, ssl_context=context)
    await site.start()
    print(runner.addresses[0][1], flush=True)
    await asyncio.to_thread(sys.stdin.read)
    await runner.cleanup()


if __name__ == "__main__":
    asyncio.run(serve(*sys.argv[1:]))
