"""The documented functions do what docs/deployments-sdk.md says, to the letter."""

from __future__ import annotations

import ast
import asyncio
import inspect
import re
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from tests.samples import SPEC
from tools import TOP

from paperspace.gradient import aio, deployments
from paperspace.gradient.aio import deployments as async_deployments

PAGE = TOP / "docs/deployments-sdk.md"

# The reference, if it lies beside the checkout, is compared with the page.
REFERENCE = PAGE.parents[2] / "shared/reference/deployments-sdk.md"


class Documented(NamedTuple):
    """A function of the page: its parameters in order, and an example of its result."""

    parameters: list[str]
    response: Any


def read(page: Path) -> dict[str, Documented]:
    """The functions that a page documents."""
    functions = {}
    for section in page.read_text(encoding="utf-8").split("\n## ")[1:]:
        name = re.match(r"`(\w+)\(\)`", section)
        assert name is not None
        request, response = re.findall(r"```(?:text no-run: [^\n]*)?\n(.*?)```", section, re.DOTALL)[:2]
        call = ast.parse(request).body[-1]
        assert isinstance(call, ast.Assign)
        assert isinstance(call.value, ast.Call)
        parameters = [keyword.arg or "" for keyword in call.value.keywords]
        functions[name[1]] = Documented(parameters, ast.literal_eval(response.strip()))
    return functions


DOCUMENTED = read(PAGE)


def shape(value: Any) -> Any:
    """The keys of a response, nested, with the types at the leaves."""
    if isinstance(value, dict):
        return {key: shape(entry) for key, entry in value.items()}
    if isinstance(value, list):
        return [shape(entry) for entry in value]
    return type(value)


class Calls(NamedTuple):
    """The sync or the async version of the functions, with the same way to call both."""

    module: Any

    def __call__(self, function: str, *args: Any, **kwargs: Any) -> Any:
        result = getattr(self.module, function)(*args, **kwargs)
        return asyncio.run(result) if inspect.iscoroutine(result) else result


VERSIONS = [pytest.param(Calls(deployments), id="sync"), pytest.param(Calls(async_deployments), id="async")]


def test_page_holds_the_five_functions() -> None:
    """The page documents these five functions, and no others."""
    assert list(DOCUMENTED) == [
        "create_deployment",
        "update_deployment",
        "delete_deployment",
        "list_deployments",
        "get_deployment",
    ]


@pytest.mark.skipif(not REFERENCE.exists(), reason="the reference is not part of the repository")
def test_page_equals_the_reference() -> None:
    """The page has the same functions, parameters and structures of results as the reference."""
    documented, reference = (
        {name: (entry.parameters, shape(entry.response)) for name, entry in read(page).items()}
        for page in (PAGE, REFERENCE)
    )
    assert documented == reference


@pytest.mark.parametrize("module", [deployments, aio.deployments])
@pytest.mark.parametrize("name", DOCUMENTED)
def test_signature(module: Any, name: str) -> None:
    """The positional parameters are the documented ones, in the documented order; others are keyword-only."""
    parameters = inspect.signature(getattr(module, name)).parameters
    positional = [key for key, parameter in parameters.items() if parameter.kind is not parameter.KEYWORD_ONLY]
    assert positional == DOCUMENTED[name].parameters


@pytest.mark.usefixtures("environment")
@pytest.mark.parametrize("call", VERSIONS)
@pytest.mark.parametrize("by_keyword", [True, False])
def test_calls_return_the_documented_keys(call: Calls, *, by_keyword: bool) -> None:
    """Each call, by keyword and by position, returns exactly the documented keys, nested, with the documented types."""

    def run(function: str, *values: Any) -> Any:
        if by_keyword:
            return call(function, **dict(zip(DOCUMENTED[function].parameters, values, strict=False)))
        return call(function, *values)

    results = {}
    results["create_deployment"] = run("create_deployment", "Test Deployment", "p1", SPEC, None)
    created = results["create_deployment"]["id"]
    results["get_deployment"] = run("get_deployment", created)
    results["list_deployments"] = run("list_deployments", "Test Deployment", "p1", None, 100)
    results["update_deployment"] = run("update_deployment", "Test Deployment", "p1", SPEC, None)
    results["delete_deployment"] = run("delete_deployment", created)

    documented = {name: shape(entry.response) for name, entry in DOCUMENTED.items()}
    assert {name: shape(result) for name, result in results.items()} == documented


@pytest.mark.usefixtures("environment")
def test_cluster_of_a_create_reads_back_by_the_list() -> None:
    """A deployment is listed under the cluster that it was created on, and under no other."""
    created = deployments.create_deployment("clustered", "p1", SPEC, "cl-1")
    assert [entry["id"] for entry in deployments.list_deployments(cluster_id="cl-1")] == [created["id"]]
    assert deployments.list_deployments(cluster_id="cl-2") == []
