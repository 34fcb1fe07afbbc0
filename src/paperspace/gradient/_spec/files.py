"""Reads a spec from a file: YAML, JSON, JSON with comments, or TOML. Mistakes are reported with their place in it."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, cast

from paperspace.gradient._shared.spec_rules import Problem, abbreviated, key_name, shorten
from paperspace.gradient._spec.checks import check_spec
from paperspace.gradient.errors import InvalidArgumentError, InvalidSpecError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from os import PathLike

    from paperspace.gradient._shared.spec_rules import Path as Place
    from paperspace.gradient.types import DeploymentSpecInput

# Where a spec is looked for, the first that is there.
SUFFIXES = (".yaml", ".yml", ".json", ".jsonc", ".toml")
SEARCHED = tuple(f"{stem}{suffix}" for stem in ("paperspace", ".paperspace/app") for suffix in SUFFIXES)

# Stands in a file for an image that is given when the file is read.
IMAGE_PLACEHOLDER = ":image"

# The versions of older files, all of which say the same.
_VERSION = re.compile(r"latest|v[0-9]+((alpha|beta)[0-9]+)?")

# More places than a spec has: where a file refers to itself again and again, the rest goes unnumbered.
_MOST_PLACES = 10_000


class Mark(NamedTuple):
    """A place in a file: line and column, from 1."""

    line: int
    column: int


class Marks(NamedTuple):
    """Where each entry's key stands, and its value."""

    keys: dict[Place, Mark]
    values: dict[Place, Mark]

    def of(self, problem: Problem) -> Mark | None:
        """The place of a problem: of the key where that is wrong, of what it is missing in, else of the value."""
        path = problem.path[1:]
        if problem.expected.startswith("no field") and path in self.keys:
            return self.keys[path]
        while path and path not in self.values:
            path = path[:-1]
        return self.values.get(path)


def read_file(path: str | PathLike[str] | None, *, image: str | None) -> DeploymentSpecInput:
    """The spec in a file, or in the first of the known ones."""
    if path == "":
        raise InvalidSpecError("the path of the spec file is empty")
    try:
        file = _find() if path is None else Path(path)
    except TypeError as error:
        problem = Problem(("path",), abbreviated(path), "the path of a spec file")
        raise InvalidArgumentError(str(problem), problems=[problem]) from error
    try:
        text = file.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise InvalidSpecError(f"{file} cannot be read: not UTF-8") from error
    except OSError as error:
        raise InvalidSpecError(f"{file} cannot be read: {error.strerror or error}") from error
    except ValueError as error:  # a character that no path can have
        raise InvalidSpecError(f"{str(file)!r} cannot be read, as that is no path: {error}") from error
    return parse_spec(text, str(file), file.suffix.lower(), image=image)


def parse_spec(text: str, file: str, suffix: str, *, image: str | None = None) -> DeploymentSpecInput:
    """The same for a text: `file` is what messages call it, and `suffix` says how to read it."""
    parse = _PARSERS.get(suffix)
    if parse is None:
        raise InvalidSpecError(f"{file}: a file that ends in {', '.join(SUFFIXES)} expected")
    content, marks = parse(text, file)
    if not isinstance(content, dict):
        raise InvalidSpecError(f"{file}: a spec expected, {abbreviated(content)!r} found")
    problems = list(_modernise(content))
    if content.get("image") == IMAGE_PLACEHOLDER:
        content["image"] = image
        if image is None:
            hint = "give the image that :image stands for"
            problems.append(Problem(("spec", "image"), IMAGE_PLACEHOLDER, "an image", hint))
    known = {problem.path for problem in problems}
    problems += [problem for problem in check_spec(content) if problem.path not in known]
    if problems:
        problems.sort(key=lambda problem: marks.of(problem) or Mark(0, 0))
        # Each mistake begins a line with its place, as editors look for it there.
        lines = [f"{file} is not a valid spec:", *(_located(problem, file, marks) for problem in problems)]
        raise InvalidSpecError("\n".join(lines), problems=problems)
    return cast("DeploymentSpecInput", content)


def _find() -> Path:
    for name in SEARCHED:
        if Path(name).is_file():
            return Path(name)
    raise InvalidSpecError(f"there is no spec here: none of {', '.join(SEARCHED)}")


def _located(problem: Problem, file: str, marks: Marks) -> str:
    """A problem with its place, as editors understand it."""
    mark = marks.of(problem)
    text = str(problem).removeprefix("spec.")
    return f"{file}: {text}" if mark is None else f"{file}:{mark.line}:{mark.column}: {text}"


# ----------------------------------------------------------------------------------------------------------- older files


