"""Limits: hostile documents are rejected with little work, and documents of real programs pass."""

from __future__ import annotations

import re
import sys
from typing import TYPE_CHECKING, Any

import pytest
from graphql import get_introspection_query, parse, print_ast
from tests.server.conftest import backend_of
from tools import TOP

from paperspace.gradient.server import LocalServer, dispatcher
from paperspace.gradient.server.graphql.execution import Executor, Request
from paperspace.gradient.server.storage.budget import MAXIMUM, Budget

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import FrameType

    from tests.raw_client import Caller


OPERATIONS = TOP / "graphql/operations"

# What the retired official client sends: seen on the wire.
OFFICIAL_RUNS = """
deploymentRuns(first: $first) { nodes { id availableReplicas readyReplicas replicas
  deploymentRunInstances(first: $first) { nodes { id phase dtStarted dtFinished } } } }
"""
OFFICIAL_LIST = """
query getDeployments($first: Int!, $projectId: String, $clusterId: String, $name: String) {
  deployments(first: $first, projectId: $projectId, name: $name) { nodes { id name
    deploymentSpecs(first: $first, clusterId: $clusterId) { nodes {
      id data { image port resources { instanceType replicas } } endpointUrl actor { avatarUrl fullName } RUNS
    } } } } }
""".replace("RUNS", OFFICIAL_RUNS)
OFFICIAL_GET = """
query getDeployment($id: UUID!, $first: Int!) {
  deployment(id: $id) { id name deploymentSpecs(first: $first) { nodes {
    id data { image port resources { instanceType replicas } } endpointUrl actor { avatarUrl fullName } cluster { id }
    data { command env { name value } image models { id path } port resources { replicas } } RUNS
  } } } }
""".replace("RUNS", OFFICIAL_RUNS)

# The introspection query that tools of its time sent, before the specification had more to ask for.
OLDER_INTROSPECTION = get_introspection_query(descriptions=True)
NEWEST_INTROSPECTION = get_introspection_query(
    descriptions=True,
    specified_by_url=True,
    directive_is_repeatable=True,
    schema_description=True,
    input_value_deprecation=True,
)

ID = "00000000-0000-0000-0000-000000000000"


def repeated(text: str, times: int, between: str = " ") -> str:
    return between.join(text.replace("#", str(number)) for number in range(times))


HOSTILE = {
    "aliases": "{" + repeated("a#: __typename", 10_000) + "}",
    "aliases that just fit the tokens": "{" + repeated("a#: __typename", 300) + "}",
    "root fields": "{" + repeated("__typename", 11) + "}",
    "root fields of a mutation": "mutation {"
    + repeated(f'deleteDeployment(input: {{id: "{ID}"}}) {{ __typename }}', 2)
    + "}",
    "root fields of a mutation in a fragment": "mutation { ...F } fragment F on Mutation {"
    + repeated(f'deleteDeployment(input: {{id: "{ID}"}}) {{ __typename }}', 2)
    + "}",
    "root fields in fragments": "{ ...F ...F } fragment F on Query { ... {" + repeated("a#: __typename", 6) + "} }",
    "depth": "{ deployments { nodes " + "{ deploymentSpecs { nodes { deployment " * 4 + "{ id }" + "} } }" * 4 + "} }",
    "great depth": "{" + "a {" * 4000 + "}" * 4001,
    "unclosed depth": "{" * 15_000,
    "depth of lists": "{ deployments(name: " + "[" * 8000,
    "fragment spreads": "{ deployments { nodes {" + repeated("...F", 21) + "} } } fragment F on Deployment { id }",
    "inline fragments": "{ deployments { nodes {" + repeated("... { id }", 21) + "} } }",
    "fragments": "{ __typename }" + repeated("fragment F# on Deployment { id }", 21),
    "many fragments": "{ deployments { nodes { ...F0 } } }" + repeated("fragment F# on Deployment { ...F1 }", 1000),
    "doubling fragments": "{ deployments { nodes { ...F0 } } }"
    + "".join(f"fragment F{n} on Deployment {{ ...F{n + 1} ...F{n + 1} }}" for n in range(11)),
    "a cycle of fragments": "{ deployments { nodes { ...A } } }"
    "fragment A on Deployment { ...B } fragment B on Deployment { ...A }",
    "a fragment in itself": "{ deployments { nodes { ...A } } }"
    "fragment A on Deployment { deploymentSpecs { nodes { deployment { ...A } } } }",
    "directives": "{ __typename " + "@skip(if: false) " * 10_000 + "}",
    "directives that fit the tokens": "{ __typename " + "@a " * 400 + "}",
    "repeated fields": "{ deployments { nodes {" + "deploymentSpecs { nodes { id } } " * 140 + "} } }",
    "repeated fields that fit": "{ deployments { nodes {"
    + "deploymentSpecs { nodes { cluster { idd } } } " * 20
    + "} } }",
    "repeated fields in repeated fields": "{"
    + ("deployments { nodes { deploymentSpecs { nodes {" + "cluster { id id id } " * 8 + "} } } } ") * 10
    + "}",
    "repeated fields in fragments": "{ deployments { nodes {"
    + repeated("...F#", 19)
    + "} } }"
    + repeated("fragment F# on Deployment {" + "id " * 20 + "}", 19),
    "unknown fields": "{" + repeated("unknown#", 10) + "}",
    "unknown fields within": "{ deployments { nodes {" + repeated("deploymentSpex#", 300) + "} } }",
    "unknown types": repeated("query Q#($a: DeploymentSpecc#) { __typename }", 80),
    "unknown arguments": "{ deployments(" + repeated("firstt#: 1", 250) + ") { nodes { id } } }",
    "operations": repeated("query Q# { __typename }", 200),
    "variables": "query (" + repeated("$v#: Int", 240) + ") { __typename }",
    "a large page": "{ deployments(first: 1000000000) { nodes { id } } }",
    "a negative page": "{ deployments(last: -1) { nodes { id } } }",
    "cost": "{ deployments { nodes { deploymentSpecs { nodes { deployment {"
    + "logs { nodes { ...A } } " * 18
    + "} } } } } } fragment A on DeploymentLog {"
    + "lines { edges { cursor } } " * 4
    + "}",
    "a long text": '{ deployments(name: "' + "x" * 16_384 + '") { nodes { id } } }',
    "blanks": " " * 16_384 + "{ __typename }",
    "comments": "#\n" * 8_193 + "{ __typename }",
    "a deep introspection": "{ __schema { types " + "{ fields { type " * 5 + "{ name }" + "} }" * 5 + "} }",
    "introspection that doubles": "{ __schema { types { fields { type { fields { type { fields { name } } } } } } } }",
}


