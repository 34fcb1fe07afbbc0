"""Read a spec from a file: YAML, JSON, JSON with comments, or TOML. Errors name file, line and column."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, cast

from paperspace.gradient._shared.problems import Problem, abbreviate, hide, key_name
from paperspace.gradient._spec.checks import check_spec
from paperspace.gradient.errors import InvalidArgumentError, InvalidSpecError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from os import PathLike

    from paperspace.gradient._shared.problems import Path as FieldPath
    from paperspace.gradient.types import DeploymentSpecInput

# Files that are searched for a spec, in this order.
SUFFIXES = (".yaml", ".yml", ".json", ".jsonc", ".toml")
DEFAULT_FILES = tuple(f"{stem}{suffix}" for stem in ("paperspace", ".paperspace/app") for suffix in SUFFIXES)

# Stands in a file for an image that is set when the file is read.
IMAGE_PLACEHOLDER = ":image"

# The values of `apiVersion` in older files. They make no difference.
_API_VERSION = re.compile(r"latest|v[0-9]+((alpha|beta)[0-9]+)?")

# More fields than any spec has. The limit bounds the work for a YAML file that refers to itself again and again.
_MAX_POSITIONS = 10_000


class Position(NamedTuple):
    """A position in a file. Lines and columns begin at 1."""

    line: int
    column: int


class Positions(NamedTuple):
    """The positions of the keys and values in a file, by their paths in the spec."""

    keys: dict[FieldPath, Position]
    values: dict[FieldPath, Position]

    def of(self, problem: Problem) -> Position | None:
        """Return the position of a problem: of the key if it is unknown, else of the value or of what should hold it."""
        path = problem.path[1:]
        if problem.kind == "unknown_field" and path in self.keys:
            return self.keys[path]
        while path and path not in self.values:
            path = path[:-1]
        return self.values.get(path)


def read_file(path: str | PathLike[str] | None, *, image: str | None) -> DeploymentSpecInput:
    """Read the spec in a file; None: in the first of the default files that exists."""
    if path == "":
        raise InvalidSpecError("the path of the spec file is empty")
    try:
        file = _find_default_file() if path is None else Path(path)
    except TypeError as error:
        problem = Problem(("path",), abbreviate(path), "the path of a spec file")
        raise InvalidArgumentError(str(problem), problems=[problem]) from error
    try:
        text = file.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError:
        raise InvalidSpecError(f"cannot read {file}: not UTF-8") from None
    except OSError as error:
        raise InvalidSpecError(f"cannot read {file}: {error.strerror or error}") from error
    except ValueError as error:  # the path has a character that no path can have
        raise InvalidSpecError(f"cannot read {str(file)!r}: {error}") from error
    return parse_spec(text, str(file), file.suffix.lower(), image=image)


def parse_spec(text: str, file: str, suffix: str, *, image: str | None = None) -> DeploymentSpecInput:
    """Parse and validate the text of a spec file. `file` is its name in messages; `suffix` selects the format."""
    parse = _PARSERS.get(suffix)
    if parse is None:
        raise InvalidSpecError(f"{file}: expected a file name that ends with {', '.join(SUFFIXES)}")
    content, positions = parse(text, file)
    if not isinstance(content, dict):
        raise InvalidSpecError(f"{file}: expected a spec, got {hide(content)!r}")
    problems = list(_convert_old_fields(content))
    if content.get("image") == IMAGE_PLACEHOLDER:
        content["image"] = image
        if image is None:
            hint = f"pass the image that {IMAGE_PLACEHOLDER} stands for"
            problems.append(Problem(("spec", "image"), IMAGE_PLACEHOLDER, "an image", hint))
    paths = {problem.path for problem in problems}
    problems += [problem for problem in check_spec(content) if problem.path not in paths]
    if problems:
        raise _invalid_file(file, problems, positions)
    return cast("DeploymentSpecInput", content)


def _find_default_file() -> Path:
    for name in DEFAULT_FILES:
        if Path(name).is_file():
            return Path(name)
    raise InvalidSpecError(f"no spec file found; looked for {', '.join(DEFAULT_FILES)}")


def _invalid_file(file: str, problems: list[Problem], positions: Positions) -> InvalidSpecError:
    """Return the error for a file: one line for each problem, in the order of the file."""
    problems = sorted(problems, key=lambda problem: positions.of(problem) or Position(0, 0))
    lines = [f"invalid spec file {file}:"]
    for problem in problems:
        position = positions.of(problem)
        # Editors find FILE:LINE:COLUMN at the beginning of a line.
        prefix = file if position is None else f"{file}:{position.line}:{position.column}"
        lines.append(f"{prefix}: {problem.describe(root=1)}")
    return InvalidSpecError("\n".join(lines), problems=problems)


# --------------------------------------------------------------------------------------------------------- older fields


def _convert_old_fields(content: dict[Any, Any]) -> Iterator[Problem]:
    """Convert the fields of older spec files, in place. Yield what cannot be converted without loss."""
    version = content.pop("apiVersion", None)
    if version is not None and not (isinstance(version, str) and _API_VERSION.fullmatch(version)):
        expected = "a version such as latest, v1 or v1alpha2"
        yield Problem(("spec", "apiVersion"), hide(version), expected, "specs have no version; remove it")
    resources = content.get("resources")
    resources = resources if isinstance(resources, dict) else {}
    if "machineType" in resources and "instanceType" not in resources:
        resources["instanceType"] = resources.pop("machineType")
    for parent, path in ((content, ("spec", "ports")), (resources, ("spec", "resources", "ports"))):
        ports = parent.pop("ports", None)
        if ports is None or ports == []:
            continue
        numbers = ports if isinstance(ports, list) else [ports]
        if len(numbers) == 1 and content.get("port") in {None, *numbers[:1]}:
            content["port"] = numbers[0]
        else:
            shown = ports if all(isinstance(port, int) for port in numbers) else hide(ports)
            yield Problem(path, shown, "one port", "a spec has one port; set it as `port`")


# -------------------------------------------------------------------------------------------------------------- parsers


def _parse_yaml(text: str, file: str) -> tuple[Any, Positions]:
    import yaml

    try:
        loader = yaml.SafeLoader(text)
        node = loader.get_single_node()
        positions = _positions(node, file)
        return (None if node is None else loader.construct_document(node)), positions
    except InvalidSpecError:
        raise
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        position = f"{file}:{mark.line + 1}:{mark.column + 1}" if mark else file
        message = f"{position}: invalid YAML: {_without_quotations(error.problem or error.context or '')}"
    except RecursionError:
        message = f"{file}: invalid YAML: nested too deeply, or refers to itself"
    except yaml.reader.ReaderError as error:
        message = f"{file}: invalid YAML: the character at offset {error.position} is not allowed"
    except (yaml.YAMLError, ValueError, LookupError, AttributeError, TypeError):
        message = (
            f"{file}: invalid YAML: a value is not what it looks like, such as a date that does not exist; quote it"
        )
    # Not in an except clause: the error's context would hold lines of the file, which may be secret.
    raise InvalidSpecError(message)


def _without_quotations(message: str) -> str:
    """Return a message of the YAML parser without the text of the file. Single characters and token names stay."""

    def replace(match: re.Match[str]) -> str:
        text = match[1][1:-1]
        return match[0] if len(text) <= 1 or text.startswith("<") else ""

    return re.sub(r""" ?('[^']*'|"[^"]*")""", replace, message.partition(": ")[0])


