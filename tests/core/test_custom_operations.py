"""Operations of a user's own run like ours."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from tests.samples import SPEC
from typing_extensions import TypedDict

from paperspace.gradient import (
    AsyncClient,
    BadRequestError,
    Client,
    ConflictError,
    InvalidArgumentError,
    MalformedResponseError,
)

CLUSTERS = """
query Clusters($first: Int) {
  deployments(first: $first) { nodes { ...Where } }
}
"""
WHERE = "fragment Where on Deployment { name deploymentSpecs(first: 1) { nodes { cluster { id } } } }"


class Named(TypedDict):
    """A deployment of which only the name matters."""

    name: str


class Nodes(TypedDict):
    """A page of those."""

    nodes: list[Named]


class Result(TypedDict):
    """The data of the operation."""

    deployments: Nodes


class Impossible(TypedDict):
    """What the data do not fit."""

    deployments: list[str]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """An operation in a file, with its fragment in a file beside it."""
    (tmp_path / "Clusters.graphql").write_text(CLUSTERS, encoding="utf-8")
    (tmp_path / "Where.graphql").write_text(WHERE, encoding="utf-8")
    return tmp_path / "Clusters.graphql"


def test_file(client: Client, path: Path, wire: list[dict[str, Any]]) -> None:
    """A file with an operation runs, with its variables, and a fragment in a file beside it is found."""
    client.deployments.create_deployment("n", "p", SPEC, "c")
    wire.clear()
    data = client.execute(path, {"first": 3})
    assert data == {"deployments": {"nodes": [{"name": "n", "deploymentSpecs": {"nodes": [{"cluster": {"id": "c"}}]}}]}}
    assert wire == [{"operationName": "Clusters", "variables": {"first": 3}}]


def test_text(client: Client) -> None:
    """So does the text of one."""
    assert client.execute(CLUSTERS + WHERE) == {"deployments": {"nodes": []}}


@pytest.mark.anyio
async def test_async(aclient: AsyncClient, path: Path) -> None:
    """And so does either to be awaited."""
    assert await aclient.execute(path) == {"deployments": {"nodes": []}}


def test_result(client: Client, path: Path) -> None:
    """The data are held to a shape where one is given, and what it does not name is left out."""
    client.deployments.create_deployment("n", "p", SPEC)
    data = client.execute(path, result=Result)
    assert data == {"deployments": {"nodes": [{"name": "n"}]}}
    with pytest.raises(MalformedResponseError, match=r"Clusters: .* deployments: Input should be a valid list"):
        client.execute(path, result=Impossible)


def test_typed_errors(client: Client) -> None:
    """What the server refuses is the same error as that of a function."""
    text = "mutation Make($input: CreateDeploymentInput!) { createDeployment(input: $input) { deployment { id } } }"
    variables = {"input": {"name": "n", "projectId": "p", "spec": SPEC}}
    client.execute(text, variables)
    with pytest.raises(ConflictError, match=r"Make: .*'n'"):
        client.execute(text, variables)


@pytest.mark.parametrize(
    ("document", "complaint"),
    [
        ("query Q { nothing }", r"the document:1:11: Cannot query field 'nothing'"),
        ("query Q {", "Syntax Error"),
        ("{ deployments { nodes { id } } }", "one operation, and that with a name"),
        ("query A { __typename } query B { __typename }", "one operation, and that with a name"),
        (Path("nowhere.graphql"), r"nowhere\.graphql cannot be read: No such file"),
    ],
)
def test_refused_before_it_is_sent(
    client: Client, wire: list[dict[str, Any]], document: str | Path, complaint: str
) -> None:
    """An operation that cannot be right is refused with its place, and nothing is sent."""
    with pytest.raises(InvalidArgumentError, match=complaint):
        client.execute(document)
    assert wire == []


def test_server_that_knows_more(client: Client) -> None:
    """Unchecked, an operation is left to the server to judge."""
    with pytest.raises(BadRequestError, match="nothing"):
        client.execute("query Q { nothing }", check=False)


BY_NAME = "query ByName($name: String!) { deployments(name: $name) { nodes { id } } }"
MAKE = "mutation Make($input: CreateDeploymentInput!) { createDeployment(input: $input) { deployment { id } } }"


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        ((BY_NAME, {"nmae": "n", "name": "n"}), r"ByName has no variable \$nmae; it has \['name'\]"),
        ((BY_NAME, {}), r"ByName: .*\$name.* to be provided"),
        ((BY_NAME, {"name": 5}), r"ByName: .*\$name"),
        ((BY_NAME, 5), "variables: a dict by name expected, int given"),
        ((BY_NAME, {5: "n"}), "variables: a dict by name expected"),
        ((None,), "the path of a .graphql file or the text of an operation expected, NoneType given"),
        (("Ops.graphql",), r"give its pathlib\.Path"),
        ((Path("a\0b"),), "cannot be read"),
    ],
)
def test_odd_arguments(client: Client, wire: list[dict[str, Any]], arguments: Any, complaint: str) -> None:
    """Whatever does not fit is refused before anything is sent, and says what would."""
    with pytest.raises(InvalidArgumentError, match=complaint):
        client.execute(*arguments)
    assert wire == []


class Unfinished(TypedDict):
    """A shape that names a type that there is not."""

    deployments: "Undefined"  # type: ignore[name-defined]  # noqa: F821, UP037


@pytest.mark.parametrize("result", [[1], "Result", object(), int, Path, Unfinished])
def test_odd_result(client: Client, wire: list[dict[str, Any]], result: Any) -> None:
    """What is no shape is refused before anything is sent."""
    with pytest.raises(InvalidArgumentError, match="result: a TypedDict expected"):
        client.execute(CLUSTERS + WHERE, result=result)
    assert wire == []


def test_result_that_does_not_fit_is_not_the_servers_fault(client: Client, wire: list[dict[str, Any]]) -> None:
    """A mutation whose data do not fit the user's shape was carried out, is not sent again, and says so."""
    variables = {"input": {"name": "n", "projectId": "p", "spec": SPEC}}
    with pytest.raises(MalformedResponseError) as caught:
        client.execute(MAKE, variables, result=Impossible, idempotent=True)
    assert caught.value.may_have_executed == "yes"
    assert len(wire) == 1
    assert len(client.deployments.list_deployments()) == 1


@pytest.mark.parametrize("value", [object(), "\ud800"])
def test_variable_that_is_no_json(client: Client, wire: list[dict[str, Any]], value: object) -> None:
    """What JSON cannot carry is the caller's mistake, not a broken connection."""
    with pytest.raises(InvalidArgumentError, match="cannot be written as JSON"):
        client.execute(BY_NAME, {"name": value}, check=False)
    assert len(wire) <= 1
