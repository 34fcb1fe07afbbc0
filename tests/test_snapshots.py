"""Snapshots of results, requests and error messages: each change shows as a diff to review."""

from __future__ import annotations

import json
from collections.abc import Callable, Generator
from contextlib import suppress
from typing import Any

import pytest
from syrupy.assertion import SnapshotAssertion
from syrupy.extensions.single_file import SingleFileSnapshotExtension, WriteMode
from tests.samples import SPEC, spec

from paperspace.gradient import AsyncClient, Client, GradientError
from paperspace.gradient.server import LocalServer

UNKNOWN_ID = "00000000-0000-0000-0000-0000000000ff"


class StoryExtension(SingleFileSnapshotExtension):
    """Snapshots as plain text, one file a case."""

    _write_mode = WriteMode.TEXT
    file_extension = "txt"


@pytest.fixture
def story(snapshot: SnapshotAssertion, server: LocalServer) -> Callable[[Any], None]:
    """Compare a value with the snapshot of the test."""

    def check(value: Any) -> None:
        assert readable(value, server) + "\n" == snapshot(extension_class=StoryExtension)

    return check


def readable(value: Any, server: LocalServer) -> str:
    """Return the value as text, with 8600 for the port of the server, the only random part."""
    text = value if isinstance(value, str) else json.dumps(value, indent=2, ensure_ascii=False)
    port = server.url.split(":")[2].split("/")[0]
    return text.replace(f"127.0.0.1:{port}", "127.0.0.1:8600")


def calls(functions: Any) -> Generator[tuple[str, Any], Any, None]:
    """Call every documented function, on a new deployment: yield a title and what was returned; take the result."""
    created = yield "create", functions.create_deployment(name="Test Deployment", project_id="p1", spec=SPEC)
    yield "get", functions.get_deployment(id=created["id"])
    yield "list", functions.list_deployments(name="Test Deployment", project_id="p1", cluster_id="local", first=10)
    yield "update", functions.update_deployment(name="Test Deployment", project_id="p1", spec=spec(replicas=2))
    yield "get after the update", functions.get_deployment(id=created["id"])
    yield "delete", functions.delete_deployment(id=created["id"])


def use_every_function(client: Client) -> dict[str, Any]:
    """Call every documented function; return the results by title."""
    results: dict[str, Any] = {}
    steps = calls(client.deployments)
    with suppress(StopIteration):
        title, result = next(steps)
        while True:
            results[title] = result
            title, result = steps.send(result)
    return results


async def use_every_async_function(client: AsyncClient) -> dict[str, Any]:
    """Call the async version of every documented function; return the results by title."""
    results: dict[str, Any] = {}
    steps = calls(client.deployments)
    with suppress(StopIteration):
        title, coroutine = next(steps)
        while True:
            results[title] = await coroutine
            title, coroutine = steps.send(results[title])
    return results


def test_responses(client: Client, story: Callable[[Any], None]) -> None:
    """Each documented function returns what the snapshot shows."""
    story(use_every_function(client))


def test_wire(client: Client, wire: list[dict[str, Any]], story: Callable[[Any], None]) -> None:
    """Each call sends the operations and variables of the snapshot."""
    use_every_function(client)
    story(wire)


def test_minimal_spec(client: Client, story: Callable[[Any], None]) -> None:
    """Fields that a spec leaves out are null in the result."""
    created = client.deployments.create_deployment("n", "p", {"image": "nginx"})
    story(client.deployments.get_deployment(created["id"]))


@pytest.mark.anyio
async def test_async_version(
    client: Client, server: LocalServer, new_server: Callable[[], LocalServer], wire: list[dict[str, Any]]
) -> None:
    """The async version of each function sends and returns what the sync version does."""
    expected = readable(use_every_function(client), server)
    requests = wire.copy()
    wire.clear()
    with new_server() as other:
        async with AsyncClient(other.api_key, other.url) as aclient:
            results = await use_every_async_function(aclient)
    assert readable(results, other) == expected
    assert wire == requests


WRONG_SPEC: Any = {
    "imag": "tensorflow/serving",
    "port": "8501",
    "resources": {"instancetype": "A100", "replicas": -1, "autoscaling": {"metrics": [{"metric": "gpu", "value": 1}]}},
    "env": [{"name": "TOKEN", "value": 5}],
    "protocol": "grpc",
    "healthCheck": {},
}


def closed(client: Client) -> Client:
    """Close the client and return it."""
    client.close()
    return client


MISTAKES: dict[str, Callable[[Client], object]] = {
    "name taken": lambda client: client.deployments.create_deployment("taken", "p", {"image": "nginx"}),
    "wrong spec": lambda client: client.deployments.create_deployment("n", "p", WRONG_SPEC),
    "no dict": lambda client: client.deployments.create_deployment("n", "p", "nginx"),  # type: ignore[arg-type]
    "unprintable name": lambda client: client.deployments.create_deployment("a\u202eb", "p", {"image": "nginx"}),
    "malformed id": lambda client: client.deployments.get_deployment("mnist"),
    "unknown id": lambda client: client.deployments.get_deployment(UNKNOWN_ID),
    "delete of an unknown id": lambda client: client.deployments.delete_deployment(UNKNOWN_ID),
    "update of an unknown name": lambda client: client.deployments.update_deployment("m", "p", {"image": "nginx"}),
    "update without a change": lambda client: client.deployments.update_deployment(id=UNKNOWN_ID),
    "wrong key": lambda client: Client("wrong", client._session.settings.api_url).deployments.list_deployments(),
    "no key": lambda _: Client(api_url="http://127.0.0.1/graphql"),
    "plain http": lambda _: Client("key", "http://gradient.example/graphql"),
    "closed client": lambda client: closed(client).deployments.list_deployments(),
    "no server": lambda _: Client("key", "http://127.0.0.1:9/graphql", max_retries=0).deployments.list_deployments(),
}


def test_errors(client: Client, story: Callable[[Any], None], monkeypatch: pytest.MonkeyPatch) -> None:
    """Each mistake raises the class and message of the snapshot."""
    monkeypatch.setenv("PAPERSPACE_CONFIG_PATH", "/home/me/.paperspace")
    client.deployments.create_deployment("taken", "p", {"image": "nginx"})
    lines = []
    for mistake, call in MISTAKES.items():
        with pytest.raises(GradientError) as caught:
            call(client)
        lines.append(f"{mistake}\n    {type(caught.value).__name__}: {caught.value}\n")
    story("\n".join(lines))
