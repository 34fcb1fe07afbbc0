"""Errors: their codes, rollbacks, idempotency keys, and what responses do not reveal."""

from __future__ import annotations

import logging
import sqlite3
import uuid
from typing import TYPE_CHECKING, Any, NoReturn

import pytest

from paperspace.gradient.server import LocalServer
from paperspace.gradient.server.storage import store
from paperspace.gradient.server.storage.store import Store

if TYPE_CHECKING:
    from tests.raw_client import Caller, Json
    from tests.server.conftest import Clock


LIST = "{ deployments { nodes { id name } } }"
BY_ID = "query ($id: UUID!) { deployment(id: $id) { id } }"


@pytest.mark.parametrize(
    "query",
    [
        *("", "{", "query {", "{ deployments", "{ a: ", "\0", "{ a() }", "query Q() { a }"),
        *("{ }", "{ deployments { } }", "{ __typename { } }", "{ ... { } }", "{ ... on Query @skip(if: true) { } }"),
        *("query A { __typename } query B { }", "{ __typename } fragment F on Query { }"),
    ],
)
def test_syntax_errors(call: Caller, query: str) -> None:
    """A syntax error is GRAPHQL_PARSE_FAILED, without data."""
    response = call(query)
    assert response.code == "GRAPHQL_PARSE_FAILED"
    assert "data" not in response.body


@pytest.mark.parametrize(
    "query",
    [
        "{ deploymens { nodes { id } } }",
        "{ deployments }",
        "query ($x: UUID) { deployment(id: $x) { id } }",
        "{ deployment { id } }",
        "subscription { deployments { nodes { id } } }",
    ],
)
def test_invalid_documents(call: Caller, query: str) -> None:
    """An invalid document is GRAPHQL_VALIDATION_FAILED, with locations and without data."""
    response = call(query)
    assert response.code == "GRAPHQL_VALIDATION_FAILED"
    assert response.error["locations"]
    assert "data" not in response.body


@pytest.mark.parametrize("value", ["no", "", 5, None, {}, [], "d4e74a9cb1254bd7b1438f5c386df8a9", " " * 36])
def test_malformed_ids(call: Caller, value: Any) -> None:
    """An id that is not a UUID is BAD_USER_INPUT with an explanation."""
    response = call(BY_ID, id=value)
    assert response.code == "BAD_USER_INPUT"
    prefix = "missing; " if value is None else ""
    assert response.error["message"] == f"id: {prefix}expected a UUID in its 36-character form"
    assert response.error["extensions"]["path"] == "id"


@pytest.mark.parametrize(
    ("type_", "argument", "literal", "value"),
    [
        ("UUID!", "deployment(id: %s) { id }", '"no"', "no"),
        ("UUID!", "deployment(id: %s) { id }", "5", 5),
        ("UUID!", "deployment(id: %s) { id }", "null", None),
        ("Int", "deployments(first: %s) { nodes { id } }", "101", 101),
        ("Int", "deployments(last: %s) { nodes { id } }", "-1", -1),
        ("Int", "deployments(first: %s) { nodes { id } }", "1.5", 1.5),
        ("Int", "deployments(first: %s) { nodes { id } }", "9" * 400, 10**300),
        ("String", "deployments(name: %s) { nodes { id } }", "5", 5),
        ("DeploymentOrder", "deployments(orderBy: %s) { nodes { id } }", "{ by: 1 }", {"by": 1}),
        ("DeploymentOrder", "deployments(orderBy: %s) { nodes { id } }", "{ direction: UP }", {"direction": "UP"}),
    ],
)
@pytest.mark.parametrize("accept", ["application/json", "application/graphql-response+json"])
def test_literals_and_variables(call: Caller, type_: str, argument: str, literal: str, value: Any, accept: str) -> None:
    """An invalid value has the same code and the same status in the document, as a default, and as a variable."""
    in_document = call.post({"query": f"{{ {argument % literal} }}"}, Accept=accept)
    query = f"query ($value: {type_}) {{ {argument % '$value'} }}"
    as_variable = call.post({"query": query, "variables": {"value": value}}, Accept=accept)
    query = f"query ($value: {type_} = {literal}) {{ {argument % '$value'} }}"
    as_default = call.post({"query": query}, Accept=accept)
    for response in in_document, as_variable, as_default:
        assert response.code == "BAD_USER_INPUT"
        assert response.status == in_document.status
        assert "data" not in response.body


