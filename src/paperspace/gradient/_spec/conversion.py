"""Turn the content of a spec file into a spec: drop what only the file needs, set the image, take the name out.

Each step changes the content in place, or yields the problems that it cannot solve, such as a placeholder that nothing
replaced.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from paperspace.gradient._shared.problems import Placeholder, Problem, hide
from paperspace.gradient._shared.spec_rules import key_name, name_problems, strings_in
from paperspace.gradient.errors import InvalidSpecError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from paperspace.gradient._shared.problems import Path as FieldPath

# Stands in a file for an image that is set when the file is read.
IMAGE_PLACEHOLDER = ":image"

# `${NAME}`, with or without a default.
_REFERENCE = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*+)[^{}]*+\}")

# More than any spec has. The limits bound the work for a file that refers to itself, or nests without an end.
_MAX_VALUES = 100_000
_MAX_DEPTH = 50


def copy_without_extensions(content: Any, file: str) -> Any:
    """Copy the content without `$schema` and keys that begin with `x-`. What aliases of YAML share is copied for each.

    Raises:
        InvalidSpecError: the content is too large, or nested too deeply.
    """
    remaining = _MAX_VALUES

    def copy(value: Any, depth: int) -> Any:
        nonlocal remaining
        remaining -= 1
        if remaining < 0:
            raise InvalidSpecError(f"{file}: more than {_MAX_VALUES} values")
        if depth > _MAX_DEPTH:
            raise InvalidSpecError(f"{file}: nested too deeply")
        if isinstance(value, dict):
            return {key: copy(entry, depth + 1) for key, entry in value.items() if not _is_extension(key)}
        if isinstance(value, list):
            return [copy(entry, depth + 1) for entry in value]
        return value

    return copy(content, 0)


def _is_extension(key: object) -> bool:
    return isinstance(key, str) and (key == "$schema" or key.startswith("x-"))


def replace_image(content: dict[Any, Any], image: str | None) -> str | None:
    """Set the image to that of the caller. Return the image that it replaced, if that was another one."""
    if image is None:
        return None
    replaced, content["image"] = content.get("image"), image
    return replaced if isinstance(replaced, str) and replaced not in {IMAGE_PLACEHOLDER, image} else None


def reference_problems(content: Mapping[Any, Any]) -> Iterator[Problem]:
    """Yield the values with `${NAME}`, where variables are not substituted.

    Commands, also those of health checks, and the values of `env` may have them: the shell in the container substitutes them
    there.
    """
    for path, value in strings_in(content, ()):
        match = _REFERENCE.search(value)
        if match and "command" not in path and not (path[0] == "env" and path[-1] == "value"):
            hint = (
                "to use the environment variable, pass --env-subst, or env_subst=True in Python; "
                "to keep the text, add `x-literal: true` to the file"
            )
            yield Problem(("spec", *path), Placeholder(f"${{{match[1]}}}"), "a value without variables", hint)


def placeholder_problems(content: Mapping[Any, Any]) -> Iterator[Problem]:
    """Yield a problem if the image is still the placeholder."""
    if content.get("image") == IMAGE_PLACEHOLDER:
        hint = f"{IMAGE_PLACEHOLDER} is a placeholder; pass the image: --image, or image= in Python"
        yield Problem(("spec", "image"), IMAGE_PLACEHOLDER, "an image", hint)


def take_name(content: dict[Any, Any], field: str) -> tuple[str | None, list[Problem]]:
    """Remove `name` or `projectId` from the content. Return its value, which None if it is not set, and its problems."""
    value = content.pop(field, None)
    path: FieldPath = ("spec", field)
    if value is None:
        return None, []
    if not isinstance(value, str):
        hint = "quote it" if not isinstance(value, dict | list) else None
        return None, [Problem(path, hide(value), "a string", hint)]
    if field == "name":
        problems = list(name_problems(value, path))
    else:
        problems = [] if value.strip() else [Problem(path, value, "a non-empty string")]
    return value, problems


def merge_env(content: dict[Any, Any], variables: Mapping[str, str]) -> None:
    """Add environment variables to the spec. They replace those of the same names."""
    env = content.get("env")
    if not variables or not isinstance(env, list | None):
        return  # an `env` of another type is a problem that the validation reports
    remaining = dict(variables)
    for entry in env or ():
        name = key_name(entry.get("name")) if isinstance(entry, dict) else ""
        if name in remaining:
            entry["value"] = remaining.pop(name)
    content["env"] = [*(env or ()), *({"name": name, "value": value} for name, value in remaining.items())]
