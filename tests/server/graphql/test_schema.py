"""The whole schema: every field is implemented."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

import pytest
from graphql import GraphQLField, GraphQLObjectType, get_named_type
from tests.server.storage.test_metric_file import FULL

from paperspace.gradient.server.graphql.schema import executable_schema
from paperspace.gradient.server.storage.metric_file import MetricReader

if TYPE_CHECKING:
    from tests.raw_client import Caller
    from tests.server.conftest import Clock

# What nobody tells a local server about the person in front of it.
UNKNOWN = {("Actor", "avatarUrl"), ("Actor", "email")}

EXEC_CHECK = {"exec": {"command": ["true"]}}
NUMBERS = ("initialDelaySeconds", "periodSeconds", "timeoutSeconds", "failureThreshold")
HTTP_CHECK = {"path": "/", "port": 80, "host": "h", "headers": [{"name": "a", "value": "b"}]}


def is_object(field: GraphQLField) -> bool:
    return isinstance(get_named_type(field.type), GraphQLObjectType)


def shortest_paths() -> dict[str, list[str]]:
    """Return, for each type, the shortest path of fields from a deployment."""
    paths: dict[str, list[str]] = {"Deployment": []}
    for name in (queue := ["Deployment"]):
        for field_name, field in fields_of(name).items():
            inner = get_named_type(field.type).name
            if is_object(field) and inner not in paths and field_name != "log":
                paths[inner] = [*paths[name], field_name]
                queue.append(inner)
    return paths


def fields_of(name: str) -> dict[str, GraphQLField]:
    fields: dict[str, GraphQLField] = cast("GraphQLObjectType", executable_schema().type_map[name]).fields
    return fields


def fields_with_values(value: Any, path: list[str]) -> set[str]:
    """Return the fields that have a value, at the end of a path into a response."""
    if isinstance(value, list):
        return {name for item in value for name in fields_with_values(item, path)}
    if value is None:
        return set()
    return (
        fields_with_values(value[path[0]], path[1:])
        if path
        else {name for name, entry in value.items() if entry is not None}
    )


def test_every_field_is_implemented(call: Caller, clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every field of every type has a value in one of a few deployments."""
    figures = [(1, FULL)]  # the simulation has none
    monkeypatch.setattr(MetricReader, "points", lambda _self, ids, *_: dict.fromkeys(ids, figures))
    broken = {
        **call.SPEC,
        "env": [{"name": "GRADIENT_SIMULATE", "value": "crash-loop"}],
        "healthChecks": {"liveness": EXEC_CHECK},
    }
    whole = {
        **call.SPEC,
        "command": ["serve"],
        "containerRegistry": "r",
        "enabled": True,
        "env": [{"name": "A", "value": "1"}],
        "models": [{"id": "m", "path": "/m"}],
        "protocol": "http2",
        "endpointSecurity": {"protected": False, "secret": "s"},
        "healthChecks": {
            "startup": EXEC_CHECK,
            "readiness": EXEC_CHECK,
            "liveness": {**HTTP_CHECK, **dict.fromkeys(NUMBERS, 1)},
        },
        "repositories": {
            "dataset": "d",
            "mountPath": "/r",
            "repositories": [{"name": "r", "url": "u", "ref": "m", "username": "u", "password": "p"}],
        },
        "resources": {
            "instanceType": "C4",
            "replicas": 1,
            "autoscaling": {"enabled": True, "maxReplicas": 2, "metrics": [{"metric": "cpu", "value": 80}]},
        },
    }
    ids = [call.create("one", spec=whole), call.create("two", spec=broken)]
    clock.forward(minutes=1)
    call.update(ids[0], spec=call.SPEC)
    clock.forward(minutes=1)
    call.update(ids[0], spec={"image": "i", "resources": {"replicas": 1000}})
    missing = set()
    for name, path in shortest_paths().items():
        fields = {field: " { __typename }" * is_object(inner) for field, inner in fields_of(name).items()}
        fields.pop("log", None)  # it has a test of its own
        steps = "".join(f"{{ {step} " for step in path)
        chosen = " ".join(field + inside for field, inside in fields.items())
        query = f"query ($id: UUID!) {{ deployment(id: $id) {steps} {{ {chosen} }} }}" + " }" * len(path)
        found = {field for id_ in ids for field in fields_with_values(call(query, id=id_).data["deployment"], path)}
        missing |= {(name, field) for field in fields.keys() - found}
    # A deployment that is deleted cannot be asked.
    assert missing == UNKNOWN | {("Deployment", "dtDeleted")}


def test_log_by_name(call: Caller, clock: Clock) -> None:
    """`log` returns the log of an instance by name, only in its deployment."""
    ids = [call.create("a"), call.create("b")]
    clock.forward(minutes=1)
    query = (
        "query ($id: UUID!, $name: String!) { deployment(id: $id) {"
        " log(instanceName: $name) { instanceName lines { nodes { instanceName deploymentId } } }"
        " logs { nodes { instanceName } } } }"
    )
    (name,) = [node["instanceName"] for node in call(query, id=ids[0], name="").data["deployment"]["logs"]["nodes"]]
    log = call(query, id=ids[0], name=name).data["deployment"]["log"]
    assert log["instanceName"] == name
    assert {tuple(line.values()) for line in log["lines"]["nodes"]} == {(name, ids[0])}
    assert call(query, id=ids[1], name=name).data["deployment"]["log"] is None