@pytest.mark.parametrize("digits", ["9" * 401, "9" * 4301, "1." + "9" * 4301, "1e" + "9" * 4301])
def test_numbers_with_thousands_of_digits(call: Caller, digits: str) -> None:
    """A number with too many digits to convert is an error in the document, wherever it is."""
    for document in (
        f"{{ deployments(first: {digits}) {{ nodes {{ id }} }} }}",
        f"{{ deployment(id: {digits}) {{ id }} }}",
        f"query ($first: Int = {digits}) {{ deployments(first: $first) {{ nodes {{ id }} }} }}",
        f"{{ deployments(unknown: {digits}) {{ nodes {{ id }} }} }}",
    ):
        response = call.post({"query": document})
        assert response.status == 400
        assert response.code == "GRAPHQL_VALIDATION_FAILED"


CONTROL = "a\u0007b"


@pytest.mark.parametrize(
    ("path", "change"),
    [
        ("input.projectId", {"projectId": CONTROL}),
        ("input.clusterId", {"clusterId": CONTROL}),
        ("input.spec.image", {"spec": {"image": CONTROL}}),
        ("input.spec.image", {"spec": {"image": "a\x85b"}}),
        ("input.spec.command[1]", {"spec": {"image": "i", "command": ["a", CONTROL]}}),
        ("input.spec.command[0]", {"spec": {"image": "i", "command": ["\0"]}}),
        ("input.spec.containerRegistry", {"spec": {"image": "i", "containerRegistry": CONTROL}}),
        ("input.spec.env[0].name", {"spec": {"image": "i", "env": [{"name": CONTROL, "value": ""}]}}),
        ("input.spec.env[0].value", {"spec": {"image": "i", "env": [{"name": "A", "value": "\0"}]}}),
        ("input.spec.models[0].id", {"spec": {"image": "i", "models": [{"id": CONTROL}]}}),
        ("input.spec.models[0].path", {"spec": {"image": "i", "models": [{"id": "m", "path": CONTROL}]}}),
        ("input.spec.resources.instanceType", {"spec": {"image": "i", "resources": {"instanceType": "C4\n"}}}),
        ("input.spec.repositories.mountPath", {"spec": {"image": "i", "repositories": {"mountPath": CONTROL}}}),
        (
            "input.spec.repositories.repositories[0].url",
            {"spec": {"image": "i", "repositories": {"repositories": [{"name": "n", "url": CONTROL}]}}},
        ),
    ],
)
def test_control_characters(call: Caller, path: str, change: Json) -> None:
    """A control character is an error that names its position and does not show the text, which may be secret."""
    create = {"name": "a", "projectId": "p", "spec": call.SPEC}
    update = {"id": call.create("existing")}
    for query, input_ in ((call.CREATE, create), (call.UPDATE, update)):
        response = call(query, input={**input_, **change})
        assert response.code == "BAD_USER_INPUT"
        assert response.error["extensions"]["path"] == path
        assert "\u0007" not in str(response.body["errors"])


def test_scripts_in_a_command(call: Caller) -> None:
    """The arguments of a command and the values of variables can have several lines."""
    text = "set -e\n\techo a\r\n"
    assert call.create(spec={"image": "i", "command": ["sh", "-c", text], "env": [{"name": "A", "value": text}]})


def test_missing_variables(call: Caller) -> None:
    """A required variable must be set; one with a default, or a nullable one, can be omitted."""
    assert call(BY_ID).code == "BAD_USER_INPUT"
    assert call(
        "query ($first: Int = 1, $name: String) { deployments(first: $first, name: $name) { nodes { id } } }"
    ).data
    assert call(LIST, unknown=1).data


