"""Looks at a spec before anything is sent: at its types by pydantic, and then at what the types do not say."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any, get_args, get_type_hints

from typing_extensions import is_typeddict

from paperspace.gradient._generated.inputs import DeploymentSpecDataInput
from paperspace.gradient._shared.spec_rules import Path, Problem, abbreviated, key_name, spec_problems

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pydantic import TypeAdapter
    from pydantic_core import ErrorDetails

# What pydantic calls a wrong type, in words for somebody who writes a spec.
_EXPECTED = {
    "string_type": "a string",
    "int_type": "a whole number",
    "int_from_float": "a whole number",
    "float_type": "a number",
    "bool_type": "True or False",
    "list_type": "a list",
    "dict_type": "a dict",
    "missing": "a value",
    "extra_forbidden": "no field of this name",
}

_HINTS: dict[Path, str] = {
    ("healthChecks",): "the GraphQL API cannot carry health checks, so they would be lost; leave them out",
    ("ports",): "a spec of this API has one `port`",
    ("resources", "ports"): "a spec of this API has one `port`, beside `resources`",
    ("resources", "machineType"): "a spec of this API calls it `instanceType`",
    ("apiVersion",): "a spec of this API has no version; leave it out",
}

# What is given at these places, or below them, is not shown: it may hold a secret, however it is misspelt.
_SECRET = {"env", "repositories"}


def check_spec(value: object) -> Iterator[Problem]:
    """What is wrong with a spec: with its types first, and then with what the types do not say."""
    from pydantic import ValidationError

    wrong: dict[Path, Problem] = {}
    try:
        _adapter().validate_python(value, strict=True, extra="forbid")
    except ValidationError as error:
        for problem in map(_problem, error.errors(include_url=False)):
            wrong.setdefault(problem.path, problem)
    yield from wrong.values()
    if isinstance(value, dict):
        for problem in spec_problems(_sound(value, wrong, ("spec",)) if wrong else value):
            if not any(problem.path[: len(path)] == path for path in wrong):
                yield problem


def copy_of(spec: DeploymentSpecDataInput) -> DeploymentSpecDataInput:
    """A copy of a spec that was checked: what its owner changes meanwhile is not sent, by a resend least of all."""
    return _adapter().validate_python(spec, strict=True)


@cache
def _adapter() -> TypeAdapter[DeploymentSpecDataInput]:
    from pydantic import TypeAdapter

    return TypeAdapter(DeploymentSpecDataInput)


def _problem(entry: ErrorDetails) -> Problem:
    """A problem from an error of pydantic."""
    path: Path = ("spec", *entry["loc"])
    kind = entry["type"]
    if kind == "invalid_key":  # where `input` is the key itself
        path = (*path[:-1], key_name(entry["input"]))
        names = f"a name is a string; {_did_you_mean(path[1:])}"
        return Problem(path, _Hidden(type(entry["input"]).__name__), _EXPECTED["extra_forbidden"], names)
    given = None if kind == "missing" else _shown(path, entry["input"])
    if kind == "literal_error":
        return Problem(path, given, f"one of {entry.get('ctx', {})['expected']}", None)
    hint = None
    if kind == "extra_forbidden":
        hint = _HINTS.get(path[1:]) or _did_you_mean(path[1:])
    return Problem(path, given, _EXPECTED.get(kind, entry["msg"]), hint)


def _shown(path: Path, given: object) -> object:
    """What may be shown of a value."""
    secret = _SECRET.intersection(path[1:2]) or path[-1] == "password"
    return _Hidden(type(given).__name__) if secret else abbreviated(given)


class _Hidden(str):
    """Stands for a value that is not shown: says its type."""

    __slots__ = ()

    def __repr__(self) -> str:
        return f"a value of type {self!s}"


def _did_you_mean(path: Path) -> str:
    """A field of nearly the same name, or else all the fields that there are."""
    from difflib import get_close_matches

    *parents, last = path
    shape: Any = DeploymentSpecDataInput
    for step in parents:
        if isinstance(step, str):
            shape = _item(get_type_hints(shape)[step])
    fields = sorted(get_type_hints(shape))
    lowered = {field.lower(): field for field in fields}
    close = get_close_matches(str(last).lower(), lowered, n=1)
    return f"did you mean {lowered[close[0]]!r}?" if close else f"there are {', '.join(fields)}"


def _item(annotation: Any) -> Any:
    """The TypedDict inside an optional, or a list of it."""
    while not is_typeddict(annotation):
        annotation = next(part for part in get_args(annotation) if part is not type(None))
    return annotation


def _sound(value: Any, wrong: dict[Path, Problem], path: Path) -> Any:
    """A copy without what is wrong, so that the rest can be looked at: null there, and in a list nothing at all said."""
    if isinstance(value, dict):
        return {
            key: None if (inner := (*path, key_name(key))) in wrong else _sound(entry, wrong, inner)
            for key, entry in value.items()
        }
    if isinstance(value, list):
        return [
            {} if (*path, index) in wrong else _sound(entry, wrong, (*path, index)) for index, entry in enumerate(value)
        ]
    return value
