"""The functions that `schema.diff` reports are those that really break."""

from __future__ import annotations

import pytest
from graphql import build_schema, validate_schema
from tests.schema import observation
from tests.schema.cases import CHANGES, Change

from paperspace.gradient.schema import compare


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> observation.Prepared:
    """A database with deployments."""
    return observation.prepare(tmp_path_factory.mktemp("prepared"))


@pytest.mark.parametrize("change", CHANGES, ids=lambda change: change.name)
def test_reported_functions_are_those_that_break(prepared: observation.Prepared, change: Change) -> None:
    """Every function is called with a server that has the changed schema, and with each value that the schema allows."""
    schema = build_schema(change.sdl())
    assert validate_schema(schema) == []
    # Without the filter, all operations run that are reported: those that replace an optional one too.
    sdl = change.sdl().replace("hasInstances: Boolean, ", "")
    errors = observation.broken_functions(prepared, sdl, change.renamed)
    broken, reported = without_special_cases(set(errors)), without_special_cases(set(compare(schema).broken_functions))
    assert broken <= reported, {function: errors[function] for function in broken - reported}
    assert reported - change.unobserved <= broken


def without_special_cases(functions: set[str]) -> set[str]:
    """Leave out the calls with one argument of functions that break anyway."""
    return {name for name in functions if "(" not in name or name.partition("(")[0] not in functions}
