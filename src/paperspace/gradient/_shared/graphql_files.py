"""Finds the checked-in GraphQL files, wherever the package was installed from, and writes files with secrets."""

from __future__ import annotations

from pathlib import Path

_PACKAGE = Path(__file__).resolve().parents[1]

# A wheel carries the folder inside the package; a checkout and an sdist have it at their top.
_PLACES = (_PACKAGE / "graphql", _PACKAGE.parents[2] / "graphql")


def graphql_folder() -> Path:
    """The folder that holds `schema.graphql` and `operations/`.

    Raises:
        FileNotFoundError: The installation is incomplete.
    """
    for place in _PLACES:
        if (place / "schema.graphql").is_file():
            return place
    places = " or ".join(str(place) for place in _PLACES)
    raise FileNotFoundError(f"no schema.graphql in {places}; install paperspace-gradient again")


def spec_schema() -> Path:
    """The JSON Schema of a spec, which `scripts/regenerate` makes from the GraphQL schema."""
    return _PACKAGE / "_generated/deployment-spec.schema.json"
