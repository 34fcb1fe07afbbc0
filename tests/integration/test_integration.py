"""`scripts/integration`: servers that pass, servers that fail, and the cleanup."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from tests.altering_proxy import altered, conflict_to_bad_user_input
from tests.integration import check_server

from paperspace.gradient import Client
from paperspace.gradient.server import LocalServer

Run = Callable[..., tuple[int, str]]


@pytest.fixture
def check(server: LocalServer, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Return a function that checks an altered server, and returns the exit code and the output."""

    def run(**changes: Any) -> tuple[int, str]:
        monkeypatch.setenv("PAPERSPACE_API_KEY", server.api_key)
        with altered(server, **changes) as url:
            code = check_server.main([url])
        return code, capsys.readouterr().out

    return run


def specs_of(response: dict[str, Any]) -> list[dict[str, Any]]:
    """The connections of specs in a response."""
    data = response.get("data") or {}
    deployments = [data["deployment"]] if data.get("deployment") else (data.get("deployments") or {}).get("nodes", [])
    return [deployment["deploymentSpecs"] for deployment in deployments]


def test_our_server(server: LocalServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """Our server passes twice in a row, and no deployment remains."""
    monkeypatch.setenv("PAPERSPACE_API_KEY", server.api_key)
    assert check_server.main([server.url]) == 0
    assert check_server.main([server.url]) == 0
    with Client(server.api_key, server.url) as client:
        assert client.deployments.list_deployments(first=None) == []


def test_fresh_server(capsys: pytest.CaptureFixture[str]) -> None:
    """Without a URL, a local server is checked."""
    assert check_server.main([]) == 0
    assert capsys.readouterr().out.endswith("The server supports the documented calls.\n")


def test_loose_name_filter_passes(check: Run) -> None:
    """A server that ignores the name filter passes: the library compares names itself."""

    def ignore_name(request: dict[str, Any]) -> None:
        if request.get("operationName") == "Deployments":
            request["variables"].pop("name", None)

    assert check(request=ignore_name)[0] == 0


def test_small_pages_pass(check: Run) -> None:
    """A server with at most ten items per page passes: the library fetches all pages."""

    def cap(request: dict[str, Any]) -> None:
        for key in {"first", "specsFirst"} & set(request.get("variables", {})):
            request["variables"][key] = min(request["variables"][key], 10)

    assert check(request=cap)[0] == 0


def test_bad_user_input_for_a_taken_name_passes(check: Run) -> None:
    """A server that reports a taken name as an invalid value passes: the library looks the name up."""
    assert check(response=conflict_to_bad_user_input)[0] == 0


def test_null_field_fails(check: Run, server: LocalServer) -> None:
    """A server that returns null for a field that was set fails; the path is shown, and no deployment remains."""

    def forget_port(response: dict[str, Any]) -> None:
        for specs in specs_of(response):
            for node in specs["nodes"]:
                node.get("data", {})["port"] = None

    code, out = check(response=forget_port)
    assert code == 1
    assert "differs get_deployment\n" in out
    assert "returns.deploymentSpecs.nodes[0].data.port: expected 8501, got null" in out
    with Client(server.api_key, server.url) as client:
        assert client.deployments.list_deployments(first=None) == []


def test_null_for_what_is_never_null_fails(check: Run) -> None:
    """A server that returns null for a non-null field fails, with an error that has the path."""

    def forget_url(response: dict[str, Any]) -> None:
        for specs in specs_of(response):
            for node in specs["nodes"]:
                if "endpointUrl" in node:
                    node["endpointUrl"] = None

    code, out = check(response=forget_url)
    assert code == 1
    assert 'raises: unexpected; got "MalformedResponseError"' in out
    assert "deployment.deploymentSpecs.nodes.0.endpointUrl" in out


def test_reversed_order_fails(check: Run) -> None:
    """A server that returns the oldest spec first fails, as the order is documented."""

    def reverse(response: dict[str, Any]) -> None:
        for specs in specs_of(response):
            specs["nodes"].reverse()

    code, out = check(response=reverse)
    assert code == 1
    assert "differs get_deployment, updated\n" in out
    assert "nodes[0].data.resources.replicas: expected 2, got 1" in out


def test_wrong_key(server: LocalServer, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """If the server refuses the API key, its message is shown."""
    monkeypatch.setenv("PAPERSPACE_API_KEY", "wrong")
    assert check_server.main([server.url]) == 1
    assert "The check could not run. Deployments: API key missing or wrong" in capsys.readouterr().err


def test_server_that_is_down(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """If no server responds, there is one line, and --update writes nothing."""
    monkeypatch.setenv("PAPERSPACE_API_KEY", "key")
    before = check_server.EXPECTED.read_bytes()
    for arguments in (["http://127.0.0.1:9/graphql"], ["http://127.0.0.1:9/graphql", "--update"]):
        assert check_server.main(arguments) == 1
        assert "no connection to 127.0.0.1" in capsys.readouterr().err
    assert check_server.EXPECTED.read_bytes() == before


def test_unknown_cluster(check: Run) -> None:
    """A server that returns no cluster fails the step that needs it; the other steps run."""

    def forget_cluster(response: dict[str, Any]) -> None:
        for specs in specs_of(response):
            for node in specs["nodes"]:
                if "cluster" in node:
                    node["cluster"] = None

    code, out = check(response=forget_cluster)
    assert code == 1
    assert "differs list_deployments by cluster\n        not run, because an earlier step failed" in out
    assert "ok      get_deployment, unknown" in out


def test_no_key(capsys: pytest.CaptureFixture[str]) -> None:
    """Without an API key, there is one line and exit code 1."""
    assert check_server.main(["http://127.0.0.1:9/graphql"]) == 1
    assert "no API key" in capsys.readouterr().err
