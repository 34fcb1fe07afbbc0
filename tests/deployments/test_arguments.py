"""Whatever is passed as a spec, it is either sent, or one error lists the path of every problem."""

from __future__ import annotations

import copy
import functools
import operator
import pickle
import random
import sys
import threading
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any, cast

import pytest
from tests.deployments.test_changes import FULL

from paperspace.gradient import Client, InvalidArgumentError, InvalidSpecError, deployments
from paperspace.gradient._core.custom_operations import require_variables
from paperspace.gradient._shared.problems import Problem
from paperspace.gradient._spec.checks import check_spec
from paperspace.gradient.aio import deployments as async_deployments
from paperspace.gradient.deployments import _arguments
from paperspace.gradient.server import LocalServer

ODD: list[Any] = [
    *(None, True, False, 0, -1, 80, 2**31, 10**5000, 1.5, float("nan"), float("inf"), "", "x", "a b", "\ud800", "\0"),
    *([], [None], ["x"], [[]], [{}], {}, {"name": None}, {"name": "x"}, {"value": "y"}, {1: 2}, (), ("x",), {"x"}),
    *(b"x", object(), threading.Lock(), lambda: 0, iter(()), range(3), type),
]


def paths_of(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """The path of every entry in a nested value."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path, *(inner for key, entry in items for inner in paths_of(entry, (*path, key)))]


def replaced(value: Any, path: tuple[Any, ...], new: Any) -> Any:
    """A copy of a nested value with another entry at a path."""
    if not path:
        return new
    inner = copy.copy(value)
    inner[path[0]] = replaced(value[path[0]], path[1:], new)
    return inner


def problems_of(spec: Any) -> list[Problem]:
    """The problems of a spec. If there are any, `require` raises one short error, which can be pickled."""
    problems = list(check_spec(spec))
    if problems:
        with pytest.raises(InvalidSpecError) as caught:
            _arguments.require(problems)
        assert str(caught.value) == str(pickle.loads(pickle.dumps(caught.value)))
        assert len(str(caught.value)) < 5000
    return problems


@pytest.mark.parametrize("path", paths_of(FULL))
def test_anything_anywhere(path: tuple[Any, ...]) -> None:
    """Any value at any path of a spec raises only our error, whose problems are at this path or below."""
    expected = ("spec", *path)
    # One rule compares two fields: maxReplicas must not be below replicas.
    related = ("spec", "resources", "autoscaling", "maxReplicas") if path == ("resources", "replicas") else expected
    for value in ODD:
        for problem in problems_of(replaced(FULL, path, value)):
            assert problem.path[: len(expected)] == expected or problem.path == related


def test_several_mistakes_at_once() -> None:
    """However many odd values a spec has, there is one error, and it lists each path once."""
    chance = random.Random(1)  # the same values in each run
    for _ in range(500):
        spec: Any = FULL
        for _ in range(3):
            spec = replaced(spec, chance.choice(paths_of(spec)), chance.choice(ODD))
        paths = [problem.field for problem in problems_of(spec)]
        assert len(paths) == len(set(paths))


@pytest.mark.parametrize(
    "arguments",
    [(), ("new name",), ("new name", "p"), ("new name", "p", FULL), ("new name", None, FULL), (None, None, FULL)],
    ids=["id", "name", "project", "spec", "spec without project", "spec alone"],
)
def test_id_as_the_first_argument(arguments: tuple[Any, ...]) -> None:
    """`update_deployment` as the retired client had it, with the id first, is an error that says how to pass the id."""
    with Client("a-key", "http://127.0.0.1:1/graphql") as client, pytest.raises(InvalidArgumentError) as caught:
        client.deployments.update_deployment("d4e74a9c-b125-4bd7-b143-8f5c386df8a9", *arguments)
    assert str(caught.value) == (
        "update_deployment: the first positional argument is the name, got an id; pass the id as id="
    )


def test_name_that_looks_like_an_id() -> None:
    """A deployment whose name is a UUID is updated by its name."""
    name = "d4e74a9c-b125-4bd7-b143-8f5c386df8a9"
    with LocalServer() as server, Client(server.api_key, server.url) as client:
        created = client.deployments.create_deployment(name, "p", FULL)
        assert client.deployments.update_deployment(name, "p", FULL) == created
        update: Any = client.deployments.update_deployment  # the types require a spec
        assert update(name, "p", cluster_id="c1") == created


@pytest.mark.parametrize("argument", ["name", "project_id", "cluster_id"])
def test_a_value_that_contains_itself(argument: str) -> None:
    """A list that contains itself, in place of a text, is an invalid argument."""
    endless: list[Any] = []
    endless.append(endless)
    arguments: Any = {argument: endless}
    with Client("a-key", "http://127.0.0.1:1/graphql") as client, pytest.raises(InvalidArgumentError) as caught:
        client.deployments.list_deployments(**arguments)
    assert str(caught.value) == f"{argument}: expected a non-empty string, got a value of type list"


@pytest.mark.parametrize("argument", ["name", "project_id", "cluster_id", "id"])
def test_spec_as_another_argument(argument: str) -> None:
    """A spec in place of another argument is not shown, as it may hold secrets."""
    arguments: Any = {"name": "n", "project_id": "p", argument: {"image": "hunter2"}}
    with Client("a-key", "http://127.0.0.1:1/graphql") as client, pytest.raises(InvalidArgumentError) as caught:
        client.deployments.update_deployment(**arguments)
    assert f"{argument}: expected " in str(caught.value)
    assert "got a value of type dict" in str(caught.value)
    assert "hunter2" not in repr(caught.value.problems)


def test_names_in_type_errors() -> None:
    """Python's error for a wrong argument has the public name of the function, in the sync and the async version."""
    wrong: Any = {"api_key": "k"}
    for functions in (deployments, async_deployments):
        for name in ("create_deployment", "get_deployment_logs", "scale_deployment", "patch_deployment"):
            with pytest.raises(TypeError, match=rf"^{name}\(\) got an unexpected keyword argument 'api_key'"):
                getattr(functions, name)("x", **wrong)


def test_spec_in_itself() -> None:
    """A spec that contains itself, or is nested very deeply, is rejected like any other."""
    spec: dict[str, Any] = {"image": "nginx"}
    spec["resources"] = spec
    assert problems_of(spec) != []
    deep: Any = {}
    for _ in range(100_000):
        deep = {"resources": deep}
    [problem] = problems_of({"image": "nginx", "resources": deep})
    assert problem.field == "spec.resources.resources"


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
    """A value that may be a secret, even in a misspelt field, is in no text, attribute or pickle of the error."""
    with pytest.raises(InvalidSpecError) as caught:
        _arguments.require(check_spec(spec))
    assert "hunter2" not in f"{caught.value}{caught.value!r}{caught.value.problems!r}"
    assert b"hunter2" not in pickle.dumps(caught.value)


def test_every_argument_at_once(client: Client) -> None:
    """One error lists the problems of all arguments of a call, not only the first."""
    with pytest.raises(InvalidArgumentError) as caught:
        client.deployments.create_deployment("", "", {}, "")
    assert [problem.field for problem in caught.value.problems] == ["name", "project_id", "spec.image", "cluster_id"]


@pytest.mark.parametrize(
    "path",
    [path for path in paths_of(FULL) if isinstance(functools.reduce(operator.getitem, path, cast("Any", FULL)), str)],
)
def test_half_a_character(path: tuple[Any, ...]) -> None:
    """A string that cannot be encoded is one problem at its path, and the rest of the string is not shown."""
    spec = replaced(FULL, path, "hunter2 \ud83d")
    problems = [problem for problem in check_spec(spec) if problem.path == ("spec", *path)]
    assert len(problems) == 1
    assert "hunter2" not in str(problems) or path == ("protocol",)  # an enum value is not a secret


def test_half_a_character_elsewhere(client: Client) -> None:
    """The same is true of the other arguments of a call."""
    with pytest.raises(InvalidArgumentError) as caught:
        client.deployments.create_deployment("\ud800", "\ud800", {"image": "x"}, "\ud800")
    assert [problem.field for problem in caught.value.problems] == ["name", "project_id", "cluster_id"]


def test_two_variables_of_one_name() -> None:
    """A repeated name of an environment variable is a problem at each repetition; values are not shown."""
    entries = [{"name": name, "value": "hunter2"} for name in ("A", "B", "A", "A")]
    problems = list(check_spec({"image": "x", "env": entries}))
    assert [problem.field for problem in problems] == ["spec.env[2].name", "spec.env[3].name"]
    assert str(problems[0]) == "spec.env[2].name: expected a unique name, got 'A' (env[0] has the same name)"


@pytest.mark.parametrize("key", [1, None, True, 1.5, (1, 2), b"x"])
def test_keys_that_are_no_strings(key: Any) -> None:
    """A key that is not a string is an unknown field, at any depth; values below it are not checked."""
    endless: dict[Any, Any] = {"image": "x"}
    endless[key] = endless
    for spec, parent in (
        ({"image": "x", key: "\ud800"}, "spec"),
        (endless, "spec"),
        (replaced(FULL, ("resources",), {key: 1}), "spec.resources"),
    ):
        [problem] = check_spec(spec)
        assert problem.field == f"{parent}.{key if key != b'x' else repr(key)}"
        assert "unknown field" in str(problem)
        assert "a field name must be a string; valid fields:" in str(problem)


@pytest.mark.parametrize(
    ("field", "hint"),
    [
        ({"instancetype": "A100"}, "did you mean 'instanceType'?"),
        ({"machineType": "A100"}, "use `resources.instanceType`"),
        ({"ports": [80]}, "use `port` at the top of the spec"),
    ],
)
def test_hints(field: Any, hint: str) -> None:
    """A misspelt field, or one of the older format, has a hint that names the right one."""
    with pytest.raises(InvalidSpecError) as caught:
        _arguments.require(check_spec({"image": "nginx", "resources": field}))
    assert hint in str(caught.value)


@pytest.mark.parametrize(
    ("autoscaling", "problems"),
    [
        ({"enabled": False}, []),
        ({"enabled": False, "maxReplicas": 1}, []),
        ({"enabled": False, "maxReplicas": -1}, ["expected an integer, 0 or more, got -1"]),
        ({}, ["missing; expected an integer, 2 or more"]),
        ({"enabled": True}, ["missing; expected an integer, 2 or more"]),
        ({"maxReplicas": 1}, ["expected an integer, 2 or more, got 1"]),
    ],
)
def test_limit_of_autoscaling(autoscaling: Any, problems: list[str]) -> None:
    """The limit is required and at least the number of replicas, except where autoscaling is disabled."""
    found = check_spec({"image": "nginx", "resources": {"replicas": 2, "autoscaling": autoscaling}})
    start = "resources.autoscaling.maxReplicas: "
    assert [problem.describe(root=1) for problem in found] == [f"{start}{problem}" for problem in problems]


@pytest.mark.parametrize(
    ("text", "ago"),
    [
        ("0s", timedelta(0)),
        ("90s", timedelta(seconds=90)),
        ("10m", timedelta(minutes=10)),
        ("2h", timedelta(hours=2)),
        ("1d", timedelta(days=1)),
    ],
)
def test_durations(text: str, ago: timedelta) -> None:
    """A duration is the time that has passed since then."""
    assert _arguments.parse_since(text) == ago


def test_times() -> None:
    """A datetime, and a time in ISO 8601, is that time."""
    moment = datetime(2024, 5, 17, 9, 30)  # noqa: DTZ001  # as `since` may be
    assert _arguments.parse_since(moment) == _arguments.parse_since("2024-05-17T09:30") == moment


@pytest.mark.parametrize("text", ["", "m", "-1m", "1.5h", "10", "10x", "²m", "9999999999999d", "yesterday"])
def test_no_time(text: str) -> None:
    """Everything else is refused, and nothing is sent."""
    with pytest.raises(ValueError, match=r"."):
        _arguments.parse_since(text)
    with pytest.raises(InvalidArgumentError, match=r"since: expected a datetime, a time such as"):
        _arguments.require(_arguments.check_since(text))


@pytest.fixture
def changing() -> Iterator[dict[str, Any]]:
    """A valid spec to which another thread adds fields and variables, and removes them, all the time."""
    spec: dict[str, Any] = {"image": "x", "env": [{"name": "A", "value": "1"}], "resources": {"replicas": 1}}
    stopped = threading.Event()

    def change() -> None:
        while not stopped.is_set():
            spec["port"] = 80
            spec["resources"]["instanceType"] = "C4"
            spec["env"].append({"name": "B", "value": "2"})
            del spec["port"], spec["resources"]["instanceType"], spec["env"][1:]

    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    thread = threading.Thread(target=change)
    thread.start()
    try:
        yield spec
    finally:
        stopped.set()
        thread.join()
        sys.setswitchinterval(interval)


def test_changed_by_another_thread(changing: dict[str, Any]) -> None:
    """Each field of a spec or of variables is checked and sent as it was when the call began, while a thread changes them."""
    for _ in range(1000):
        assert _arguments.create_input("n", "p", changing, None)["spec"]["image"] == "x"
        assert _arguments.update_input("n", "p", changing, None, None)["spec"]
        assert require_variables(changing)["image"] == "x"


def test_changed_after_the_call() -> None:
    """Arguments that are changed while a call runs are sent as they were at its start, also in nested values."""
    spec: dict[str, Any] = {"image": "x", "resources": {"replicas": 1}}
    desired = _arguments.create_input("n", "p", spec, None)
    variables = require_variables({"input": {"spec": spec}})
    spec["resources"]["replicas"] = spec["image"] = None
    assert desired["spec"] == {"image": "x", "resources": {"replicas": 1}}
    assert variables == {"input": {"spec": {"image": "x", "resources": {"replicas": 1}}}}


def test_copies_are_bounded() -> None:
    """A value that contains itself, or the same value many times, is copied once."""
    cyclic: dict[str, Any] = {"image": "x"}
    cyclic["resources"] = cyclic
    with pytest.raises(InvalidSpecError, match=r"resources\.image: unknown field"):
        _arguments.create_input("n", "p", cyclic, None)
    shared: list[Any] = ["x"]
    for _ in range(30):
        shared = [shared] * 10
    with pytest.raises(InvalidSpecError, match=r"command\[0\]: expected a string"):
        _arguments.create_input("n", "p", {"image": "x", "command": shared}, None)
