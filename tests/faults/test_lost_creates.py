"""Changes whose response is lost: the right result or a correct error. Against the local server, behind a faulty proxy."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import pytest
from tests.faults.server import ID, OTHER_ID, Behaviour, Exchange, FaultServer, good_data
from tests.stress.fault_proxy import Proxy, ProxyFault

from paperspace.gradient import (
    APIConnectionError,
    BadRequestError,
    Client,
    ClientClosedError,
    ConflictError,
    NotFoundError,
    OutcomeUnknownError,
)
from paperspace.gradient._core import retry as _retry
from paperspace.gradient._core import session as _session
from paperspace.gradient._generated.deployment_created import DEPLOYMENT_CREATED
from paperspace.gradient.server import LocalServer
from paperspace.gradient.server.clock import utc_now

SPEC: Any = {
    "image": "tensorflow/serving",
    "port": 8501,
    "command": ["a", "b"],
    "env": [{"name": "B", "value": "2"}, {"name": "A", "value": "1"}],
    "models": [{"id": "m", "path": None}],
    "resources": {"instanceType": "A100", "replicas": 2},
}
OTHER: Any = {"image": "another/image"}

# A fixed time of the server, so that the age of a deployment does not depend on the speed of the machine.
MOMENT = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
DATE = format_datetime(MOMENT, usegmt=True)


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_retry, "FIRST_BACKOFF", 0.002)


@contextmanager
def clients(
    *script: ProxyFault, keys: bool = False, now: Callable[[], datetime] = utc_now
) -> Iterator[tuple[Client, Client]]:
    """Yield a client whose exchanges fail as scripted, one after the other, and a client without faults."""
    breaks = iter(script)
    with (
        LocalServer(now=now) as server,
        Proxy(server.url, lambda _: next(breaks, ProxyFault.NONE), keys=keys) as proxy,
        Client(server.api_key, proxy.url, timeout=60) as client,
        Client(server.api_key, server.url) as truth,
    ):
        yield client, truth


LOST = [
    ProxyFault.RESPONSE_LOST,
    ProxyFault.RESPONSE_RESET,
    ProxyFault.RESPONSE_CUT,
    ProxyFault.BAD_GATEWAY,
    ProxyFault.NOT_JSON,
]


@pytest.mark.parametrize("lost", LOST, ids=lambda lost: lost.name)
@pytest.mark.parametrize("keys", [True, False], ids=["keys", "no keys"])
def test_create_with_a_lost_response(lost: ProxyFault, keys: bool) -> None:
    """The create returns the deployment that it created, the only one, with or without idempotency keys on the server."""
    with clients(lost, keys=keys) as (client, truth):
        created = client.deployments.create_deployment("mine", "p1", SPEC, "cluster-1")
        [deployment] = truth.deployments.list_deployments()
        assert created == {"id": deployment["id"]}


@pytest.mark.parametrize("keys", [True, False], ids=["keys", "no keys"])
@pytest.mark.parametrize("hours", [0.1, 25])
def test_create_while_the_machine_sleeps(hours: float, keys: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same if the machine of the client sleeps before the retry, even longer than the server remembers the key."""
    slept = timedelta()
    seconds = _session._seconds

    def sleep(*_: object) -> None:
        nonlocal slept
        slept = timedelta(hours=hours)

    monkeypatch.setattr(_session, "_log_retry", sleep)
    monkeypatch.setattr(_session, "_seconds", lambda: seconds() + slept.total_seconds())
    with clients(ProxyFault.RESPONSE_LOST, keys=keys, now=lambda: utc_now() + slept) as (client, truth):
        created = client.deployments.create_deployment("mine", "p1", SPEC)
        assert [deployment["id"] for deployment in truth.deployments.list_deployments()] == [created["id"]]


@pytest.mark.parametrize("times", [2, 3, 4])
def test_create_with_several_lost_responses(times: int) -> None:
    """The same if the responses to retries and look-ups are lost too."""
    with clients(*[ProxyFault.RESPONSE_LOST, ProxyFault.RESPONSE_CUT] * times) as (client, truth):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(client._session._budget, "_remaining", 10**6)
            created = client.with_options(max_retries=12).deployments.create_deployment("mine", "p1", SPEC)
        assert [deployment["id"] for deployment in truth.deployments.list_deployments()] == [created["id"]]


