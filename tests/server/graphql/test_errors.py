"""Refusals: their codes, what they leave behind, and what they keep to themselves."""

from __future__ import annotations

import logging
import uuid
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, NoReturn

import pytest

from paperspace.gradient.server import LocalServer

if TYPE_CHECKING:
    from tests.raw_client import Caller, Json
    from tests.server.conftest import Clock


LIST = "{ deployments { nodes { id name } } }"
BY_ID = "query ($id: UUID!) { deployment(id: $id) { id } }"


@pytest.mark.parametrize("query", ["", "{", "query {", "{ deployments", "{ a: ", "\0"])
def test_syntax_errors(call: Caller, query: str) -> None:
    """What is not GraphQL is GRAPHQL_PARSE_FAILED, without data."""
    response = call(query)
    assert response.code == "GRAPHQL_PARSE_FAILED"
    assert "data" not in response.body


@pytest.mark.parametrize(
    "query",
    [
        "{ deploymens { nodes { id } } }",
        "{ deployments }",
        "query ($x: UUID) { deployment(id: $x) { id } }",
        '{ deployment(id: "no") { id } }',
        "subscription { deployments { nodes { id } } }",
    ],
)
def test_invalid_documents(call: Caller, query: str) -> None:
    """A document that the schema does not allow is GRAPHQL_VALIDATION_FAILED, without data, at its place."""
    response = call(query)
    assert response.code == "GRAPHQL_VALIDATION_FAILED"
    assert response.error["locations"]
    assert "data" not in response.body


@pytest.mark.parametrize("value", ["no", "", 5, None, {}, [], "d4e74a9cb1254bd7b1438f5c386df8a9", " " * 36])
def test_malformed_ids(call: Caller, value: Any) -> None:
    """What is not a UUID in its one form is refused as BAD_USER_INPUT that says so."""
    response = call(BY_ID, id=value)
    assert response.code == "BAD_USER_INPUT"
    prefix = "missing; " if value is None else ""
    assert response.error["message"] == f"id: {prefix}expected a UUID in its 36-character form"
    assert response.error["extensions"]["path"] == "id"


def test_missing_and_defaulted_variables(call: Caller) -> None:
    """A variable that is needed and missing is refused; one with a default, or that may be null, is not missed."""
    assert call(BY_ID).code == "BAD_USER_INPUT"
    assert call(
        "query ($first: Int = 1, $name: String) { deployments(first: $first, name: $name) { nodes { id } } }"
    ).data
    assert call(LIST, unknown=1).data


def test_operation_names(call: Caller) -> None:
    """Of several operations the named one is executed; without a name, or with a wrong one, none is."""
    two = "query A { deployments { nodes { id } } } query B { deployments { nodes { name } } }"
    assert call.post({"query": two, "operationName": "B"}).data == {"deployments": {"nodes": []}}
    for payload in ({"query": two}, {"query": two, "operationName": "C"}, {"query": LIST, "operationName": "A"}):
        response = call.post(payload)
        assert (response.code, "data" in response.body) == ("BAD_USER_INPUT", False)


def test_a_null_hidden_in_a_nullable_variable(call: Caller) -> None:
    """A null that only shows when a field is executed is the caller's mistake, and no fault of the server."""
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
    """If anything in a mutation fails, nothing of it is kept, and the response does not pretend otherwise."""
    nullable = """
    mutation ($a: CreateDeploymentInput!) { createDeployment(input: $a) { deployment { deploymentSpecs { nodes {
      deploymentRuns(after: "no cursor") { nodes { id } }
    } } } } }
    """
    response = call(nullable, a={"name": "same", "projectId": "p", "spec": call.SPEC})
    assert (response.code, response.body["data"]) == ("BAD_USER_INPUT", None)
    assert call(LIST).data == {"deployments": {"nodes": []}}


def test_our_own_faults_stay_our_own(caplog: pytest.LogCaptureFixture, caller: type[Caller]) -> None:
    """A fault within is an internal error with an id; the id leads to the traceback in the log, the response to nothing."""

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


def test_a_fault_outside_of_fields_is_masked_too(
    clock: Clock, caplog: pytest.LogCaptureFixture, caller: type[Caller]
) -> None:
    """A fault before any field is executed is answered with status 500, and masked in the same way."""
    with LocalServer(now=clock) as server:
        call = caller(server)
        clock.moment = datetime.min.replace(tzinfo=UTC)  # there is no day before this one
        response = call.post(
            {"query": caller.CREATE, "variables": {"input": {"name": "a", "projectId": "p", "spec": caller.SPEC}}},
            Idempotency_Key="k",
        )
        assert (response.status, response.code) == (500, "INTERNAL_SERVER_ERROR")
    assert response.error["extensions"]["id"] in caplog.text


def test_a_repeated_mutation_gets_the_first_answer(call: Caller) -> None:
    """A mutation that is sent again with its key gets the first response and changes nothing, whatever happened since."""
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
    """A key that comes with another request is refused, and that request is not executed."""
    payload: Json = {"query": call.CREATE, "variables": {"input": {"name": "a", "projectId": "p", "spec": call.SPEC}}}
    assert call.post(payload, Idempotency_Key="k").data
    payload["variables"]["input"]["name"] = "b"
    assert call.post(payload, Idempotency_Key="k").code == "BAD_USER_INPUT"
    assert [node["name"] for node in call(LIST).data["deployments"]["nodes"]] == ["a"]


def test_any_key_will_do(call: Caller) -> None:
    """A key is whatever the header holds; an empty one is none."""
    for number, key in enumerate([b"\xff\xe9", b"x" * 5000, b"", b""]):
        given = {"name": f"d{number}", "projectId": "p", "spec": call.SPEC}
        assert call.post({"query": call.CREATE, "variables": {"input": given}}, Idempotency_Key=key).data


def test_refusals_are_not_repeated(call: Caller) -> None:
    """A refused mutation that is sent again with its key is tried again."""
    id_ = call.create("taken")
    payload: Json = {
        "query": call.CREATE,
        "variables": {"input": {"name": "taken", "projectId": "p1", "spec": call.SPEC}},
    }
    assert call.post(payload, Idempotency_Key="k").code == "CONFLICT"
    call.delete(id_)
    assert call.post(payload, Idempotency_Key="k").data


def test_keys_are_forgotten_after_a_day(call: Caller, clock: Clock) -> None:
    """After 24 hours the key is forgotten."""
    payload: Json = {"query": call.UPDATE, "variables": {"input": {"id": call.create("a"), "name": "b"}}}
    assert call.post(payload, Idempotency_Key="k").data
    payload["variables"]["input"]["name"] = "c"
    clock.forward(hours=24)
    assert call.post(payload, Idempotency_Key="k").code == "BAD_USER_INPUT"
    clock.forward(seconds=1)
    assert call.post(payload, Idempotency_Key="k").data


def test_ids_and_times_come_from_outside(clock: Clock, caller: type[Caller]) -> None:
    """With ids and time fixed at the source, everything that the server says is known beforehand."""
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
