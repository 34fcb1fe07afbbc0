"""The five operations: what they change, and the history of specs."""

from __future__ import annotations

import sys
import unicodedata
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import pytest

from paperspace.gradient._shared import spec_rules

if TYPE_CHECKING:
    from tests.raw_client import Caller
    from tests.server.conftest import Clock

    from paperspace.gradient.server import LocalServer


GET = """
query ($id: UUID!, $clusterId: String) {
  deployment(id: $id) {
    id name dtCreated dtModified dtDeleted
    deploymentSpecs(clusterId: $clusterId) {
      nodes { id data { port } dtCreated dtInvalid endpointUrl actor { fullName email avatarUrl }
              cluster { id name fqdn dtCreated dtModified } deployment { id } error externalApplied }
    }
  }
}
"""
LIST = "query ($name: String, $projectId: String) { deployments(name: $name, projectId: $projectId) { nodes { id } } }"
ASC = "{ deployments(orderBy: {direction: ASC}) { nodes { id } } }"


def get(call: Caller, id_: str, **variables: Any) -> Any:
    return call(GET, id=id_, **variables).data["deployment"]


def listed(call: Caller, **variables: Any) -> set[str]:
    return {node["id"] for node in call(LIST, **variables).data["deployments"]["nodes"]}


def ports(call: Caller, id_: str, **variables: Any) -> list[int]:
    return [spec["data"]["port"] for spec in get(call, id_, **variables)["deploymentSpecs"]["nodes"]]


def test_created_deployment(call: Caller, server: LocalServer) -> None:
    """A created deployment has its fields, one spec, and the spec's cluster and actor."""
    id_ = call.create("Bert, der Übersetzer", clusterId="c1")
    moment = "2024-05-17T09:30:00.000Z"
    deployment = get(call, id_)
    (spec,) = deployment.pop("deploymentSpecs")["nodes"]
    assert deployment == {
        "id": id_,
        "name": "Bert, der Übersetzer",
        "dtCreated": moment,
        "dtModified": None,
        "dtDeleted": None,
    }
    assert spec.pop("id") != id_
    assert spec == {
        "data": {"port": 8501},
        "dtCreated": moment,
        "dtInvalid": None,
        "endpointUrl": server.url.replace("graphql", f"endpoints/{id_}"),
        "actor": {"fullName": "Ada Example", "email": None, "avatarUrl": None},
        "cluster": {"id": "c1", "name": "c1", "fqdn": "127.0.0.1", "dtCreated": moment, "dtModified": moment},
        "deployment": {"id": id_},
        "error": None,
        "externalApplied": moment,
    }


def test_history_of_specs(call: Caller, clock: Clock) -> None:
    """New data or another cluster add a spec, newest first, and invalidate the previous one."""
    id_ = call.create(spec={"image": "i", "port": 1})
    clock.forward(seconds=1)
    call.update(id_, spec={"image": "i", "port": 2})
    clock.forward(seconds=1)
    call.update(id_, clusterId="c2")
    call.update(id_, clusterId="c2")
    call.update(id_, name="renamed", projectId="p2")
    specs = get(call, id_)["deploymentSpecs"]["nodes"]
    assert [(spec["data"]["port"], spec["cluster"]["id"], spec["dtInvalid"]) for spec in specs] == [
        (2, "c2", None),
        (2, "local", "2024-05-17T09:30:02.000Z"),
        (1, "local", "2024-05-17T09:30:01.000Z"),
    ]
    assert len({spec["id"] for spec in specs}) == 3
    assert get(call, id_)["dtModified"] == "2024-05-17T09:30:02.000Z"


def test_update_keeps_the_cluster(call: Caller) -> None:
    """An update without a cluster keeps the cluster; the same data again add a spec."""
    id_ = call.create(clusterId="c1")
    call.update(id_, spec=call.SPEC)
    call.update(id_, spec=call.SPEC, clusterId="c2")
    specs = get(call, id_)["deploymentSpecs"]["nodes"]
    assert [spec["cluster"]["id"] for spec in specs] == ["c2", "c1", "c1"]


