"""Models: folders of this machine that containers can read, one for each id in `models` of a spec."""

from __future__ import annotations

import posixpath
from functools import partial
from typing import TYPE_CHECKING, Any

from paperspace.gradient.server.docker.file_systems import in_time, mounted_in
from paperspace.gradient.server.engines.runtime import UnsupportedSpecError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from paperspace.gradient.server.controller.engine import Model

_MAX_LISTED = 20


def mounts(models: Sequence[Model], folder: Path | None) -> list[dict[str, Any]]:
    """Return the mounts of a container: the folder of each model, read-only.

    Args:
        models: The models of a spec.
        folder: The folder of the models, which has one folder for each. None: there are no models.

    Raises:
        UnsupportedSpecError: a model does not exist, or cannot be mounted at its path.
    """
    targets: dict[str, int] = {}
    for index, model in enumerate(models):
        if not is_usable_target(model.path):
            raise UnsupportedSpecError(
                f"models[{index}].path: expected an absolute path other than /, without `..`, got {model.path!r}."
            )
        other = targets.setdefault(normal_path(model.path), index)
        if other != index:
            raise UnsupportedSpecError(f"models[{index}].path: models[{other}] has the same path, {model.path}.")
    sources = {normal_path(model.path): _source(model.id, index, folder) for index, model in enumerate(models)}
    # Before version 25, the engine does not make file systems read-only that are mounted inside of a folder.
    inside = {
        (target / path.relative_to(source)).as_posix(): path
        for target, source in sources.items()
        for path in mounted_in(source)
    }
    return [
        {"Type": "bind", "Source": str(source), "Target": target, "ReadOnly": True}
        for target, source in {**inside, **sources}.items()
    ]


def is_usable_target(path: str) -> bool:
    """Whether files can be put at a path in a container: it is absolute, other than /, and has no `..`."""
    return path.startswith("/") and ".." not in path.split("/") and normal_path(path) != "/"


def normal_path(path: str) -> str:
    """Return a path in a container in the form that all paths to the same file have: `//a/./b/` is `/a/b`."""
    return posixpath.normpath(path).replace("//", "/")


def _source(id_: str, index: int, folder: Path | None) -> Path:
    """Return the folder of a model, which is inside the folder of all models."""
    if folder is None:
        raise UnsupportedSpecError(
            f"models[{index}]: this server has no models. Start it with --models DIR; DIR has one folder for each model."
        )
    try:
        source, known = in_time(folder / id_, partial(_find, id_, folder))
    except TimeoutError as error:
        raise UnsupportedSpecError(f"models[{index}].id: the file system of {folder} does not respond.") from error
    except OSError as error:
        raise UnsupportedSpecError(
            f"models[{index}].id: the folder of the models, {folder}, cannot be read: {error.strerror}."
        ) from error
    if source is None:
        listed = ", ".join(known[:_MAX_LISTED]) or "none"
        more = f" and {len(known) - _MAX_LISTED} more" if len(known) > _MAX_LISTED else ""
        raise UnsupportedSpecError(f"models[{index}].id: there is no model {id_!r}; known: {listed}{more}.")
    return source


def _find(id_: str, folder: Path) -> tuple[Path | None, Sequence[str]]:
    """Return the folder of a model. If there is none, also return the names of all models.

    Raises:
        OSError: the folder of all models cannot be read.
    """
    root = folder.resolve()
    source = _folder_of(id_, root)
    return source, () if source else _names(root)


def _folder_of(id_: str, root: Path) -> Path | None:
    """Return the folder of a model, after all links. None: there is none, or it is not inside the folder of all models."""
    try:
        source = (root / id_).resolve()
        is_inside = source != root and source.is_relative_to(root)
        return source if "/" not in id_ and is_inside and source.is_dir() else None
    except (OSError, RuntimeError):  # the id is too long for a file; or, until Python 3.12, a link leads to itself
        return None


def _names(root: Path) -> list[str]:
    paths = [path for path in root.iterdir() if path.name.isprintable() and not path.name.startswith(".")]
    folders = [path for path in paths if path.is_dir()]
    return sorted(path.name for path in folders if not path.is_symlink() or _folder_of(path.name, root))
