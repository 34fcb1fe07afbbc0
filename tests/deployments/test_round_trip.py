"""A spec that is read can be written back: nothing is lost, and nothing differs."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from itertools import count
from types import NoneType, UnionType
from typing import Any, Literal, NotRequired, Union, get_args, get_origin, get_type_hints

import pytest
import yaml
from click.testing import CliRunner
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.deployments.test_changes import NOTHING
from tests.samples import API_KEY
from typing_extensions import is_typeddict

from paperspace.gradient import Client
from paperspace.gradient._shared.spec_rules import CHECK_DEFAULTS, HEALTH_CHECKS, MAX_INT, METRICS, SUMMARIES
from paperspace.gradient._spec.checks import check_spec
from paperspace.gradient.cli.main import main
from paperspace.gradient.server import LocalServer
from paperspace.gradient.types import DeploymentSpecInput


def texts(characters: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    """Return short texts, some with variables. A spec cannot have hidden values."""
    text = st.text(characters, max_size=20) | st.sampled_from(["${NAME}", "a:${NAME:-b}", "$$", "010", "22:22"])
    return text.filter(lambda text: "(hidden)" not in text)


TEXT = texts(st.characters(exclude_categories=["Cs", "Cc"]))
LINES = texts(st.characters(exclude_categories=["Cs", "Cc"]) | st.sampled_from("\n\r\t"))
WORD = st.text(st.characters(categories=["L", "N"], include_characters="-_./"), min_size=1, max_size=20)
REPLICAS = st.integers(0, 5)

CHECK_VALUES: dict[tuple[str, ...], st.SearchStrategy[Any]] = {
    ("path",): st.text(st.characters(min_codepoint=33, max_codepoint=126), max_size=20).map("/".__add__),
    ("port",): st.integers(1, 65535),
    ("host",): WORD,
    ("headers", "name"): st.from_regex("[A-Za-z-]{1,10}", fullmatch=True),
    ("exec", "command"): LINES.filter(bool),
    **{(field,): st.integers(min(default, 1), MAX_INT) for field, default in CHECK_DEFAULTS.items()},
}

# The values that the rules of a spec allow, where the type of the field allows more.
VALUES: dict[tuple[str, ...], st.SearchStrategy[Any]] = {
    ("image",): WORD | st.sampled_from([":image", "example/x:${TAG}"]),
    ("port",): st.integers(1, 65535),
    ("command",): LINES,
    ("env", "value"): texts(st.characters(exclude_categories=["Cs"], exclude_characters="\0")),
    ("env", "name"): TEXT.filter(lambda name: bool(name) and "=" not in name),
    ("models", "id"): WORD,
    ("endpointSecurity", "secret"): WORD,
    ("resources", "replicas"): REPLICAS,
    ("resources", "autoscaling", "maxReplicas"): st.integers(5, MAX_INT),
    ("resources", "autoscaling", "metrics", "metric"): st.sampled_from(METRICS),
    ("resources", "autoscaling", "metrics", "summary"): st.sampled_from(SUMMARIES),
    ("resources", "autoscaling", "metrics", "value"): st.floats(1e-6, 1e6),
    **{("healthChecks", check, *path): values for check in HEALTH_CHECKS for path, values in CHECK_VALUES.items()},
}

# Fields that the types allow to be null or absent, and the rules do not.
REQUIRED = {
    ("image",),
    ("models", "id"),
    ("resources", "autoscaling", "maxReplicas"),
    ("resources", "autoscaling", "metrics", "metric"),
    ("resources", "autoscaling", "metrics", "value"),
    *(("healthChecks", check, field) for check in HEALTH_CHECKS for field in ("path", "exec")),
}

# The fields of a check that is a command, and of one that is a request.
ONLY_COMMAND, ONLY_REQUEST = {"exec"}, {"path", "port", "host", "headers"}

BASIC: dict[Any, st.SearchStrategy[Any]] = {
    str: TEXT,
    bool: st.booleans(),
    int: st.integers(0, MAX_INT),
    float: st.floats(1e-6, 1e6),
}


def values(annotation: Any, path: tuple[str, ...] = ()) -> st.SearchStrategy[Any]:
    """Return the values of a field, from its type and the rules."""
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is NotRequired:
        return values(arguments[0], path)
    if origin in {Union, UnionType}:
        [inner] = [argument for argument in arguments if argument is not NoneType]
        return values(inner, path) if path in REQUIRED else st.none() | values(inner, path)
    if origin is list:
        unique = (lambda item: item["name"]) if path == ("env",) else None
        return st.lists(
            values(arguments[0], path), min_size=path[-2:] == ("exec", "command"), max_size=3, unique_by=unique
        )
    if origin is Literal:
        return st.sampled_from(arguments)
    if is_typeddict(annotation):
        hints = get_type_hints(annotation, include_extras=True)
        fields = {name: values(hint, (*path, name)) for name, hint in hints.items()}
        required = {name for name in fields if (*path, name) in REQUIRED or name in annotation.__required_keys__}
        kinds = [ONLY_COMMAND, ONLY_REQUEST] if path[:-1] == ("healthChecks",) else [set[str]()]
        return st.one_of([dicts(fields, required, without) for without in kinds])
    return VALUES[path] if path in VALUES else BASIC[annotation]


def dicts(fields: dict[str, st.SearchStrategy[Any]], required: set[str], without: set[str]) -> st.SearchStrategy[Any]:
    """Return dicts with these fields, of which some are required and some are left out."""
    return st.fixed_dictionaries(
        {name: fields[name] for name in fields if name in required - without},
        optional={name: fields[name] for name in fields if name not in required | without},
    )


SPECS = values(DeploymentSpecInput)

NUMBERS = count()

without_limits = settings(
    database=None,
    max_examples=60,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


def expected(value: Any) -> Any:
    """Return a spec without nulls."""
    if isinstance(value, dict):
        return {key: expected(entry) for key, entry in value.items() if entry is not None}
    return [expected(entry) for entry in value] if isinstance(value, list) else value


def filled_in(spec: dict[str, Any]) -> dict[str, Any]:
    """Return a spec without nulls, with the defaults of the fields that are never null in a response."""
    spec = expected(spec)
    resources = {"replicas": 1, **spec.get("resources", {})}
    if "autoscaling" in resources:
        metrics = [{"summary": "average", **metric} for metric in resources["autoscaling"].get("metrics", [])]
        resources["autoscaling"] = {**resources["autoscaling"], "metrics": metrics}
    return {**spec, "resources": resources}


@pytest.fixture(scope="module")
def shared() -> Iterator[LocalServer]:
    """A server for all examples."""
    with LocalServer(api_key=API_KEY) as server:
        yield server


@given(SPECS)
@without_limits
def test_generated_specs_are_valid(spec: Any) -> None:
    """The generated specs follow the rules."""
    assert list(check_spec(spec)) == []


@given(SPECS)
@without_limits
def test_read_and_write_back(shared: LocalServer, spec: Any) -> None:
    """A spec is read as it was created, and written back it makes no difference, by every function."""
    name = f"n{next(NUMBERS)}"
    with Client(shared.api_key, shared.url) as client:
        deployments = client.deployments
        created = deployments.create_deployment(name, "p", spec)["id"]
        read = deployments.get_deployment_spec(created)
        assert read == filled_in(spec)
        assert deployments.diff_deployment(name, "p", read) == NOTHING
        assert deployments.apply_deployment(name, "p", read)["action"] == "unchanged"
        deployments.update_deployment(id=created, spec=read)
        assert deployments.get_deployment_spec(created) == read
        assert deployments.get_deployment_history(created)[0]["difference"]["changes"] == []


@given(SPECS)
@settings(without_limits, max_examples=30)
def test_the_command_prints_what_it_reads(shared: LocalServer, monkeypatch: pytest.MonkeyPatch, spec: Any) -> None:
    """`get --spec` prints a file that `update --spec -` takes back without a difference."""
    monkeypatch.setenv("PAPERSPACE_API_URL", shared.url)
    monkeypatch.setenv("PAPERSPACE_API_KEY", shared.api_key)
    name = f"c{next(NUMBERS)}"
    with Client(shared.api_key, shared.url) as client:
        created = client.deployments.create_deployment(name, "p", spec)["id"]
        formats: list[tuple[list[str], Callable[[str], Any]]] = [([], yaml.safe_load), (["-o", "json"], json.loads)]
        for output, read in formats:
            printed = CliRunner().invoke(main, ["deployments", "get", name, "--spec", *output])
            content = {key: value for key, value in read(printed.stdout).items() if key != "x-literal"}
            assert content == filled_in(spec)
            updated = CliRunner().invoke(main, ["deployments", "update", name, "--spec", "-"], input=printed.stdout)
            assert (updated.stdout, updated.exit_code) == (f"Updated deployment: {created}\n", 0)
            assert client.deployments.get_deployment_spec(created) == filled_in(spec)
        assert len(client.deployments.get_deployment(created)["deploymentSpecs"]["nodes"]) == 3
