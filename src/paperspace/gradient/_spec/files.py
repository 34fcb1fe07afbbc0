"""Read spec files. Errors name file, line and column.

A file is read, parsed and converted here. The spec in it is validated once: by `validate`, or by the function that it is
passed to. `located_errors` turns the error of that function into one that names lines.
"""

from __future__ import annotations

import os
import re
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from paperspace.gradient._shared.problems import Problem, hide_unless_plain
from paperspace.gradient._spec import conversion, variables
from paperspace.gradient._spec.checks import check_spec
from paperspace.gradient._spec.old_fields import convert_old_fields
from paperspace.gradient._spec.parsers import Position, Positions, parse
from paperspace.gradient.errors import ConfigurationError, InvalidArgumentError, InvalidSpecError

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable, Mapping
    from os import PathLike
    from typing import IO

    from paperspace.gradient.types import DeploymentSpecInput

# Files that are searched for a spec, in this order.
SUFFIXES = (".yaml", ".yml", ".json", ".jsonc", ".toml")
DEFAULT_FILES = tuple(f"{stem}{suffix}" for stem in ("paperspace", ".paperspace/app") for suffix in SUFFIXES)

# The key of a file in which `${NAME}` and `:image` are no placeholders, with the value true.
LITERAL = "x-literal"

_MAX_BYTES = 1_000_000

NO_PATH = "expected the path of a file, got text that is not a path"
_NO_PATH = re.compile(r"[{}=\n]|: |[a-z]{2}:/")  # JSON, NAME=VALUE, YAML, or a URL, which may have credentials


@dataclass(frozen=True)
class SpecFile:
    """A spec file, read and converted.

    Attributes:
        path: Its name in messages.
        spec: The spec. It may be invalid: the function that it is passed to validates it.
        name: The name of the deployment. None: the file does not set it.
        project_id: The id of the project. None: the file does not set it.
        replaced_image: The image of the file, where the caller's image replaced another one than the placeholder.
        positions: Where its values are.
    """

    path: str
    spec: DeploymentSpecInput
    name: str | None
    project_id: str | None
    replaced_image: str | None
    positions: Positions

    def validate(self, others: Iterable[Problem] = ()) -> DeploymentSpecInput:
        """Validate the spec, and return it.

        Args:
            others: Other problems of the file, for the same error.

        Raises:
            InvalidSpecError: the spec is invalid, or there are others; the message lists every problem with its line.
        """
        problems = [*others, *check_spec(self.spec)]
        if problems:
            raise _invalid_file(self.path, problems, self.positions)
        return self.spec

    @contextmanager
    def located_errors(self) -> Generator[None]:
        """Add the lines to the error of a function that gets the spec."""
        try:
            yield
        except InvalidSpecError as error:
            if not error.problems:
                raise
            raise _invalid_file(self.path, error.problems, self.positions) from error
        except ConfigurationError:
            # The function was not reached. An invalid spec is reported first, as it is to those who have no API key yet.
            self.validate()
            raise


def read_file(
    path: str | PathLike[str] | None,
    *,
    image: str | None = None,
    env_subst: bool = False,
    env: Mapping[str, str] | None = None,
) -> SpecFile:
    """Read a spec file; None: the first of the default files that exists. The arguments are those of `parse_file`."""
    file = find_default_file() if path is None else path_of(path)
    return parse_file(read_text(file), str(file), file.suffix.lower(), image=image, env_subst=env_subst, env=env)


def path_of(path: str | PathLike[str]) -> Path:
    """Return a path that a caller passes.

    Raises:
        InvalidSpecError: It is empty.
        InvalidArgumentError: It is not a path.
    """
    if path == "":
        raise InvalidSpecError("the path of the spec file is empty")
    try:
        return Path(path)
    except TypeError as error:
        problem = Problem(("path",), hide_unless_plain(path), "the path of a spec file")
        raise InvalidArgumentError(str(problem), problems=[problem]) from error


def is_folder(path: Path) -> bool:
    """Return whether a path is that of a folder. What is not may be no path at all: whoever reads it gets an error."""
    return os.path.isdir(path)  # noqa: PTH112  # Path.is_dir raises OSError with the path, which may be secret text


def read_text(file: Path) -> str:
    """Read a file, which may be a pipe.

    Raises:
        InvalidSpecError: it cannot be read, is larger than 1 MB, or is not UTF-8.
    """
    try:
        with file.open("rb") as stream:
            data = read_bytes(stream)
    except (OSError, ValueError) as error:  # ValueError: the path has a character that no path can have
        if is_no_path(str(file)):
            message = f"{NO_PATH}; write the text to a file, and pass the path of the file"
        elif isinstance(error, OSError):
            message = f"cannot read {file}: {error.strerror or error}"
        else:
            message = f"cannot read {str(file)!r}: {error}"
    else:
        return decode(data, str(file))
    raise InvalidSpecError(message)  # without the error as its context, which holds the path