def test_client_closed_during_the_look_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """If the client is closed while it looks for what it may have created, the error says what that is."""
    run = _session.Session.run

    async def run_closed(session: _session.Session, operation: Any, variables: Any, **options: Any) -> Any:
        if operation is DEPLOYMENT_CREATED:
            await session.close()
        return await run(session, operation, variables, **options)

    monkeypatch.setattr(_session.Session, "run", run_closed)
    message = "deployment 'mine' may have been created in project 'p1'"
    with clients(ProxyFault.RESPONSE_LOST) as (client, _), pytest.raises(ClientClosedError, match=message):
        client.deployments.create_deployment("mine", "p1", SPEC)


def test_create_with_a_lost_request() -> None:
    """A create that never reached the server is retried."""
    with clients(ProxyFault.CLOSED_UNREAD, ProxyFault.RESET_UNREAD, ProxyFault.UNAVAILABLE) as (client, truth):
        created = client.deployments.create_deployment("mine", "p1", SPEC)
        assert [deployment["id"] for deployment in truth.deployments.list_deployments()] == [created["id"]]


def test_taken_name_at_the_first_attempt() -> None:
    """A taken name is a conflict, even if the other deployment has the same spec."""
    with clients() as (client, truth):
        truth.deployments.create_deployment("mine", "p1", SPEC)
        with pytest.raises(ConflictError) as caught:
            client.deployments.create_deployment("mine", "p1", SPEC)
        assert caught.value.may_have_executed == "no"


@pytest.mark.parametrize("lost", [ProxyFault.CLOSED_UNREAD, ProxyFault.RESPONSE_LOST])
@pytest.mark.parametrize("spec", [SPEC, OTHER], ids=["same spec", "other spec"])
def test_taken_name_with_keys(lost: ProxyFault, spec: Any) -> None:
    """A server that repeats the key knows: after a lost response, a taken name is a conflict, without a look-up."""
    with clients(lost, keys=True) as (client, truth):
        other = truth.deployments.create_deployment("mine", "p1", spec)
        with pytest.raises(ConflictError) as caught:
            client.deployments.create_deployment("mine", "p1", SPEC)
        assert (caught.value.attempts, caught.value.may_have_executed) == (2, "no")
        assert truth.deployments.list_deployments()[0]["id"] == other["id"]


@pytest.mark.parametrize("seconds", [0, 1, 3, 59], ids="{} s".format)
@pytest.mark.parametrize("lost", [ProxyFault.CLOSED_UNREAD, ProxyFault.RESPONSE_LOST])
def test_taken_by_another_deployment(lost: ProxyFault, seconds: int) -> None:
    """Without keys, a deployment with another spec is not returned as ours; it is no conflict, as it may be ours."""
    passed = timedelta()
    with clients(lost, now=lambda: MOMENT + passed) as (client, truth):
        other = truth.deployments.create_deployment("mine", "p1", OTHER)
        passed = timedelta(seconds=seconds)
        with pytest.raises(OutcomeUnknownError, match=f"{other['id']} is named 'mine'") as caught:
            client.deployments.create_deployment("mine", "p1", SPEC)
        assert type(caught.value.__cause__) is ConflictError
        [deployment] = truth.deployments.list_deployments()
        assert deployment["id"] == other["id"]


@pytest.mark.parametrize("spec", [SPEC, OTHER], ids=["same spec", "other spec"])
def test_taken_by_an_older_deployment(spec: Any) -> None:
    """Without keys, a deployment that is older than the call is not ours, whatever its spec is: a conflict."""
    passed = timedelta()
    with clients(ProxyFault.RESPONSE_LOST, now=lambda: MOMENT + passed) as (client, truth):
        truth.deployments.create_deployment("mine", "p1", spec)
        passed = timedelta(minutes=3)  # longer than the call may take, plus a minute
        with pytest.raises(ConflictError) as caught:
            client.deployments.create_deployment("mine", "p1", SPEC)
        assert (caught.value.attempts, caught.value.may_have_executed) == (3, "no")


