"""A create whose answer was lost: the right deployment, or a true error. Against the local server, behind a proxy."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import Any

import pytest
from tests.faults.server import ID, Exchange, FaultServer, good_data
from tests.stress.fault_proxy import Break, Proxy

from paperspace.gradient import (
    APIConnectionError,
    BadRequestError,
    Client,
    ConflictError,
    NotFoundError,
    OutcomeUnknownError,
)
from paperspace.gradient._core import retry as _retry
from paperspace.gradient.server import LocalServer
from paperspace.gradient.server.clock import utc_now

SPEC: Any = {
    "image": "tensorflow/serving",
    "port": 8501,
    "command": ["a", "b"],
    "env": [{"name": "A", "value": "1"}],
    "models": [{"id": "m", "path": None}],
    "resources": {"instanceType": "A100", "replicas": 2},
}
OTHER: Any = {"image": "somebody/else"}


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_retry, "FIRST_BACKOFF", 0.002)


@contextmanager
def clients(
    *script: Break, keys: bool = False, now: Callable[[], datetime] = utc_now
) -> Iterator[tuple[Client, Client]]:
    """A client whose exchanges break as the script says, one after the other, and one that sees how things are."""
    breaks = iter(script)
    with (
        LocalServer(now=now) as server,
        Proxy(server.url, lambda _: next(breaks, Break.NONE), keys=keys) as proxy,
        Client(server.api_key, proxy.url, timeout=5) as client,
        Client(server.api_key, server.url) as truth,
    ):
        yield client, truth


LOST = [Break.REPLY_LOST, Break.REPLY_RESET, Break.REPLY_CUT, Break.BAD_GATEWAY, Break.RUBBISH]


@pytest.mark.parametrize("lost", LOST, ids=lambda lost: lost.name)
@pytest.mark.parametrize("keys", [True, False], ids=["keys", "no keys"])
def test_create_whose_answer_is_lost(lost: Break, keys: bool) -> None:
    """It is found, whether or not the server knows the key, and there is one of it."""
    with clients(lost, keys=keys) as (client, truth):
        created = client.deployments.create_deployment("mine", "p1", SPEC, "cluster-1")
        [found] = truth.deployments.list_deployments()
        assert created == {"id": found["id"]}


@pytest.mark.parametrize("times", [2, 3, 4])
def test_create_whose_answers_are_lost(times: int) -> None:
    """The same when resend and look-up are lost too."""
    with clients(*[Break.REPLY_LOST, Break.REPLY_CUT] * times) as (client, truth):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(client._session._budget, "_left", 10**6)
            created = client.with_options(max_retries=12).deployments.create_deployment("mine", "p1", SPEC)
        assert [found["id"] for found in truth.deployments.list_deployments()] == [created["id"]]


def test_create_that_was_lost_before_it_arrived() -> None:
    """It is simply sent again."""
    with clients(Break.CLOSED_UNREAD, Break.RESET_UNREAD, Break.UNAVAILABLE) as (client, truth):
        created = client.deployments.create_deployment("mine", "p1", SPEC)
        assert [found["id"] for found in truth.deployments.list_deployments()] == [created["id"]]


def test_taken_name_on_the_first_send() -> None:
    """A name that is taken is a conflict, even by a deployment that is quite the same: nothing is adopted."""
    with clients() as (client, truth):
        truth.deployments.create_deployment("mine", "p1", SPEC)
        with pytest.raises(ConflictError) as caught:
            client.deployments.create_deployment("mine", "p1", SPEC)
        assert caught.value.may_have_executed == "no"


@pytest.mark.parametrize("lost", [Break.CLOSED_UNREAD, Break.REPLY_LOST])
def test_taken_by_a_stranger(lost: Break) -> None:
    """After a lost answer, a deployment with another spec is not taken for ours."""
    with clients(lost) as (client, truth):
        stranger = truth.deployments.create_deployment("mine", "p1", OTHER)
        with pytest.raises(ConflictError):
            client.deployments.create_deployment("mine", "p1", SPEC)
        [found] = truth.deployments.list_deployments()
        assert found["id"] == stranger["id"]


def test_taken_by_an_older_one() -> None:
    """One with the same spec that was there before the call began is not ours either."""
    passed = timedelta()
    with clients(Break.REPLY_LOST, now=lambda: utc_now() + passed) as (client, truth):
        truth.deployments.create_deployment("mine", "p1", SPEC)
        passed = timedelta(seconds=4)  # the tolerance for clocks is 2 s, and a Date header has whole seconds
        with pytest.raises(ConflictError):
            client.deployments.create_deployment("mine", "p1", SPEC)


@pytest.mark.parametrize(
    "difference",
    [
        {"image": "x"},
        {"port": 80},
        {"command": ["a"]},
        {"env": []},
        {"resources": {"instanceType": "C4", "replicas": 2}},
    ],
)
def test_every_field_counts(difference: dict[str, Any]) -> None:
    """A deployment that differs in any field that was sent is somebody else's."""
    with clients(Break.CLOSED_UNREAD) as (client, truth):
        truth.deployments.create_deployment("mine", "p1", SPEC | difference)
        with pytest.raises(ConflictError):
            client.deployments.create_deployment("mine", "p1", SPEC)