def is_no_path(path: str) -> bool:
    """Return whether a path that cannot be read is other text, such as a spec. Messages do not show it: it may be secret."""
    return _NO_PATH.search(path) is not None


def read_bytes(stream: IO[bytes]) -> bytes:
    """Read a stream, but not more of it than shows that it is too large."""
    return stream.read(_MAX_BYTES + 1)


def decode(data: bytes, file: str) -> str:
    """Decode what `read_bytes` returned.

    Raises:
        InvalidSpecError: it is larger than 1 MB, or not UTF-8.
    """
    if len(data) > _MAX_BYTES:
        raise InvalidSpecError(f"cannot read {file}: larger than 1 MB")
    with suppress(UnicodeDecodeError):
        return data.decode("utf-8-sig").replace("\r\n", "\n")
    raise InvalidSpecError(f"cannot read {file}: not UTF-8")  # without the error as its context, which holds the text


def parse_file(
    text: str,
    file: str,
    suffix: str,
    *,
    image: str | None = None,
    env_subst: bool = False,
    env: Mapping[str, str] | None = None,
) -> SpecFile:
    """Parse and convert the text of a spec file.

    Args:
        text: The text.
        file: The name of the file in messages.
        suffix: Selects the format, as in `parse`.
        image: Replaces the image of the file. None: no change.
        env_subst: Whether to substitute `${NAME}` from the environment. False: it is refused where no shell reads it,
            unless the file has `x-literal: true`.
        env: Environment variables to add to those of the file.

    Raises:
        InvalidSpecError: the text cannot be parsed, or converted without loss; the message lists every problem of the
            spec.
    """
    content, positions = parse(text, file, suffix)
    is_literal = isinstance(content, dict) and content.get(LITERAL) is True
    content = conversion.copy_without_extensions(content, file)
    if not isinstance(content, dict):
        raise InvalidSpecError(f"{file}: expected a spec, got {_kind(content)}")
    replaced = conversion.replace_image(content, image)
    problems = list(convert_old_fields(content, positions))
    if env_subst:
        literal = {} if image is None else {"image": content.pop("image")}  # the caller's image is no template
        content = {**variables.substitute(content, os.environ, problems), **literal}
    elif not is_literal:
        problems += conversion.reference_problems(content)
    if not is_literal:
        problems += conversion.placeholder_problems(content)
    name, name_problems = conversion.take_name(content, "name")
    project_id, project_problems = conversion.take_name(content, "projectId")
    conversion.merge_env(content, env or {})
    problems += [*name_problems, *project_problems]
    if problems:
        paths = {problem.path for problem in problems}
        problems += [problem for problem in check_spec(content) if problem.path not in paths]
        raise _invalid_file(file, problems, positions)
    return SpecFile(file, cast("DeploymentSpecInput", content), name, project_id, replaced, positions)


def file_content(spec: Mapping[str, Any]) -> dict[str, Any]:
    """Return the content of a file that is read back as this spec, whatever the spec has: with `x-literal` if needed."""
    problems = (*conversion.reference_problems(spec), *conversion.placeholder_problems(spec))
    return {**({LITERAL: True} if problems else {}), **spec}


def read_env_file(file: Path) -> dict[str, str]:
    """Read a file of environment variables, as `docker run --env-file` does."""
    return variables.parse_env_file(read_text(file), str(file), os.environ)


def find_default_file() -> Path:
    """Return the first of the default files that exists, perhaps as a symbolic link to a file that does not."""
    for name in DEFAULT_FILES:
        if os.path.lexists(name) and not is_folder(Path(name)):
            return Path(name)
    raise InvalidSpecError(f"no spec file found; looked for {', '.join(DEFAULT_FILES)}")


def _kind(content: Any) -> str:
    """Return what a file has in place of a spec. Its text is not shown, as it may be secret."""
    if content is None:
        return "an empty file"
    return "a list" if isinstance(content, list) else f"a value of type {type(content).__name__}"


def _invalid_file(file: str, problems: Iterable[Problem], positions: Positions) -> InvalidSpecError:
    """Return the error for a file: one line for each problem, in the order of the file."""
    problems = sorted(problems, key=lambda problem: positions.of(problem) or Position(0, 0))
    lines = [f"invalid spec file {file}:"]
    for problem in problems:
        if problem.path[:1] != ("spec",):  # of another argument, not of the file
            lines.append(problem.describe())
            continue
        position = positions.of(problem)
        # Editors find FILE:LINE:COLUMN at the beginning of a line.
        prefix = file if position is None else f"{file}:{position.line}:{position.column}"
        lines.append(f"{prefix}: {problem.describe(root=1)}")
    return InvalidSpecError("\n".join(lines), problems=problems)
