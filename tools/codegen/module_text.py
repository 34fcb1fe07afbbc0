"""The text of a generated module: imports, definitions and docstrings, in the style of the formatter."""

from __future__ import annotations

import re
import textwrap
from dataclasses import dataclass, field
from keyword import iskeyword
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Sequence

WIDTH = 120
HEADER = "# Generated from {source} by scripts/regenerate; change that file and run it again.\n"


class GenerationError(Exception):
    """No valid code can be generated from the GraphQL files; the message says where and why."""


class Member(NamedTuple):
    """A key of a TypedDict, with the annotation of its value."""

    name: str
    annotation: str
    doc: str | None

    @property
    def in_class(self) -> bool:
        """Whether the body of a class can define it. It cannot define keywords, and changes names with two underscores."""
        return not iskeyword(self.name) and not self.name.startswith("__")

    def __str__(self) -> str:
        text = f"    {self.name}: {self.annotation}"
        return f"{text}\n{docstring(self.doc, '    ')}" if self.doc else text


@dataclass
class Module:
    """A module under construction: its imports by module, and its definitions by name."""

    source: str
    doc: str
    imports: dict[str, set[str]] = field(default_factory=dict)
    definitions: dict[str, str] = field(default_factory=dict)

    def use(self, module: str, name: str) -> str:
        """Import a name, and return it."""
        if any(name in names for other, names in self.imports.items() if other != module):
            raise self.clash(name)
        self.imports.setdefault(module, set()).add(name)
        return name

    def define(self, name: str, text: str) -> None:
        """Add a definition. Adding the same one again has no effect."""
        if self.definitions.setdefault(name, text) != text:
            raise self.clash(name)

    def clash(self, name: str) -> GenerationError:
        """Make the error for two different definitions of one name."""
        return GenerationError(
            f"{self.source}: two different selections of the type {name} in one file; "
            "move one of them, or the selection around it, to a fragment in a separate file"
        )

    def define_shape(
        self, name: str, doc: str, members: list[Member], bases: Sequence[str] = (), *, total: bool = True
    ) -> None:
        """Add a TypedDict. Keys that a class cannot define are those of a base."""
        keys = ""
        if others := [member for member in members if not member.in_class]:
            keys = self._keys(f"{name}Keys", others, total=total) + "\n\n\n"
            bases = [*bases, f"{name}Keys"]
        arguments = [*(bases or [self.use("typing_extensions", "TypedDict")]), *([] if total else ["total=False"])]
        texts = [str(member) for member in members if member.in_class]
        gap = "\n\n" if any('"""' in text for text in texts) else "\n"
        body = [docstring(doc, "    "), *([gap.join(texts)] if texts else [])]
        self.define(name, f"{keys}class {name}({', '.join(arguments)}):\n" + "\n\n".join(body))

    def _keys(self, name: str, members: list[Member], *, total: bool) -> str:
        """Return the text of a TypedDict that is not a class."""
        function = self.use("typing_extensions", "TypedDict")
        keys = [f'        "{member.name}": "{member.annotation}",' for member in members]
        tail = [] if total else ["    total=False,"]
        return "\n".join([f"{name} = {function}(", f'    "{name}",', "    {", *keys, "    },", *tail, ")"])

    def define_alias(self, name: str, annotation: str, doc: str | None, arguments: Sequence[str] = ()) -> None:
        """Add a type alias: a type, or a generic one with its arguments."""
        text = f"{name}: {self.use('typing', 'TypeAlias')} = {annotation}"
        if arguments:
            text = enclosed(f"{text}[", arguments, "]")
        self.define(name, f"{text}\n{docstring(doc)}" if doc else text)

    def member(self, name: str, annotation: str, doc: str | None, *, optional: bool) -> Member:
        """Return a key of a TypedDict."""
        if optional:
            annotation = f"{self.use('typing', 'NotRequired')}[{annotation}]"
        return Member(name, annotation, doc)

    def render(self) -> str:
        """Return the text of the module."""
        for name in set().union(*self.imports.values()) & set(self.definitions):
            raise self.clash(name)
        groups: dict[str, list[str]] = {"typing": [], "typing_extensions": [], "paperspace": []}
        for module, used in sorted(self.imports.items()):
            names = sorted(used, key=lambda name: (not name.isupper(), name))  # the order that the linter wants
            line = f"from {module} import {', '.join(names)}"
            if len(line) > WIDTH:
                line = enclosed(f"from {module} import (", names, ")")
            groups[module.split(".")[0]].append(line)
        blocks = ["\n".join(group) for group in groups.values() if group]
        if blocks:
            blocks.insert(0, "from __future__ import annotations")
        text = "\n\n".join([HEADER.format(source=self.source) + docstring(self.doc), *blocks]) + "\n"
        after_class = False
        for definition in self.definitions.values():
            text += ("\n\n" if definition.startswith("class") or after_class else "\n") + definition + "\n"
            after_class = "\nclass " in f"\n{definition}"
        return text


def enclosed(head: str, items: Sequence[str], tail: str) -> str:
    """Put the items between head and tail: on one line if they fit, otherwise one per line."""
    line = f"{head}{', '.join(items)}{tail}"
    return line if len(line) <= WIDTH else "\n    ".join([head, *(f"{item}," for item in items)]) + f"\n{tail}"


def docstring(text: str, indent: str = "") -> str:
    """Return the text as a docstring, on one line if it fits."""
    text = text.replace("\\", "\\\\").replace('"""', "'''")
    if text.endswith('"'):
        text = text[:-1] + '\\"'
    if "\n" not in text and len(f'{indent}"""{text}"""') <= WIDTH:
        return f'{indent}"""{text}"""'
    lines = [part for line in f'"""{text}'.splitlines() for part in textwrap.wrap(line, WIDTH - len(indent)) or [""]]
    return "\n".join([*((indent + line).rstrip() for line in lines), f'{indent}"""'])


def identifier(name: str) -> str:
    """Return the name of a type in Python: with an underscore behind it, if the name has a meaning there."""
    return f"{name}_" if iskeyword(name) or name in {"bool", "float", "int", "list", "str"} else name


def snake(name: str) -> str:
    """Convert the name of a file to that of its module: `DeploymentCreate` to `deployment_create`."""
    return identifier(re.sub(r"(?<!^)(?=[A-Z])", "_", name).lower())
