"""Error classes: their tree and attributes, and that pickling and copying lose nothing."""

from __future__ import annotations

import copy
import pickle
from typing import Any

import pytest

from paperspace.gradient import errors
from paperspace.gradient.errors import Problem

CLASSES: list[Any] = [getattr(errors, name) for name in errors.__all__ if name != "Problem"]
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
    """Return each class of the tree in the module's docstring, with its base class there."""
    tree: dict[str, str] = {}
    path: list[str] = []
    for indented in (errors.__doc__ or "").splitlines():
        line = indented.removeprefix("    ")  # the tree is a block of its own
        name = line.lstrip("│├└─ ").split(" ")[0]
        if "─" not in line and name != "GradientError":
            continue
        depth = (len(line) - len(line.lstrip("│├└─ "))) // 4
        path[depth:] = [name]
        tree[name] = path[depth - 1] if depth else "Exception"
    return tree


def test_tree_as_drawn() -> None:
    """The tree in the docstring is the real one, and every class has a docstring."""
    assert drawn() == {error.__name__: error.__bases__[0].__name__ for error in CLASSES}
    assert all(error.__doc__ for error in CLASSES)  # a class does not inherit it


@pytest.mark.parametrize("error", API_ERRORS, ids=lambda error: error.__name__)
def test_api_errors_keep_their_attributes(error: Any) -> None:
    """Pickling and copying keep every attribute and the message."""
    original = error("What happened", **FACTS)
    if error is errors.PartialResultError:
        original.data = {"deployment": None}
    if error is errors.NotFoundError:
        original.resource = "spec"
    for copied in (pickle.loads(pickle.dumps(original)), copy.copy(original), copy.deepcopy(original)):
        assert type(copied) is error
        assert {name: getattr(copied, name) for name in FACTS} == FACTS
        assert copied.__dict__ == original.__dict__
        assert str(copied) == str(original)
    assert (
        str(original)
        == "DeploymentCreate: What happened (HTTP 503, CONFLICT, request r-1, 3 attempts in 1.2 s, retry after 2.5 s)"
    )


@pytest.mark.parametrize("error", [errors.InvalidArgumentError, errors.InvalidSpecError])
def test_problems_survive_pickling(error: Any) -> None:
    """Pickling an invalid argument keeps every problem."""
    original = error("bad", problems=[Problem(("spec", "env", 0, "value"), 5, "a string", "quote it")])
    copied = pickle.loads(pickle.dumps(original))
    assert type(copied) is error
    assert copied.problems == original.problems
    assert str(copied) == "bad"


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
    """Code that knows only the built-in exceptions can catch these."""
    assert issubclass(error, builtin)
    assert issubclass(error, errors.GradientError)


def test_builtins_as_drawn() -> None:
    """The tree in the docstring names the built-in exception of every class that has one, and no other."""
    lines = (errors.__doc__ or "").splitlines()
    [by_name] = [{name: line for name in errors.__all__ for line in lines if f"─ {name} " in line}]
    named = {name: line.partition("also a ")[2].split(":")[0] for name, line in by_name.items() if "also a " in line}
    assert named == {error.__name__: error.__bases__[1].__name__ for error in CLASSES if len(error.__bases__) > 1}
