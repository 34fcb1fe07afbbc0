"""Read several spec files: those of a folder, or those that a caller lists. The problems of all are one error."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from paperspace.gradient._shared.problems import Problem
from paperspace.gradient._shared.spec_rules import normalize_name
from paperspace.gradient._spec.files import SUFFIXES, is_folder, path_of, read_file
from paperspace.gradient.errors import InvalidSpecError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from os import PathLike
    from pathlib import Path
    from typing import TypeVar

    from paperspace.gradient._spec.files import SpecFile
    from paperspace.gradient.types import NamedSpec

    T = TypeVar("T")
    R = TypeVar("R")


def load_specs(path: str | PathLike[str], project_id: str | None, *, env_subst: bool) -> list[NamedSpec]:
    """Read and validate the spec files of a folder, or one file, with the name and the project that each file sets.

    Args:
        path: The path of the folder or of the file.
        project_id: The project, in place of that of the files. None: each file has to set it.
        env_subst: See `parse_file`.

    Raises:
        InvalidSpecError: A file is invalid or sets no name or no project, or two files describe the same deployment.
    """
    path = path_of(path)
    paths = files_in(path) if is_folder(path) else [path]
    specs = read_each(paths, lambda path: _named(read_file(path, env_subst=env_subst), project_id))
    refuse_duplicates((named["path"], named["name"], named["projectId"]) for named in specs)
    return specs


def _named(file: SpecFile, project_id: str | None) -> NamedSpec:
    project_id = file.project_id if project_id is None else project_id
    missing = []
    if file.name is None:
        missing.append(Problem(("spec", "name"), None, "the name of the deployment", kind="missing"))
    if project_id is None:
        hint = "or pass project_id="
        missing.append(Problem(("spec", "projectId"), None, "the id of the project", hint, kind="missing"))
    spec = file.validate(missing)
    return {"path": file.path, "name": cast("str", file.name), "projectId": cast("str", project_id), "spec": spec}


def files_in(folder: Path) -> list[Path]:
    """Return the spec files in a folder, sorted by name. Its subfolders and hidden files are not searched.

    Whatever is not a folder is one of them, also a pipe, and a symbolic link to a file that does not exist: whoever reads it
    gets an error. Without it, `apply --prune` would delete the deployment of that file.
    """
    try:
        named = [path for path in folder.iterdir() if path.suffix.lower() in SUFFIXES]
    except OSError as error:
        raise InvalidSpecError(f"cannot read {folder}: {error.strerror or error}") from error
    files = sorted(path for path in named if not path.name.startswith(".") and not is_folder(path))
    if not files:
        raise InvalidSpecError(f"no spec files in {folder}; looked for *{', *'.join(SUFFIXES)}")
    return files


def read_each(paths: Iterable[T], read: Callable[[T], R]) -> list[R]:
    """Read the file at each path, and return what `read` returns.

    Raises:
        InvalidSpecError: `read` raised it for at least one file; the message and `problems` are those of all files.
    """
    results: list[R] = []
    invalid: list[InvalidSpecError] = []
    for path in paths:
        try:
            results.append(read(path))
        except InvalidSpecError as error:
            invalid.append(error)
    if invalid:
        problems = [problem for error in invalid for problem in error.problems]
        raise InvalidSpecError("\n".join(str(error.args[0]) for error in invalid), problems=problems)
    return results


def refuse_duplicates(files: Iterable[tuple[str, str, str]]) -> None:
    """Check that no two files describe the same deployment. Each has a path, a name and a project.

    Raises:
        InvalidSpecError: Two files have the same name and project.
    """
    paths: dict[tuple[str, str], str] = {}
    for path, name, project_id in files:
        deployment = (normalize_name(name), project_id)
        if other := paths.get(deployment):
            raise InvalidSpecError(
                f"{other} and {path} describe the same deployment, {name}: set another `name` in one of them"
            )
        paths[deployment] = path
