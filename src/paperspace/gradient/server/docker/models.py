"""Models: folders of this machine that containers can read, one for each id in `models` of a spec."""

from __future__ import annotations

import posixpath
from typing import TYPE_CHECKING, Any

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
    return [
        {
            "Type": "bind",
            "Source": _source(model.id, index, folder),
            "Target": normal_path(model.path),
            "ReadOnly": True,
        }
        for index, model in enumerate(models)
    ]


def is_usable_target(path: str) -> bool:
    """Whether files can be put at a path in a container: it is absolute, other than /, and has no `..`."""
    return path.startswith("/") and ".." not in path.split("/") and normal_path(path) != "/"


def normal_path(path: str) -> str:
    """Return a path in a container in the form that all paths to the same file have: `//a/./b/` is `/a/b`."""
    return posixpath.normpath(path).replace("//", "/")


def _source(id_: str, index: int, folder: Path | None) -> str:
    """Return the folder of a model. It is inside the folder of all models, also if it is a link."""
    if folder is None:
        raise UnsupportedSpecError(
            f"models[{index}]: this server has no models. Start it with --models DIR; DIR has one folder for each model."
        )
    root = folder.resolve()
    source = _folder_of(id_, root)
    if source is None:
        known = _names(root)
        listed = ", ".join(known[:_MAX_LISTED]) or "none"
        more = f" and {len(known) - _MAX_LISTED} more" if len(known) > _MAX_LISTED else ""
        raise UnsupportedSpecError(f"models[{index}].id: there is no model {id_!r}; known: {listed}{more}.")
    return str(source)


def _folder_of(id_: str, root: Path) -> Path | None:
    """Return the folder of a model, after all links. None: there is none, or it is not inside the folder of all models."""
    try:
        source = (root / id_).resolve()
        is_inside = source != root and source.is_relative_to(root)
        return source if "/" not in id_ and is_inside and source.is_dir() else None
    except (OSError, RuntimeError):  # the id is too long for a file; or, until Python 3.12, a link leads to itself
        return None


def _names(root: Path) -> list[str]:
    try:
        folders = [path for path in root.iterdir() if path.is_dir() and not path.name.startswith(".")]
    except OSError:
        return []
    return sorted(path.name for path in folders if not path.is_symlink() or _folder_of(path.name, root))
