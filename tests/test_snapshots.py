"""The response shapes, the wire and the errors' text, locked: a change of any of them shows as a diff to be read."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from syrupy.assertion import SnapshotAssertion
from syrupy.extensions.single_file import SingleFileSnapshotExtension, WriteMode
from tests.samples import SPEC, spec

from paperspace.gradient import AsyncClient, Client, GradientError
from paperspace.gradient.server import LocalServer

UNKNOWN_ID = "00000000-0000-0000-0000-0000000000ff"


class StoryExtension(SingleFileSnapshotExtension):
    """One file a case, that can be read as it is."""

    _write_mode = WriteMode.TEXT
    file_extension = "txt"


@pytest.fixture
def story(snapshot: SnapshotAssertion, server: LocalServer) -> Callable[[Any], None]:
    """Holds a value to the snapshot of the test. The port, the only thing left to chance, shows as 8600."""

    def check(value: Any) -> None:
        text = value if isinstance(value, str) else json.dumps(value, indent=2, ensure_ascii=False)
        port = server.url.split(":")[2].split("/")[0]
        assert text.replace(f"127.0.0.1:{port}", "127.0.0.1:8600") + "\n" == snapshot(extension_class=StoryExtension)

    return check


def walk(client: Client) -> dict[str, Any]:
    """Every function once, on a deployment of its own: what each returned."""
    functions = client.deployments
    created = functions.create_deployment(name="Test Deployment", project_id="p1", spec=SPEC)
    return {
        "create": created,
        "get": functions.get_deployment(id=created["id"]),
        "list": functions.list_deployments(name="Test Deployment", project_id="p1", cluster_id="local", first=10),
        "update": functions.update_deployment(name="Test Deployment", project_id="p1", spec=spec(replicas=2)),
        "get after the update": functions.get_deployment(id=created["id"]),
        "delete": functions.delete_deployment(id=created["id"]),
    }


def test_responses(client: Client, story: Callable[[Any], None]) -> None:
    """Each function returns this."""
    story(walk(client))


def test_wire(client: Client, wire: list[dict[str, Any]], story: Callable[[Any], None]) -> None:
    """Each call sends these operations with these variables."""
    walk(client)
    story(wire)


def test_spec_that_says_little(client: Client, story: Callable[[Any], None]) -> None:
    """What a spec leaves out is there, as null."""
    created = client.deployments.create_deployment("n", "p", {"image": "nginx"})
    story(client.deployments.get_deployment(created["id"]))


@pytest.mark.anyio
async def test_responses_of_the_async_functions(
    client: Client, aclient: AsyncClient, wire: list[dict[str, Any]]
) -> None:
    """The async functions send and return what the synchronous ones do."""
    created = client.deployments.create_deployment("n", "p", {"image": "nginx"})
    wire.clear()
    both = [
        (client.deployments.get_deployment(created["id"]), await aclient.deployments.get_deployment(created["id"])),
        (client.deployments.list_deployments("n"), await aclient.deployments.list_deployments("n")),
    ]
    assert all(one == other for one, other in both)
    assert wire[0] == wire[1]
    assert wire[2] == wire[3]


WRONG_SPEC: Any = {
    "imag": "tensorflow/serving",
    "port": "8501",
    "resources": {"instancetype": "A100", "replicas": -1, "autoscaling": {"metrics": [{"metric": "gpu", "value": 1}]}},
    "env": [{"name": "TOKEN", "value": 5}],
    "protocol": "grpc",
    "healthChecks": {},
}


def closed(client: Client) -> Client:
    """The client, closed."""
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
    """Each mistake is answered by this class and this text."""
    monkeypatch.setenv("PAPERSPACE_CONFIG_PATH", "/home/me/.paperspace")
    client.deployments.create_deployment("taken", "p", {"image": "nginx"})
    lines = []
    for mistake, call in MISTAKES.items():
        with pytest.raises(GradientError) as caught:
            call(client)
        lines.append(f"{mistake}\n    {type(caught.value).__name__}: {caught.value}\n")
    story("\n".join(lines))
