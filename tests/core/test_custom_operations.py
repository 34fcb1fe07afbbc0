"""`Client.execute`: operations that a user wrote run like those of the library."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from tests.faults.behaviours import response
from tests.faults.server import Exchange, FaultServer, good
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
BY_NAME = "query ByName($name: String!) { deployments(name: $name) { nodes { id } } }"
MAKE = "mutation Make($input: CreateDeploymentInput!) { createDeployment(input: $input) { deployment { id } } }"


class Named(TypedDict):
    """A deployment with its name only."""

    name: str


class Nodes(TypedDict):
    """A page of named deployments."""

    nodes: list[Named]


class Result(TypedDict):
    """The data of the operation."""

    deployments: Nodes


class Impossible(TypedDict):
    """A result type that the data do not fit."""

    deployments: list[str]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """An operation in a file, with its fragment in another file of the same folder."""
    (tmp_path / "Clusters.graphql").write_text(CLUSTERS, encoding="utf-8")
    (tmp_path / "Where.graphql").write_text(WHERE, encoding="utf-8")
    return tmp_path / "Clusters.graphql"


def test_file(client: Client, path: Path, wire: list[dict[str, Any]]) -> None:
    """An operation in a file runs with its variables and with a fragment from the same folder."""
    client.deployments.create_deployment("n", "p", SPEC, "c")
    wire.clear()
    data = client.execute(path, {"first": 3})
    assert data == {"deployments": {"nodes": [{"name": "n", "deploymentSpecs": {"nodes": [{"cluster": {"id": "c"}}]}}]}}
    assert wire == [{"operationName": "Clusters", "variables": {"first": 3}}]


def test_text(client: Client) -> None:
    """The text of an operation runs too."""
    assert client.execute(CLUSTERS + WHERE) == {"deployments": {"nodes": []}}


def test_fragment_in_the_same_file(client: Client, tmp_path: Path) -> None:
    """A file may contain the fragments of its operation."""
    (tmp_path / "Clusters.graphql").write_text(CLUSTERS + WHERE, encoding="utf-8")
    assert client.execute(tmp_path / "Clusters.graphql") == {"deployments": {"nodes": []}}


@pytest.mark.anyio
async def test_async(aclient: AsyncClient, path: Path) -> None:
    """The async version runs a file and a text."""
    assert await aclient.execute(path) == {"deployments": {"nodes": []}}
    assert await aclient.execute(CLUSTERS + WHERE) == {"deployments": {"nodes": []}}


def test_result(client: Client, path: Path) -> None:
    """With a result type the data are validated, and fields that it does not name are left out."""
    client.deployments.create_deployment("n", "p", SPEC)
    data = client.execute(path, result=Result)
    assert data == {"deployments": {"nodes": [{"name": "n"}]}}
    with pytest.raises(
        MalformedResponseError, match=r"Clusters: .* deployments: Input should be a valid list"
    ) as caught:
        client.execute(path, result=Impossible)
    assert caught.value.may_have_executed == "no"


def test_typed_errors(client: Client) -> None:
    """An error of the server has the same class as that of a documented function."""
    variables = {"input": {"name": "n", "projectId": "p", "spec": SPEC}}
    client.execute(MAKE, variables)
    with pytest.raises(ConflictError, match=r"Make: .*'n'"):
        client.execute(MAKE, variables)


@pytest.mark.parametrize(
    ("document", "message"),
    [
        ("query Q { nothing }", r"the document:1:11: Cannot query field 'nothing'"),
        ("query Q {", "Syntax Error"),
        ("{ deployments { nodes { id } } }", "exactly one operation, with a name"),
        ("query A { __typename } query B { __typename }", "exactly one operation, with a name"),
        (Path("nowhere.graphql"), r"cannot read nowhere\.graphql: No such file"),
    ],
)
def test_refused_before_it_is_sent(
    client: Client, wire: list[dict[str, Any]], document: str | Path, message: str
) -> None:
    """An invalid operation raises an error with line and column, and nothing is sent."""
    with pytest.raises(InvalidArgumentError, match=message):
        client.execute(document)
    assert wire == []


def test_unchecked(client: Client) -> None:
    """With check=False only the server validates the operation."""
    with pytest.raises(BadRequestError, match="nothing"):
        client.execute("query Q { nothing }", check=False)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((BY_NAME, {"nmae": "n", "name": "n"}), r"ByName has no variable \$nmae; its variables are \['name'\]"),
        ((BY_NAME, {}), r"ByName: .*\$name.* to be provided"),
        ((BY_NAME, {"name": 5}), r"ByName: .*\$name"),
        ((BY_NAME, 5), "variables: expected a dict with strings as keys, got int"),
        ((BY_NAME, {5: "n"}), "variables: expected a dict with strings as keys"),
        ((BY_NAME, {"name": (part for part in "n")}), "variables: expected plain data"),
        ((None,), "document: expected the path of a .graphql file or the text of an operation, got NoneType"),
        (("Ops.graphql",), r"pass its pathlib\.Path"),
        ((Path("a\0b"),), "cannot read"),
    ],
)
def test_invalid_arguments(client: Client, wire: list[dict[str, Any]], arguments: Any, message: str) -> None:
    """Invalid arguments raise an error that states what was expected, and nothing is sent."""
    with pytest.raises(InvalidArgumentError, match=message):
        client.execute(*arguments)
    assert wire == []


class Unfinished(TypedDict):
    """A result type that names an undefined type."""

    deployments: "Undefined"  # type: ignore[name-defined]  # noqa: F821, UP037


@pytest.mark.parametrize(
    ("result", "message"),
    [
        *[(result, "^result: expected a TypedDict, got ") for result in ([1], "Result", object(), int, Path)],
        (Unfinished, "^result: .* uses a type that is not defined$"),
    ],
)
def test_invalid_result(client: Client, wire: list[dict[str, Any]], result: Any, message: str) -> None:
    """A result type that is no TypedDict, or is incomplete, raises an error, and nothing is sent."""
    with pytest.raises(InvalidArgumentError, match=message):
        client.execute(CLUSTERS + WHERE, result=result)
    assert wire == []


def test_result_that_does_not_fit(client: Client, wire: list[dict[str, Any]]) -> None:
    """A mutation whose data do not fit the result type was applied and is not retried; the error states that."""
    variables = {"input": {"name": "n", "projectId": "p", "spec": SPEC}}
    with pytest.raises(MalformedResponseError) as caught:
        client.execute(MAKE, variables, result=Impossible, idempotent=True)
    assert caught.value.may_have_executed == "yes"
    assert len(wire) == 1
    assert len(client.deployments.list_deployments()) == 1


def test_variables_that_change_during_a_call() -> None:
    """A retry sends what the first attempt sent, although the caller has changed the variables meanwhile."""
    variables: dict[str, Any] = {"input": {"name": "n", "projectId": "p", "spec": dict(SPEC)}}

    async def change_and_fail(exchange: Exchange) -> None:
        variables["input"]["name"] = "another"
        exchange.reset()

    with FaultServer(change_and_fail, good) as faulty, Client("a-key", faulty.url) as client:
        client.execute(MAKE, variables, idempotent=True)
        first, second = faulty.requests
    assert first.payload["variables"] == second.payload["variables"]
    assert first.headers["idempotency-key"] == second.headers["idempotency-key"]


@pytest.mark.parametrize("value", [object(), "\ud800"])
def test_variable_that_is_no_json(client: Client, wire: list[dict[str, Any]], value: object) -> None:
    """A variable that JSON cannot represent is an invalid argument, not a connection failure: there is no retry."""
    with pytest.raises(InvalidArgumentError, match="cannot be encoded as JSON"):
        client.execute(BY_NAME, {"name": value}, check=False)
    assert len(wire) == 1


@pytest.mark.parametrize("number", [b"NaN", b"Infinity", b"-Infinity"])
def test_numbers_that_are_not_json(number: bytes) -> None:
    """NaN and Infinity are not JSON: the response is malformed, although Python's parsers accept them."""
    body = b'{"data": {"deployments": {"nodes": [], "total": ' + number + b"}}}"
    with FaultServer(then=response(200, body)) as faulty:
        client = Client("a-key", faulty.url, max_retries=0)
        with client, pytest.raises(MalformedResponseError):
            client.execute(CLUSTERS + WHERE)
