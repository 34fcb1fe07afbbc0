"""Find and read the data files of the package: in a checkout, installed, in a zip archive, or in a program of PyInstaller.

The loader reads them as Python reads modules. That also works in tests that replace the file system by a fake one.
"""

from __future__ import annotations

from functools import cache
from importlib.machinery import SourceFileLoader
from pathlib import Path
from zipimport import zipimporter

_PACKAGE = Path(__file__).resolve().parents[1]

# A wheel has the folder inside the package; a checkout and an sdist have it at the top.
_FOLDERS = (_PACKAGE / "graphql", _PACKAGE.parents[2] / "graphql")

# Not always the loader of this module: for its plugins, pytest has one that reads from the fake file system.
package_loader = __spec__.loader if isinstance(__spec__.loader, zipimporter) else SourceFileLoader(__name__, __file__)
"""Reads the data files, by `get_data` with the path."""

SPEC_SCHEMA = _PACKAGE / "_generated/deployment-spec.schema.json"
"""The JSON Schema of a spec. `scripts/regenerate` writes it from the GraphQL schema."""


@cache
def graphql_folder() -> Path:
    """Return the folder with `schema.graphql` and `operations/`.

    Raises:
        FileNotFoundError: The installation is incomplete.
    """
    for folder in _FOLDERS:
        try:
            package_loader.get_data(str(folder / "schema.graphql"))
        except OSError:
            continue
        return folder
    folders = " or ".join(str(folder) for folder in _FOLDERS)
    raise FileNotFoundError(f"no schema.graphql in {folders}; reinstall paperspace-gradient")
