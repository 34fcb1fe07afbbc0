"""Generate the page docs/api/types.md from `paperspace.gradient.types`. Run by scripts/docs.

Sphinx itself would show the types under the names of the generated classes.
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
    """A key of a TypedDict."""

    name: str
    type: str
    text: str


def page() -> str:
    """The text of the page."""
    head = (
        "# Types\n\nThe [functions](deployments.md) take and return plain dicts. These types describe the keys of the dicts. Use them"
        " as annotations.\n"
    )
    parts = [head, "```{py:module} paperspace.gradient.types\n```\n"]
    for name in types.__all__:
        type_ = getattr(types, name)
        described = _class(name, type_) if isinstance(type_, type) else _alias(name)
        parts.append(f"````{{py:class}} {name}\n{described}\n````\n")
    return "\n".join(parts).replace("Null:", "None:")  # descriptions from the schema have the word of GraphQL


def _class(name: str, type_: type) -> str:
    module = sys.modules[type_.__module__]
    fields = [
        f"```{{py:attribute}} {field.name}\n:type: {_public(field.type)}\n:no-contents-entry:\n\n{field.text}\n```"
        for field in _fields(type_.__name__, module)
    ]
    return "\n\n".join([f"{inspect.getdoc(getattr(types, name))}", *fields])


def _alias(name: str) -> str:
    values, text = _enums()[name]
    return f"`{values}`: {text}"


def _enums() -> dict[str, tuple[str, str]]:
    """The values of each enum, and its docstring."""
    return {
        ast.unparse(node.target): (ast.unparse(node.value), _text(following))
        for node, following in _pairs(_tree(enums).body)
        if isinstance(node, ast.AnnAssign) and node.value
    }


def _fields(name: str, module: ModuleType) -> Iterator[Field]:
    """The keys of a class. Those of its bases come first."""
    [class_node] = [node for node in _tree(module).body if isinstance(node, ast.ClassDef) and node.name == name]
    for base in class_node.bases:
        inherited = getattr(module, ast.unparse(base), None)
        if isinstance(inherited, type):
            yield from _fields(inherited.__name__, sys.modules[inherited.__module__])
    for node, following in _pairs(class_node.body):
        if isinstance(node, ast.AnnAssign):
            yield Field(ast.unparse(node.target), ast.unparse(node.annotation), _text(following))


def _tree(module: ModuleType) -> ast.Module:
    return ast.parse(inspect.getsource(module))


def _pairs(body: list[ast.stmt]) -> Iterator[tuple[ast.stmt, ast.stmt]]:
    """Each statement with the next one, which may be its docstring."""
    return pairwise(body)


def _text(node: ast.stmt) -> str:
    assert isinstance(node, ast.Expr)  # noqa: S101  # a test checks that everything has a docstring
    assert isinstance(node.value, ast.Constant)  # noqa: S101
    return " ".join(str(node.value.value).split())


def _public(annotation: str) -> str:
    """The annotation with public names, and with the values of enums that have none."""
    public_names = {type_.__name__: name for name in types.__all__ if isinstance(type_ := getattr(types, name), type)}
    values = {name: values for name, (values, _) in _enums().items() if name not in types.__all__}
    names = dict.fromkeys(("UUID", "DateTime"), "str") | values | public_names
    return re.sub(r"\w+", lambda match: names.get(match[0], match[0]), annotation)


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
