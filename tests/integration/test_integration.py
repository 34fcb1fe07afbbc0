"""`scripts/integration` holds a server to the contract: no more, no less, and cleans up behind itself."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from tests.altering_proxy import altered
from tests.integration import check_server

from paperspace.gradient import Client
from paperspace.gradient.server import LocalServer

Run = Callable[..., tuple[int, str]]


@pytest.fixture
def held(server: LocalServer, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Holds an altered server to the calls; gives the exit code and what was printed."""

    def run(**changes: Any) -> tuple[int, str]:
        monkeypatch.setenv("PAPERSPACE_API_KEY", server.api_key)
        with altered(server, **changes) as url:
            code = check_server.main([url])
        return code, capsys.readouterr().out

    return run


def specs_of(reply: dict[str, Any]) -> list[dict[str, Any]]:
    """The connections of specs in a reply."""
    data = reply.get("data") or {}
    found = [data["deployment"]] if data.get("deployment") else (data.get("deployments") or {}).get("nodes", [])
    return [deployment["deploymentSpecs"] for deployment in found]


def test_our_server(server: LocalServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """Our server passes, twice in a row, and nothing is left behind."""
    monkeypatch.setenv("PAPERSPACE_API_KEY", server.api_key)
    assert check_server.main([server.url]) == 0
    assert check_server.main([server.url]) == 0
    with Client(server.api_key, server.url) as client:
        assert client.deployments.list_deployments(first=None) == []


def test_fresh_server(capsys: pytest.CaptureFixture[str]) -> None:
    """Without a URL, a fresh local server is held to the calls."""
    assert check_server.main([]) == 0
    assert capsys.readouterr().out.endswith("The server does what is documented.\n")


def test_loose_name_filter_passes(held: Run) -> None:
    """A server that filters names by a part of them still fits: the library looks for the exact name itself."""

    def ignore_name(request: dict[str, Any]) -> None:
        if request.get("operationName") == "Deployments":
            request["variables"].pop("name", None)

    assert held(request=ignore_name)[0] == 0


def test_small_pages_pass(held: Run) -> None:
    """A server that gives at most ten a page still fits: the library fetches the others."""

    def cap(request: dict[str, Any]) -> None:
        for key in {"first", "specsFirst"} & set(request.get("variables", {})):
            request["variables"][key] = min(request["variables"][key], 10)

    assert held(request=cap)[0] == 0


def test_null_field_fails(held: Run, server: LocalServer) -> None:
    """A server that answers null where a value was given fails, the place is named, and nothing is left behind."""

    def forget_port(reply: dict[str, Any]) -> None:
        for specs in specs_of(reply):
            for node in specs["nodes"]:
                node.get("data", {})["port"] = None

    code, out = held(response=forget_port)
    assert code == 1
    assert "differs get_deployment\n" in out
    assert "returns.deploymentSpecs.nodes[0].data.port is null; expected 8501" in out
    with Client(server.api_key, server.url) as client:
        assert client.deployments.list_deployments(first=None) == []


def test_null_for_what_is_never_null_fails(held: Run) -> None:
    """A server that answers null where the API promises a value fails, with the error that names the path."""

    def forget_url(reply: dict[str, Any]) -> None:
        for specs in specs_of(reply):
            for node in specs["nodes"]:
                if "endpointUrl" in node:
                    node["endpointUrl"] = None

    code, out = held(response=forget_url)
    assert code == 1
    assert 'raises is not expected, but there is "MalformedResponseError"' in out
    assert "deployment.deploymentSpecs.nodes.0.endpointUrl" in out


def test_reversed_order_fails(held: Run) -> None:
    """A server that gives the oldest spec first fails where the order is documented."""

    def reverse(reply: dict[str, Any]) -> None:
        for specs in specs_of(reply):
            specs["nodes"].reverse()

    code, out = held(response=reverse)
    assert code == 1
    assert "differs get_deployment, updated\n" in out
    assert "nodes[0].data.resources.replicas is 1; expected 2" in out


def test_wrong_key_is_said(
    server: LocalServer, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A key that is not accepted is said, with the server's words."""
    monkeypatch.setenv("PAPERSPACE_API_KEY", "wrong")
    assert check_server.main([server.url]) == 1
    assert "Deployments: API key missing or wrong" in capsys.readouterr().err


def test_server_that_is_down(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """A server that is not there is one sentence, and nothing is written for it."""
    monkeypatch.setenv("PAPERSPACE_API_KEY", "key")
    before = check_server.EXPECTED.read_bytes()
    for arguments in (["http://127.0.0.1:9/graphql"], ["http://127.0.0.1:9/graphql", "--update"]):
        assert check_server.main(arguments) == 1
        assert "no connection to 127.0.0.1" in capsys.readouterr().err
    assert check_server.EXPECTED.read_bytes() == before


def test_unknown_cluster(held: Run) -> None:
    """A server that does not say the cluster fails where that is asked for, and goes through the rest."""

    def forget_cluster(reply: dict[str, Any]) -> None:
        for specs in specs_of(reply):
            for node in specs["nodes"]:
                if "cluster" in node:
                    node["cluster"] = None

    code, out = held(response=forget_cluster)
    assert code == 1
    assert "differs list_deployments by cluster\n        was not reached" in out
    assert "ok      get_deployment, unknown" in out


def test_no_key_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    """Without a key, there is one sentence and exit code 1."""
    assert check_server.main(["http://127.0.0.1:9/graphql"]) == 1
    assert "no API key" in capsys.readouterr().err
