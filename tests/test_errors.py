"""Errors as objects: their tree, their facts, and that they survive pickling and copying."""

from __future__ import annotations

import copy
import inspect
import pickle
from typing import Any

import pytest

from paperspace.gradient import errors
from paperspace.gradient._shared.spec_rules import Problem

CLASSES: list[Any] = [getattr(errors, name) for name in errors.__all__]
API_ERRORS = [error for error in CLASSES if issubclass(error, errors.APIError)]

FACTS: dict[str, Any] = {
    "operation": "DeploymentCreate",
    "status": 503,
    "code": "CONFLICT",
    "request_id": "r-1",
    "retry_after": 2.5,
    "attempts": 3,
    "elapsed": 1.25,
    "may_have_executed": "unknown",
}


def drawn() -> dict[str, str]:
    """Each class in the tree that the module's text draws, with the class that it hangs on."""
    tree: dict[str, str] = {}
    path: list[str] = []
    for indented in (errors.__doc__ or "").splitlines():
        line = indented.removeprefix("    ")  # the tree is a block of its own
        name = line.lstrip("│├└─ ").split(" ")[0]
        if name not in errors.__all__:
            continue
        depth = (len(line) - len(line.lstrip("│├└─ "))) // 4
        path[depth:] = [name]
        tree[name] = path[depth - 1] if depth else "Exception"
    return tree


def test_tree_as_drawn() -> None:
    """The tree at the top of the module is the tree that there is, and every class is explained."""
    assert drawn() == {error.__name__: error.__bases__[0].__name__ for error in CLASSES}
    assert all(inspect.getdoc(error) for error in CLASSES)


@pytest.mark.parametrize("error", API_ERRORS, ids=lambda error: error.__name__)
def test_api_errors_keep_their_facts(error: Any) -> None:
    """Every fact is an attribute, and pickling and copying lose none of them."""
    original = error("What happened", **FACTS)
    if error is errors.PartialResultError:
        original.data = {"deployment": None}
    if error is errors.NotFoundError:
        original.resource = "spec"
    for twin in (pickle.loads(pickle.dumps(original)), copy.copy(original), copy.deepcopy(original)):
        assert type(twin) is error
        assert {name: getattr(twin, name) for name in FACTS} == FACTS
        assert twin.__dict__ == original.__dict__
        assert str(twin) == str(original)
    assert (
        str(original)
        == "DeploymentCreate: What happened (HTTP 503, CONFLICT, request r-1, 3 attempts in 1.2 s, come back in 2.5 s)"
    )


@pytest.mark.parametrize("error", [errors.InvalidArgumentError, errors.InvalidSpecError])
def test_problems_survive_pickling(error: Any) -> None:
    """An invalid argument is pickled with every bad place."""
    original = error("bad", problems=[Problem(("spec", "env", 0, "value"), 5, "a string", "quote it")])
    twin = pickle.loads(pickle.dumps(original))
    assert type(twin) is error
    assert twin.problems == original.problems
    assert str(twin) == "bad"


@pytest.mark.parametrize(
    ("error", "builtin"),
    [
        (errors.ConfigurationError, ValueError),
        (errors.InvalidArgumentError, ValueError),
        (errors.APIConnectionError, ConnectionError),
        (errors.APITimeoutError, TimeoutError),
        (errors.NotFoundError, LookupError),
        (errors.BadRequestError, ValueError),
    ],
)
def test_also_a_builtin(error: type[Exception], builtin: type[Exception]) -> None:
    """Code that knows only Python's own exceptions catches the right ones."""
    assert issubclass(error, builtin)
    assert issubclass(error, errors.GradientError)
