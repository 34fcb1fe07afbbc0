"""Rules of names and specs that the types of the schema cannot express.

Client and server apply the same rules: the client before it sends anything, the server to every request. Types are
checked before: by pydantic in the client, by GraphQL in the server.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from paperspace.gradient._shared.problems import Path, Placeholder, Problem, abbreviate

MAX_NAME_LENGTH = 255
MAX_PORT = 65535
METRICS = ("cpu", "memory", "requestDuration")
SUMMARIES = ("average",)

# What a spec means where it sets nothing.
DEFAULT_PORT = 80
DEFAULT_REPLICAS = 1
DEFAULT_MAX_REPLICAS = 1  # only where autoscaling is disabled; otherwise the limit is required
DEFAULT_PROTOCOL = "http"
DEFAULT_SUMMARY = "average"
HEALTH_CHECKS = ("startup", "readiness", "liveness")
MAX_CHECK_REQUEST = 16_384  # characters; few programs read more, and to compress more for HTTP/2 takes seconds
CHECK_DEFAULTS = {"initialDelaySeconds": 0, "periodSeconds": 10, "timeoutSeconds": 1, "failureThreshold": 3}

# Cc: control characters, Cs: lone surrogates, Zl and Zp: line and paragraph separators.
_UNPRINTABLE = {"Cc", "Cs", "Zl", "Zp"}
_BIDI_OVERRIDES = set("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")

# UTF-8 cannot encode half of a surrogate pair.
_LONE_SURROGATE = re.compile("[\ud800-\udfff]")

# Control characters. The arguments of a command and the values of variables can have several lines.
_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f]")
_CONTROL_IN_LINES = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]")
_NUL = re.compile("\x00")

# A path of HTTP, with its query; and the name of a header.
_HTTP_PATH = re.compile(r"/[!-~]*")
_HEADER_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")

# The fields of a check that only an HTTP request has.
_REQUEST_FIELDS = ("path", "port", "host", "headers")

# The largest Int of GraphQL.
MAX_INT = 2**31 - 1

# Excludes infinity and NaN, which JSON cannot carry.
_MAX_METRIC = 1e300

Spec = Mapping[str, Any]


# What a character of a composed name (NFC) decomposes into, at most.
_MAX_DECOMPOSITION = 4


def normalize_name(name: str) -> str:
    """Compose the characters of a name (NFC), so that names that look the same are equal.

    A name that is too long however it is composed is returned as it is: composing takes quadratic time.
    """
    if len(name) > MAX_NAME_LENGTH * _MAX_DECOMPOSITION:
        return name
    return unicodedata.normalize("NFC", name)


def text_problems(text: object, path: Path, invalid: re.Pattern[str] = _CONTROL) -> Iterator[Problem]:
    """Yield the problem of a text with a control character. It is not shown, as it may be secret."""
    if isinstance(text, str) and (match := invalid.search(text)):
        yield Problem(path, Placeholder(f"a string with U+{ord(match[0]):04X}"), "no control characters")


def name_problems(name: str, path: Path = ("name",)) -> Iterator[Problem]:
    """Yield the problems of a deployment's name."""
    if not name.strip() or len(name) > MAX_NAME_LENGTH:
        yield Problem(path, name, f"1 to {MAX_NAME_LENGTH} characters")
    elif any(c in _BIDI_OVERRIDES or unicodedata.category(c) in _UNPRINTABLE for c in name):
        yield Problem(path, name, "printable characters")


def spec_problems(spec: Spec, path: Path = ("spec",)) -> Iterator[Problem]:
    """Yield the problems of a spec whose types are right. A field that is null counts as not set."""
    torn = {problem.path: problem for problem in surrogate_problems(spec, path)}
    yield from torn.values()
    yield from (problem for problem in _field_problems(spec, path) if problem.path not in torn)


def surrogate_problems(value: Any, path: Path) -> Iterator[Problem]:
    """Yield the strings that hold half of a surrogate pair. Their text is not shown, as it may be secret."""
    for position, text in strings_in(value, path):
        if match := _LONE_SURROGATE.search(text):
            shown = Placeholder(f"a string with U+{ord(match[0]):04X}")
            yield Problem(position, shown, "valid Unicode text", "it has half of a surrogate pair")


