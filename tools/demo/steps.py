"""Steps of the demo: code, shown with its result."""

from __future__ import annotations

import ast
import sys
from typing import NamedTuple

WIDTH = 100


class Step(NamedTuple):
    """Code to run, and the error that it must raise, if any."""

    code: str
    raises: str | None = None


def show(step: Step, names: dict[str, object]) -> None:
    """Print the code, run it, and print its result or its error.

    Raises:
        SystemExit: The code does not raise the expected error, or raises another one.
    """
    print(">>> " + step.code.replace("\n", "\n... "))
    raised = None
    try:
        statement = ast.parse(step.code).body[0]
        if isinstance(statement, ast.Expr):
            print(readable(eval(step.code, names)))  # noqa: S307  # the code is in this file
        else:
            exec(step.code, names)  # noqa: S102
    except Exception as error:  # noqa: BLE001  # any error is shown, as the interpreter shows it
        raised = type(error).__name__
        print(f"{type(error).__module__}.{raised}: {error}")
    print()
    if raised != step.raises:
        sys.exit(f"The demo expected {step.raises or 'no error'} here.")


def readable(value: object, indent: str = "") -> str:
    """Format the value as repr() does, on several lines if one is too short."""
    text = repr(value)
    if len(indent + text) <= WIDTH or not isinstance(value, dict | list) or not value:
        return text
    inner = indent + "  "
    if isinstance(value, list):
        items, (left, right) = [readable(item, inner) for item in value], "[]"
    else:
        items, (left, right) = [f"{key!r}: {readable(item, inner)}" for key, item in value.items()], "{}"
    return f",\n{inner}".join(items).join([f"{left}\n{inner}", f",\n{indent}{right}"])


def show_all(sections: dict[str, list[Step]]) -> None:
    """Show all steps, below their headings."""
    names: dict[str, object] = {}
    for heading, steps in sections.items():
        print(f"# {heading}")
        for step in steps:
            show(step, names)
