"""Parse the text of a spec file: YAML, JSON, JSON with comments, or TOML. All but TOML give positions.

Errors never show the text of the file, as values may be secret.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, NamedTuple

from paperspace.gradient._shared.spec_rules import key_name
from paperspace.gradient._spec.json_comments import without_comments
from paperspace.gradient.errors import InvalidSpecError

if TYPE_CHECKING:
    from collections.abc import Callable

    from paperspace.gradient._shared.problems import Path as FieldPath
    from paperspace.gradient._shared.problems import Problem

# More fields than any spec has. The limit bounds the work for a YAML file that refers to itself again and again.
_MAX_POSITIONS = 10_000

# What YAML 1.1 reads as a number to the base 8 or 60, and YAML 1.2 as something else: `010` is 8 or 10, and `22:22` is
# 1342 or a string. Here they are strings: a variable keeps its text, and a port gets an error.
_AMBIGUOUS_NUMBER = re.compile(r"[-+]?(?:0[0-7_]+|[0-9][0-9_]*(?::[0-5]?[0-9])+(?:\.[0-9_]*)?)\Z")

# libyaml is five times as fast as the parser in Python, but its messages say less, and it is not installed everywhere.
_MIN_FOR_LIBYAML = 100_000

# What to say in place of some messages of the YAML parser, by how they begin. The rest of them would show the value.
_YAML_MESSAGES = {
    "found undefined alias": "undefined alias; quote a value that begins with *",
    "could not determine a constructor": "unknown tag; quote a value that begins with !",
    "found duplicate anchor": "duplicate anchor; quote a value that begins with &",
    "found character '%'": "quote a value that begins with %",
    "found character '@'": "quote a value that begins with @",
    "found character '`'": "quote a value that begins with `",
    "found character '\\t'": "a tab; indent with spaces",
    "mapping values are not allowed here": "unexpected colon; quote a value with a colon and a space, and check the indentation",
    "but found another document": "more than one document; write one spec per file, without `---` between them",
}


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

    def move(self, old: FieldPath, new: FieldPath) -> None:
        """Give a value that was moved within the spec the position that it has in the file."""
        for positions in self:
            if old in positions:
                positions[new] = positions[old]


def parse(text: str, file: str, suffix: str) -> tuple[Any, Positions]:
    """Parse the text of a spec file.

    Args:
        text: The text.
        file: The name of the file in messages.
        suffix: Selects the format: `.json`, `.jsonc` or `.toml`; any other is read as YAML, which includes JSON.

    Raises:
        InvalidSpecError: the text is not in this format.
    """
    return _PARSERS.get(suffix, _parse_yaml)(text, file)


def _parse_yaml(text: str, file: str) -> tuple[Any, Positions]:
    import yaml

    if _is_json(text):
        return _parse_json(text, file)
    try:
        loader = _yaml_loader(text)
        node = loader.get_single_node()
        positions = _positions(node, file)
        return (None if node is None else loader.construct_document(node)), positions
    except InvalidSpecError:
        raise
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        position = f"{file}:{mark.line + 1}:{mark.column + 1}" if mark else file
        message = f"{position}: invalid YAML: {_yaml_message(error.problem or error.context or '', text)}"
    except RecursionError:
        message = f"{file}: invalid YAML: nested too deeply, or refers to itself"
    except yaml.reader.ReaderError as error:
        # Its position counts characters in one of the loaders, and bytes in the other.
        line = text.count("\n", 0, text.find(chr(error.character))) + 1
        message = f"{file}:{line}: invalid YAML: a character that is not allowed in a file"
    except (yaml.YAMLError, ValueError, LookupError, AttributeError, TypeError):
        message = f"{file}: invalid YAML: a value is written like a date or a number, but is not one, such as 2024-02-30; quote it"
    # Not in an except clause: the error's context would hold lines of the file, which may be secret.
    raise InvalidSpecError(message)


def _yaml_loader(text: str) -> Any:
    """Return a loader of PyYAML for the text, which reads ambiguous numbers as strings."""
    import yaml

    with_libyaml = len(text) >= _MIN_FOR_LIBYAML and yaml.__with_libyaml__
    loader: Any = yaml.CSafeLoader(text) if with_libyaml else yaml.SafeLoader(text)
    loader.yaml_implicit_resolvers = {
        first_character: [("tag:yaml.org,2002:str", _AMBIGUOUS_NUMBER), *resolvers]
        for first_character, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }
    return loader


def _is_json(text: str) -> bool:
    """Return whether a text is a JSON object. Nearly all JSON is YAML, but not JSON that is indented with tabs."""
    import json

    if not text.lstrip().startswith("{"):
        return False
    try:
        json.loads(text)
    except (ValueError, RecursionError):
        return False
    return True


def _yaml_message(problem: str, text: str) -> str:
    """Return a message of the YAML parser in our words, or without the text of the file."""
    if len(re.findall(r"\\n$", text, re.MULTILINE)) > 1:
        return r"lines end with the two characters \n, not with line breaks; write the file with `printf`, not `echo`"

    def replace(match: re.Match[str]) -> str:
        quoted = match[1][1:-1]
        return match[0] if len(quoted) <= 1 or quoted.startswith("<") else ""  # one character, or the name of a token

    known = next((message for start, message in _YAML_MESSAGES.items() if problem.startswith(start)), None)
    return known or re.sub(r""" ?('[^']*'|"[^"]*")""", replace, problem.partition(": ")[0])


