"""The public types equal the generated ones, without the fields that only pagination uses."""

from __future__ import annotations

import importlib
import pkgutil
import re
from pathlib import Path
from typing import Any, get_args, get_origin, get_type_hints

from typing_extensions import is_typeddict

import paperspace.gradient
from paperspace.gradient import Client, _generated, schema, types
from paperspace.gradient import deployments as functions
from paperspace.gradient._core import validation
from paperspace.gradient._generated import deployment, deployment_delete, deployments, inputs

PAGINATION_FIELDS = {"pageInfo", "edges", "cursor", "__typename"}


def shape(annotation: Any) -> Any:
    """A type with every TypedDict in it expanded, without names and without the fields of pagination."""
    if is_typeddict(annotation):
        hints = get_type_hints(annotation, include_extras=True)
        return {key: shape(value) for key, value in hints.items() if key not in PAGINATION_FIELDS}
    if get_origin(annotation) is None:
        return annotation
    return get_origin(annotation), [shape(argument) for argument in get_args(annotation)]


def test_results() -> None:
    """The functions return what the operations select."""
    listed = get_type_hints(deployments.DeploymentConnection)["nodes"]
    found = get_type_hints(deployment.DeploymentResult)["deployment"]
    assert shape(listed) == (list, [shape(types.Deployment)])
    assert shape(found)[1] == [shape(types.Deployment), type(None)]
    deleted = get_type_hints(deployment_delete.DeleteDeploymentPayload)["deployment"]
    assert shape(deleted) == shape(types.DeploymentRef)


def test_every_public_type_is_generated() -> None:
    """Every public type is generated, is compared with a generated one above, or describes no response."""
    generated = set()
    for module in pkgutil.iter_modules(_generated.__path__):
        generated |= {
            id(value) for value in vars(importlib.import_module(f"{_generated.__name__}.{module.name}")).values()
        }
    not_generated = {name for name in types.__all__ if id(getattr(types, name)) not in generated}
    assert not_generated == {
        *("Deployment", "DeploymentSpecs"),  # compared above
        # The library itself builds these.
        *(
            "AppliedDeployment",
            "PlannedDeployment",
            "DeploymentRevision",
            "RevisedDeployment",
            "NamedSpec",
            "SpecChange",
            "SpecDifference",
        ),
        *("WatchEvent", "DeploymentStatus", "ServingRevision", "InstanceStatus", "ClientOptions"),
    }


def test_every_public_name_is_type_checked() -> None:
    """tests/typing/surface.py uses every public name."""
    text = (Path(__file__).parent / "typing/surface.py").read_text(encoding="utf-8")
    public = {*types.__all__, *functions.__all__, *schema.__all__, *paperspace.gradient.__all__}
    assert {name for name in public if not re.search(rf"\b{name}\b", text)} == set()


def test_validators_are_built_once(client: Client) -> None:
    """The validator of a response is built once, on the first response."""
    validation._envelope_validator.cache_clear()
    for _ in range(3):
        client.deployments.list_deployments()
    assert validation._envelope_validator.cache_info().misses == 1


def test_every_input_is_public() -> None:
    """Every type in a spec has a public name."""
    public = {id(getattr(types, name)) for name in types.__all__}
    reached = set()
    pending: list[Any] = [inputs.DeploymentSpecDataInput]
    while pending:
        current = pending.pop()
        if is_typeddict(current) and current not in reached:
            reached.add(current)
            pending += get_type_hints(current).values()
        pending += get_args(current)
    assert {entry.__name__ for entry in reached if id(entry) not in public} == set()
