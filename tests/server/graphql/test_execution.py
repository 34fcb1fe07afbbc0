"""The execution: what counts in the budget, and how the response is encoded."""

from __future__ import annotations

import gc
import json
from typing import TYPE_CHECKING

import pytest
from tests.server.conftest import backend_of

from paperspace.gradient.server import LocalServer
from paperspace.gradient.server.graphql.execution import Request
from paperspace.gradient.server.graphql.responses import serialize
from paperspace.gradient.server.storage.budget import MAXIMUM, Budget, Limits
from paperspace.gradient.server.storage.rows import Row

if TYPE_CHECKING:
    from tests.raw_client import Caller


def test_json_in_parts() -> None:
    """A response is encoded in parts and is the same JSON as in one part."""
    body = {"data": {"a": [], "b": {}, "c": [1, "é\n", None, [{"d": [True, {"e": [[[[[[[1.5]]]]]]]}]}]], '"': "\\"}}
    assert serialize(body) == json.dumps(body, separators=(",", ":")).encode()


def test_the_counted_size_of_a_response(caller: type[Caller]) -> None:
    """The size that counts is that of the JSON text, whatever its characters; it is at most a little more or less."""
    backend = backend_of(LocalServer())
    value = 'a"\\\n\x01é😀' * 1000
    input_ = {"name": "a", "projectId": "p", "spec": {"image": "i", "env": [{"name": "A", "value": value}]}}
    backend.executor.execute(Request(caller.CREATE, variables={"input": input_}), Budget(MAXIMUM))
    read = "{ deployments { nodes { deploymentSpecs { nodes { data { env { value } } } } } } }"
    budget = Budget(MAXIMUM)
    size = len(backend.executor.execute(Request(read), budget).body)
    assert size > 30_000
    assert abs(MAXIMUM.result_bytes - budget._result_bytes - size) < 200
    backend.close()


@pytest.mark.parametrize("limits", [MAXIMUM, MAXIMUM._replace(fields=50), MAXIMUM._replace(rows=15)])
def test_memory_of_rows(caller: type[Caller], limits: Limits) -> None:
    """The rows that a request has read are freed at its end, without the garbage collector, also if it has no budget left."""
    backend = backend_of(LocalServer())
    for number in range(10):
        input_ = {"name": f"d{number}", "projectId": "p", "spec": caller.SPEC}
        backend.executor.execute(Request(caller.CREATE, variables={"input": input_}), Budget(MAXIMUM))
    read = "{ deployments { nodes { deploymentSpecs { nodes { cluster { id } deployment { name } } } } } }"

    def rows() -> int:
        return sum(type(item) is Row for item in gc.get_objects())

    gc.collect()
    gc.disable()
    try:
        before = rows()
        response = backend.executor.execute(Request(read), Budget(limits))
        assert response.over_budget is (limits is not MAXIMUM)
        assert rows() == before
    finally:
        gc.enable()
    backend.close()


def test_each_field_has_its_own_arguments_and_error(call: Caller) -> None:
    """A fragment under two aliases reads each with its arguments. An error has the path of its item, also after the first."""
    for name in ("a", "b"):
        call.create(name)
    read = """
        query ($small: Int) {
            one: deployments(first: $small) { ...Names }
            all: deployments { ...Names }
        }
        fragment Names on DeploymentConnection { nodes { name specs: deploymentSpecs(first: 1) { nodes { __typename } } } }
    """
    data = call(read, small=1).data
    assert [[node["name"] for node in data[alias]["nodes"]] for alias in ("one", "all")] == [["b"], ["b", "a"]]
    assert data["all"]["nodes"][1]["specs"] == {"nodes": [{"__typename": "DeploymentSpec"}]}
    read = '{ deployments { nodes { deploymentRollouts { nodes { runs: deploymentRuns(after: "x") { nodes { id } } } } } } }'
    paths = [error["path"] for error in call(read).body["errors"]]
    assert paths == [["deployments", "nodes", item, "deploymentRollouts", "nodes", 0, "runs"] for item in (0, 1)]