def strings_in(value: Any, path: Path) -> Iterator[tuple[Path, str]]:
    """Yield each string in a value, with its path."""
    if isinstance(value, str):
        yield path, value
    elif isinstance(value, Mapping):
        for key, entry in value.items():
            yield from strings_in(entry, (*path, key_name(key)))
    elif isinstance(value, list):
        for index, entry in enumerate(value):
            yield from strings_in(entry, (*path, index))


def key_name(key: object) -> str:
    """Return a key of a dict as a step of a path. A key may be anything, not only a string."""
    return key if isinstance(key, str) else str(abbreviate(key))


def _field_problems(spec: Spec, path: Path) -> Iterator[Problem]:
    image = spec.get("image")
    if not image or any(c.isspace() for c in image):
        yield _required((*path, "image"), image, "a container image such as 'tensorflow/serving'")
    else:
        yield from text_problems(image, (*path, "image"))
    yield from text_problems(spec.get("containerRegistry"), (*path, "containerRegistry"))
    for index, argument in enumerate(spec.get("command") or ()):
        yield from text_problems(argument, (*path, "command", index), _CONTROL_IN_LINES)
    yield from _port_problems(spec.get("port"), (*path, "port"))
    yield from _security_problems(spec.get("endpointSecurity") or {}, (*path, "endpointSecurity"))
    yield from _health_checks_problems(spec.get("healthChecks") or {}, (*path, "healthChecks"))
    yield from _repositories_problems(spec.get("repositories") or {}, (*path, "repositories"))
    yield from _env_problems(spec.get("env") or (), (*path, "env"))
    for index, model in enumerate(spec.get("models") or ()):
        if not model.get("id"):
            yield _required((*path, "models", index, "id"), model.get("id"), "the id of a model")
        for field in ("id", "path"):
            yield from text_problems(model.get(field), (*path, "models", index, field))
    resources = spec.get("resources")
    if resources is not None:
        yield from _resources_problems(resources, (*path, "resources"))


def _port_problems(port: int | None, path: Path) -> Iterator[Problem]:
    if port is not None and not 1 <= port <= MAX_PORT:
        yield Problem(path, port, f"an integer from 1 to {MAX_PORT}")


def _security_problems(security: Spec, path: Path) -> Iterator[Problem]:
    secret = security.get("secret")
    if secret == "":
        yield Problem((*path, "secret"), secret, "the name of a secret")
    yield from text_problems(secret, (*path, "secret"))


def _health_checks_problems(checks: Spec, path: Path) -> Iterator[Problem]:
    for name in HEALTH_CHECKS:
        check = checks.get(name)
        if check is None:
            continue
        command = check.get("exec")
        if command is None:
            yield from _request_problems(check, (*path, name))
        else:
            yield from _exec_problems(check, command, (*path, name))
        for field, default in CHECK_DEFAULTS.items():
            value, minimum = check.get(field), min(default, 1)  # only a delay can be 0
            if value is not None and not minimum <= value <= MAX_INT:
                yield Problem((*path, name, field), value, f"an integer, {minimum} or more")


def _request_problems(check: Spec, path: Path) -> Iterator[Problem]:
    """Yield the problems of a check that is an HTTP request."""
    target, host, headers = check.get("path"), check.get("host"), check.get("headers") or ()
    texts = [target, host, *(header.get(field) for header in headers for field in ("name", "value"))]
    size = sum(len(text) for text in texts if text)
    if size > MAX_CHECK_REQUEST:
        expected = f"path, host and headers with at most {MAX_CHECK_REQUEST} characters together"
        yield Problem(path, Placeholder(f"{size} characters"), expected)
    if target is None:
        yield Problem((*path, "path"), None, "a path such as '/health', or `exec`", kind="missing")
    elif not _HTTP_PATH.fullmatch(target):
        hint = "write characters that are not ASCII as %XX"
        yield Problem((*path, "path"), target, "a path that begins with / and has no spaces", hint)
    yield from _port_problems(check.get("port"), (*path, "port"))
    if host is not None and (not host or any(c.isspace() for c in host)):
        yield Problem((*path, "host"), host, "a host such as 'models.example.com'")
    else:
        yield from text_problems(host, (*path, "host"))
    for index, header in enumerate(headers):
        name = header.get("name")
        if not _HEADER_NAME.fullmatch(name or ""):
            shown = name and "".join(name.partition(":")[:2])  # the text after a colon is probably a value
            yield _required((*path, "headers", index, "name"), shown, "the name of a header")
        yield from text_problems(header.get("value"), (*path, "headers", index, "value"))