def _parse_json(text: str, file: str) -> tuple[Any, Positions]:
    import json

    import yaml

    content, message = None, ""
    try:
        content = json.loads(text)
    except json.JSONDecodeError as error:
        message = f"{file}:{error.lineno}:{error.colno}: invalid JSON: {error.msg}"
    except (RecursionError, ValueError):
        message = f"{file}: invalid JSON: nested too deeply, or a number with too many digits"
    if message:
        raise InvalidSpecError(message)  # without the error as its context, which holds the text of the file
    try:
        # Nearly all JSON is YAML too. For the rest, such as tabs as indentation, problems have no line.
        return content, _positions(yaml.compose(text, Loader=yaml.SafeLoader), file)
    except (yaml.YAMLError, RecursionError):
        return content, Positions({}, {})


def _parse_jsonc(text: str, file: str) -> tuple[Any, Positions]:
    """Parse JSON with comments and trailing commas. They become spaces, so that positions stay the same."""
    string = r'"(?:\\.|[^"\\])*"'

    def blank(pattern: str, text: str) -> str:
        def replace(match: re.Match[str]) -> str:
            return match[0] if match[0].startswith('"') else re.sub(r"[^\n]", " ", match[0])

        return re.sub(rf"{string}|{pattern}", replace, text, flags=re.DOTALL)

    return _parse_json(blank(r",(?=\s*[}\]])", blank(r"//[^\n]*|/\*.*?\*/", text)), file)


def _parse_toml(text: str, file: str) -> tuple[Any, Positions]:
    import tomllib

    try:
        return tomllib.loads(text), Positions({}, {})
    except RecursionError:
        message = "nested too deeply"
    except ValueError as error:
        message = str(error)
    raise InvalidSpecError(f"{file}: invalid TOML: {message}")  # without the error as its context


_PARSERS: dict[str, Callable[[str, str], tuple[Any, Positions]]] = {
    ".yaml": _parse_yaml,
    ".yml": _parse_yaml,
    ".json": _parse_json,
    ".jsonc": _parse_jsonc,
    ".toml": _parse_toml,
}


def _positions(node: Any, file: str) -> Positions:
    """Return the positions of all keys and values. A duplicate key is refused: one of the two would be lost."""
    import yaml

    positions = Positions({}, {})
    loader = yaml.SafeLoader("")

    def visit(node: Any, path: FieldPath) -> None:
        if len(positions.values) > _MAX_POSITIONS:
            return
        positions.values[path] = _position(node)
        if isinstance(node, yaml.SequenceNode):
            for index, item in enumerate(node.value):
                visit(item, (*path, index))
        elif isinstance(node, yaml.MappingNode):
            for key, value in node.value:
                key_path = (*path, _loaded_key(key, loader))
                position = _position(key)
                if key_path in positions.keys:
                    raise InvalidSpecError(f"{file}:{position.line}:{position.column}: duplicate key {key.value}")
                positions.keys[key_path] = position
                visit(value, key_path)

    if node is not None:
        visit(node, ())
    return positions


def _position(node: Any) -> Position:
    return Position(node.start_mark.line + 1, node.start_mark.column + 1)


def _loaded_key(node: Any, loader: Any) -> str:
    """Return a key as it is once loaded: `on` becomes True. A merge key (`<<`) is never loaded."""
    import yaml

    if isinstance(node, yaml.ScalarNode) and node.tag in loader.yaml_constructors:
        return key_name(loader.construct_object(node))
    return str(node.value)
