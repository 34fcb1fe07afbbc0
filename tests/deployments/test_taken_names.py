"""A taken name is a ConflictError, also with servers that report it as an invalid value."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from tests.altering_proxy import altered, conflict_to_bad_user_input
from tests.samples import SPEC, spec

from paperspace.gradient import BadRequestError, Client, ConflictError
from paperspace.gradient.server import LocalServer


@pytest.fixture
def vague(server: LocalServer) -> Iterator[Client]:
    """Yield a client of a server that reports a conflict as an invalid value."""
    with altered(server, response=conflict_to_bad_user_input) as url, Client(server.api_key, url) as client:
        yield client


def break_spec(request: dict[str, Any]) -> None:
    """Send a spec that the server rejects."""
    if spec := request["variables"].get("input", {}).get("spec"):
        spec["image"] = ""


def test_create(vague: Client, wire: list[dict[str, Any]]) -> None:
    """A create with a taken name looks the name up once, and raises a conflict with the facts of the server's error."""
    vague.deployments.create_deployment("n", "p", SPEC)
    wire.clear()
    with pytest.raises(ConflictError, match="another deployment is named 'n' in project 'p'") as caught:
        vague.deployments.create_deployment("n", "p", SPEC)
    assert [request["operationName"] for request in wire] == ["DeploymentCreate", "Deployments"]
    assert type(caught.value.__cause__) is BadRequestError
    error = caught.value
    assert (error.operation, error.code, error.attempts) == ("DeploymentCreate", "BAD_USER_INPUT", 2)
    assert (error.status, error.may_have_executed) == (200, "no")


def test_names_elsewhere(vague: Client, server: LocalServer) -> None:
    """Deployments of other names and projects are no conflict: the error is that of the server, with the likely causes."""
    vague.deployments.create_deployment("n", "another", SPEC)
    vague.deployments.create_deployment("nn", "p", SPEC)

    with (
        altered(server, request=break_spec) as url,
        Client(server.api_key, url) as client,
        pytest.raises(BadRequestError) as caught,
    ):
        client.deployments.create_deployment("n", "p", SPEC)
    assert caught.value.args[0].endswith("(possible cause: the cluster or instance type does not exist)")


@pytest.mark.parametrize("project", [None, "p"])
def test_rename(vague: Client, project: str | None) -> None:
    """A rename to a taken name is a conflict; a rename to its own name is not."""
    created = vague.deployments.create_deployment("n", "p", SPEC)
    vague.deployments.create_deployment("taken", "p", SPEC)
    with pytest.raises(ConflictError, match="named 'taken'"):
        vague.deployments.update_deployment("taken", project, id=created["id"])
    assert vague.deployments.update_deployment("n", project, id=created["id"]) == created


def test_rejected_rename(server: LocalServer, client: Client) -> None:
    """If only the deployment itself has the name, the rejection had another reason, and stays a BadRequestError."""
    created = client.deployments.create_deployment("n", "p", SPEC)

    with (
        altered(server, request=break_spec) as url,
        Client(server.api_key, url) as other,
        pytest.raises(BadRequestError),
    ):
        other.deployments.update_deployment("n", "p", SPEC, id=created["id"])


def test_apply(vague: Client, server: LocalServer) -> None:
    """If another client creates the deployment between the read and the create of an apply, it is updated."""
    hidden = True

    def hide_once(response: dict[str, Any]) -> None:
        nonlocal hidden
        conflict_to_bad_user_input(response)
        nodes = (response.get("data") or {}).get("deployments", {}).get("nodes")
        if nodes and hidden:
            nodes.clear()
            hidden = False

    created = vague.deployments.create_deployment("n", "p", SPEC)
    with altered(server, response=hide_once) as url, Client(server.api_key, url) as client:
        applied = client.deployments.apply_deployment("n", "p", spec(replicas=2))
    assert (applied["id"], applied["action"]) == (created["id"], "updated")


def test_invalid_documents_are_not_looked_up(server: LocalServer, wire: list[dict[str, Any]]) -> None:
    """A request that is rejected before its values are looked at says nothing about the name."""

    def refuse(response: dict[str, Any]) -> None:
        response.clear()
        response["errors"] = [{"message": "No.", "extensions": {"code": "GRAPHQL_VALIDATION_FAILED"}}]

    with (
        altered(server, response=refuse) as url,
        Client(server.api_key, url) as client,
        pytest.raises(BadRequestError, match=r"No\. \(HTTP 200"),
    ):
        client.deployments.create_deployment("n", "p", SPEC)
    assert [request["operationName"] for request in wire] == ["DeploymentCreate"]
