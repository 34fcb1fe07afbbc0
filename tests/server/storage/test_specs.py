"""The data of a spec: values are returned unchanged; invalid ones are errors with a path."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from tests.raw_client import Caller, Json


DATA = """
query ($id: UUID!) { deployment(id: $id) { deploymentSpecs { nodes { data {
  image port command containerRegistry enabled protocol
  env { name value }
  models { id path }
  repositories { dataset mountPath repositories { name url ref username password } }
  resources { replicas instanceType autoscaling { enabled maxReplicas metrics { metric summary value } } }
} } } } }
"""
NOTHING = {
    "image": "i",
    "port": None,
    "command": None,
    "containerRegistry": None,
    "enabled": None,
    "protocol": None,
    "env": None,
    "models": None,
    "repositories": None,
    "resources": {"replicas": 1, "instanceType": None, "autoscaling": None},
}


CHECKS = """
query ($id: UUID!) { deployment(id: $id) { deploymentSpecs { nodes { data { healthChecks {
  startup { ...Check } readiness { ...Check } liveness { ...Check }
} } } } } }
fragment Check on DeploymentSpecHealthCheck {
  path port host headers { name value } exec { command } initialDelaySeconds periodSeconds timeoutSeconds failureThreshold
}
"""


def test_health_checks(call: Caller) -> None:
    """Health checks return their values unchanged; what is not set is null."""
    readiness = {"path": "/a", "port": 1, "host": "h", "headers": [{"name": "A", "value": "b"}], "exec": None}
    readiness |= {"initialDelaySeconds": 0, "periodSeconds": 1, "timeoutSeconds": 2, "failureThreshold": 3}
    liveness = dict.fromkeys(readiness) | {"exec": {"command": ["cat", "x"]}}
    sent = {"readiness": readiness, "liveness": {"exec": liveness["exec"]}}
    id_ = call.create(spec={"image": "i", "healthChecks": sent})
    (node,) = call(CHECKS, id=id_).data["deployment"]["deploymentSpecs"]["nodes"]
    assert node["data"]["healthChecks"] == {"startup": None, "readiness": readiness, "liveness": liveness}
    (node,) = call(CHECKS, id=call.create("other", spec={"image": "i"})).data["deployment"]["deploymentSpecs"]["nodes"]
    assert node["data"]["healthChecks"] is None


def stored(call: Caller, spec: Json) -> Any:
    (node,) = call(DATA, id=call.create(spec=spec)).data["deployment"]["deploymentSpecs"]["nodes"]
    return node["data"]


def test_every_field(call: Caller) -> None:
    """Every field returns its value unchanged, secrets included."""
    spec = {
        "image": "registry.example/serving:2",
        "port": 8501,
        "command": ["serve", "--flag", 'é "quoted" \\ \n \U0001f600'],
        "containerRegistry": "private",
        "enabled": False,
        "protocol": "http2",
        "env": [{"name": "A", "value": "1"}, {"name": "EMPTY", "value": ""}],
        "models": [{"id": "m1", "path": "/models/one"}, {"id": "m2", "path": None}],
        "repositories": {
            "dataset": "d1",
            "mountPath": "/code",
            "repositories": [
                {"name": "r", "url": "https://git.example/r", "ref": "main", "username": "u", "password": "s3cret"},
                {"name": "q", "url": "https://git.example/q", "ref": None, "username": None, "password": None},
            ],
        },
        "resources": {
            "replicas": 2,
            "instanceType": "A100",
            "autoscaling": {
                "enabled": True,
                "maxReplicas": 5,
                "metrics": [{"metric": "requestDuration", "summary": "average", "value": 0.15}],
            },
        },
    }
    assert stored(call, spec) == spec


@pytest.mark.parametrize("spec", [{"image": "i"}, {**NOTHING, "resources": None}, NOTHING])
def test_omitted_fields_are_null(call: Caller, spec: Json) -> None:
    """Omitted and null fields return null, except `resources`, which has the number of replicas."""
    assert stored(call, spec) == NOTHING


def test_empty_is_not_null(call: Caller) -> None:
    """An empty list stays empty."""
    assert stored(call, {"image": "i", "env": [], "command": []}) == {**NOTHING, "env": [], "command": []}


def test_defaults_of_non_null_fields(call: Caller) -> None:
    """Non-null fields return their documented defaults."""
    resources: Json = {"instanceType": "C4", "autoscaling": {"maxReplicas": 3}}
    assert stored(call, {"image": "i", "resources": resources})["resources"] == {
        "replicas": 1,
        "instanceType": "C4",
        "autoscaling": {"enabled": None, "maxReplicas": 3, "metrics": []},
    }
    resources["autoscaling"]["metrics"] = [{"metric": "cpu", "value": 80}]
    call.update(call.create("other"), spec={"image": "i"})
    id_ = call.create("more", spec={"image": "i", "resources": resources})
    (node,) = call(DATA, id=id_).data["deployment"]["deploymentSpecs"]["nodes"]
    assert node["data"]["resources"]["autoscaling"]["metrics"] == [
        {"metric": "cpu", "summary": "average", "value": 80.0}
    ]


@pytest.mark.parametrize(
    ("name", "spec", "paths"),
    [
        ("", {"image": "i"}, ["input.name"]),
        ("x" * 256, {"image": "i"}, ["input.name"]),
        ("a\nb", {"image": "i"}, ["input.name"]),
        ("a\u202eb", {"image": "i"}, ["input.name"]),
        ("a", {}, ["input.spec.image"]),
        ("a", {"image": None, "port": 0}, ["input.spec.image", "input.spec.port"]),
        ("a", {"image": "i", "port": 65536}, ["input.spec.port"]),
        ("a", {"image": "i", "resources": {"replicas": -1}}, ["input.spec.resources.replicas"]),
        ("a", {"image": "i", "models": [{"id": "m"}, {}]}, ["input.spec.models[1].id"]),
        ("a", {"image": "i", "env": [{"name": "A", "value": "1"}] * 2}, ["input.spec.env[1].name"]),
        (
            "a",
            {"image": "i", "healthChecks": {"startup": {"path": "a", "periodSeconds": 0}, "liveness": {}}},
            [
                f"input.spec.healthChecks.{field}"
                for field in ("startup.path", "startup.periodSeconds", "liveness.path")
            ],
        ),
    ],
)
def test_invalid_values(call: Caller, name: str, spec: Json | None, paths: list[str]) -> None:
    """Create and update reject an invalid name or spec, with the paths of all problems."""
    update = {"id": call.create("fine"), "name": name, "spec": spec}
    for response in (
        call(call.CREATE, input={"name": name, "projectId": "p", "spec": spec}),
        call(call.UPDATE, input=update),
    ):
        assert response.code == "BAD_USER_INPUT"
        extensions = response.error["extensions"]
        assert extensions["path"] == paths[0]
        assert [problem["path"] for problem in extensions["problems"]] == paths
        for problem in extensions["problems"]:
            assert problem["path"] in problem["message"]
            assert problem["expected"] in problem["message"]
            assert problem["message"] in response.error["message"]


@pytest.mark.parametrize(
    ("spec", "path", "expected"),
    [
        ({"imag": "i"}, "input.spec.imag", "Did you mean 'image'?"),
        ({"image": 5}, "input.spec.image", "expected a string"),
        ({"image": "i", "port": "80"}, "input.spec.port", "expected a 32-bit integer"),
        ({"image": "i", "port": 2**31}, "input.spec.port", "expected a 32-bit integer"),
        ({"image": "i", "protocol": "h3"}, "input.spec.protocol", "expected one of http, http2"),
        ({"image": "i", "env": [{"name": "A"}]}, "input.spec.env[0].value", "expected a string"),
        ({"image": "i", "command": ["a", None]}, "input.spec.command[1]", "expected a string"),
        ({"image": "i", "resources": []}, "input.spec.resources", "expected an object"),
        (None, "input.spec", "expected an object"),
    ],
)
def test_wrong_types(call: Caller, spec: Json | None, path: str, expected: str) -> None:
    """A variable of the wrong type is rejected before execution, with its path and the expected type."""
    response = call(call.CREATE, input={"name": "a", "projectId": "p", "spec": spec})
    assert response.code == "BAD_USER_INPUT"
    assert response.error["extensions"]["path"] == path
    assert expected in response.error["message"]
    assert "data" not in response.body


@pytest.mark.parametrize(
    "spec",
    [
        {"image": "i", "env": [{"name": "A", "value": 4711}]},
        {"image": "i", "env": [{"name": "A", "value": "4711", "extra": 1}]},
        {"image": "i", "env": [{"value": "4711"}]},
        {"image": "i", "env": "4711"},
        {"image": "i", "env": [{"name": "A=4711", "value": ""}]},
        {"image": "", "env": [{"name": "A", "value": "4711"}]},
        {"image": "i", "repositories": {"repositories": [{"name": "r", "url": "u", "password": 4711}]}},
        {"image": "i", "repositories": {"repositories": [{"name": "r", "password": "4711"}]}},
    ],
)
def test_errors_contain_no_secrets(call: Caller, spec: Json | None) -> None:
    """Errors never contain values of environment variables or passwords."""
    response = call(call.CREATE, input={"name": "a", "projectId": "p", "spec": spec})
    assert response.code == "BAD_USER_INPUT"
    assert "4711" not in str(response.body)


def test_number_of_listed_problems(call: Caller) -> None:
    """An error lists at most 20 problems."""
    spec = {"image": "i", "env": [{"name": "", "value": ""}] * 1000}
    response = call(call.CREATE, input={"name": "a", "projectId": "p", "spec": spec})
    assert len(response.error["extensions"]["problems"]) == 20


def test_autoscaling_that_is_disabled(call: Caller) -> None:
    """Where autoscaling is disabled, its limit may be missing, and is then 1, or below the number of replicas."""
    disabled: Json = {"image": "i", "resources": {"replicas": 3, "autoscaling": {"enabled": False}}}
    expected = {"enabled": False, "maxReplicas": 1, "metrics": []}
    assert stored(call, disabled)["resources"]["autoscaling"] == expected
    for limit in (0, 2):
        disabled["resources"]["autoscaling"]["maxReplicas"] = limit
        (node,) = call(DATA, id=call.create(f"n{limit}", spec=disabled)).data["deployment"]["deploymentSpecs"]["nodes"]
        assert node["data"]["resources"]["autoscaling"]["maxReplicas"] == limit
