"""Whatever is given for a spec, the answer is a spec that was sent, or one error that lists the places."""

from __future__ import annotations

import copy
import functools
import operator
import pickle
import random
import threading
from typing import Any, cast

import pytest
from tests.deployments.test_changes import FULL

from paperspace.gradient import Client, InvalidArgumentError, InvalidSpecError
from paperspace.gradient._spec.checks import check_spec
from paperspace.gradient.deployments import _arguments

ODD: list[Any] = [
    *(None, True, False, 0, -1, 80, 2**31, 10**5000, 1.5, float("nan"), float("inf"), "", "x", "a b", "\ud800", "\0"),
    *([], [None], ["x"], [[]], [{}], {}, {"name": None}, {"name": "x"}, {"value": "y"}, {1: 2}, (), ("x",), {"x"}),
    *(b"x", object(), threading.Lock(), lambda: 0, iter(()), range(3), type),
]


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Every place in a nested value."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path, *(place for key, entry in items for place in places(entry, (*path, key)))]


def put(value: Any, path: tuple[Any, ...], new: Any) -> Any:
    """A copy of a nested value with something else at a place."""
    if not path:
        return new
    inner = copy.copy(value)
    inner[path[0]] = put(value[path[0]], path[1:], new)
    return inner


def problems_of(spec: Any) -> list[str]:
    """The places that are wrong, which the one error names, too."""
    problems = list(check_spec(spec))
    if problems:
        with pytest.raises(InvalidSpecError) as caught:
            _arguments.require(problems)
        assert str(caught.value) == str(pickle.loads(pickle.dumps(caught.value)))
        assert len(str(caught.value)) < 5000
    return [problem.field for problem in problems]


@pytest.mark.parametrize("path", places(FULL))
def test_anything_anywhere(path: tuple[Any, ...]) -> None:
    """Any value at any place of a spec gives no other error than ours; what is wrong is named at or below that place."""
    for value in ODD:
        for place in problems_of(put(FULL, path, value)):
            assert place.startswith("spec")


def test_several_mistakes_at_once() -> None:
    """However many odd values there are, there is one error, and each place is named once."""
    chance = random.Random(1)  # the same each time
    for _ in range(500):
        spec: Any = FULL
        for _ in range(3):
            candidates = places(spec)
            spec = put(spec, chance.choice(candidates), chance.choice(ODD))
        found = problems_of(spec)
        assert len(found) == len(set(found))


def test_spec_in_itself() -> None:
    """A spec that holds itself, or is nested without end, is refused like any other."""
    spec: dict[str, Any] = {"image": "nginx"}
    spec["resources"] = spec
    assert problems_of(spec) != []
    deep: Any = {}
    for _ in range(100_000):
        deep = {"resources": deep}
    assert problems_of({"image": "nginx", "resources": deep}) == ["spec.resources.resources"]


@pytest.mark.parametrize(
    "spec",
    [
        {"image": "x", "env": {"SECRET": "hunter2"}},
        {"image": "x", "env": "SECRET=hunter2"},
        {"image": "x", "env": [{"name": "SECRET", "vlaue": "hunter2"}]},
        {"image": "x", "env": ["SECRET=hunter2"]},
        {"image": "x", "env": [{"name": "SECRET=hunter2", "value": ""}]},
        {"image": "x", "repositories": [{"password": "hunter2"}]},
        {"image": "x", "repositories": {"repositories": [{"name": "n", "url": "u", "pasword": "hunter2"}]}},
        {"image": "x", "repositories": {"repositories": {"password": "hunter2"}}},
    ],
)
def test_secrets_are_not_shown(spec: Any) -> None:
    """What may be a secret, however it is misspelt, is in no text, attribute or pickle of the error."""
    with pytest.raises(InvalidSpecError) as caught:
        _arguments.require(check_spec(spec))
    assert "hunter2" not in f"{caught.value}{caught.value!r}{caught.value.problems!r}"
    assert b"hunter2" not in pickle.dumps(caught.value)


def test_every_argument_at_once(client: Client) -> None:
    """All the arguments of a call are looked at, not only the first that is wrong."""
    with pytest.raises(InvalidArgumentError) as caught:
        client.deployments.create_deployment("", "", {}, "")
    assert [problem.field for problem in caught.value.problems] == ["name", "project_id", "spec.image", "cluster_id"]


@pytest.mark.parametrize(
    "path",
    [path for path in places(FULL) if isinstance(functools.reduce(operator.getitem, path, cast("Any", FULL)), str)],
)
def test_half_a_character(path: tuple[Any, ...]) -> None:
    """A string that no request can carry is refused at its place, once, and the rest of it is not shown."""
    found = [problem for problem in check_spec(put(FULL, path, "hunter2 \ud83d")) if problem.path == ("spec", *path)]
    assert len(found) == 1
    assert "hunter2" not in str(found) or path == ("protocol",)  # which is one of two words, and no secret


def test_half_a_character_elsewhere(client: Client) -> None:
    """So it is in the other arguments of a call."""
    with pytest.raises(InvalidArgumentError) as caught:
        client.deployments.create_deployment("\ud800", "\ud800", {"image": "x"}, "\ud800")
    assert [problem.field for problem in caught.value.problems] == ["name", "project_id", "cluster_id"]


def test_two_variables_of_one_name() -> None:
    """A name of an environment variable that is there already is refused where it is there again, without values."""
    entries = [{"name": name, "value": "hunter2"} for name in ("A", "B", "A", "A")]
    problems = list(check_spec({"image": "x", "env": entries}))
    assert [problem.field for problem in problems] == ["spec.env[2].name", "spec.env[3].name"]
    assert str(problems[0]) == "spec.env[2].name: expected a name other than that of env[0], got 'A'"


@pytest.mark.parametrize("key", [1, None, True, 1.5, (1, 2), b"x"])
def test_keys_that_are_no_strings(key: Any) -> None:
    """A key that is no string is no field, wherever it stands, in our words; what lies below it is not looked at."""
    endless: dict[Any, Any] = {"image": "x"}
    endless[key] = endless
    for spec, place in (
        ({"image": "x", key: "\ud800"}, "spec"),
        (endless, "spec"),
        (put(FULL, ("resources",), {key: 1}), "spec.resources"),
    ):
        [problem] = check_spec(spec)
        assert problem.field == f"{place}.{key if key != b'x' else repr(key)}"
        assert "unknown field" in str(problem)
        assert "a field name is a string; fields:" in str(problem)


@pytest.mark.parametrize(
    ("field", "hint"),
    [
        ({"instancetype": "A100"}, "did you mean 'instanceType'?"),
        ({"machineType": "A100"}, "use `instanceType`"),
        ({"ports": [80]}, "use `port`, beside `resources`"),
    ],
)
def test_hints(field: Any, hint: str) -> None:
    """A field of another name is recognised, that of an older spec too."""
    with pytest.raises(InvalidSpecError) as caught:
        _arguments.require(check_spec({"image": "nginx", "resources": field}))
    assert hint in str(caught.value)