def _parse_json(text: str, file: str) -> tuple[Any, Positions]:
    import json

    import yaml

    duplicates: list[str] = []

    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        names: set[str] = set()
        duplicates.extend(key for key, _ in pairs if key in names or names.add(key))  # type: ignore[func-returns-value]
        return dict(pairs)

    content, message = None, ""
    try:
        content = json.loads(text, object_pairs_hook=unique)
    except json.JSONDecodeError as error:
        message = f"{file}:{error.lineno}:{error.colno}: invalid JSON: {_json_message(error)}"
    except (RecursionError, ValueError):
        message = f"{file}: invalid JSON: nested too deeply, or a number with too many digits"
    if message:
        raise InvalidSpecError(message)  # without the error as its context, which holds the text of the file
    try:
        # Nearly all JSON is YAML too, once it has no tabs. For the rest, problems have no line.
        positions = _positions(_yaml_loader(text.replace("\t", " ")).get_single_node(), file)
    except (yaml.YAMLError, RecursionError):
        positions = Positions({}, {})
    if duplicates:
        raise InvalidSpecError(f"{file}: duplicate key {duplicates[0]}")
    return content, positions


def _json_message(error: Any) -> str:
    if error.doc.startswith(("//", "/*", "#"), error.pos):
        return "JSON has no comments; name the file .jsonc or .yaml"
    if error.msg == "Expecting value":
        return "expected a value; strings need double quotes"
    return str(error.msg)


def _parse_jsonc(text: str, file: str) -> tuple[Any, Positions]:
    return _parse_json(without_comments(text, file), file)


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
                positions.keys[key_path] = _position(key)
                visit(value, key_path)

    if node is not None:
        _refuse_duplicate_keys(node, file, loader)
        visit(node, ())
    return positions


def _refuse_duplicate_keys(node: Any, file: str, loader: Any) -> None:
    """Check each mapping once, however many aliases refer to it, and whether or not it has a position."""
    import yaml

    waiting, checked = [node], set()
    while waiting:
        node = waiting.pop()
        if isinstance(node, yaml.ScalarNode) or id(node) in checked:
            continue
        checked.add(id(node))
        if isinstance(node, yaml.SequenceNode):
            waiting += node.value
            continue
        names = set()
        for key, value in node.value:
            name = _loaded_key(key, loader)
            if name in names:
                position = _position(key)
                raise InvalidSpecError(f"{file}:{position.line}:{position.column}: duplicate key {key.value}")
            names.add(name)
            waiting.append(value)


def _position(node: Any) -> Position:
    return Position(node.start_mark.line + 1, node.start_mark.column + 1)


def _loaded_key(node: Any, loader: Any) -> str:
    """Return a key as it is once loaded: `on` becomes True. A merge key (`<<`) is never loaded."""
    import yaml

    if isinstance(node, yaml.ScalarNode) and node.tag in loader.yaml_constructors:
        return key_name(loader.construct_object(node))
    return str(node.value)
