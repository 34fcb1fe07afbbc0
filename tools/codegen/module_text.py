"""The text of a generated module: imports, definitions and docstrings, in the style of the formatter."""

from __future__ import annotations

import re
import textwrap
from dataclasses import dataclass, field

WIDTH = 120
HEADER = "# Generated from {source} by scripts/regenerate; change that file and run it again.\n"


class GenerationError(Exception):
    """No valid code can be generated from the GraphQL files; the message says where and why."""


@dataclass
class Module:
    """A module under construction: its imports by module, and its definitions by name."""

    source: str
    doc: str
    imports: dict[str, set[str]] = field(default_factory=dict)
    definitions: dict[str, str] = field(default_factory=dict)

    def use(self, module: str, name: str) -> str:
        """Import a name, and return it."""
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

    def define_shape(self, name: str, doc: str, bases: str, members: list[str]) -> None:
        """Add a TypedDict; `bases` is the text in its parentheses."""
        if "TypedDict" in bases:
            self.use("typing_extensions", "TypedDict")
        gap = "\n\n" if any('"""' in member for member in members) else "\n"
        self.define(name, f"class {name}({bases}):\n{docstring(doc, '    ')}\n\n" + gap.join(members))

    def define_alias(self, name: str, annotation: str, doc: str | None) -> None:
        """Add a type alias."""
        text = f"{name}: {self.use('typing', 'TypeAlias')} = {annotation}"
        self.define(name, f"{text}\n{docstring(doc)}" if doc else text)

    def member(self, name: str, annotation: str, doc: str | None, *, optional: bool) -> str:
        """Return the text of a key of a TypedDict."""
        if optional:
            annotation = f"{self.use('typing', 'NotRequired')}[{annotation}]"
        text = f"    {name}: {annotation}"
        return f"{text}\n{docstring(doc, '    ')}" if doc else text

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
            is_class = definition.startswith("class")
            text += ("\n\n" if is_class or after_class else "\n") + definition + "\n"
            after_class = is_class
        return text


def enclosed(head: str, items: list[str], tail: str) -> str:
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


def snake(name: str) -> str:
    """Convert the name of a file to that of its module: `DeploymentCreate` to `deployment_create`."""
    return re.sub(r"(?<!^)(?=[A-Z])", "_", name).lower()