def _exec_problems(check: Spec, command: Spec, path: Path) -> Iterator[Problem]:
    """Yield the problems of a check that is a command."""
    for field in _REQUEST_FIELDS:
        if check.get(field) is not None:
            yield Problem((*path, field), check[field], "no value next to `exec`", "a check is a request or a command")
    arguments = command.get("command") or ()
    if not arguments or not arguments[0]:
        yield _required((*path, "exec", "command"), command.get("command"), "a program and its arguments")
    for index, argument in enumerate(arguments):
        yield from text_problems(argument, (*path, "exec", "command", index), _CONTROL_IN_LINES)


def _repositories_problems(repositories: Spec, path: Path) -> Iterator[Problem]:
    for field in ("dataset", "mountPath"):
        yield from text_problems(repositories.get(field), (*path, field))
    for index, repository in enumerate(repositories.get("repositories") or ()):
        for field in ("name", "url", "ref", "username", "password"):
            yield from text_problems(repository.get(field), (*path, "repositories", index, field))


def _env_problems(env: Sequence[Spec], path: Path) -> Iterator[Problem]:
    indexes: dict[str, int] = {}
    for index, variable in enumerate(env):
        name = variable.get("name") or ""
        if name and indexes.setdefault(name, index) != index:
            yield Problem((*path, index, "name"), name, "a unique name", f"env[{indexes[name]}] has the same name")
        elif not name or "=" in name or _CONTROL.search(name):
            # The text after a `=` is probably a value, and values may be secret.
            shown = "".join(name.partition("=")[:2])
            hint = "the name has a `=`" if "=" in name else None
            yield Problem((*path, index, "name"), shown, "the name of an environment variable", hint)
        yield from text_problems(variable.get("value"), (*path, index, "value"), _NUL)


def _resources_problems(resources: Spec, path: Path) -> Iterator[Problem]:
    yield from text_problems(resources.get("instanceType"), (*path, "instanceType"))
    replicas = resources.get("replicas")
    if replicas is not None and not 0 <= replicas <= MAX_INT:
        yield Problem((*path, "replicas"), replicas, "an integer, 0 or more")
    autoscaling = resources.get("autoscaling")
    if autoscaling is None:
        return
    path = (*path, "autoscaling")
    maximum = autoscaling.get("maxReplicas")
    if autoscaling.get("enabled") is False:
        # A limit that is disabled limits nothing: it may be missing, and below `replicas`.
        minimum, maximum = 0, 0 if maximum is None else maximum
    else:
        minimum = min(max(DEFAULT_REPLICAS if replicas is None else replicas, 1), MAX_INT)
    if maximum is None or not minimum <= maximum <= MAX_INT:
        yield _required((*path, "maxReplicas"), maximum, f"an integer, {minimum} or more")
    for index, metric in enumerate(autoscaling.get("metrics") or ()):
        yield from _metric_problems(metric, (*path, "metrics", index))


def _metric_problems(metric: Spec, path: Path) -> Iterator[Problem]:
    if metric.get("metric") not in METRICS:
        yield _required((*path, "metric"), metric.get("metric"), f"one of {', '.join(METRICS)}")
    if metric.get("summary") not in (None, *SUMMARIES):
        yield Problem((*path, "summary"), metric.get("summary"), f"one of {', '.join(SUMMARIES)}")
    value = metric.get("value")
    if value is None or not 0 < value < _MAX_METRIC:
        yield _required((*path, "value"), value, "a number above 0")


def _required(path: Path, value: object, expected: str) -> Problem:
    """Return the problem of a required field, set to an invalid value or not set."""
    return Problem(path, value, expected, kind="missing" if value is None else "invalid")
