"""The layout of the package: fast to import, no import cycles, no GraphQL in Python, explicit exports."""

from __future__ import annotations

import ast
import json
import re
import subprocess
import sys
from collections.abc import Iterator
from graphlib import TopologicalSorter
from pathlib import Path

import pytest
from graphql import (
    GraphQLError,
    NoDeprecatedCustomRule,
    OperationDefinitionNode,
    build_schema,
    parse,
    specified_rules,
    validate,
)
from graphql.utilities import lexicographic_sort_schema, print_schema
from tools import TOP

import paperspace.gradient
from paperspace.gradient import deployments, errors, types
from paperspace.gradient._core.documents import load_document
from paperspace.gradient._schema.functions import ADDED, OPTIONAL
from paperspace.gradient.aio import deployments as async_deployments

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
    """Importing the library loads none of the heavy dependencies; the first call does."""
    code = f"{statement}\nimport sys, json\nprint(json.dumps(list(sys.modules)))"
    modules = json.loads(subprocess.check_output([sys.executable, "-c", code], text=True))
    assert HEAVY.isdisjoint(modules)


def test_paperspace_is_a_namespace() -> None:
    """`paperspace` is a namespace package, so that other distributions can add to it."""
    assert not (SOURCE.parent / "__init__.py").exists()


@pytest.mark.parametrize("module", [paperspace.gradient, deployments, async_deployments, errors, types])
def test_all_is_sorted_and_exists(module: object) -> None:
    """`__all__` is sorted, and every name in it exists."""
    exported = getattr(module, "__all__")  # noqa: B009  # not every module has one
    assert exported == sorted(exported)
    assert all(hasattr(module, name) for name in exported)


def test_every_error_is_exported() -> None:
    """`paperspace.gradient` and `paperspace.gradient.errors` export every error class."""
    defined = {name for name, value in vars(errors).items() if isinstance(value, type) and issubclass(value, Exception)}
    assert defined == set(errors.__all__) - {"Problem"}
    assert defined <= set(paperspace.gradient.__all__)


def test_error_tree_is_drawn() -> None:
    """The tree in the docstring of `errors` is the tree of the classes, in their order."""
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
    """No string in the source is a GraphQL document: every operation is a file."""
    for path in SOURCE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Constant) and isinstance(node.value, str) and "{" in node.value:
                with pytest.raises(GraphQLError):
                    parse(node.value)


def test_no_numbered_parameters_in_sql() -> None:
    """No SQL has numbered parameters: below 3.12.4, Python warns of them, and tests of users raise warnings as errors."""
    numbered = [
        str(path) for path in SOURCE.rglob("*.py") if re.search(r"[ (]\?[0-9]", path.read_text(encoding="utf-8"))
    ]
    assert numbered == []


def test_no_operators_that_the_oldest_sqlite_lacks() -> None:
    """SQL has no `->` and no `->>`: the server accepts SQLite 3.37, as in Ubuntu 22.04, which reports a syntax error."""
    for path in (SOURCE / "server").rglob("*.py"):
        text = path.read_text(encoding="utf-8")
        assert not re.search(r"->>?\s*'", text), f"{path}: use json_extract"


def test_schema_is_canonical() -> None:
    """The schema is sorted and formatted as `gradient schema pull` writes it, so that a diff shows only changes."""
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
    """Without added fields, every operation that is neither optional nor added is valid there, and uses nothing deprecated."""
    hosted = build_schema((TOP / "tests/hosted.graphql").read_text(encoding="utf-8"))
    checked = 0
    for operation in {path.stem for path in OPERATIONS if is_operation(path)} - OPTIONAL - ADDED:
        document = load_document(operation)
        node = document.without(document.additions).node
        assert validate(hosted, node, [*specified_rules, NoDeprecatedCustomRule]) == []
        checked += 1
    assert checked >= 10


def is_operation(path: Path) -> bool:
    """Whether a file has an operation, not a fragment."""
    [definition] = parse(path.read_text(encoding="utf-8")).definitions
    return isinstance(definition, OperationDefinitionNode)


def test_each_file_has_the_name_of_its_operation() -> None:
    """Each file has one operation or fragment with its name; the five documented operations are among them."""
    names = []
    for path in OPERATIONS:
        [definition] = parse(path.read_text(encoding="utf-8")).definitions
        assert definition.name.value == path.stem  # type: ignore[attr-defined]  # both kinds have a name
        if isinstance(definition, OperationDefinitionNode):
            names.append(path.stem)
    assert {"DeploymentCreate", "DeploymentUpdate", "DeploymentDelete", "Deployments", "Deployment"} <= set(names)