def test_operation_names(call: Caller) -> None:
    """`operationName` selects one of several operations; without it, or with a wrong name, nothing is executed."""
    two = "query A { deployments { nodes { id } } } query B { deployments { nodes { name } } }"
    assert call.post({"query": two, "operationName": "B"}).data == {"deployments": {"nodes": []}}
    for payload in ({"query": two}, {"query": two, "operationName": "C"}, {"query": LIST, "operationName": "A"}):
        response = call.post(payload)
        assert (response.code, "data" in response.body) == ("BAD_USER_INPUT", False)


def test_null_in_a_nullable_variable(call: Caller) -> None:
    """A null that is detected only during execution is BAD_USER_INPUT, not an internal error."""
    query = 'query ($name: String = "a") { deployments(orderBy: {field: dtCreated}, name: $name) { nodes { id } } }'
    assert call(query, name=None).data
    create = """
    mutation ($name: String! = "a", $image: String) {
      createDeployment(input: {name: $name, projectId: "p", spec: {image: $image}}) { deployment { id } }
    }
    """
    response = call(create, name=None, image="i")
    assert response.code == "BAD_USER_INPUT"


def test_a_request_is_one_transaction(call: Caller) -> None:
    """If a field of a mutation fails, nothing is stored, and the response has no data."""
    nullable = """
    mutation ($a: CreateDeploymentInput!) { createDeployment(input: $a) { deployment { deploymentSpecs { nodes {
      deploymentRuns(after: "no cursor") { nodes { id } }
    } } } } }
    """
    response = call(nullable, a={"name": "same", "projectId": "p", "spec": call.SPEC})
    assert (response.code, response.body["data"]) == ("BAD_USER_INPUT", None)
    assert call(LIST).data == {"deployments": {"nodes": []}}


def test_internal_errors(caplog: pytest.LogCaptureFixture, caller: type[Caller]) -> None:
    """A bug is an internal error with an id; the log has the traceback, the response only the id."""

    def broken() -> NoReturn:
        raise RuntimeError("secret detail")

    with LocalServer(new_id=broken) as server, caplog.at_level(logging.ERROR):
        call = caller(server)
        response = call(caller.CREATE, input={"name": "a", "projectId": "p", "spec": caller.SPEC})
        assert response.status == 200
        assert response.code == "INTERNAL_SERVER_ERROR"
        incident = response.error["extensions"]["id"]
        assert response.error["message"] == f"internal error {incident}"
        assert "secret" not in str(response.body)
        assert call(LIST).data == {"deployments": {"nodes": []}}
    (record,) = caplog.records
    assert incident in record.getMessage()
    assert "secret detail" in caplog.text


def test_internal_errors_outside_of_fields(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, caller: type[Caller]
) -> None:
    """A bug outside of fields gets status 500, with the same response."""

    def broken(*_arguments: object) -> NoReturn:
        raise RuntimeError("secret detail")

    monkeypatch.setattr(Store, "saved_result", broken)
    with LocalServer() as server:
        call = caller(server)
        response = call.post(
            {"query": caller.CREATE, "variables": {"input": {"name": "a", "projectId": "p", "spec": caller.SPEC}}},
            Idempotency_Key="k",
        )
        assert (response.status, response.code) == (500, "INTERNAL_SERVER_ERROR")
    assert response.error["extensions"]["id"] in caplog.text


def test_a_retried_mutation_gets_the_first_response(call: Caller) -> None:
    """A mutation retried with its idempotency key gets the first response and changes nothing."""
    payload: Json = {"query": call.CREATE, "variables": {"input": {"name": "a", "projectId": "p", "spec": call.SPEC}}}
    first = call.post(payload, Idempotency_Key="k1")
    assert call.post(payload, Idempotency_Key="k1").data == first.data
    id_ = first.data["createDeployment"]["deployment"]["id"]
    delete = {"query": call.DELETE, "variables": {"input": {"id": id_}}}
    gone = call.post(delete, Idempotency_Key="k2")
    assert call.post(delete, Idempotency_Key="k2").data == gone.data
    assert call.post(payload, Idempotency_Key="k1").data == first.data
    assert call(LIST).data == {"deployments": {"nodes": []}}