def test_null_in_an_update_changes_nothing(call: Caller) -> None:
    """Null in an update changes nothing."""
    id_ = call.create("kept", clusterId="c1")
    call.update(id_, name=None, projectId=None, clusterId=None, spec=None)
    assert get(call, id_)["name"] == "kept"
    assert listed(call, projectId="p1") == {id_}
    assert len(ports(call, id_)) == 1


def test_specs_by_cluster(call: Caller) -> None:
    """`clusterId` returns only the specs on that cluster."""
    id_ = call.create(spec={"image": "i", "port": 1}, clusterId="c1")
    call.update(id_, spec={"image": "i", "port": 2}, clusterId="c2")
    call.update(id_, spec={"image": "i", "port": 3}, clusterId="c1")
    assert ports(call, id_, clusterId="c1") == [3, 1]
    assert ports(call, id_, clusterId="c2") == [2]
    assert ports(call, id_, clusterId="c3") == []


@pytest.mark.parametrize("cluster", ["with space", "", "é\u202e", "'; DROP TABLE clusters --"])
def test_any_cluster_id_is_a_cluster(call: Caller, cluster: str) -> None:
    """Every string without control characters can be a cluster id, and finds the specs on that cluster."""
    id_ = call.create(clusterId=cluster)
    (spec,) = get(call, id_, clusterId=cluster)["deploymentSpecs"]["nodes"]
    assert spec["cluster"]["id"] == cluster


def test_no_character_decomposes_into_more_than_four() -> None:
    """A name of the maximum length has at most four times as many characters when it is decomposed."""
    lengths = {len(unicodedata.normalize("NFD", chr(code))) for code in range(sys.maxunicode + 1)}
    assert max(lengths) == 4


def test_decomposed_names(call: Caller) -> None:
    """A decomposed name is composed before its length is checked, and is found in either form."""
    composed = "\u1f82" * 255
    decomposed = unicodedata.normalize("NFD", composed)
    assert len(decomposed) == 1020
    call.create(decomposed)
    query = "query ($name: String) { deployments(name: $name) { nodes { name } } }"
    for name in (composed, decomposed):
        assert call(query, name=name).data["deployments"]["nodes"] == [{"name": composed}]


def test_long_names_are_not_composed(call: Caller, monkeypatch: pytest.MonkeyPatch) -> None:
    """A very long name is rejected, and finds nothing, without composing it."""
    compose, lengths = unicodedata.normalize, []

    def normalize(form: Any, text: str) -> str:
        lengths.append(len(text))
        return compose(form, text)

    monkeypatch.setattr(spec_rules, "unicodedata", SimpleNamespace(normalize=normalize, category=unicodedata.category))
    id_ = call.create()
    name = "a" + "\u0301\u0323" * 40_000
    for query, input_ in (
        (call.CREATE, {"name": name, "projectId": "p", "spec": call.SPEC}),
        (call.UPDATE, {"id": id_, "name": name}),
    ):
        response = call(query, input=input_)
        assert response.code == "BAD_USER_INPUT"
        assert "1 to 255 characters" in response.error["message"]
    query = "query ($name: String) { deployments(name: $name) { nodes { name } } }"
    assert call(query, name=name).data["deployments"]["nodes"] == []
    assert max(lengths) <= 1020


def test_names_are_unique_in_a_project(call: Caller) -> None:
    """Create and update with a taken name are a CONFLICT with name and project; other projects can use the name."""
    first, other = call.create("a", "p1"), call.create("b", "p1")
    call.create("a", "p2")
    create = call(call.CREATE, input={"name": "a", "projectId": "p1", "spec": call.SPEC})
    assert create.code == "CONFLICT"
    assert create.error["message"] == "a deployment named 'a' already exists in project 'p1'"
    assert call(call.UPDATE, input={"id": other, "name": "a"}).code == "CONFLICT"
    assert call(call.UPDATE, input={"id": first, "projectId": "p2"}).code == "CONFLICT"
    assert listed(call, name="a", projectId="p1") == {first}
    call.update(first, name="a", projectId="p1")  # its own name is free for it


