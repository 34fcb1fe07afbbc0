"""Validate a spec before it is sent: its types with pydantic, then the rules that types cannot express."""

from __future__ import annotations

import re
from datetime import date
from functools import cache
from typing import TYPE_CHECKING, Any, get_args, get_type_hints

from typing_extensions import is_typeddict

from paperspace.gradient._generated.inputs import DeploymentSpecDataInput
from paperspace.gradient._shared.problems import Path, Problem, hide, hide_unless_plain, join_problems
from paperspace.gradient._shared.secrets import HIDDEN, SECRET_FIELDS
from paperspace.gradient._shared.spec_rules import HEALTH_CHECKS, key_name, spec_problems, strings_in
from paperspace.gradient.errors import InvalidSpecError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from pydantic import TypeAdapter
    from pydantic_core import ErrorDetails

# pydantic's names of wrong types, in the words of a spec.
_EXPECTED = {
    "string_type": "a string",
    "int_type": "an integer",
    "int_from_float": "an integer",
    "float_type": "a number",
    "bool_type": "True or False",
    "list_type": "a list",
    "dict_type": "a dict",
    "extra_forbidden": "a field of the spec",
}

_TYPES = {str: "a string", int: "an integer", float: "a number", bool: "True or False"}

# What to do about unknown fields, by their paths in lower case, without hyphens and underscores.
_HINTS: dict[Path, str] = {
    ("apiversion",): "not needed; remove it",
    ("apikey",): "remove the API key from the spec, and set PAPERSPACE_API_KEY",
    ("args",): "use `command`, a list of strings",
    ("basicauthkey",): "use `endpointSecurity`, with `protected: true` and the name of the secret",
    ("cluster",): "pass the id of the cluster: --cluster-id, or cluster_id= in Python",
    ("clusterid",): "pass the id of the cluster: --cluster-id, or cluster_id= in Python",
    ("entrypoint",): "use `command`, a list of strings",
    ("environment",): "use `env`, a list of `name` and `value`",
    ("instancetype",): "use `resources.instanceType`",
    ("integrations",): "use `models` and `repositories`, or copy the files into the image",
    ("machinetype",): "use `resources.instanceType`",
    ("name",): "use `name` at the top of a spec file; in Python, pass name=",
    ("ports",): "use `port`; a spec has one port",
    ("project",): "use `projectId` at the top of a spec file; in Python, pass project_id=",
    ("projectid",): "use `projectId` at the top of a spec file; in Python, pass project_id=",
    ("region",): "pass the id of a cluster in the region: --cluster-id, or cluster_id= in Python",
    ("replicas",): "use `resources.replicas`",
    ("volumes",): "use `models` and `repositories`, or copy the files into the image",
    (
        "resources",
        "autoscaling",
        "minreplicas",
    ): "use `resources.replicas`: autoscaling keeps at least this many",
    ("resources", "machinetype"): "use `resources.instanceType`",
    ("resources", "ports"): "use `port` at the top of the spec; a spec has one port",
    ("resources", "port"): "use `port` at the top of the spec",
    **{
        ("healthchecks", check, field): hint
        for check in HEALTH_CHECKS
        for field, hint in {
            "command": "use `exec.command`, a list of strings",
            "httpget": "write its `path` and `port` directly into the check",
            "httpheaders": "use `headers`, a list of `name` and `value`",
            "successthreshold": "remove it; one success is enough",
        }.items()
    },
}

_HIDDEN_HINT = (
    "(hidden) is not a value: it replaces a secret in output; `get_deployment_spec` and `gradient deployments get --spec` "
    "show the real value"
)

_NUMBER = re.compile(r"[0-9]{1,10}(\.[0-9]{1,10})?")
_PORTS = re.compile(r"[0-9.:]{0,40}:[0-9]{1,5}")  # as Docker writes them: HOST:CONTAINER


def check_spec(value: object) -> Iterator[Problem]:
    """Yield the problems of a spec: of its types first, then of what the types cannot express."""
    from pydantic import ValidationError

    missing: dict[Path, Problem] = {}
    wrong: dict[Path, Problem] = {}
    try:
        _adapter().validate_python(value, strict=True, extra="forbid")
    except ValidationError as error:
        for problem in map(_problem, error.errors(include_url=False)):
            (missing if problem.kind == "missing" else wrong).setdefault(problem.path, problem)
    yield from wrong.values()
    if isinstance(value, dict):
        rest = _without(value, wrong, ("spec",)) if wrong else value
        for problem in (*spec_problems(rest), *_hidden_problems(rest)):
            missing.pop(problem.path, None)  # the rule says more about it
            if not any(problem.path[:length] in wrong for length in range(1, len(problem.path) + 1)):
                yield problem
    yield from missing.values()


def _hidden_problems(spec: Any) -> Iterator[Problem]:
    """Yield the values that are the mark of a hidden secret, or have it in the place of credentials.

    It would replace the secret.
    """
    for path, text in strings_in(spec, ("spec",)):
        if text == HIDDEN or f"{HIDDEN}@" in text or (path[-1] == "url" and HIDDEN in text):
            yield Problem(path, HIDDEN, "the real value", _HIDDEN_HINT)


def in_plain_types(spec: DeploymentSpecDataInput | dict[str, Any]) -> DeploymentSpecDataInput:
    """Return a valid spec without subclasses of str, int and so on, such as enumerations."""
    return _adapter().validate_python(spec, strict=True)


