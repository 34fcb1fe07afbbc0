"""Writes the page of the shapes, docs/api/types.md, from `paperspace.gradient.types`; run by scripts/docs.

Sphinx would show the shapes under the names that they were generated with.
"""

from __future__ import annotations

import ast
import inspect
import re
import sys
from collections.abc import Iterator
from itertools import pairwise
from types import ModuleType
from typing import NamedTuple

from paperspace.gradient import types
from paperspace.gradient._generated import enums
from tools import TOP

PAGE = TOP / "docs/api/types.md"


class Field(NamedTuple):
    """A key of a shape."""

    name: str
    type: str
    text: str


def page() -> str:
    """The page."""
    head = "# Shapes\n\nWhat the functions take and return: ordinary dicts, and these names are for annotations.\n"
    parts = [head, "```{py:module} paperspace.gradient.types\n```\n"]
    for name in types.__all__:
        shape = getattr(types, name)
        described = _class(name, shape) if isinstance(shape, type) else _alias(name)
        parts.append(f"````{{py:class}} {name}\n{described}````\n")
    return "\n".join(parts)


def _class(name: str, shape: type) -> str:
    module = sys.modules[shape.__module__]
    fields = [
        f"- `{field.name}`: `{_public(field.type)}`\\\n  {field.text}" for field in _fields(shape.__name__, module)
    ]
    return "\n".join([f"{inspect.getdoc(getattr(types, name))}\n", *fields, ""])


def _alias(name: str) -> str:
    for node, following in _pairs(_tree(enums).body):
        if isinstance(node, ast.AnnAssign) and node.value and ast.unparse(node.target) == name:
            return f"`{ast.unparse(node.value)}`: {_text(following)}\n"
    raise SystemExit(f"{name} is no class, and no enum")


def _fields(name: str, module: ModuleType) -> Iterator[Field]:
    """The keys of a class, those of its bases first."""
    [found] = [node for node in _tree(module).body if isinstance(node, ast.ClassDef) and node.name == name]
    for base in found.bases:
        inherited = getattr(module, ast.unparse(base), None)
        if isinstance(inherited, type):
            yield from _fields(inherited.__name__, sys.modules[inherited.__module__])
    for node, following in _pairs(found.body):
        if isinstance(node, ast.AnnAssign):
            yield Field(ast.unparse(node.target), ast.unparse(node.annotation), _text(following))


def _tree(module: ModuleType) -> ast.Module:
    return ast.parse(inspect.getsource(module))


def _pairs(body: list[ast.stmt]) -> Iterator[tuple[ast.stmt, ast.stmt]]:
    """Each statement with the one behind it, which describes it."""
    return pairwise(body)


def _text(node: ast.stmt) -> str:
    assert isinstance(node, ast.Expr)  # noqa: S101  # everything is described, as a test sees to
    assert isinstance(node.value, ast.Constant)  # noqa: S101
    return " ".join(str(node.value.value).split())


def _public(annotation: str) -> str:
    """The annotation by the public names."""
    shapes = {shape.__name__: name for name in types.__all__ if isinstance(shape := getattr(types, name), type)}
    names = dict.fromkeys(("UUID", "DateTime"), "str") | shapes
    return re.sub(r"\w+", lambda found: names.get(found[0], found[0]), annotation)


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
