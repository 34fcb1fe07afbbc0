"""Looks at arguments before anything is sent, and lists every bad place at once."""

from __future__ import annotations

import copy
import re
from difflib import get_close_matches
from functools import cache
from typing import TYPE_CHECKING, Any, get_args, get_type_hints

from typing_extensions import is_typeddict

from paperspace.gradient._base.rules import Path, Problem, listed, name_problems, spec_problems
from paperspace.gradient._generated.inputs import DeploymentSpecDataInput
from paperspace.gradient.errors import InvalidArgumentError, InvalidSpecError

if TYPE_CHECKING:
    from pydantic import TypeAdapter
    from pydantic_core import ErrorDetails

_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)

# What pydantic calls a wrong type, in words for somebody who writes a spec.
_EXPECTED = {
    "string_type": "a string",
    "int_type": "a whole number",
    "int_from_float": "a whole number",
    "float_type": "a number",
    "finite_number": "a finite number",
    "bool_type": "True or False",
    "list_type": "a list",
    "dict_type": "a dict",
    "missing": "a value",
    "extra_forbidden": "no field of this name",
}

_HINTS: dict[Path, str] = {
    ("ports",): "a spec of this API has one `port`",
    ("resources", "ports"): "a spec of this API has one `port`, beside `resources`",
    ("resources", "machineType"): "a spec of this API calls it `instanceType`",
    ("apiVersion",): "a spec of this API has no version; leave it out",
    ("healthChecks",): "the GraphQL API cannot carry health checks, so they would be lost; leave them out",
}


def check_name(name: object) -> None:
    """Raises InvalidArgumentError where the name of a deployment cannot be right."""
    if isinstance(name, str):
        _refuse(list(name_problems(name)))
    else:
        _refuse([Problem(("name",), name, "a string")])


def check_id(value: object, argument: str = "id") -> None:
    """Raises InvalidArgumentError where the id of a deployment cannot be right."""
    if not isinstance(value, str) or not _UUID.fullmatch(value):
        _refuse([Problem((argument,), value, "a UUID", "such as 'd4e74a9c-b125-4bd7-b143-8f5c386df8a9'")])


def check_text(value: object, argument: str) -> None:
    """Raises InvalidArgumentError where an argument is no string, or an empty one."""
    if not isinstance(value, str) or not value.strip():
        _refuse([Problem((argument,), value, "a string that is not empty")])


def check_count(value: object, argument: str) -> None:
    """Raises InvalidArgumentError where an argument is no whole number of 0 or more."""
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        _refuse([Problem((argument,), value, "a whole number, 0 or more")])


def check_spec(spec: object) -> None:
    """Raises InvalidSpecError with every place where a spec cannot be right."""
    from pydantic import ValidationError

    problems = []
    try:
        _adapter().validate_python(spec, strict=True, extra="forbid")
    except ValidationError as error:
        problems = [_problem(entry) for entry in error.errors(include_url=False)]
    if isinstance(spec, dict):
        bad = {problem.path for problem in problems}
        problems += [problem for problem in spec_problems(_without(spec, bad)) if problem.path not in bad]
    if problems:
        raise InvalidSpecError(listed("the spec cannot be right: ", problems), problems=problems)


def _refuse(problems: list[Problem]) -> None:
    if problems:
        raise InvalidArgumentError(listed("", problems), problems=problems)


@cache
def _adapter() -> TypeAdapter[DeploymentSpecDataInput]:
    from pydantic import TypeAdapter

    return TypeAdapter(DeploymentSpecDataInput)


def _problem(entry: ErrorDetails) -> Problem:
    """A problem from an error of pydantic."""
    path: Path = ("spec", *entry["loc"])
    kind = entry["type"]
    given = None if kind == "missing" else _shown(path, entry["input"])
    if kind == "literal_error":
        return Problem(path, given, f"one of {entry.get('ctx', {})['expected']}", None)
    hint = None
    if kind == "extra_forbidden":
        hint = _HINTS.get(entry["loc"]) or _did_you_mean(entry["loc"])
    return Problem(path, given, _EXPECTED.get(kind, entry["msg"]), hint)


def _shown(path: Path, given: object) -> object:
    """What may be shown of a value: not that of an environment variable or a password, which may be secret."""
    secret = path[-1] == "password" or (path[:2] == ("spec", "env") and path[-1] == "value")
    return _Hidden(type(given).__name__) if secret else given


class _Hidden(str):
    """Stands for a value that is not shown: says its type."""

    __slots__ = ()

    def __repr__(self) -> str:
        return f"a value of type {self!s}"


def _did_you_mean(path: Path) -> str:
    """A field of nearly the same name, or else all the fields that there are."""
    *parents, name = path
    shape: Any = DeploymentSpecDataInput
    for step in parents:
        if isinstance(step, str):
            shape = _item(get_type_hints(shape)[step])
    fields = sorted(get_type_hints(shape))
    lowered = {field.lower(): field for field in fields}
    close = get_close_matches(str(name).lower(), lowered, n=1)
    return f"did you mean {lowered[close[0]]!r}?" if close else f"there are {', '.join(fields)}"


def _item(annotation: Any) -> Any:
    """The TypedDict inside an optional, or a list of it."""
    while not is_typeddict(annotation):
        annotation = next(part for part in get_args(annotation) if part is not type(None))
    return annotation


def _without(spec: dict[str, Any], places: set[Path]) -> dict[str, Any]:
    """A copy with nothing at the given places, so that what is right about it can be looked at further."""
    clean = copy.deepcopy(spec)
    for _, *parents, last in places:
        parent: Any = clean
        for step in parents:
            parent = parent[step]
        if isinstance(last, int) or last in parent:
            parent[last] = None
    return clean