def _modernise(content: dict[Any, Any]) -> Iterator[Problem]:
    """Turns an older spec into one of today, in place; yields what would be lost."""
    version = content.pop("apiVersion", None)
    if version is not None and not (isinstance(version, str) and _VERSION.fullmatch(version)):
        yield Problem(("spec", "apiVersion"), version, "a version such as latest, v1 or v1alpha2", "or leave it out")
    resources = content.get("resources")
    inner = resources if isinstance(resources, dict) else {}
    if "machineType" in inner and "instanceType" not in inner:
        inner["instanceType"] = inner.pop("machineType")
    for holder, path in ((content, ("spec", "ports")), (inner, ("spec", "resources", "ports"))):
        ports = holder.pop("ports", None)
        if ports is None or ports == []:
            continue
        numbers = ports if isinstance(ports, list) else [ports]
        if len(numbers) == 1 and content.get("port") in {None, *numbers[:1]}:
            content["port"] = numbers[0]
        else:
            hint = "the others would be lost; say the one as `port`"
            yield Problem(path, ports, "one port", hint)


# --------------------------------------------------------------------------------------------------------------- parsers


def _yaml(text: str, file: str) -> tuple[Any, Marks]:
    import yaml

    try:
        loader = yaml.SafeLoader(text)
        node = loader.get_single_node()
        marks = _marks(node, file)
        return (None if node is None else loader.construct_document(node)), marks
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        place = f"{file}:{mark.line + 1}:{mark.column + 1}" if mark else str(file)
        raise InvalidSpecError(f"{place}: no YAML: {error.problem or error.context}") from error
    except InvalidSpecError:
        raise
    except RecursionError as error:
        raise InvalidSpecError(f"{file}: no YAML: nested too deeply, or it refers to itself") from error
    except (yaml.YAMLError, ValueError, KeyError, AttributeError, TypeError) as error:
        raise InvalidSpecError(f"{file}: no YAML: {shorten(str(error) or type(error).__name__)}") from error


def _json(text: str, file: str) -> tuple[Any, Marks]:
    import json

    import yaml

    try:
        content = json.loads(text)
    except json.JSONDecodeError as error:
        raise InvalidSpecError(f"{file}:{error.lineno}:{error.colno}: no JSON: {error.msg}") from error
    except (RecursionError, ValueError) as error:
        raise InvalidSpecError(f"{file}: no JSON: nested too deeply, or a number of too many digits") from error
    try:
        # JSON is YAML, all but a few corners, and far less deep; there, mistakes are reported without their lines.
        return content, _marks(yaml.compose(text, Loader=yaml.SafeLoader), file)
    except (yaml.YAMLError, RecursionError):
        return content, Marks({}, {})


def _jsonc(text: str, file: str) -> tuple[Any, Marks]:
    """Comments and trailing commas become blanks, so that every place stays what it is."""
    string = r'"(?:\\.|[^"\\])*"'

    def blank(pattern: str, text: str) -> str:
        def replace(found: re.Match[str]) -> str:
            return found[0] if found[0].startswith('"') else re.sub(r"[^\n]", " ", found[0])

        return re.sub(rf"{string}|{pattern}", replace, text, flags=re.DOTALL)

    return _json(blank(r",(?=\s*[}\]])", blank(r"//[^\n]*|/\*.*?\*/", text)), file)


def _toml(text: str, file: str) -> tuple[Any, Marks]:
    import tomllib

    try:
        return tomllib.loads(text), Marks({}, {})
    except RecursionError as error:
        raise InvalidSpecError(f"{file}: no TOML: nested too deeply") from error
    except ValueError as error:
        raise InvalidSpecError(f"{file}: no TOML: {error}") from error


_PARSERS: dict[str, Callable[[str, str], tuple[Any, Marks]]] = {
    ".yaml": _yaml,
    ".yml": _yaml,
    ".json": _json,
    ".jsonc": _jsonc,
    ".toml": _toml,
}


def _marks(node: Any, file: str) -> Marks:
    """Where everything stands. A key that is there twice is refused, as one of the two would be lost."""
    import yaml

    marks = Marks({}, {})
    loader = yaml.SafeLoader("")

    def walk(node: Any, path: Place) -> None:
        if len(marks.values) > _MOST_PLACES:
            return
        marks.values[path] = Mark(node.start_mark.line + 1, node.start_mark.column + 1)
        if isinstance(node, yaml.SequenceNode):
            for index, entry in enumerate(node.value):
                walk(entry, (*path, index))
        elif isinstance(node, yaml.MappingNode):
            for key, value in node.value:
                inner = (*path, _key(key, loader))
                if inner in marks.keys:
                    line, column = key.start_mark.line + 1, key.start_mark.column + 1
                    raise InvalidSpecError(f"{file}:{line}:{column}: {key.value} is there twice")
                marks.keys[inner] = Mark(key.start_mark.line + 1, key.start_mark.column + 1)
                walk(value, inner)

    if node is not None:
        walk(node, ())
    return marks


def _key(node: Any, loader: Any) -> str:
    """A key as it is called once it is loaded: `on` is True then. A `<<` is not loaded, but resolved."""
    import yaml

    if isinstance(node, yaml.ScalarNode) and node.tag in loader.yaml_constructors:
        return key_name(loader.construct_object(node))
    return str(node.value)