MODULES = {
    ".".join(path.relative_to(SOURCE.parent.parent).with_suffix("").parts).removesuffix(".__init__"): path
    for path in sorted(SOURCE.rglob("*.py"))
    if not path.name.startswith("hook-")  # a script of PyInstaller, not a module
}

# Imports each module in a process in which only its packages were imported before, as Python does first in any case. Loading the
# dependencies and the packages before the fork saves the time of loading them for each module.
IMPORT_EACH = """
import importlib, os, sys, traceback
from collections import defaultdict
import aiohttp.web, click, gql, graphql, pydantic, pytest
assert not any(name.startswith("paperspace") for name in sys.modules)
modules_of = defaultdict(list)
for name in sys.argv[1:]:
    modules_of[name.rpartition(".")[0]].append(name)

def import_all(package):
    for name in modules_of[package]:
        child = os.fork()
        if child == 0:
            try:
                importlib.import_module(name)
            except BaseException:
                traceback.print_exc()
                os._exit(1)
            import_all(name)
            os._exit(0)
        if os.waitpid(child, 0)[1]:
            print(name, flush=True)

import_all("paperspace")
"""


def test_every_module_imports_by_itself() -> None:
    """Every module can be the first one that a process imports, so its imports work in any order."""
    command = [sys.executable, "-c", IMPORT_EACH, *MODULES]
    imported = subprocess.run(command, capture_output=True, text=True, timeout=600, check=True)
    assert imported.stdout == "", imported.stderr


def is_type_checking(node: ast.AST) -> bool:
    """Whether a statement is `if TYPE_CHECKING:`."""
    return isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"


def lazy_names(node: ast.AST) -> list[str]:
    """The modules that a call of `lazy_modules` names."""
    if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Name) or node.func.id != "lazy_modules":
        return []
    package, *names = (ast.literal_eval(argument) for argument in node.args)
    return [f"{package}.{name}" for name in names]


def runtime_imports(node: ast.AST) -> Iterator[str]:
    """The names that code imports when it runs, in functions and by `lazy_modules` too."""
    if isinstance(node, ast.Import):
        yield from (alias.name for alias in node.names)
    elif isinstance(node, ast.ImportFrom):
        for alias in node.names:
            inner = f"{node.module}.{alias.name}"
            yield inner if inner in MODULES else str(node.module)
    else:
        yield from lazy_names(node)
    children = node.orelse if isinstance(node, ast.If) and is_type_checking(node) else ast.iter_child_nodes(node)
    for child in children:
        yield from runtime_imports(child)


def test_no_import_cycle() -> None:
    """No module imports itself through other modules: neither at its top, nor in a function, nor lazily."""
    graph = {
        name: set(runtime_imports(ast.parse(path.read_text(encoding="utf-8")))) & set(MODULES)
        for name, path in MODULES.items()
    }
    assert (
        "paperspace.gradient.deployments._queries" in graph["paperspace.gradient.deployments._api"]
    )  # imported lazily
    TopologicalSorter(graph).prepare()  # raises CycleError, which names the modules


def test_lazy_modules_are_those_that_are_type_checked() -> None:
    """Each lazy module exists, keeps its name, and is imported under this name for the type checkers."""
    found = 0
    for path in MODULES.values():
        for block in filter(is_type_checking, ast.parse(path.read_text(encoding="utf-8")).body):
            assert isinstance(block, ast.If)
            checked = {
                f"{node.module}.{alias.name}"
                for node in block.body
                if isinstance(node, ast.ImportFrom)
                for alias in node.names
            }
            for statement in block.orelse:
                assert isinstance(statement, ast.Assign)
                modules = lazy_names(statement.value)
                found += len(modules)
                [target] = statement.targets
                assert isinstance(target, ast.Tuple | ast.List)
                assert [ast.unparse(name) for name in target.elts] == [name.rpartition(".")[2] for name in modules]
                assert set(modules) <= checked & set(MODULES)
    assert found > 0


def test_only_the_docker_engine_imports_aiodocker() -> None:
    """Aiodocker is of the extra `docker`: only `server/docker` imports it, and nothing imports those modules at the top."""
    for path in SOURCE.rglob("*.py"):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        imported = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
        imported |= {str(node.module) for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
        if any(name.partition(".")[0] == "aiodocker" for name in imported):
            assert path.parent == SOURCE / "server/docker", path
        top = {str(node.module) for node in tree.body if isinstance(node, ast.ImportFrom)}
        if path.parent != SOURCE / "server/docker":
            assert not any(name.startswith("paperspace.gradient.server.docker") for name in top), path
