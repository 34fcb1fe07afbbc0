"""The actions and streams of the page of one deployment, with a real server."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from typing import Any

import pytest

from paperspace.gradient import AsyncClient, InvalidArgumentError, NotFoundError
from paperspace.gradient._spec.diff import difference
from paperspace.gradient.console import deployment_streams
from paperspace.gradient.console.calls import Arguments
from paperspace.gradient.console.deployment_actions import ACTIONS
from paperspace.gradient.console.deployment_streams import STREAMS
from paperspace.gradient.types import LogLine

pytestmark = pytest.mark.anyio

SPEC: Any = {"image": "nginx", "env": [{"name": "KEY", "value": "secret-1"}, {"name": "MODE", "value": "secret-2"}]}


@pytest.fixture
async def id_(aclient: AsyncClient) -> str:
    """The id of a deployment that is ready."""
    return (await aclient.deployments.create_deployment("mnist", "p1", SPEC, wait=True))["id"]


async def call(client: AsyncClient, name: str, /, **arguments: Any) -> Any:
    return await ACTIONS[name](client, Arguments(arguments))


def stream(client: AsyncClient, name: str, /, **arguments: Any) -> AsyncGenerator[Any]:
    return STREAMS[name](client, Arguments(arguments))


async def test_actions_change_the_deployment(aclient: AsyncClient, id_: str) -> None:
    """Scale, stop, start and restart each do what the function of the same name does."""
    await call(aclient, "scale", id=id_, replicas=3)
    assert (await aclient.deployments.get_deployment_status(id_))["replicas"] == 3
    await call(aclient, "stop", id=id_)
    assert (await aclient.deployments.get_deployment_spec(id_))["enabled"] is False
    await call(aclient, "start", id=id_)
    assert (await aclient.deployments.get_deployment_spec(id_))["enabled"] is True
    before = len(await aclient.deployments.get_deployment_history(id_))
    await call(aclient, "restart", id=id_)
    assert len(await aclient.deployments.get_deployment_history(id_)) == before + 1


async def test_a_delete_needs_the_name(aclient: AsyncClient, id_: str) -> None:
    """With another name than that of the deployment, nothing is deleted."""
    with pytest.raises(InvalidArgumentError, match="another name, 'mnist'"):
        await call(aclient, "delete", id=id_, name="mnis")
    assert await aclient.deployments.get_deployment_status(id_)
    await call(aclient, "delete", id=id_, name="mnist")
    with pytest.raises(NotFoundError):
        await aclient.deployments.get_deployment_status(id_)


async def test_a_rollback_changes_what_was_said_before(aclient: AsyncClient, id_: str) -> None:
    """The changes of a rollback are those between the two specs, also if a value has changed and changed back."""
    api = aclient.deployments
    await api.patch_deployment(id_, env={"KEY": "secret-3", "MODE": "secret-4"}, replicas=2)
    await api.patch_deployment(id_, env={"KEY": "secret-1", "NEW": "secret-5"}, image="nginx:2")
    await api.patch_deployment(id_, image="nginx", replicas=4, unset_env=["MODE"])
    history = await api.get_deployment_history(id_)
    for revision in history:
        changes = await call(aclient, "rollback-changes", id=id_, to=revision["id"])
        assert "secret" not in json.dumps(changes)
        newest, earlier = (without_null(entry["data"]) for entry in (history[0], revision))
        wanted = difference(newest, earlier)["changes"]
        assert sorted(changes, key=str) == sorted(wanted, key=str)
    await call(aclient, "roll-back", id=id_, to=history[-1]["id"])
    assert without_null(await api.get_deployment_spec(id_))["env"] == SPEC["env"]


def without_null(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: without_null(entry) for key, entry in value.items() if entry is not None}
    return value


async def test_a_rollback_to_nothing_is_refused(aclient: AsyncClient, id_: str) -> None:
    """A revision that the deployment does not have is an error."""
    with pytest.raises(InvalidArgumentError, match="no revision"):
        await call(aclient, "rollback-changes", id=id_, to=id_)


async def test_metrics_are_those_of_the_library(aclient: AsyncClient, id_: str) -> None:
    """A simulated deployment has none, and an invalid time is an error."""
    assert await call(aclient, "metrics", id=id_, since="15m") == []
    with pytest.raises(InvalidArgumentError):
        await call(aclient, "metrics", id=id_, since="yesterday")


async def test_the_stream_of_a_deployment_has_what_changes(
    aclient: AsyncClient, id_: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """First everything, then each part when it changes, and at last that the deployment is deleted. Secrets stay in Python."""
    monkeypatch.setattr(deployment_streams, "FAST_POLL", 0.01)
    monkeypatch.setattr(deployment_streams, "SLOW_POLL", 0.01)
    async with aclosing(stream(aclient, "deployment", id=id_)) as values:
        first = await anext(values)
        assert set(first) == {"status", "events", "revisions", "sentence", "reason", "lanes"}
        assert first["status"]["state"] == "ready"
        assert [revision["number"] for revision in first["revisions"]] == [1]
        await aclient.deployments.scale_deployment(id_, 2)
        changes = await anext(values)
        assert changes["status"]["replicas"] == 2
        assert [revision["number"] for revision in changes["revisions"]] == [2, 1]
        while changes.get("status", first["status"])["readyReplicas"] < 2:
            changes = await anext(values)
            assert "revisions" not in changes
        assert "secret" not in json.dumps([first, changes])
        following = asyncio.ensure_future(anext(values))
        await asyncio.wait({following}, timeout=0.3)
        assert not following.done()  # nothing has changed
        await aclient.deployments.delete_deployment(id_)
        rest = [await following, *[value async for value in values]]
    assert rest[-1] == {"deleted": True}


async def test_the_stream_reads_only_new_revisions(
    aclient: AsyncClient, id_: str, monkeypatch: pytest.MonkeyPatch, wire: list[dict[str, Any]]
) -> None:
    """After the first time, a change of a deployment with many revisions reads one small page of them."""
    monkeypatch.setattr(deployment_streams, "FAST_POLL", 0.01)
    monkeypatch.setattr(deployment_streams, "SLOW_POLL", 0.01)
    for replicas in range(2, 62):
        await aclient.deployments.update_deployment(id=id_, spec={**SPEC, "resources": {"replicas": replicas}})
    async with aclosing(stream(aclient, "deployment", id=id_)) as values:
        before = (await anext(values))["revisions"]
        assert [revision["number"] for revision in before] == [*range(61, 0, -1)]
        wire.clear()
        await aclient.deployments.update_deployment(id=id_, spec={**SPEC, "image": "nginx:2"})
        changes = await anext(values)
        while "revisions" not in changes:
            changes = await anext(values)
    assert [revision["number"] for revision in changes["revisions"]] == [*range(62, 0, -1)]
    assert changes["revisions"][1:] == before
    pages = [request["variables"]["first"] for request in wire if request["operationName"] == "DeploymentHistory"]
    assert pages == [10]


async def test_the_stream_of_no_deployment_says_so(aclient: AsyncClient) -> None:
    """A deployment that does not exist counts as deleted."""
    values = stream(aclient, "deployment", id="00000000-0000-0000-0000-000000000000")
    assert [value async for value in values] == [{"deleted": True}]


async def test_log_lines_are_in_order(aclient: AsyncClient, id_: str) -> None:
    """The stream has the lines of the library, each once, until the deployment is stopped."""
    await aclient.deployments.stop_deployment(id_)
    await aclient.deployments.wait_for_deployment(id_)
    wanted = [line async for line in aclient.deployments.get_deployment_logs(id_)]
    received = [line async for value in stream(aclient, "logs", id=id_, follow=True) for line in value["lines"]]
    assert received == [[line["instanceName"], line["line"], line["dtCreated"], line["message"]] for line in wanted]
    assert [value["lines"] async for value in stream(aclient, "logs", id=id_, tail=1)] == [[], received[-1:]]


async def test_the_log_of_an_instance_without_one_is_an_error(aclient: AsyncClient, id_: str) -> None:
    """The error of the library ends the stream."""
    values = stream(aclient, "logs", id=id_, instance="none")
    assert await anext(values) == {"lines": []}
    with pytest.raises(NotFoundError):
        await anext(values)


def line(number: int) -> LogLine:
    return {"instanceName": "one", "line": number, "message": str(number), "dtCreated": "2024-05-17T09:30:00.000Z"}


async def test_lines_are_batched_without_waiting() -> None:
    """Lines that are there together are one batch, up to the limit; a later line does not wait for others."""
    more = asyncio.Event()

    async def lines() -> AsyncIterator[LogLine]:
        for number in range(deployment_streams.BATCH + 3):
            yield line(number)
        await more.wait()
        yield line(-1)

    async with aclosing(deployment_streams._batches(lines())) as batches:  # type: ignore[arg-type]
        first = await anext(batches)
        second = await anext(batches)
        assert [len(first), len(second)] == [deployment_streams.BATCH, 3]
        more.set()
        assert [entry["line"] for entry in await anext(batches)] == [-1]
        with pytest.raises(StopAsyncIteration):
            await anext(batches)


async def test_lines_before_an_error_are_kept() -> None:
    """An error of the library comes after the lines that were read before it."""

    async def lines() -> AsyncIterator[LogLine]:
        yield line(1)
        raise NotFoundError("gone")

    batches = deployment_streams._batches(lines())  # type: ignore[arg-type]
    assert len(await anext(batches)) == 1
    with pytest.raises(NotFoundError):
        await anext(batches)


async def test_a_stream_that_is_left_ends_its_reading() -> None:
    """When the page is closed, the generator of the library is closed too, also while it waits for a reader."""
    closed = asyncio.Event()

    async def lines() -> AsyncIterator[LogLine]:
        try:
            number = 0
            while True:
                number += 1
                yield line(number)
        finally:
            closed.set()

    batches = deployment_streams._batches(lines())  # type: ignore[arg-type]
    await anext(batches)
    await batches.aclose()
    assert closed.is_set()
