"""The table of functions and operations is complete."""

from __future__ import annotations

import ast
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

from tools import TOP

import paperspace.gradient.deployments
from paperspace.gradient._core.documents import load_document
from paperspace.gradient._schema.functions import ADDED_INPUTS, FUNCTIONS, OPTIONAL
from paperspace.gradient.deployments._api import AsyncDeployments

PACKAGE = Path(paperspace.gradient.deployments.__file__).parent
MODULES = [path.stem for path in PACKAGE.glob("_*.py")]

# The look-up that explains a rejection, and the logs and events that explain a failed wait, may fail without effect; and no
# public function passes other fields to `revise`.
WITHOUT_EFFECT = {
    ("_explained", "find_by_name"),
    ("_require_known_fields_now", "DEPLOYMENTS_CURRENT"),
    ("deployment_failed", "LogReader"),
    ("deployment_failed", "last_warnings"),
    ("wait_timeout", "last_warnings"),
    ("revise", "update"),
    ("id_of", "find_id"),
}

# A dry run of apply ends after this query. Every function may look up a name, which is listed once.
STARTS = {"diff_deployment": "find_current", "_find": "find_id"}

# Functions that only a command calls, and what functions have in common.
COMMANDS = {
    "_find": "any call with name= in place of an id",
    "_get_deployment_details": "gradient deployments get",
    "_follow_deployment_events": "gradient deployments events",
    "_get_latest_metrics": "gradient deployments top",
}


def references() -> dict[str, set[str]]:
    """The names in each function, class and method of the package. Those of methods begin with `self.`."""
    found: dict[str, set[str]] = defaultdict(set)
    for path in PACKAGE.glob("*.py"):
        for definition in ast.parse(path.read_text(encoding="utf-8")).body:
            if isinstance(definition, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
                found[definition.name] |= set(names_in(definition))
            for method in definition.body if isinstance(definition, ast.ClassDef) else ():
                if isinstance(method, ast.FunctionDef | ast.AsyncFunctionDef):
                    found[f"self.{method.name}"] |= set(names_in(method))
    return found


def names_in(definition: ast.AST) -> Iterator[str]:
    """Yield the names that may refer to functions, methods, classes and operations of the package."""
    for node in ast.walk(definition):
        match node:
            case ast.Name(id=name):
                yield name
            case ast.Attribute(value=ast.Name(id="self"), attr=name):
                yield f"self.{name}"
            case ast.Attribute(value=ast.Name(id=parent), attr=name) if parent in MODULES:
                yield name


def operations_of(function: str) -> set[str]:
    """The names of the operations that a function may run, through whatever it calls."""
    graph, seen, waiting = references(), set(), [function]
    while waiting:
        name = waiting.pop()
        if name not in seen:
            seen.add(name)
            waiting += [other for other in graph.get(name, ()) if (name, other) not in WITHOUT_EFFECT]
    by_constant = {_constant(operation): operation for operation in FUNCTIONS}
    return {by_constant[name] for name in seen & by_constant.keys()}


def _constant(operation: str) -> str:
    return "".join(f"_{letter}" if letter.isupper() else letter for letter in operation).upper().removeprefix("_")


def test_table_of_functions() -> None:
    """Each public function is listed under every operation that it may run, and under no other."""
    derived = {
        COMMANDS.get(name, name): operations_of(STARTS.get(name, f"self.{name}"))
        for name in (*paperspace.gradient.deployments.__all__, *COMMANDS)
        if hasattr(AsyncDeployments, name)
    }
    listed: dict[str, set[str]] = {name: set() for name in derived}
    for operation, functions in FUNCTIONS.items():
        for function in functions:
            listed[function.partition("(")[0]].add(operation)
    assert listed == derived


def test_every_addition_is_in_the_table() -> None:
    """The added fields of a spec that is read are those of a spec that is sent."""
    assert {
        f"DeploymentSpecDataInput.{field}" for field in load_document("DeploymentHistory").additions
    } == ADDED_INPUTS


def test_every_operation_is_in_the_table() -> None:
    """No operation is left out, and none is optional and listed."""
    folder = TOP / "graphql/operations"
    operations = {path.stem for path in folder.glob("*.graphql") if "fragment " not in path.read_text(encoding="utf-8")}
    assert sorted([*FUNCTIONS, *OPTIONAL]) == sorted(operations)