def test_a_key_belongs_to_one_request(call: Caller) -> None:
    """An idempotency key cannot be used for another request; that request is not executed."""
    payload: Json = {"query": call.CREATE, "variables": {"input": {"name": "a", "projectId": "p", "spec": call.SPEC}}}
    assert call.post(payload, Idempotency_Key="k").data
    payload["variables"]["input"]["name"] = "b"
    assert call.post(payload, Idempotency_Key="k").code == "BAD_USER_INPUT"
    assert [node["name"] for node in call(LIST).data["deployments"]["nodes"]] == ["a"]


def test_any_idempotency_key(call: Caller) -> None:
    """Any value can be an idempotency key; an empty one is ignored."""
    for number, key in enumerate([b"\xff\xe9", b"x" * 5000, b"", b""]):
        input_ = {"name": f"d{number}", "projectId": "p", "spec": call.SPEC}
        assert call.post({"query": call.CREATE, "variables": {"input": input_}}, Idempotency_Key=key).data


def test_a_checked_key_is_repeated(call: Caller) -> None:
    """A response repeats the idempotency key if the server has looked for an earlier attempt: in results and in errors."""
    name = "Idempotency-Key"
    payload: Json = {"query": call.CREATE, "variables": {"input": {"name": "a", "projectId": "p", "spec": call.SPEC}}}
    first = call.post(payload, Idempotency_Key="k")
    saved = call.post(payload, Idempotency_Key="k")
    taken = call.post(payload, Idempotency_Key="l")
    assert [response.headers[name] for response in (first, saved, taken)] == ["k", "k", "l"]
    assert taken.code == "CONFLICT"
    assert name not in call.post(payload).headers
    unreadable = {"query": "mutation {"}
    of_another_request = {**payload, "operationName": None}
    for body, key in ((unreadable, "m"), (of_another_request, "k"), ({"query": LIST}, "m"), (payload, b"\xe9")):
        assert name not in call.post(body, Idempotency_Key=key).headers


@pytest.mark.parametrize(
    "document",
    [
        "mutation { __typename }",
        'mutation { deleteDeployment(input: {id: "00000000-0000-0000-0000-000000000000"}) @skip(if: true) { __typename } }',
    ],
)
def test_a_mutation_that_changes_nothing(call: Caller, document: str) -> None:
    """A mutation that changes nothing has the same response with and without an idempotency key, also when it is retried."""
    without_key = call.post({"query": document})
    responses = [without_key, *(call.post({"query": document}, Idempotency_Key="k") for _ in range(2))]
    assert [response.body for response in responses] == [responses[0].body] * 3
    assert "errors" not in responses[0].body


def test_fields_of_a_fragment(call: Caller) -> None:
    """A mutation with two fields in a fragment is refused whole: nothing that has a result was left out."""
    fields = "a: createDeployment(input: $a) { __typename } b: createDeployment(input: $b) { __typename }"
    document = "mutation Two($a: CreateDeploymentInput!, $b: CreateDeploymentInput!) { ... { ... on Mutation {" + fields
    inputs = {name: {"name": name, "projectId": "p", "spec": call.SPEC} for name in "ab"}
    response = call.post({"query": document + "} } }", "variables": inputs})
    assert (response.status, response.code) == (400, "GRAPHQL_VALIDATION_FAILED")
    assert call.post({"query": LIST}).data == {"deployments": {"nodes": []}}


def test_an_unchecked_key_is_not_repeated(call: Caller, monkeypatch: pytest.MonkeyPatch) -> None:
    """If the server cannot look for an earlier attempt, the response does not repeat the key, whatever the error is."""

    def fail(*_: object) -> NoReturn:
        raise sqlite3.OperationalError("database or disk is full")

    monkeypatch.setattr(Store, "saved_result", fail)
    payload: Json = {"query": call.CREATE, "variables": {"input": {"name": "a", "projectId": "p", "spec": call.SPEC}}}
    response = call.post(payload, Idempotency_Key="k")
    assert "errors" in response.body
    assert "Idempotency-Key" not in response.headers


