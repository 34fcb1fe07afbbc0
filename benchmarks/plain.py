"""A simple endpoint with graphql-core and aiohttp, on the same schema: no validation of specs, no database.

`python -m benchmarks.plain COUNT` keeps COUNT deployments in memory, prints its URL, and stops at the end of its
standard input.
"""

from __future__ import annotations

import asyncio
import json
import sys
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

from aiohttp import web
from graphql import build_schema, graphql_sync

from paperspace.gradient._shared.graphql_files import graphql_folder

_SCHEMA = build_schema((graphql_folder() / "schema.graphql").read_text(encoding="utf-8"))


class Connection:
    """Resolves a connection: a page of a list."""

    def __init__(self, items: list[Any]) -> None:
        self.items = items

    def __call__(self, _info: Any, first: int = 100, after: str | None = None, **_: Any) -> dict[str, Any]:
        """Return the page."""
        start = int(after or 0)
        end = min(start + first, len(self.items))
        info = {"hasNextPage": end < len(self.items), "hasPreviousPage": start > 0, "endCursor": str(end)}
        return {"nodes": self.items[start:end], "pageInfo": info}


class Root:
    """Resolves the fields of Query and Mutation."""

    def __init__(self, count: int, base_url: str) -> None:
        self.base_url = base_url
        self.rows: list[dict[str, Any]] = []
        self.by_id: dict[str, dict[str, Any]] = {}
        self.deployments = Connection(self.rows)
        for number in range(count):
            data = {"image": "tensorflow/serving", "port": 8501, "resources": {"instanceType": "A100", "replicas": 1}}
            self.add(f"n{number}", data)

    def add(self, name: str, data: dict[str, Any]) -> dict[str, Any]:
        """Add a deployment."""
        id_, now = str(uuid4()), datetime.now(UTC).isoformat()
        url = f"{self.base_url}/endpoints/{id_}"
        spec = {"id": str(uuid4()), "data": data, "endpointUrl": url, "actor": {"fullName": "A"}, "dtCreated": now}
        row = {"id": id_, "name": name, "dtCreated": now, "deploymentSpecs": Connection([spec])}
        self.rows.insert(0, row)
        self.by_id[id_] = row
        return row

    def deployment(self, _info: Any, id: str) -> dict[str, Any] | None:
        """Resolve Query.deployment."""
        return self.by_id.get(id)

    def createDeployment(self, _info: Any, input: dict[str, Any]) -> dict[str, Any]:  # noqa: N802  # name in the schema
        """Resolve Mutation.createDeployment."""
        return {"deployment": self.add(input["name"], input["spec"])}


async def serve(count: int) -> None:
    """Serve until the end of standard input."""
    root = Root(count, "http://127.0.0.1")

    async def respond(request: web.Request) -> web.Response:
        payload = await request.json()
        result = graphql_sync(
            _SCHEMA,
            payload["query"],
            root,
            variable_values=payload.get("variables"),
            operation_name=payload.get("operationName"),
        )
        return web.Response(body=json.dumps(result.formatted).encode(), content_type="application/json")

    app = web.Application()
    app.router.add_post("/graphql", respond)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    print(f"http://127.0.0.1:{runner.addresses[0][1]}/graphql", flush=True)
    await asyncio.to_thread(sys.stdin.read)
    await runner.cleanup()


if __name__ == "__main__":
    asyncio.run(serve(int(sys.argv[1])))