@pytest.fixture(scope="module")
def executor() -> Iterator[Executor]:
    backend = backend_of(LocalServer())
    yield backend.executor
    backend.database.close()


def work(executor: Executor, document: str) -> int:
    """Count the function calls of an execution without cached documents: the same on every machine."""
    calls = 0

    def count(_frame: FrameType, event: str, _argument: object) -> None:
        nonlocal calls
        calls += event in ("call", "c_call")

    executor._documents.checked.cache_clear()
    previous = sys.getprofile()
    sys.setprofile(count)
    try:
        executor.execute(Request(document), Budget(MAXIMUM))
    finally:
        sys.setprofile(previous)
    return calls


def test_message_about_the_cost(call: Caller) -> None:
    """The message about the cost says what is counted."""
    assert call.post({"query": HOSTILE["cost"]}).error["message"] == (
        "the cost of the operation is above 5000; the cost is the number of fields plus the page sizes of lists"
    )


@pytest.mark.parametrize("document", HOSTILE.values(), ids=HOSTILE.keys())
def test_hostile_documents(call: Caller, executor: Executor, document: str) -> None:
    """A hostile document gets status 400, a short response, and less work than the standard introspection query."""
    response = call.post({"query": document}, Accept="application/graphql-response+json")
    assert response.status == 400
    assert len(str(response.body)) < 10_000
    assert work(executor, document) < work(executor, NEWEST_INTROSPECTION)


def with_fragments(text: str) -> str:
    """Return a document with all fragments that it uses."""
    names: dict[str, str] = {}
    queue = [text]
    while queue:
        for name in re.findall(r"\.\.\.(\w+)", queue.pop()):
            if name not in names:
                names[name] = (OPERATIONS / f"{name}.graphql").read_text(encoding="utf-8")
                queue.append(names[name])
    return "\n".join([text, *names.values()])


OWN = {file.stem: file.read_text(encoding="utf-8") for file in sorted(OPERATIONS.glob("*.graphql"))}
FITTING = {
    "official list": OFFICIAL_LIST,
    "official get": OFFICIAL_GET,
    "introspection": OLDER_INTROSPECTION,
    "newest introspection": NEWEST_INTROSPECTION,
    "printed introspection": print_ast(parse(NEWEST_INTROSPECTION)),
    **{name: with_fragments(text) for name, text in OWN.items() if not re.search("^fragment ", text, re.MULTILINE)},
}
BY_TYPE: dict[str, Any] = {"Int": 100, "String": "x", "UUID": ID}


def variables(document: str, input_: Any) -> dict[str, Any]:
    """Return a value for each required variable, with the maximum page size."""
    values = {}
    for definition in parse(document).definitions:
        for variable in getattr(definition, "variable_definitions", None) or ():
            type_ = print_ast(variable.type)
            if type_.endswith("!") or type_ == "Int":
                values[variable.variable.name.value] = BY_TYPE.get(type_.removesuffix("!"), input_)
    return values


@pytest.mark.parametrize("name", FITTING)
def test_documents_of_programs(call: Caller, name: str) -> None:
    """The standard introspection query, the official client's queries and our operations are within the limits."""
    call.create()
    input_ = {
        "DeploymentCreate": {"name": "n", "projectId": "p", "spec": call.SPEC},
        "DeploymentDelete": {"id": call.create("d")},
    }.get(name, {"id": call.create("b"), "spec": call.SPEC})
    response = call.post({"query": FITTING[name], "variables": variables(FITTING[name], input_)})
    assert "errors" not in response.body
    assert response.data


def test_too_many_rows(monkeypatch: pytest.MonkeyPatch, caller: type[Caller]) -> None:
    """A request that reads too many rows in total gets an error."""
    with LocalServer() as server:
        call = caller(server)
        call.create(spec={"image": "i", "resources": {"replicas": 60}})
        monkeypatch.setattr(dispatcher, "MAXIMUM", MAXIMUM._replace(rows=100))
        document = (
            "query ($first: Int) { deployments { nodes { deploymentRollouts { nodes { deploymentRuns { nodes {"
            " deploymentRunInstances(first: $first) { nodes { history(first: 1) { nodes { id } } } } } } } } } } }"
        )
        assert call(document, first=40).data
        response = call(document, first=60)
        assert (response.status, response.code) == (400, "BUDGET_EXCEEDED")
        assert "rows; ask for smaller pages" in response.error["message"]