def invalid_spec(problems: Iterable[Problem]) -> InvalidSpecError:
    """Return the error for the problems of a spec. Its message lists them without the leading `spec.`."""
    problems = tuple(problems)
    lines = [problem.describe(root=1) for problem in problems]
    return InvalidSpecError(join_problems("invalid spec", lines), problems=problems)


@cache
def _adapter() -> TypeAdapter[DeploymentSpecDataInput]:
    from pydantic import TypeAdapter

    return TypeAdapter(DeploymentSpecDataInput)


def _problem(entry: ErrorDetails) -> Problem:
    """Return the problem that an error of pydantic stands for."""
    path: Path = ("spec", *entry["loc"])
    match entry["type"]:
        case "missing":
            return Problem(path, None, _TYPES.get(_annotation(path[1:]), "a value"), kind="missing")
        case "invalid_key":  # its `input` is the key
            path = (*path[:-1], key_name(entry["input"]))
            hint: str | None = f"a field name must be a string; {_suggestion(path[1:])}"
            return Problem(path, hide(entry["input"]), _EXPECTED["extra_forbidden"], hint, "unknown_field")
        case "extra_forbidden":
            hint = _HINTS.get(_simplified(path[1:])) or _suggestion(path[1:])
            return Problem(path, hide(entry["input"]), _EXPECTED["extra_forbidden"], hint, "unknown_field")
        case "literal_error":
            return Problem(path, _shown(path, entry["input"]), f"one of {entry.get('ctx', {})['expected']}")
        case kind:
            hint = _type_hint(path, kind, entry["input"])
            return Problem(path, _shown(path, entry["input"]), _EXPECTED.get(kind, entry["msg"]), hint)


def _simplified(path: Path) -> Path:
    return tuple(step.lower().replace("-", "").replace("_", "") if isinstance(step, str) else step for step in path)


def _type_hint(path: Path, kind: str, value: object) -> str | None:
    """Return how to write a value that has the wrong type."""
    hint = None
    match kind, value:
        case "string_type", bool() | int() | float() | date():
            hint = "quote it"
        case "string_type", None if path[-1] == "value":
            hint = 'write "" for an empty value'
        case "list_type", dict() if path[-1] == "env":
            hint = 'write a list: [{name: NAME, value: "VALUE"}]'
        case "list_type", _ if path[-1] == "command":
            hint = 'write a list: ["python", "app.py"], or ["sh", "-c", "python app.py"] for a shell'
        case "int_type" | "float_type", str() if _NUMBER.fullmatch(value):
            number = value.lstrip("0") or "0"
            hint = f"write {number}, without {'quotes' if number == value else 'a leading zero or quotes'}"
        case "int_type", str() if path[1:] == ("port",) and _PORTS.fullmatch(value):
            hint = f"write the port of the container only: {value.rpartition(':')[2]}"
        case "bool_type", str() if value.lower() in {"true", "false", "yes", "no", "on", "off"}:
            hint = "remove the quotes"
    return hint


def scalar_type(path: Path) -> type[bool | int | float] | None:
    """Return the type of a field of the spec that holds a boolean or a number. None: it does not, or does not exist."""
    try:
        annotation = _annotation(path)
    except (KeyError, StopIteration):
        return None
    types = (annotation, *get_args(annotation))
    return next((kind for kind in (bool, int, float) if kind in types), None)


def _shown(path: Path, value: object) -> object:
    """Return what may be shown of a value. A text in the place of the whole spec may be a whole file."""
    is_field = len(path) > 1 and SECRET_FIELDS.isdisjoint(path)
    return hide_unless_plain(value) if is_field else hide(value)


def _suggestion(path: Path) -> str:
    """Suggest a field of nearly the same name, or list the fields that exist there."""
    from difflib import get_close_matches

    *parents, name = path
    fields = sorted(_fields(_typed_dict(_annotation(tuple(parents)))))
    lowered = {field.lower(): field for field in fields}
    close = get_close_matches(str(name).lower(), lowered, n=1)
    return f"did you mean {lowered[close[0]]!r}?" if close else f"valid fields: {', '.join(fields)}"


def _annotation(path: Path) -> Any:
    """Return the annotation of a field of the spec; of the spec for an empty path."""
    annotation: Any = DeploymentSpecDataInput
    for step in path:
        if isinstance(step, str):
            annotation = _fields(_typed_dict(annotation))[step]
    return annotation


@cache
def _fields(typed_dict: Any) -> dict[str, Any]:
    """Return the annotations of the fields of a TypedDict."""
    return get_type_hints(typed_dict)


def _typed_dict(annotation: Any) -> Any:
    """Return the TypedDict inside an optional, or inside a list."""
    while not is_typeddict(annotation):
        annotation = next(part for part in get_args(annotation) if part is not type(None))
    return annotation


def _without(value: Any, problems: dict[Path, Problem], path: Path) -> Any:
    """Copy a spec without its wrong values, so that the rest can be checked: None in their place, {} in lists."""
    if isinstance(value, dict):
        return {
            key: None if (inner := (*path, key_name(key))) in problems else _without(entry, problems, inner)
            for key, entry in value.items()
        }
    if isinstance(value, list):
        return [
            {} if (*path, index) in problems else _without(entry, problems, (*path, index))
            for index, entry in enumerate(value)
        ]
    return value