@pytest.mark.parametrize(
    "difference",
    [
        {"image": "x"},
        {"port": 80},
        {"command": ["a"]},
        {"command": ["b", "a"]},
        {"env": []},
        {"env": [{"name": "A", "value": "2"}]},
        {"models": [{"id": "other", "path": None}]},
        {"resources": {"instanceType": "C4", "replicas": 2}},
        {"resources": {"instanceType": "A100", "replicas": 1}},
    ],
)
def test_every_field_counts(difference: dict[str, Any]) -> None:
    """A deployment that differs in any field that was sent is not returned as ours."""
    with clients(ProxyFault.CLOSED_UNREAD, now=lambda: MOMENT) as (client, truth):
        truth.deployments.create_deployment("mine", "p1", SPEC | difference)
        with pytest.raises(OutcomeUnknownError):
            client.deployments.create_deployment("mine", "p1", SPEC)


@pytest.mark.parametrize("cluster_id", ["cluster-1", "cluster-2", None])
def test_cluster_counts(cluster_id: str | None) -> None:
    """A deployment on another cluster is not returned as ours; one on the named cluster is."""
    with clients(ProxyFault.CLOSED_UNREAD, now=lambda: MOMENT) as (client, truth):
        other = truth.deployments.create_deployment("mine", "p1", SPEC, cluster_id)
        if cluster_id == "cluster-1":
            assert client.deployments.create_deployment("mine", "p1", SPEC, "cluster-1") == other
        else:
            with pytest.raises(OutcomeUnknownError):
                client.deployments.create_deployment("mine", "p1", SPEC, "cluster-1")


def refused_create(code: str, *, look_up: Any) -> FaultServer:
    """Create a server that loses the first response, then fails the create with this code, and handles the look-up."""

    async def fail(exchange: Exchange) -> None:
        if exchange.request.operation == "DeploymentCreated":
            await look_up(exchange)
        else:
            await exchange.respond(body={"errors": [{"message": "No.", "extensions": {"code": code}}]})

    return FaultServer(lose, then=fail)


async def lose(exchange: Exchange) -> None:
    exchange.close()


async def nothing_found(exchange: Exchange) -> None:
    await exchange.respond(body={"data": good_data(exchange.request)}, Date="Sun, 06 Nov 1994 08:49:37 GMT")


def look_up_of(
    *, name: str = "mine", age: float = 0.0, date: str = DATE, created: str | None = None, **changes: Any
) -> Behaviour:
    """Respond to the look-up with one deployment that has this name, this age in seconds, and these changes in its spec.

    If `date` is empty, the response has no Date header. `created` replaces the time that the age gives.
    """

    async def found(exchange: Exchange) -> None:
        unset = dict.fromkeys(("containerRegistry", "enabled", "protocol", "repositories"))
        data = {**unset, **SPEC, "resources": {**SPEC["resources"], "autoscaling": None}, **changes}
        moment = created or (MOMENT - timedelta(seconds=age)).isoformat()
        specs = {"nodes": [{"id": OTHER_ID, "data": data, "cluster": None}]}
        node = {"id": ID, "name": name, "dtCreated": moment, "deploymentSpecs": specs}
        page = {"nodes": [node], "pageInfo": {"hasNextPage": False, "endCursor": None}}
        await exchange.respond(body={"data": {"deployments": page}}, Date=date)

    return found


STORED_OTHERWISE = {
    "default for null": {"models": [{"id": "m", "path": "/a/default"}]},
    "other order of variables": {"env": SPEC["env"][::-1]},
}
NOT_RECOGNIZED: dict[str, dict[str, Any]] = {
    "complete image name": {"image": "docker.io/tensorflow/serving:latest"},
    "hidden value": {"env": [{"name": "A", "value": "***"}]},
    "no clock": {"date": ""},
    "invalid clock": {"date": "now"},
    "clock at the beginning of time": {"date": "Mon, 01 Jan 0001 00:00:00 GMT"},
    "invalid time": {"created": "today"},
    "from the future": {"age": -3600},
    "other name": {"name": "mine-too"},
}
OLDER: dict[str, dict[str, Any]] = {"older": {"age": 1000}, "older, with another spec": {"age": 1000, "image": "x"}}


