"""Names in pages and docstrings exist: functions, modules, commands, options, variables, scripts, files."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import click
import pytest
from tools import TOP

from paperspace.gradient import deployments
from paperspace.gradient.cli.main import main

PACKAGE = TOP / "src/paperspace/gradient"
PACKAGE_FOLDERS = "|".join(path.name for path in PACKAGE.iterdir() if path.is_dir())
SOURCES = sorted(TOP.glob("src/**/*.py"))
COMMANDS = sorted({path for name in ("tools", "benchmarks", "tests") for path in TOP.glob(f"{name}/**/*.py")})
SCRIPTS = sorted(path for path in TOP.glob("scripts/*") if path.is_file())
PAGES = sorted([*TOP.glob("*.md"), *TOP.glob("docs/**/*.md"), *TOP.glob("docs/*.ipynb")])

# Names of other projects.
OTHER_NAMES = {
    *(
        "yield_deployment_logs",
        "gradient_deployments",
        "api_sdk",
        "SdkClient",
        "deployment_type",
        "image_url",
        "instance_count",
        "machine_type",
        "DeploymentsClient",
    ),  # the official client
    *("freeze_time", "real_asyncio"),  # freezegun
    *("MODEL_NAME",),  # a variable of the image in the examples
    *("region",),  # the field that docs/regeneration.md adds
}
OTHER_OPTIONS = {
    *("--imageUrl", "--modelId", "--optionsFile"),  # the official client 1.x
    "--rest_api_port",  # TensorFlow Serving
    "--newer-docker",  # scripts/test-engine
    "--short",  # git
    "--snapshot-update",  # syrupy, a pytest plugin
}


OTHER_VARIABLES = {
    *(
        "PAPERSPACE_CLI_DEBUG",
        "PAPERSPACE_CONFIG_HOST",
        "PAPERSPACE_USE_CONSOLE_COLORS",
        "PAPERSPACE_WEB_URL",
    ),  # the same
    "GRADIENT_SECRET_GIT_TOKEN",  # of the secret `git-token`
}


def nodes(*paths: Path) -> Iterator[ast.AST]:
    """All nodes of the syntax trees of these files."""
    for path in paths:
        yield from ast.walk(ast.parse(path.read_text(encoding="utf-8")))


def constants(*paths: Path) -> Iterator[str]:
    """All strings without a blank in these files, so no docstrings."""
    for node in nodes(*paths):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and not re.search(r"\s", node.value):
            yield node.value


@cache
def identifiers() -> set[str]:
    """Every name and every word in the code, the schema and its operations. Of the tests: what they define."""
    names = {"py"}
    for path in [*SOURCES, *COMMANDS]:
        names |= set(re.findall(r"\w+", path.stem))
    code = [*SOURCES, *(path for path in COMMANDS if not path.is_relative_to(TOP / "tests"))]
    for node in nodes(*code):
        for field in ("id", "attr", "name", "arg", "asname", "module"):
            value = getattr(node, field, None)
            names |= set(re.findall(r"\w+", value)) if isinstance(value, str) else set()
    for text in constants(*code):
        names |= set(re.findall(r"\w+", text))
    definitions = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
    names |= {node.name for node in nodes(*COMMANDS) if isinstance(node, definitions)}
    return names.union(
        *(re.findall(r"\w+", path.read_text(encoding="utf-8")) for path in TOP.glob("graphql/**/*.graphql"))
    )


@cache
def commands() -> dict[str, click.Command]:
    """Every command by its words, such as `gradient deployments list`."""

    def collect(command: click.Command, words: str) -> Iterator[tuple[str, click.Command]]:
        yield words, command
        if isinstance(command, click.Group):
            context = click.Context(command)
            for name in command.list_commands(context):
                if inner := command.get_command(context, name):
                    yield from collect(inner, f"{words} {name}")

    return dict(collect(main, "gradient"))


def options_of(command: click.Command) -> set[str]:
    """The options of a command."""
    return {option for parameter in command.get_params(click.Context(command)) for option in parameter.opts}


@cache
def options() -> set[str]:
    """Every option of a command or a script."""
    defined = {
        argument.value
        for node in nodes(*COMMANDS)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "add_argument"
        for argument in node.args
        if isinstance(argument, ast.Constant) and isinstance(argument.value, str)
    }
    return (OTHER_OPTIONS | defined).union(*map(options_of, commands().values()))


@cache
def variables() -> set[str]:
    """Every environment variable that the library reads or sets."""
    return OTHER_VARIABLES.union(text for text in constants(*SOURCES) if re.fullmatch(r"[A-Z]+_[A-Z_]+", text))


def wrong_functions(text: str) -> Iterator[str]:
    """Functions that do not exist."""
    for name in re.findall(r"(?<![\w./-])deployments\.([a-z]\w*)", text):
        if name not in {"py", "md"} and not hasattr(deployments, name):
            yield f"deployments.{name}"


def wrong_names(text: str) -> Iterator[str]:
    """Names in backticks that do not exist. Only those with an underscore or camel case; others may be plain words."""
    for code in re.findall(r"`([^`\n]+)`", text):
        match = re.fullmatch(r"([\w.]+?)(\(.*\))?", code)
        if match and re.search(r"[a-z]_|[a-z][A-Z]", match[1]):
            unknown = {*match[1].split(".")} - identifiers() - OTHER_NAMES
            if unknown:
                yield code


def wrong_commands(text: str) -> Iterator[str]:
    """Commands that do not exist, and options that the command does not have."""
    lines = re.findall(r"`([^`\n]+)`", text) + re.findall(r"^\$ (.+)", text, re.MULTILINE)
    for words in re.findall(r"(?<![\w/.-])gradient((?: +[^\s$()|&;>]+)*)", "\n".join(lines)):
        called, rest = "gradient", words.split()
        while rest and f"{called} {rest[0]}" in commands():
            called += f" {rest.pop(0)}"
        command = commands()[called]
        if isinstance(command, click.Group) and rest and re.fullmatch(r"[a-z]\w*", rest[0]):
            yield f"{called} {rest[0]}"
        yield from (f"{called} {word}" for word in rest if word.startswith("--") and word not in options_of(command))


def wrong_options(text: str) -> Iterator[str]:
    """Options that no command and no script has. Those of other programs in shell sessions do not count."""
    text = re.sub(r"^\$ (?!gradient|scripts/).*", "", text, flags=re.MULTILINE)
    yield from (option for option in re.findall(r"(?<![\w-])--[a-z][\w-]*", text) if option not in options())


def wrong_variables(text: str) -> Iterator[str]:
    """Environment variables that the library does not know."""
    yield from (name for name in re.findall(r"\b(?:PAPERSPACE|GRADIENT)_[A-Z_]+\b", text) if name not in variables())


def wrong_paths(text: str) -> Iterator[str]:
    """Files of the repository that do not exist."""
    folders = "scripts|tests|docs|src|graphql|tools|benchmarks|deploy"
    paths = re.findall(rf"(?<![\w/.-])(?:{folders})/[\w./-]*\w", text)
    yield from (path for path in paths if not (TOP / path).exists())


def wrong_modules(text: str) -> Iterator[str]:
    """Modules and folders of the package in backticks, such as `_core/retry`, that do not exist."""
    for code in re.findall(rf"`((?:{PACKAGE_FOLDERS})/[\w/.]*)`", text):
        if not (PACKAGE / code).exists() and not (PACKAGE / f"{code}.py").exists():
            yield code


CHECKS = [
    wrong_functions,
    wrong_names,
    wrong_commands,
    wrong_options,
    wrong_variables,
    wrong_paths,
    wrong_modules,
]


def wrong(*texts: str) -> list[str]:
    """The names in texts that do not exist, each once."""
    return sorted({name for text in texts for check in CHECKS for name in check(text)})


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(TOP)))
def test_page(page: Path) -> None:
    """Every name on the page exists."""
    assert wrong(page.read_text(encoding="utf-8")) == []


def test_docstrings() -> None:
    """Every name in a docstring of the library exists."""
    documented = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    docstrings = [ast.get_docstring(node) or "" for node in nodes(*SOURCES) if isinstance(node, documented)]
    assert wrong(*docstrings) == []


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("deployments.create_deploymet(name)", "deployments.create_deploymet"),
        ("`create_deploymet`", "create_deploymet"),
        ("`Client.with_optoins(timeout=1)`", "Client.with_optoins(timeout=1)"),
        ("`NotFondError`", "NotFondError"),
        ("`test_this_is_no_test`", "test_this_is_no_test"),
        ("`gradient deployment list`", "gradient deployment"),
        ("$ gradient deployments lst", "gradient deployments lst"),
        ("`gradient deployments list --spec mnist.yaml`", "gradient deployments list --spec"),
        ("`--projct-id`", "--projct-id"),
        ("`PAPERSPACE_API_KEYS`", "PAPERSPACE_API_KEYS"),
        ("scripts/tets", "scripts/tets"),
        ("see docs/nowhere.md", "docs/nowhere.md"),
        ("see tools/nowhere.py", "tools/nowhere.py"),
        ("see benchmarks/nowhere.py", "benchmarks/nowhere.py"),
        ("`_core/retri`", "_core/retri"),
        ("`server/http/nowhere.py`", "server/http/nowhere.py"),
    ],
)
def test_a_wrong_name_is_reported(text: str, name: str) -> None:
    """A name of any kind that does not exist is reported, and nothing else."""
    assert wrong(text) == [name]