def test_names_are_compared_in_composed_form(call: Caller) -> None:
    """Names that differ only in Unicode composition are equal; names are case-sensitive."""
    id_ = call.create("cafe\u0301")
    assert get(call, id_)["name"] == "caf\u00e9"
    assert listed(call, name="caf\u00e9") == listed(call, name="cafe\u0301") == {id_}
    assert call(call.CREATE, input={"name": "caf\u00e9", "projectId": "p1", "spec": call.SPEC}).code == "CONFLICT"
    call.create("Caf\u00e9")


def test_a_failed_update_changes_nothing(call: Caller) -> None:
    """An update that fails because of its name does not change the spec."""
    call.create("taken")
    id_ = call.create("mine", spec={"image": "i", "port": 1})
    assert call(call.UPDATE, input={"id": id_, "name": "taken", "spec": {"image": "i", "port": 2}}).code == "CONFLICT"
    assert ports(call, id_) == [1]
    assert get(call, id_)["dtModified"] is None


def test_concurrent_creates(call: Caller) -> None:
    """Of 64 concurrent creates with one name, one succeeds and 63 are conflicts."""
    inputs = {"name": "race", "projectId": "p1", "spec": call.SPEC}
    with ThreadPoolExecutor(64) as threads:
        responses = list(threads.map(lambda _: call(call.CREATE, input=inputs), range(64)))
    codes = [response.code for response in responses if "errors" in response.body]
    assert codes == ["CONFLICT"] * 63
    assert len(listed(call)) == 1


def test_filters(call: Caller) -> None:
    """Name and project filter the list by exact match, also together."""
    a1, b1, a2 = call.create("a", "p1"), call.create("b", "p1"), call.create("a", "p2")
    assert listed(call) == {a1, b1, a2}
    assert listed(call, name="a") == {a1, a2}
    assert listed(call, projectId="p1") == {a1, b1}
    assert listed(call, name="a", projectId="p1") == {a1}
    assert listed(call, name="A") == listed(call, name="a%") == listed(call, projectId="") == set()


def test_order_of_creation(call: Caller) -> None:
    """The order is the order of creation, also within one millisecond."""
    ids = [call.create(f"d{number}") for number in range(5)]
    assert [node["id"] for node in call(ASC).data["deployments"]["nodes"]] == ids


def test_a_deleted_deployment_is_gone(call: Caller) -> None:
    """A deleted deployment cannot be read, listed, changed or deleted, and its name can be used again."""
    id_ = call.create("a")
    deleted = call(
        "mutation ($input: DeleteDeploymentInput!)"
        " { deleteDeployment(input: $input) { deployment { id name dtDeleted } } }",
        input={"id": id_},
    )
    assert deleted.data["deleteDeployment"]["deployment"] == {"id": id_, "name": "a", "dtDeleted": None}
    assert get(call, id_) is None
    assert listed(call) == set()
    assert call(call.UPDATE, input={"id": id_, "name": "b"}).code == "NOT_FOUND"
    assert call(call.DELETE, input={"id": id_}).code == "NOT_FOUND"
    assert listed(call, name="a") == set()
    assert {call.create("a")} == listed(call)


def test_unknown_ids(call: Caller) -> None:
    """An unknown id returns null, and cannot be changed or deleted."""
    id_ = str(uuid4())
    assert get(call, id_) is None
    for mutation in (call.UPDATE, call.DELETE):
        response = call(mutation, input={"id": id_})
        assert (response.code, response.error["extensions"]["path"]) == ("NOT_FOUND", "input.id")
        assert id_ in response.error["message"]


def test_ids_are_case_insensitive(call: Caller) -> None:
    """Ids are case-insensitive."""
    id_ = call.create()
    assert get(call, id_.upper())["id"] == id_
