"""Every public name has a docstring with an example, and the example prints what the docstring shows."""

from __future__ import annotations

import doctest
import inspect
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any, Literal, get_origin

import pytest
from tests.samples import SPEC
from tools import TOP
from typing_extensions import is_typeddict

import paperspace.gradient
from paperspace.gradient import Client, deployments, errors, pytest_plugin, schema, server, types
from paperspace.gradient.aio import deployments as async_deployments

MODULES = [paperspace.gradient, deployments, async_deployments, errors, types, schema, server, pytest_plugin]


def public() -> Iterator[tuple[str, Any]]:
    """Every public object once: what the modules export, and the methods of exported classes."""
    seen: set[int] = set()
    for module in MODULES:
        for name in module.__all__:
            yield from _with_methods(f"{module.__name__}.{name}", getattr(module, name), seen)


def _with_methods(name: str, entry: Any, seen: set[int]) -> Iterator[tuple[str, Any]]:
    # Strings and literal types have no docstring; modules are in MODULES.
    if id(entry) in seen or isinstance(entry, str | ModuleType) or get_origin(entry) is Literal:
        return
    seen.add(id(entry))
    yield name, entry
    if inspect.isclass(entry) and not issubclass(entry, Exception) and not is_typeddict(entry):
        for member, value in inspect.getmembers(entry):
            inherited = getattr(tuple, member, None) is value  # a named tuple has the methods of a tuple
            if not member.startswith("_") and not inherited and (callable(value) or isinstance(value, property)):
                yield from _with_methods(f"{name}.{member}", value, seen)


# Names that need no example: errors have theirs in docs/errors.md, and the types of dicts list their keys.
PUBLIC = dict(public())
DESCRIBED = {
    name: entry
    for name, entry in PUBLIC.items()
    if is_typeddict(entry) or (inspect.isclass(entry) and issubclass(entry, Exception))
}
MODULES_WITH_EXAMPLES = {module.__name__: module for module in (deployments, async_deployments, schema)}
BY_EXAMPLE = {name: entry for name, entry in (PUBLIC | MODULES_WITH_EXAMPLES).items() if name not in DESCRIBED}


def examples(entry: Any, names: dict[str, Any]) -> doctest.DocTest:
    """The examples of a docstring."""
    return doctest.DocTestParser().get_doctest(inspect.getdoc(entry) or "", names, "example", None, None)


@pytest.mark.usefixtures("environment")
@pytest.mark.parametrize("name", [name for name in BY_EXAMPLE if "pytest_plugin" not in name])
def test_example(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The docstring has an example. With a deployment `mnist` in the project `p1`, it prints what the docstring shows."""
    deployments.create_deployment(name="mnist", project_id="p1", spec=SPEC)
    (tmp_path / "graphql").symlink_to(TOP / "graphql")
    monkeypatch.chdir(tmp_path)
    check(BY_EXAMPLE[name], {"deployments": deployments})


@pytest.mark.parametrize("name", [name for name in BY_EXAMPLE if "pytest_plugin" in name])
def test_example_of_the_plugin(name: str, gradient_server: pytest_plugin.GradientServer) -> None:
    """The docstring has an example. With the fixture `gradient_server`, it prints what the docstring shows."""
    check(BY_EXAMPLE[name], {"deployments": deployments, "Client": Client, "gradient_server": gradient_server})


def check(entry: Any, names: dict[str, Any]) -> None:
    """Run the examples of a docstring, of which there must be at least one."""
    test = examples(entry, names)
    assert test.examples
    output: list[str] = []
    doctest.DocTestRunner(optionflags=doctest.ELLIPSIS).run(test, out=output.append)
    assert not output, "".join(output)


@pytest.mark.parametrize("name", DESCRIBED)
def test_description(name: str) -> None:
    """Every error and every type of a dict has a docstring."""
    assert inspect.getdoc(DESCRIBED[name])
