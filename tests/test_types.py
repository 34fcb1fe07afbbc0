"""The public shapes and the generated ones are the same, but for what paging needs."""

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
from paperspace.gradient._generated import deployment, deployment_create, deployments, inputs

MACHINERY = {"pageInfo", "edges", "cursor", "__typename"}


def shape(annotation: Any) -> Any:
    """A type with every TypedDict in it spelled out, without the machinery of connections and without names."""
    if is_typeddict(annotation):
        hints = get_type_hints(annotation, include_extras=True)
        return {key: shape(value) for key, value in hints.items() if key not in MACHINERY}
    if get_origin(annotation) is None:
        return annotation
    return get_origin(annotation), [shape(argument) for argument in get_args(annotation)]


def test_results() -> None:
    """What the functions return is what the operations ask for."""
    listed = get_type_hints(deployments.DeploymentConnection)["nodes"]
    found = get_type_hints(deployment.DeploymentResult)["deployment"]
    assert shape(listed) == (list, [shape(types.Deployment)])
    assert shape(found)[1] == [shape(types.Deployment), type(None)]
    created = get_type_hints(deployment_create.CreateDeploymentPayload)["deployment"]
    assert shape(created) == shape(types.DeploymentRef)


def test_every_public_shape_is_tied() -> None:
    """Every public shape is a generated one, or made of generated ones and tied above."""
    generated = set()
    for module in pkgutil.iter_modules(_generated.__path__):
        generated |= {
            id(value) for value in vars(importlib.import_module(f"{_generated.__name__}.{module.name}")).values()
        }
    untied = {name for name in types.__all__ if id(getattr(types, name)) not in generated}
    assert untied == {
        *("Deployment", "DeploymentSpecs"),  # tied above
        # No reply of the server has these.
        *("AppliedDeployment", "DeploymentRevision", "SpecChange", "SpecDifference"),
        *("DeploymentEvent", "DeploymentStatus", "InstanceStatus"),
    } | {"ClientOptions"}


def test_every_public_name_is_type_checked() -> None:
    """The file that the type checkers read touches every public name."""
    text = (Path(__file__).parent / "typing/surface.py").read_text(encoding="utf-8")
    public = {*types.__all__, *functions.__all__, *schema.__all__, *paperspace.gradient.__all__}
    assert {name for name in public if not re.search(rf"\b{name}\b", text)} == set()


def test_checkers_are_built_once(client: Client) -> None:
    """The checker of a reply is built when the first one comes, and only then."""
    validation._envelope_validator.cache_clear()
    for _ in range(3):
        client.deployments.list_deployments()
    assert validation._envelope_validator.cache_info().misses == 1


def test_every_input_is_public() -> None:
    """Whatever may stand in a spec has a public name."""
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
