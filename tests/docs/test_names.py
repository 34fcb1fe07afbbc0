"""What pages and docstrings name is there: functions, modules, commands, flags, variables, scripts, files."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import click
import pytest

from paperspace.gradient import deployments
from paperspace.gradient.cli import main

TOP = Path(__file__).parents[2]
SOURCES = sorted(TOP.glob("src/**/*.py"))
SCRIPT_FILES = ("scripts/*", "tools/**/*.py", "benchmarks/*.py", "tests/stress/*.py", "tests/integration/*.py")
SCRIPTS = sorted(path for pattern in SCRIPT_FILES for path in TOP.glob(pattern) if path.is_file())
SELF = Path(__file__)  # it has wrong names in it
CODE = [*SOURCES, *(path for path in SCRIPTS if path.suffix == ".py"), *(set(TOP.glob("tests/**/*.py")) - {SELF})]
PAGES = sorted([*TOP.glob("*.md"), *TOP.glob("docs/**/*.md"), *TOP.glob("docs/*.ipynb")])

# What belongs to others, by whose it is.
OTHERS = {
    *("yield_deployment_logs", "gradient_deployments", "api_sdk"),  # the retired client's
    *("MODEL_NAME",),  # a variable of the image in the examples
}
FLAGS_OF_OTHERS = {
    "--rest_api_port",  # TensorFlow Serving's
    "--short",  # git's
    "--snapshot-update",  # pytest's, by syrupy
}


@cache
def identifiers() -> set[str]:
    """Every name and every plain word that occurs in our code, our schema and its operations."""
    names = {"py"}
    for path in CODE:
        names |= set(re.findall(r"\w+", path.stem))
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            fields = ("id", "attr", "name", "arg", "asname", "value", "module")
            for value in (getattr(node, field, None) for field in fields):
                names |= set(re.findall(r"\w+", value)) if isinstance(value, str) and " " not in value else set()
    return names.union(
        *(re.findall(r"\w+", path.read_text(encoding="utf-8")) for path in TOP.glob("graphql/**/*.graphql"))
    )


@cache
def commands() -> dict[str, click.Command]:
    """Every command by its words, such as `gradient deployments list`."""

    def walk(command: click.Command, words: str) -> Iterator[tuple[str, click.Command]]:
        yield words, command
        if isinstance(command, click.Group):
            context = click.Context(command)
            for name in command.list_commands(context):
                if inner := command.get_command(context, name):
                    yield from walk(inner, f"{words} {name}")

    return dict(walk(main, "gradient"))


def flags_of(command: click.Command) -> set[str]:
    """The flags that a command takes."""
    return {flag for parameter in command.get_params(click.Context(command)) for flag in parameter.opts}


@cache
def flags() -> set[str]:
    """Every flag of a command of ours, and of a script."""
    texts = [path.read_text(encoding="utf-8") for path in SCRIPTS]
    return FLAGS_OF_OTHERS.union(
        *map(flags_of, commands().values()), *(re.findall(r"--[a-z][\w-]*", text) for text in texts)
    )


@cache
def variables() -> set[str]:
    """Every environment variable that our code knows."""
    texts = [path.read_text(encoding="utf-8") for path in SOURCES]
    return set().union(*(re.findall(r"\b[A-Z]+_[A-Z_]+\b", text) for text in texts))


def wrong_functions(text: str) -> Iterator[str]:
    """Functions that are none."""
    for name in re.findall(r"(?<![\w./-])deployments\.([a-z]\w*)", text):
        if name not in {"py", "md"} and not hasattr(deployments, name):
            yield f"deployments.{name}"


def wrong_names(text: str) -> Iterator[str]:
    """Names in backticks that nothing has. Only those with an underscore or a hump; others may be plain words."""
    for entry in re.findall(r"`([^`\n]+)`", text):
        found = re.fullmatch(r"([\w.]+?)(\(.*\))?", entry)
        if found and re.search(r"[a-z]_|[a-z][A-Z]", found[1]) and not {*found[1].split(".")} <= identifiers() | OTHERS:
            yield entry


def wrong_commands(text: str) -> Iterator[str]:
    """Commands that are none, and flags that are not the command's."""
    lines = re.findall(r"`([^`\n]+)`", text) + re.findall(r"^\$ (.+)", text, re.MULTILINE)
    for words in re.findall(r"(?<![\w/.-])gradient((?: +[^\s$()|&;>]+)*)", "\n".join(lines)):
        called, rest = "gradient", words.split()
        while rest and f"{called} {rest[0]}" in commands():
            called += f" {rest.pop(0)}"
        command = commands()[called]
        if isinstance(command, click.Group) and rest and re.fullmatch(r"[a-z]\w*", rest[0]):
            yield f"{called} {rest[0]}"
        yield from (f"{called} {word}" for word in rest if word.startswith("--") and word not in flags_of(command))


def wrong_flags(text: str) -> Iterator[str]:
    """Flags that neither a command nor a script has."""
    yield from (flag for flag in re.findall(r"(?<![\w-])--[a-z][\w-]*", text) if flag not in flags())


def wrong_variables(text: str) -> Iterator[str]:
    """Environment variables that nothing reads."""
    yield from (name for name in re.findall(r"\b(?:PAPERSPACE|GRADIENT)_[A-Z_]+\b", text) if name not in variables())


def wrong_paths(text: str) -> Iterator[str]:
    """Files of the repository that are not there."""
    paths = re.findall(r"(?<![\w/.-])(?:scripts|tests|docs|src|graphql)/[\w./-]*\w", text)
    yield from (path for path in paths if not (TOP / path).exists())


CHECKS = [wrong_functions, wrong_names, wrong_commands, wrong_flags, wrong_variables, wrong_paths]


def wrong(*texts: str) -> list[str]:
    """What texts name that is not there, each once."""
    return sorted({name for text in texts for check in CHECKS for name in check(text)})


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(TOP)))
def test_page(page: Path) -> None:
    """Whatever the page names is there."""
    assert wrong(page.read_text(encoding="utf-8")) == []


def test_docstrings() -> None:
    """Whatever a docstring of the library names is there."""
    nodes = [node for path in SOURCES for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))]
    documented = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    assert wrong(*(ast.get_docstring(node) or "" for node in nodes if isinstance(node, documented))) == []


@pytest.mark.parametrize(
    "text",
    [
        "deployments.create_deploymet(name)",
        "`create_deploymet`",
        "`Client.with_optoins(timeout=1)`",
        "`NotFondError`",
        "`gradient deployment list`",
        "$ gradient deployments lst",
        "`gradient deployments list --spec mnist.yaml`",
        "`--projct-id`",
        "`PAPERSPACE_API_KEYS`",
        "scripts/tets",
        "see docs/nowhere.md",
    ],
)
def test_a_name_that_is_none_is_noticed(text: str) -> None:
    """A wrong name is noticed, of whatever kind."""
    assert wrong(text)
