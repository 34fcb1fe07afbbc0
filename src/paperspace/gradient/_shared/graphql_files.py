"""Find and read the data files of the package: in a checkout, installed, in a zip archive, or in a program of PyInstaller.

They are read as Python reads modules. That also works in tests that replace the file system by a fake one.
"""

from __future__ import annotations

from importlib.machinery import SourceFileLoader
from pathlib import Path
from typing import Any

_PACKAGE = Path(__file__).resolve().parents[1]

# A wheel has the folder inside the package; a checkout and an sdist have it at the top.
_FOLDERS = (_PACKAGE / "graphql", _PACKAGE.parents[2] / "graphql")

_FILES = SourceFileLoader(__name__, __file__)
_loader: Any = __spec__.loader  # that of a zip archive, if the package is in one

SPEC_SCHEMA = _PACKAGE / "_generated/deployment-spec.schema.json"
"""The JSON Schema of a spec. `scripts/regenerate` writes it from the GraphQL schema."""


def read_data(path: Path) -> str:
    """Read a data file.

    Raises:
        OSError: The file does not exist, or cannot be read.
    """
    content: bytes
    try:
        content = _FILES.get_data(str(path))
    except OSError:
        content = _loader.get_data(str(path))
    return content.decode()


def graphql_folder() -> Path:
    """Return the folder with `schema.graphql` and `operations/`.

    Raises:
        FileNotFoundError: The installation is incomplete.
    """
    for folder in _FOLDERS:
        try:
            read_data(folder / "schema.graphql")
        except OSError:
            continue
        return folder
    folders = " or ".join(str(folder) for folder in _FOLDERS)
    raise FileNotFoundError(f"no schema.graphql in {folders}; reinstall paperspace-gradient")
