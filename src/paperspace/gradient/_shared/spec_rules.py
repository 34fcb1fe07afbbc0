"""What the types of the schema do not say: the rules of a name and of a spec.

The server holds its callers to these rules, and the client looks at them before it sends anything, so
that both give the same answer. Types are not looked at here: GraphQL (on the server) and pydantic (in
the client) have done that before.
"""

from __future__ import annotations

import re
import reprlib
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

NAME_LENGTH = 255
HIGHEST_PORT = 65535
METRICS = ("cpu", "memory", "requestDuration")
SUMMARIES = ("average",)

# Cc: control characters, Cs: lone surrogates, Zl and Zp: line ends; the marks that turn the reading direction.
_UNPRINTABLE = {"Cc", "Cs", "Zl", "Zp"}
_BIDI_OVERRIDES = set("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")

# Half of a character, which UTF-8 cannot carry.
_LONE = re.compile("[\ud800-\udfff]")

# The largest Int of GraphQL.
LARGEST = 2**31 - 1

# Neither infinite nor no number at all, which JSON cannot carry.
_HUGE = 1e300

_SHORT = 80
_REPR = reprlib.Repr()
_REPR.maxstring = _REPR.maxother = _SHORT

Path = tuple[str | int, ...]
Spec = Mapping[str, Any]


class Problem(NamedTuple):
    """One bad place: where it is, what was given there, what is expected, and perhaps a hint."""

    path: Path
    given: object
    expected: str
    hint: str | None = None

    @property
    def place(self) -> str:
        """The path as one would write it in code, such as `spec.env[0].name`."""
        text = ""
        for step in self.path:
            text += f"[{step}]" if isinstance(step, int) else f".{step}"
        return text.removeprefix(".")

    def __str__(self) -> str:
        given = "nothing" if self.given is None else repr(abbreviated(self.given))
        hint = f" ({self.hint})" if self.hint else ""
        return f"{self.place}: {self.expected} expected, {given} given{hint}"


def listed(head: str, problems: Sequence[Problem]) -> str:
    """A message with the problems: one on the same line, several on lines of their own."""
    if len(problems) == 1:
        return f"{head}{problems[0]}"
    return "\n  ".join([head.rstrip(), *(str(problem) for problem in problems)])


class _Abbreviated(str):
    """Stands for a value that is not plain, or is too large: what its repr begins with."""

    __slots__ = ()

    def __repr__(self) -> str:
        return str(self)


def abbreviated(value: object) -> object:
    """The value where it is plain and short; else a short text that stands for it, however odd the value is."""
    if value is None or (isinstance(value, bool | float | str) and type(value).__module__ == "builtins"):
        return value if not isinstance(value, str) or len(value) <= _SHORT else _Abbreviated(shorten(repr(value)))
    if isinstance(value, _Abbreviated):
        return value
    try:
        return _Abbreviated(shorten(_REPR.repr(value)))
    except Exception:  # noqa: BLE001  # a repr may do anything; for one, refuse numbers of thousands of digits
        return _Abbreviated(f"a value of type {type(value).__name__}")


def key_name(key: object) -> str:
    """A key of a dict as a step of a path, however odd it is."""
    return key if isinstance(key, str) else str(abbreviated(key))


def shorten(text: str, limit: int = 80) -> str:
    """The text, cut to `limit` characters with an ellipsis at its end."""
    return text if len(text) <= limit else text[: limit - 1] + "…"


def name_problems(name: str, path: Path = ("name",)) -> Iterator[Problem]:
    """What is wrong with a deployment's name."""
    if not name.strip() or len(name) > NAME_LENGTH:
        yield Problem(path, name, f"1 to {NAME_LENGTH} characters")
    elif any(c in _BIDI_OVERRIDES or unicodedata.category(c) in _UNPRINTABLE for c in name):
        yield Problem(path, name, "printable characters")


def spec_problems(spec: Spec, path: Path = ("spec",)) -> Iterator[Problem]:
    """What is wrong with a spec whose types are right. A field that is null counts as left out."""
    torn = {problem.path: problem for problem in torn_problems(spec, path)}
    yield from torn.values()
    yield from (problem for problem in _content_problems(spec, path) if problem.path not in torn)


def torn_problems(value: Any, path: Path) -> Iterator[Problem]:
    """The strings that hold half of a character, which no request can carry. They are not shown: they may be secret."""
    if isinstance(value, str):
        if found := _LONE.search(value):
            given = _Abbreviated(f"a string with U+{ord(found[0]):04X} in it")
            yield Problem(path, given, "a string of whole characters", "that one is half of a surrogate pair")
    elif isinstance(value, Mapping):
        for key, entry in value.items():
            yield from torn_problems(entry, (*path, key_name(key)))
    elif isinstance(value, list):
        for index, entry in enumerate(value):
            yield from torn_problems(entry, (*path, index))


def _content_problems(spec: Spec, path: Path) -> Iterator[Problem]:
    image = spec.get("image")
    if not image or any(c.isspace() for c in image):
        yield Problem((*path, "image"), image, "the reference of a container image", "such as 'tensorflow/serving'")
    port = spec.get("port")
    if port is not None and not 1 <= port <= HIGHEST_PORT:
        yield Problem((*path, "port"), port, f"a port from 1 to {HIGHEST_PORT}")
    first: dict[str, int] = {}
    for index, variable in enumerate(_items(spec, "env")):
        name = variable.get("name") or ""
        if name and first.setdefault(name, index) != index:
            yield Problem((*path, "env", index, "name"), name, f"another name than that of env[{first[name]}]")
        elif not name or "=" in name or "\0" in name:
            # What stands behind a `=` is a value, and values may be secret.
            given = "".join(name.partition("=")[:2])
            yield Problem((*path, "env", index, "name"), given, "the name of an environment variable")
    for index, model in enumerate(_items(spec, "models")):
        yield from _needed(model, "id", "the id of a model", (*path, "models", index))
    resources = spec.get("resources")
    if resources is not None:
        yield from _resources_problems(resources, (*path, "resources"))


def _resources_problems(resources: Spec, path: Path) -> Iterator[Problem]:
    replicas = resources.get("replicas")
    if replicas is not None and not 0 <= replicas <= LARGEST:
        yield Problem((*path, "replicas"), replicas, "a number of replicas, 0 or more")
    autoscaling = resources.get("autoscaling")
    if autoscaling is None:
        return
    path = (*path, "autoscaling")
    least = min(max(1 if replicas is None else replicas, 1), LARGEST)
    most = autoscaling.get("maxReplicas")
    if most is None or not least <= most <= LARGEST:
        yield Problem((*path, "maxReplicas"), most, f"a number of replicas, {least} or more")
    for index, metric in enumerate(_items(autoscaling, "metrics")):
        yield from _metric_problems(metric, (*path, "metrics", index))


def _metric_problems(metric: Spec, path: Path) -> Iterator[Problem]:
    if metric.get("metric") not in METRICS:
        yield Problem((*path, "metric"), metric.get("metric"), f"one of {', '.join(METRICS)}")
    if metric.get("summary") not in (None, *SUMMARIES):
        yield Problem((*path, "summary"), metric.get("summary"), f"one of {', '.join(SUMMARIES)}")
    value = metric.get("value")
    if value is None or not 0 < value < _HUGE:
        yield Problem((*path, "value"), value, "a number above 0")


def _items(parent: Spec, field: str) -> Sequence[Spec]:
    return parent.get(field) or ()


def _needed(parent: Spec, field: str, expected: str, path: Path) -> Iterator[Problem]:
    if not parent.get(field):
        yield Problem((*path, field), parent.get(field), expected)
