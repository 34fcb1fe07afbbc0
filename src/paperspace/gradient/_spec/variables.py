"""Environment variables in spec files: `${NAME}` in values, and files of NAME=VALUE lines."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from paperspace.gradient._shared.problems import Placeholder, Problem
from paperspace.gradient._shared.spec_rules import key_name
from paperspace.gradient._spec.checks import scalar_type
from paperspace.gradient.errors import InvalidSpecError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from paperspace.gradient._shared.problems import Path as FieldPath

# `$$` is a literal dollar. `${` that no name follows is matched too, so that it is an error.
_VARIABLE = re.compile(r"\$\$|\$\{(?:(?P<name>[A-Za-z_][A-Za-z0-9_]*)(?::-(?P<default>[^{}]*))?\})?")

_TRUTH = {"true": True, "false": False}


def substitute(content: Any, environment: Mapping[str, str], problems: list[Problem], path: FieldPath = ()) -> Any:
    """Return the content with `${NAME}` and `${NAME:-default}` substituted in its values, and `$$` as a dollar.

    A value that is one variable becomes a number or a boolean where the field has one. The names that are not set are
    added to the problems. As the text is parsed before, the value of a variable cannot add fields.
    """
    if isinstance(content, dict):
        return {key: substitute(value, environment, problems, (*path, key_name(key))) for key, value in content.items()}
    if isinstance(content, list):
        return [substitute(value, environment, problems, (*path, index)) for index, value in enumerate(content)]
    if not isinstance(content, str) or "$" not in content:
        return content

    def value_of(match: re.Match[str]) -> str:
        if match[0] == "$$":
            return "$"
        name, default = match["name"], match["default"]
        if name is None:
            hint = "for a literal dollar sign, write $$"
            expected = "${NAME} or ${NAME:-default}"
            problems.append(Problem(("spec", *path), Placeholder("${ with other text after it"), expected, hint))
            return ""
        value = environment.get(name)
        if value or (value is not None and default is None):
            return value
        if default is None:
            hint = f"set it, or write ${{{name}:-default}}"
            expected = f"the environment variable {name} to be set"
            problems.append(Problem(("spec", *path), Placeholder("no value"), expected, hint))
        return default or ""

    value = _VARIABLE.sub(value_of, content)
    return _converted(value, path) if _VARIABLE.fullmatch(content) else value


def _converted(value: str, path: FieldPath) -> object:
    """Return the value as the type of its field, if it is one. Otherwise the validation reports it."""
    match scalar_type(path):
        case type() as kind if kind is bool:
            return _TRUTH.get(value.lower(), value)
        case type() as kind if kind in {int, float} and re.fullmatch(r"-?[0-9]{1,10}(\.[0-9]{1,10})?", value):
            return kind(value) if kind is float or "." not in value else value
        case _:
            return value


def parse_env_file(text: str, file: str, environment: Mapping[str, str]) -> dict[str, str]:
    """Parse a file of environment variables, as `docker run --env-file` does.

    Each line is NAME=VALUE, and the value is taken as it is, quotes included. A line with a NAME alone takes the value
    from the environment, if it is set there. Blank lines and lines that begin with # are ignored.

    Raises:
        InvalidSpecError: a line has no valid name. The message does not show the line, as it may hold a secret.
    """
    variables: dict[str, str] = {}
    for number, line in enumerate(text.split("\n"), start=1):
        entry = line.removesuffix("\r").lstrip()
        if not entry or entry.startswith("#"):
            continue
        name, equals, value = entry.partition("=")
        name = name if equals else name.rstrip()
        if not name or any(c.isspace() for c in name) or "\0" in entry:
            hint = "; remove `export`" if name.startswith("export ") else ""
            raise InvalidSpecError(f"{file}:{number}: expected NAME=VALUE or NAME; a name has no spaces{hint}")
        if equals:
            variables[name] = value
        elif name in environment:
            variables[name] = environment[name]
    return variables
