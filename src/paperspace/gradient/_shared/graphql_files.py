"""Find the checked-in GraphQL files, whether the package runs from a checkout or is installed."""

from __future__ import annotations

from pathlib import Path

_PACKAGE = Path(__file__).resolve().parents[1]

# A wheel has the folder inside the package; a checkout and an sdist have it at the top.
_FOLDERS = (_PACKAGE / "graphql", _PACKAGE.parents[2] / "graphql")


def graphql_folder() -> Path:
    """Return the folder with `schema.graphql` and `operations/`.

    Raises:
        FileNotFoundError: The installation is incomplete.
    """
    for folder in _FOLDERS:
        if (folder / "schema.graphql").is_file():
            return folder
    folders = " or ".join(str(folder) for folder in _FOLDERS)
    raise FileNotFoundError(f"no schema.graphql in {folders}; reinstall paperspace-gradient")


def spec_schema() -> Path:
    """Return the path of the JSON Schema of a spec. `scripts/regenerate` writes it from the GraphQL schema."""
    return _PACKAGE / "_generated/deployment-spec.schema.json"