def scripted(refusal: str, *, look_up: Any) -> FaultServer:
    """A server that loses the first answer, refuses the second send with a code, and answers the look-up."""
    sends = 0

    async def behaviour(exchange: Exchange) -> None:
        nonlocal sends
        sends += 1
        if exchange.request.operation == "DeploymentCreated":
            await look_up(exchange)
        elif sends == 1:
            exchange.close()
        else:
            error = {"message": "No.", "extensions": {"code": refusal}}
            await exchange.respond(body={"errors": [error]})

    return FaultServer(then=behaviour)


async def nothing_there(exchange: Exchange) -> None:
    await exchange.respond(body={"data": good_data(exchange.request)}, Date="Sun, 06 Nov 1994 08:49:37 GMT")


async def no_answer(exchange: Exchange) -> None:
    exchange.close()


@pytest.mark.parametrize(("code", "error"), [("BAD_USER_INPUT", BadRequestError), ("CONFLICT", ConflictError)])
def test_refused_and_absent(code: str, error: type[Exception]) -> None:
    """Where the look-up finds nothing, the refusal itself is the error."""
    with scripted(code, look_up=nothing_there) as server, Client("a-key-for-tests", server.url) as client:
        with pytest.raises(error) as caught:
            client.deployments.create_deployment("mine", "p1", SPEC)
        assert caught.value.attempts == 3  # type: ignore[attr-defined]
        assert [request.operation for request in server.requests] == ["DeploymentCreate"] * 2 + ["DeploymentCreated"]


def test_refused_and_not_to_be_found_out() -> None:
    """Where the look-up fails, the error says that the outcome is unknown, with the name and the project."""
    with scripted("BAD_USER_INPUT", look_up=no_answer) as server, Client("a-key-for-tests", server.url) as client:
        with pytest.raises(OutcomeUnknownError, match=r"'mine'.*'p1'") as caught:
            client.deployments.create_deployment("mine", "p1", SPEC)
        assert caught.value.may_have_executed == "unknown"
        assert caught.value.attempts == len(server.requests)


@pytest.mark.parametrize("keys", [True, False], ids=["keys", "no keys"])
def test_delete_whose_answer_is_lost(keys: bool) -> None:
    """A resend that finds nothing means that it is done; a first send that finds nothing does not."""
    with clients(Break.NONE, Break.REPLY_LOST, keys=keys) as (client, truth):
        made = client.deployments.create_deployment("mine", "p1", SPEC)
        assert client.deployments.delete_deployment(made["id"]) == made
        assert truth.deployments.list_deployments() == []
        with pytest.raises(NotFoundError):
            client.deployments.delete_deployment(made["id"])


@pytest.mark.parametrize("keys", [True, False], ids=["keys", "no keys"])
def test_update_whose_answer_is_lost(keys: bool) -> None:
    """It is sent again, and holds; with a key there is one new spec."""
    with clients(Break.NONE, Break.REPLY_CUT, keys=keys) as (client, truth):
        made = client.deployments.create_deployment("mine", "p1", SPEC)
        assert client.deployments.update_deployment(id=made["id"], spec=OTHER) == made
        images = [
            node["data"]["image"] for node in truth.deployments.get_deployment(made["id"])["deploymentSpecs"]["nodes"]
        ]
        assert images[0] == OTHER["image"]
        assert len(images) == (2 if keys else 3)


def test_search_that_is_lost() -> None:
    """An update by name whose search had to be repeated is not in doubt: its own refusal is definite."""
    with clients(Break.NONE, Break.REPLY_LOST) as (client, truth):
        truth.deployments.create_deployment("other", "p1", OTHER)
        made = client.deployments.create_deployment("mine", "p1", SPEC)
        with pytest.raises(ConflictError) as caught:
            client.deployments.update_deployment(id=made["id"], name="other")
        assert caught.value.may_have_executed == "unknown"  # it was sent twice, and the first answer lost
    with clients(Break.NONE, Break.REPLY_LOST) as (client, _):
        client.deployments.create_deployment("mine", "p1", SPEC)
        client.deployments.update_deployment("mine", "p1", OTHER)


def test_idempotency_key() -> None:
    """It is the same for each send of a call, another for each call, and none for reads."""

    async def lose(exchange: Exchange) -> None:
        exchange.close()

    with FaultServer(lose, lose) as server, Client("a-key-for-tests", server.url) as client:
        client.deployments.delete_deployment(ID)
        client.deployments.delete_deployment(ID)
        client.deployments.get_deployment(ID)
    keys = [request.headers.get("idempotency-key") for request in server.requests]
    assert keys[0] == keys[1] == keys[2] != keys[3]
    assert None not in keys[:4]
    assert keys[4] is None


def test_nothing_is_adopted_when_nothing_was_sent() -> None:
    """A server that was never reached is no reason to look anything up."""
    with FaultServer() as server:
        pass
    with Client("a-key-for-tests", server.url, max_retries=1) as client, pytest.raises(APIConnectionError) as caught:
        client.deployments.create_deployment("mine", "p1", SPEC)
    assert caught.value.may_have_executed == "no"
