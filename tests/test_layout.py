"""The package is laid out as it promises: light to import, no GraphQL in Python, nothing public by accident."""

from __future__ import annotations

import ast
import importlib
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
from graphql import GraphQLError, OperationDefinitionNode, build_schema, parse, validate
from graphql.utilities import concat_ast, lexicographic_sort_schema, print_schema

import paperspace.gradient
from paperspace.gradient import deployments, errors, types
from paperspace.gradient.aio import deployments as async_deployments

TOP = Path(__file__).parent.parent
SOURCE = TOP / "src/paperspace/gradient"
OPERATIONS = sorted((TOP / "graphql/operations").glob("*.graphql"))
HEAVY = {"gql", "aiohttp", "graphql", "pydantic", "asyncio", "click"}


@pytest.mark.parametrize(
    "statement",
    [
        "import paperspace.gradient.deployments",
        "from paperspace.gradient import deployments",
        "from paperspace.gradient.aio import deployments",
        "from paperspace.gradient import Client, AsyncClient, configure, errors",
        "from paperspace.gradient.types import Deployment",
    ],
)
def test_import_is_light(statement: str) -> None:
    """Importing the library loads none of the libraries that take long to load; the first call does."""
    code = f"{statement}\nimport sys, json\nprint(json.dumps(list(sys.modules)))"
    modules = json.loads(subprocess.check_output([sys.executable, "-c", code], text=True))
    assert HEAVY.isdisjoint(modules)


def test_paperspace_is_a_namespace() -> None:
    """`paperspace` itself stays open to other distributions."""
    assert not (SOURCE.parent / "__init__.py").exists()


@pytest.mark.parametrize("module", [paperspace.gradient, deployments, async_deployments, errors, types])
def test_all_is_sorted_and_there(module: object) -> None:
    """`__all__` is sorted and names what is really there."""
    exported = getattr(module, "__all__")  # noqa: B009  # not every module has one
    assert exported == sorted(exported)
    assert all(hasattr(module, name) for name in exported)


def test_every_error_is_exported() -> None:
    """`paperspace.gradient` exports every error class, and so does `errors`."""
    defined = {name for name, value in vars(errors).items() if isinstance(value, type) and issubclass(value, Exception)}
    assert defined == set(errors.__all__) - {"Problem"}
    assert defined <= set(paperspace.gradient.__all__)


def test_error_tree_is_drawn() -> None:
    """The tree at the top of the module is the tree of the classes, in their order."""
    assert errors.__doc__ is not None
    drawn = [
        (len(entry[1]), entry[2]) for entry in re.finditer(r"^([ │├└─]*)(\w+Error)\b", errors.__doc__, re.MULTILINE)
    ]
    parents: dict[int, str] = {}
    for depth, name in drawn:
        above = [parents[other] for other in sorted(parents) if other < depth]
        assert (getattr(errors, name).__bases__[0].__name__ == above[-1]) if above else name == "GradientError"
        parents = {other: parent for other, parent in parents.items() if other < depth} | {depth: name}
    assert [name for _, name in drawn] == [
        node.name
        for node in ast.parse(Path(errors.__file__).read_text(encoding="utf-8")).body
        if isinstance(node, ast.ClassDef)
    ]


def test_no_graphql_in_python() -> None:
    """No string in the source is a GraphQL document: all of those are files."""
    for path in SOURCE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Constant) and isinstance(node.value, str) and "{" in node.value:
                with pytest.raises(GraphQLError):
                    parse(node.value)


def test_schema_is_canonical() -> None:
    """The schema is sorted and laid out as `gradient schema pull` writes it, so that a diff shows changes only."""
    text = (TOP / "graphql/schema.graphql").read_text(encoding="utf-8")
    assert text == print_schema(lexicographic_sort_schema(build_schema(text))) + "\n"


def test_schema_describes_everything() -> None:
    """Every type, field, argument and enum value has a description."""
    schema = build_schema((TOP / "graphql/schema.graphql").read_text(encoding="utf-8"))
    bare = []
    for kind in schema.type_map.values():
        if kind.name.startswith("__"):
            continue
        bare += [kind.name] if not kind.description else []
        for member, entry in {**getattr(kind, "fields", {}), **getattr(kind, "values", {})}.items():
            bare += [f"{kind.name}.{member}"] if not entry.description else []
            for argument, value in getattr(entry, "args", {}).items():
                bare += [f"{kind.name}.{member}({argument})"] if not value.description else []
    assert bare == []


def test_operations_are_valid_on_the_hosted_api() -> None:
    """Every operation is valid against a schema that holds nothing but what the hosted API had."""
    hosted = build_schema((Path(__file__).parent / "hosted.graphql").read_text(encoding="utf-8"))
    document = concat_ast([parse(path.read_text(encoding="utf-8")) for path in OPERATIONS])
    assert validate(hosted, document) == []


def test_each_file_holds_what_its_name_says() -> None:
    """One operation or fragment a file, named like the file; the five documented operations are among them."""
    names = []
    for path in OPERATIONS:
        [definition] = parse(path.read_text(encoding="utf-8")).definitions
        assert definition.name.value == path.stem  # type: ignore[attr-defined]  # both kinds have a name
        if isinstance(definition, OperationDefinitionNode):
            names.append(path.stem)
    assert {"DeploymentCreate", "DeploymentUpdate", "DeploymentDelete", "Deployments", "Deployment"} <= set(names)


def test_every_module_imports() -> None:
    """Every module can be imported by itself."""
    for path in SOURCE.rglob("*.py"):
        name = ".".join(path.relative_to(SOURCE.parent.parent).with_suffix("").parts)
        importlib.import_module(name.removesuffix(".__init__"))
