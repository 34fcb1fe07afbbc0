"""Work on texts of others is linear in their length, whatever the texts are."""

from __future__ import annotations

import ast
import re
import time
import unicodedata
from collections.abc import Callable, Iterator
from importlib import import_module
from pathlib import Path
from typing import Any, NamedTuple

import pytest

import paperspace.gradient
from paperspace.gradient._shared import secrets, spec_rules
from paperspace.gradient._spec.conversion import reference_problems
from paperspace.gradient.cli.deployments import _prune
from paperspace.gradient.deployments._queries import same_text

ROOT = Path(paperspace.gradient.__file__).parent

# Texts that make a pattern scan the same characters again and again, if it can.
PARTS = [
    *("a", "1", " ", "\n", "é", "=", "-", ".", ":", ",", "/", "\\", "'", '"', "[", "]", "{", "*", "?", "$", "@"),
    *("//", "://", "//a:", "//a:@", "a://b?", "${", "${a", "${a:-", "$$", "/*", "/**", "1.", "a:", "q=", "-a"),
    *("Expected value of type ", "cannot represent", "has invalid value ", "Syntax Error: ", "Name", "\\n", "v1alpha"),
]

# Patterns that are applied only to a part of a text, where they are linear: `test_secrets` tests the functions.
ONLY_BEFORE_THE_LAST_AT = {"secrets._USER", "secrets._USER_OF_REPOSITORY"}

# Patterns that the YAML parser applies, to whole values.
OF_WHOLE_VALUES = {"parsers._AMBIGUOUS_NUMBER"}


def seconds(work: Callable[[str], object], text: str, times: int) -> float:
    """The processor time of this thread for the work on a text: the least of several times."""
    measured = []
    for _ in range(times):
        start = time.thread_time()
        work(text)
        measured.append(time.thread_time() - start)
    return min(measured)


def assert_linear(work: Callable[[str], object], part: str, start: str = "", end: str = "") -> None:
    """Assert that ten times the text takes about ten times as long, and not a hundred times."""
    short, long = (start + part * (size // len(part)) + end for size in (1_000, 10_000))
    limit = 40 * max(seconds(work, short, 2), 1e-4)
    assert seconds(work, long, 1) < limit or seconds(work, long, 5) < limit, f"{start!r} + {part!r} * n + {end!r}"


class Use(NamedTuple):
    """A regular expression in the package, and whether it is only ever applied to a whole text, with `fullmatch`."""

    name: str
    pattern: re.Pattern[str]
    whole: bool


def uses() -> Iterator[Use]:
    """Every regular expression: those at the top of a module, and those in functions."""
    for path in sorted(ROOT.rglob("*.py")):
        source = path.read_text(encoding="utf-8")
        if "\nimport re\n" not in source:
            continue
        name = ".".join(path.relative_to(ROOT.parents[1]).with_suffix("").parts)
        for attribute, value in vars(import_module(name)).items():
            methods = set(re.findall(rf"\b{re.escape(attribute)}\.(\w+)", source))
            for pattern in _patterns(value):
                use = f"{path.stem}.{attribute}"
                yield Use(use, pattern, methods == {"fullmatch"} or use in OF_WHOLE_VALUES)
        for call in (node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Call)):
            method = ast.unparse(call.func)
            if method.startswith("re.") and method != "re.compile" and isinstance(call.args[0], ast.Constant):
                expression = ast.literal_eval(call.args[0])
                yield Use(f"{path.stem}:{call.lineno}", re.compile(expression), method == "re.fullmatch")


def _patterns(value: Any) -> Iterator[re.Pattern[str]]:
    if isinstance(value, re.Pattern):
        yield value
    elif isinstance(value, tuple):
        for item in value:
            yield from _patterns(item)


@pytest.mark.parametrize("use", list(uses()), ids=lambda use: use.name)
def test_regular_expressions(use: Use) -> None:
    """Every regular expression is linear, however a text begins and whatever part it repeats."""
    if use.name in ONLY_BEFORE_THE_LAST_AT:
        return
    for part in PARTS:
        for start in ("", "//a:", "${a", '"'):
            assert_linear(use.pattern.fullmatch, part, start)
            if not use.whole:
                assert_linear(lambda text: sum(1 for _ in use.pattern.finditer(text)), part, start)


@pytest.mark.parametrize("part", PARTS)
@pytest.mark.parametrize("end", ["", " a@"])
def test_secrets(part: str, end: str) -> None:
    """The functions that hide secrets are linear in the text, and in the URL that they hide."""
    sent = {"repositories": {"repositories": [{"url": "https://user:password@host"}]}}
    for start in ("", "//a:b@"):
        assert_linear(secrets.hide_credentials, part, start, end)
        assert_linear(secrets.without_values, part, start, end)
        assert_linear(lambda text: secrets.hide_in_repository("url", text), part, start, end)
        assert_linear(lambda text: secrets.without_secrets(text, sent), part, start, end)
        assert_linear(lambda text: list(secrets._secrets_of({"repositories": [{"url": text}]})), part, start, end)


@pytest.mark.parametrize("part", PARTS)
def test_variables_of_files(part: str) -> None:
    """The search for variables in a spec file is linear."""
    assert_linear(lambda text: list(reference_problems({"image": text})), part, "${a")


def test_names(monkeypatch: pytest.MonkeyPatch) -> None:
    """Names of any length are compared, but only short ones are composed: that takes quadratic time."""
    composed: list[str] = []

    def normalize(form: str, text: str) -> str:
        composed.append(text)
        return unicodedata_normalize(form, text)  # type: ignore[arg-type]

    unicodedata_normalize = unicodedata.normalize
    monkeypatch.setattr(unicodedata, "normalize", normalize)
    marks = "e" + "\u0301\u0323" * 20_000
    assert same_text(marks, marks)
    assert not same_text(marks, marks + "a")
    assert same_text("caf\u00e9", "cafe\u0301")

    class Listed:
        deployments: Any

    client = Listed()
    client.deployments = client
    client.list_deployments = lambda **_: [{"id": "1", "name": marks}, {"id": "2", "name": "cafe\u0301"}]  # type: ignore[attr-defined]
    assert _prune.find(client, "p", ["caf\u00e9"]) == {"1": marks}  # type: ignore[arg-type]
    assert composed
    assert max(map(len, composed)) <= 4 * spec_rules.MAX_NAME_LENGTH