@pytest.mark.parametrize("stored", [{}, *STORED_OTHERWISE.values()], ids=["as sent", *STORED_OTHERWISE])
def test_recognized(stored: dict[str, Any]) -> None:
    """A deployment from the time of the call is ours if it has the spec that was sent, in the form that the server stores."""
    found = look_up_of(**stored)
    with refused_create("CONFLICT", look_up=found) as server, Client("a-key-for-tests", server.url) as client:
        assert client.deployments.create_deployment("mine", "p1", SPEC) == {"id": ID}


def test_empty_list_stored_as_null() -> None:
    """A server may store an empty list as null, and null as an empty list."""
    found = look_up_of(command=None, models=[])
    with refused_create("CONFLICT", look_up=found) as server, Client("a-key-for-tests", server.url) as client:
        assert client.deployments.create_deployment("mine", "p1", SPEC | {"command": [], "models": None}) == {"id": ID}


@pytest.mark.parametrize("found", NOT_RECOGNIZED.values(), ids=NOT_RECOGNIZED)
def test_not_recognized(found: dict[str, Any]) -> None:
    """If the server stores the spec in another form, or does not say when, the outcome is unknown: no conflict."""
    look_up = look_up_of(**found)
    with refused_create("CONFLICT", look_up=look_up) as server:
        client = Client("a-key-for-tests", server.url)
        with client, pytest.raises(OutcomeUnknownError) as caught:
            client.deployments.create_deployment("mine", "p1", SPEC)
    assert (caught.value.attempts, caught.value.may_have_executed) == (3, "unknown")
    assert type(caught.value.__cause__) is ConflictError


@pytest.mark.parametrize(
    ("age", "error"),
    [(-2.0, None), (2.0, None), (2.1, OutcomeUnknownError), (60.0, OutcomeUnknownError), (60.1, ConflictError)],
)
def test_limits_of_the_age(age: float, error: type[Exception] | None, monkeypatch: pytest.MonkeyPatch) -> None:
    """A deployment is ours up to two seconds before the call, and another one from a minute before it."""
    monkeypatch.setattr(_session.Call, "elapsed", 0.0)
    expected = nullcontext() if error is None else pytest.raises(error)
    with refused_create("CONFLICT", look_up=look_up_of(age=age)) as server:
        client = Client("a-key-for-tests", server.url)
        with client, expected:
            assert client.deployments.create_deployment("mine", "p1", SPEC) == {"id": ID}


@pytest.mark.parametrize("found", OLDER.values(), ids=OLDER)
@pytest.mark.parametrize(("code", "cause"), [("BAD_USER_INPUT", BadRequestError), ("CONFLICT", None)])
def test_older_deployment(found: dict[str, Any], code: str, cause: type[Exception] | None) -> None:
    """An older deployment is a conflict, with every server; the cause is the server's error, if that is another one."""
    look_up = look_up_of(**found)
    message = r"'mine'.*'p1'" if cause else "No."
    with refused_create(code, look_up=look_up) as server, Client("a-key-for-tests", server.url) as client:
        with pytest.raises(ConflictError, match=message) as caught:
            client.deployments.create_deployment("mine", "p1", SPEC)
        assert len(server.requests) == 3
    assert (caught.value.attempts, caught.value.may_have_executed) == (3, "no")
    assert type(caught.value.__cause__) is (cause or type(None))


@pytest.mark.parametrize(("code", "cause"), [("BAD_USER_INPUT", BadRequestError), ("CONFLICT", ConflictError)])
def test_rejected_and_not_found(code: str, cause: type[Exception]) -> None:
    """If the look-up finds nothing, the outcome is unknown, as the server may not be done; the cause is the rejection."""
    with refused_create(code, look_up=nothing_found) as server, Client("a-key-for-tests", server.url) as client:
        with pytest.raises(OutcomeUnknownError, match="last error: No") as caught:
            client.deployments.create_deployment("mine", "p1", SPEC)
        assert (caught.value.attempts, caught.value.may_have_executed) == (3, "unknown")
        assert type(caught.value.__cause__) is cause
        assert [request.operation for request in server.requests] == ["DeploymentCreate"] * 2 + ["DeploymentCreated"]


