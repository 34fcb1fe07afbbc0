"""Functions find a deployment by its name, in one project or in all, as well as by its id."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from click.testing import CliRunner
from tests.faults.harness import CANARY
from tests.faults.server import ID, OTHER_ID, FaultServer
from tests.samples import SPEC

from paperspace.gradient import (
    APITimeoutError,
    AsyncClient,
    Client,
    ConflictError,
    InvalidArgumentError,
    NotFoundError,
    OutcomeUnknownError,
)
from paperspace.gradient.cli.main import main
from paperspace.gradient.pytest_plugin import GradientServer

pytestmark = pytest.mark.usefixtures("environment")

# Each function that takes an id, with its other arguments. The order matters: the last one deletes.
CALLS: dict[str, dict[str, Any]] = {
    "get_deployment": {},
    "get_deployment_spec": {},
    "get_deployment_status": {},
    "get_deployment_history": {},
    "iter_deployment_history": {"first": 1},
    "get_deployment_events": {"first": 1},
    "get_deployment_metrics": {},
    "get_deployment_logs": {"tail": 1},
    "watch_deployment": {},
    "wait_for_deployment": {},
    "scale_deployment": {"replicas": 2},
    "patch_deployment": {"image": "nginx"},
    "rollback_deployment": {"previous": True},
    "restart_deployment": {},
    "stop_deployment": {},
    "start_deployment": {},
    "delete_deployment": {},
}
ITERATORS = {"get_deployment_logs", "iter_deployment_history", "watch_deployment"}


def functions_with_an_id() -> set[str]:
    """The public functions whose first parameter is an id."""
    import inspect

    from paperspace.gradient import deployments

    return {
        name
        for name in deployments.__all__
        if next(iter(inspect.signature(getattr(deployments, name)).parameters)) == "id"
    }


def test_every_function_is_tested() -> None:
    """The table has every function that takes an id."""
    assert set(CALLS) == functions_with_an_id()


def sync_call(client: Client, function: str, **arguments: Any) -> Any:
    result = getattr(client.deployments, function)(**arguments)
    return list(result) if function in ITERATORS else result


def async_call(client: Client, function: str, **arguments: Any) -> Any:
    async def call() -> Any:
        async with AsyncClient(client._session.settings.api_key, client._session.settings.api_url) as other:
            result = getattr(other.deployments, function)(**arguments)
            return [item async for item in result] if function in ITERATORS else await result

    return asyncio.run(call())


@pytest.mark.parametrize(
    "function",
    sorted(CALLS.keys() - ITERATORS - {"get_deployment_history", "get_deployment_events", "wait_for_deployment"}),
)
def test_one_timeout(gradient_server: GradientServer, function: str) -> None:
    """The timeout limits the whole call: the search for the name, and what follows."""
    with Client(gradient_server.api_key, gradient_server.url, timeout=1.0) as client:
        client.with_options(timeout=60.0).deployments.create_deployment("one", "p", SPEC)
        gradient_server.delay(0.6, 2)
        with pytest.raises((APITimeoutError, OutcomeUnknownError)):
            getattr(client.deployments, function)(name="one", **CALLS[function])


CALLERS = pytest.mark.parametrize("call", [sync_call, async_call])
Call = Callable[..., Any]


@CALLERS
@pytest.mark.parametrize("function", CALLS)
def test_same_result(client: Client, call: Call, function: str) -> None:
    """A call with the name returns what a call with the id returns: for reads and, on a second deployment, for changes."""
    ids = [client.deployments.create_deployment(name, "p", SPEC, wait=True)["id"] for name in ("one", "two")]
    if function == "rollback_deployment":
        for id_ in ids:
            client.deployments.scale_deployment(id_, 3)
    by_id = call(client, function, id=ids[0], **CALLS[function])
    name = "one" if function.startswith(("get_", "iter_", "watch_", "wait_")) else "two"
    by_name = call(client, function, name=name, project_id="p", **CALLS[function])
    if name == "one":
        assert by_name == by_id
    else:
        assert [by_id["id"], by_name["id"]] == ids
        states = [client.deployments.list_deployments(each, "p") for each in ("one", "two")]
        data = [[spec["data"] for entry in state for spec in entry["deploymentSpecs"]["nodes"]] for state in states]
        assert data[0] == data[1]


@CALLERS
def test_ambiguous_and_unknown_names(client: Client, call: Call) -> None:
    """A name that several deployments have is an error that lists them; one that none has is not found. Nothing is changed."""
    first = client.deployments.create_deployment("same", "p", SPEC)["id"]
    second = client.deployments.create_deployment("same", "q", {**SPEC, "image": "nginx"})["id"]
    for function, others in CALLS.items():
        with pytest.raises(ConflictError) as caught:
            call(client, function, name="same", **others)
        assert str(caught.value.args[0]).splitlines() == [
            "2 deployments are named 'same'; pass project_id= or id= to choose one:",
            f"  {second}  nginx",
            f"  {first}  {SPEC['image']}",
        ]
        with pytest.raises(NotFoundError, match="no deployment is named 'other' in project 'p'"):
            call(client, function, name="other", project_id="p", **others)
    assert [len(entry["deploymentSpecs"]["nodes"]) for entry in client.deployments.list_deployments()] == [1, 1]


def test_several_deployments_without_a_spec() -> None:
    """Several deployments with the name are listed, although the server sends no spec of them."""
    with FaultServer() as server, Client(CANARY, server.url) as client:
        with pytest.raises(ConflictError, match=f"2 deployments are named 'mine'.*\n  {ID}\n  {OTHER_ID}"):
            client.deployments.delete_deployment(name="mine")
        config = {"PAPERSPACE_API_KEY": CANARY, "PAPERSPACE_API_URL": server.url}
        shown = CliRunner(env=config).invoke(main, ["deployments", "delete", "mine", "--yes"])
    assert f"Error: 2 deployments are named mine. Pass --project-id, or one of these ids:\n  {ID}\n" in shown.stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({}, "id: expected an id, or name=, got None"),
        ({"project_id": "p"}, "id: expected an id, or name=, got None"),
        ({"id": "mnist"}, r"id: expected a UUID .* got 'mnist' \(pass a name as name=\)"),
        ({"id": ""}, "id: expected a UUID .* got ''$"),
        ({"name": ""}, "name: expected a non-empty string, got ''"),
        (
            {"id": f"{0:08}-0000-0000-0000-000000000000", "name": "n"},
            "name: expected no value, because an id is passed",
        ),
    ],
)
def test_invalid(client: Client, wire: list[Any], arguments: Any, message: str) -> None:
    """Neither, both, or a name in place of an id: each function says what to pass, and sends nothing."""
    for function, others in CALLS.items():
        with pytest.raises(InvalidArgumentError, match=message):
            sync_call(client, function, **arguments, **others)
    assert wire == []
