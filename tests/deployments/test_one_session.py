"""A call has one session, although `configure` may replace that of the default client while it runs."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Generator
from contextlib import suppress
from itertools import chain, repeat
from typing import Any

import pytest
from tests.samples import SPEC, spec

from paperspace.gradient import Client, DeploymentFailedError
from paperspace.gradient._core.session import Session
from paperspace.gradient.aio import deployments
from paperspace.gradient.deployments import Deployments
from paperspace.gradient.deployments._api import AsyncDeployments
from paperspace.gradient.pytest_plugin import GradientServer

NAMED = {"name": "mnist", "project_id": "p"}
WAITING = {"wait": True, "wait_timeout": 60}

# Each function takes a name, which is looked up first, and waits, if it can.
CALLS: dict[str, Callable[[Any], Any]] = {
    "apply_deployment": lambda functions: functions.apply_deployment("mnist", "p", spec(port=3), **WAITING),
    "create_deployment": lambda functions: functions.create_deployment("other", "p", SPEC, **WAITING),
    "delete_deployment": lambda functions: functions.delete_deployment(**NAMED),
    "diff_deployment": lambda functions: functions.diff_deployment("mnist", "p", SPEC),
    "get_deployment": lambda functions: functions.get_deployment(**NAMED),
    "get_deployment_events": lambda functions: functions.get_deployment_events(**NAMED),
    "get_deployment_history": lambda functions: functions.get_deployment_history(**NAMED),
    "get_deployment_logs": lambda functions: functions.get_deployment_logs(**NAMED),
    "get_deployment_metrics": lambda functions: functions.get_deployment_metrics(**NAMED),
    "get_deployment_spec": lambda functions: functions.get_deployment_spec(**NAMED),
    "get_deployment_status": lambda functions: functions.get_deployment_status(**NAMED),
    "iter_deployment_history": lambda functions: functions.iter_deployment_history(**NAMED),
    "iter_deployments": lambda functions: functions.iter_deployments(),
    "list_deployment_statuses": lambda functions: functions.list_deployment_statuses(),
    "list_deployments": lambda functions: functions.list_deployments(),
    "patch_deployment": lambda functions: functions.patch_deployment(**NAMED, replicas=2, **WAITING),
    "restart_deployment": lambda functions: functions.restart_deployment(**NAMED, **WAITING),
    "rollback_deployment": lambda functions: functions.rollback_deployment(**NAMED, previous=True, **WAITING),
    "scale_deployment": lambda functions: functions.scale_deployment(**NAMED, replicas=2, **WAITING),
    "start_deployment": lambda functions: functions.start_deployment(**NAMED, **WAITING),
    "stop_deployment": lambda functions: functions.stop_deployment(**NAMED, **WAITING),
    "update_deployment": lambda functions: functions.update_deployment("mnist", "p", spec(port=3), **WAITING),
    "wait_for_deployment": lambda functions: functions.wait_for_deployment(**NAMED, timeout=60),
    "watch_deployment": lambda functions: functions.watch_deployment(**NAMED, timeout=60),
}


def run_sync(call: Callable[[Any], Any], session: Callable[[], Session]) -> None:
    """Run the sync version of a call."""
    result = call(Deployments(session))
    if isinstance(result, Generator):
        list(result)


def run_async(call: Callable[[Any], Any], session: Callable[[], Session]) -> None:
    """Run the async version of a call."""

    async def main() -> None:
        result = call(AsyncDeployments(session))
        if isinstance(result, AsyncGenerator):
            [_ async for _ in result]
        else:
            await result

    asyncio.run(main())


def test_every_function() -> None:
    """The tests below call every function that sends requests."""
    assert set(CALLS) == set(deployments.__all__) - {"load_spec", "load_specs"}


@pytest.mark.parametrize("fails", [False, True])
@pytest.mark.parametrize("name", CALLS)
def test_one_session(gradient_server: GradientServer, name: str, fails: bool) -> None:
    """All requests of a call go to the server that the default client had at its start, also those about a failed wait."""
    with (
        Client(gradient_server.api_key, gradient_server.url, max_poll_interval=0.05) as client,
        GradientServer() as other_server,
        Client(other_server.api_key, other_server.url) as other,
    ):
        for run in (run_sync, run_async):
            created = client.deployments.create_deployment("mnist", "p", SPEC)["id"]
            client.deployments.update_deployment(id=created, spec=spec(port=2))
            if fails:
                gradient_server.fail("mnist")
                gradient_server.advance(minutes=1)
            sessions = chain([client._session], repeat(other._session))
            with suppress(DeploymentFailedError):
                run(CALLS[name], sessions.__next__)
            for entry in client.deployments.list_deployments():
                client.deployments.delete_deployment(entry["id"])
            gradient_server.recover("mnist")
        assert other_server.requests == []