def test_a_retry_whose_lists_cannot_be_read(call: Caller, monkeypatch: pytest.MonkeyPatch) -> None:
    """If the lists of a large response cannot be read for a retry, the key is not repeated: the first attempt was applied."""
    large = {**call.SPEC, "env": [{"name": f"V{number}", "value": "v" * 1000} for number in range(80)]}
    create = (
        "mutation ($input: CreateDeploymentInput!) { createDeployment(input: $input)"
        " { deployment { deploymentSpecs { nodes { data { env { value } } } } } } }"
    )
    payload: Json = {"query": create, "variables": {"input": {"name": "a", "projectId": "p", "spec": large}}}
    first = call.post(payload, Idempotency_Key="k").data

    def fail(*_: object, **__: object) -> NoReturn:
        raise sqlite3.DatabaseError("database disk image is malformed")

    with monkeypatch.context() as damaged:
        damaged.setattr(Store, "specs", fail)
        response = call.post(payload, Idempotency_Key="k")
    assert "errors" in response.body
    assert "Idempotency-Key" not in response.headers
    assert call.post(payload, Idempotency_Key="k").data == first


def test_errors_are_not_saved(call: Caller) -> None:
    """A failed mutation is executed again when it is retried with its key."""
    id_ = call.create("taken")
    payload: Json = {
        "query": call.CREATE,
        "variables": {"input": {"name": "taken", "projectId": "p1", "spec": call.SPEC}},
    }
    assert call.post(payload, Idempotency_Key="k").code == "CONFLICT"
    call.delete(id_)
    assert call.post(payload, Idempotency_Key="k").data


def test_a_retry_after_the_clock_jumped(call: Caller, clock: Clock) -> None:
    """A retry gets the first response even if the clock of the server is set forward by days in between."""
    payload: Json = {"query": call.CREATE, "variables": {"input": {"name": "a", "projectId": "p", "spec": call.SPEC}}}
    first = call.post(payload, Idempotency_Key="k").data
    clock.forward(hours=72)
    other = {"query": call.UPDATE, "variables": {"input": {"id": call.create("b"), "name": "c"}}}
    assert call.post(other, Idempotency_Key="l").data
    assert call.post(payload, Idempotency_Key="k").data == first


def test_a_retry_of_a_large_update_after_the_clock_jumped(call: Caller, clock: Clock) -> None:
    """A retry adds no second revision even if the response is large and the clock is set forward by days in between."""
    large = {**call.SPEC, "env": [{"name": f"V{number}", "value": "v" * 1000} for number in range(80)]}
    update = (
        "mutation ($input: UpdateDeploymentInput!) { updateDeployment(input: $input)"
        " { deployment { deploymentSpecs { nodes { id data { env { value } } } } } } }"
    )
    payload: Json = {"query": update, "variables": {"input": {"id": call.create("a"), "spec": large}}}
    first = call.post(payload, Idempotency_Key="k").data
    clock.forward(hours=72)
    assert call.post(payload, Idempotency_Key="k").data == first


def test_keys_expire_after_a_day(call: Caller, clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    """Idempotency keys expire after 24 hours, except the newest."""
    monkeypatch.setattr(store, "_KEPT_RESPONSES", 0)
    payload: Json = {"query": call.UPDATE, "variables": {"input": {"id": call.create("a"), "name": "b"}}}
    assert call.post(payload, Idempotency_Key="k").data
    payload["variables"]["input"]["name"] = "c"
    clock.forward(hours=24)
    assert call.post(payload, Idempotency_Key="k").code == "BAD_USER_INPUT"
    clock.forward(seconds=1)
    assert call.post(payload, Idempotency_Key="k").data


def test_fixed_ids_and_times(clock: Clock, caller: type[Caller]) -> None:
    """With fixed sources of ids and time, responses are reproducible."""
    ids = (uuid.UUID(int=number) for number in range(1, 3))
    with LocalServer(now=clock, new_id=lambda: next(ids)) as server:
        call = caller(server)
        assert call.create() == "00000000-0000-0000-0000-000000000001"
        nodes = call("{ deployments { nodes { dtCreated deploymentSpecs { nodes { id } } } } }").data["deployments"][
            "nodes"
        ]
    assert nodes == [
        {
            "dtCreated": "2024-05-17T09:30:00.000Z",
            "deploymentSpecs": {"nodes": [{"id": "00000000-0000-0000-0000-000000000002"}]},
        }
    ]