def test_failed_look_up() -> None:
    """If the look-up fails, the outcome is unknown; the error has the name and the project."""
    with refused_create("BAD_USER_INPUT", look_up=lose) as server, Client("a-key-for-tests", server.url) as client:
        with pytest.raises(OutcomeUnknownError, match=r"'mine'.*'p1'") as caught:
            client.deployments.create_deployment("mine", "p1", SPEC)
        assert caught.value.may_have_executed == "unknown"
        assert caught.value.attempts == len(server.requests)


@pytest.mark.parametrize("keys", [True, False], ids=["keys", "no keys"])
def test_delete_with_a_lost_response(keys: bool) -> None:
    """A retry that finds nothing counts as deleted; a first attempt that finds nothing is an error."""
    with clients(ProxyFault.NONE, ProxyFault.RESPONSE_LOST, keys=keys) as (client, truth):
        created = client.deployments.create_deployment("mine", "p1", SPEC)
        assert client.deployments.delete_deployment(created["id"]) == created
        assert truth.deployments.list_deployments() == []
        with pytest.raises(NotFoundError):
            client.deployments.delete_deployment(created["id"])


@pytest.mark.parametrize("keys", [True, False], ids=["keys", "no keys"])
def test_update_with_a_lost_response(keys: bool) -> None:
    """An update is retried; with idempotency keys it adds one revision only."""
    with clients(ProxyFault.NONE, ProxyFault.RESPONSE_CUT, keys=keys) as (client, truth):
        created = client.deployments.create_deployment("mine", "p1", SPEC)
        assert client.deployments.update_deployment(id=created["id"], spec=OTHER) == created
        images = [
            node["data"]["image"]
            for node in truth.deployments.get_deployment(created["id"])["deploymentSpecs"]["nodes"]
        ]
        assert images[0] == OTHER["image"]
        assert len(images) == (2 if keys else 3)


def test_refused_update_with_a_lost_response() -> None:
    """An update that fails after a lost response may have been applied by the first attempt."""
    with clients(ProxyFault.NONE, ProxyFault.RESPONSE_LOST) as (client, truth):
        truth.deployments.create_deployment("other", "p1", OTHER)
        created = client.deployments.create_deployment("mine", "p1", SPEC)
        with pytest.raises(OutcomeUnknownError) as caught:
            client.deployments.update_deployment(id=created["id"], name="other")
        assert (caught.value.attempts, caught.value.may_have_executed) == (2, "unknown")
        assert type(caught.value.__cause__) is ConflictError


def test_search_with_a_lost_response() -> None:
    """A retry of the search before an update by name leaves no doubt: the error of the update says "no"."""

    async def search_or_fail(exchange: Exchange) -> None:
        if exchange.request.operation == "Deployments":
            data = good_data(exchange.request)
            data["deployments"]["nodes"] = data["deployments"]["nodes"][:1]
            await exchange.respond(body={"data": data})
        else:
            await exchange.respond(body={"errors": [{"message": "No.", "extensions": {"code": "CONFLICT"}}]})

    with FaultServer(lose, then=search_or_fail) as server, Client("a-key-for-tests", server.url) as client:
        with pytest.raises(ConflictError) as caught:
            client.deployments.update_deployment("mine", "p1", OTHER)
        assert [request.operation for request in server.requests] == ["Deployments", "Deployments", "DeploymentUpdate"]
    assert (caught.value.attempts, caught.value.may_have_executed) == (1, "no")


def test_idempotency_key() -> None:
    """Every attempt of a call has the same key, every call another one, and reads have none."""
    with FaultServer(lose, lose) as server, Client("a-key-for-tests", server.url) as client:
        client.deployments.delete_deployment(ID)
        client.deployments.delete_deployment(ID)
        client.deployments.get_deployment(ID)
    keys = [request.headers.get("idempotency-key") for request in server.requests]
    assert keys[0] == keys[1] == keys[2] != keys[3]
    assert None not in keys[:4]
    assert keys[4] is None


def test_server_not_reached() -> None:
    """A create that never reached the server was not applied, and nothing is looked up."""
    with FaultServer() as server:
        pass
    with Client("a-key-for-tests", server.url, max_retries=1) as client, pytest.raises(APIConnectionError) as caught:
        client.deployments.create_deployment("mine", "p1", SPEC)
    assert caught.value.may_have_executed == "no"
