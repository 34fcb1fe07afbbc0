"""The dispatcher: budgets of requests, lanes, callers who left, and stopping."""

from __future__ import annotations

import asyncio
import threading
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import aiohttp
import pytest
from tests.server.conftest import backend_of

from paperspace.gradient.server import LocalServer, dispatcher, local
from paperspace.gradient.server.graphql.execution import Executor, Request
from paperspace.gradient.server.graphql.responses import Response
from paperspace.gradient.server.storage.budget import (
    LIGHT,
    MAXIMUM,
    Budget,
    BudgetExceededError,
    InterruptedRequestError,
)

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator
    from pathlib import Path

    from tests.raw_client import Caller


NEST = (
    "{ deployments { nodes { deploymentSpecs { nodes { deployment { deploymentSpecs { nodes {"
    " deployment { deploymentSpecs { nodes { id } } } } } } } } } } }"
)
DATA = "{ deployments { nodes { deploymentSpecs { nodes { data { env { value } } } } } } }"
TINY = "{ deployments(first: 1) { nodes { id } } }"
HEADERS = {"Authorization": "Bearer key"}


@pytest.fixture
def stored(tmp_path: Path, caller: type[Caller]) -> Path:
    """A database with 3 deployments that have 10 specs each, of more than 1 kB."""
    file = tmp_path / "gradient.db"
    with LocalServer(database=file) as server:
        call = caller(server)
        for number in range(3):
            id_ = call.create(f"d{number}")
            for _ in range(9):
                call.update(id_, spec={"image": "i", "env": [{"name": "A", "value": "x" * 1000}]})
    return file


@pytest.mark.parametrize("in_memory", [True, False])
@pytest.mark.parametrize(
    ("limit", "value", "document", "message"),
    [
        ("fields", 1000, NEST, "the request resolves more than 1,000 fields"),
        ("fields", 20, "{ __schema { types { name fields { name } } } }", "the request resolves more than 20 fields"),
        ("rows", 20, NEST, "the request reads more than 20 rows"),
        (
            "read_bytes",
            5000,
            "{ deployments { nodes { deploymentSpecs { nodes { id } } } } }",
            "reads more than 5,000 b",
        ),
        ("result_bytes", 8000, DATA, "the response has more than 8,000 bytes"),
        ("result_bytes", 8000, DATA.replace("env", "a" * 1000 + ": env"), "the response has more than 8,000 bytes"),
        ("seconds", 0.0, NEST, "the request takes more than 0 seconds"),
    ],
)
def test_budgets(
    stored: Path,
    monkeypatch: pytest.MonkeyPatch,
    caller: type[Caller],
    *,
    in_memory: bool,
    limit: str,
    value: Any,
    document: str,
    message: str,
) -> None:
    """A request that needs more than its budget gets an error that names the limit, and no data."""
    with LocalServer(database=":memory:" if in_memory else stored) as server:
        call = caller(server)
        if in_memory:
            id_ = call.create()
            for _ in range(25):
                call.update(id_, spec={"image": "i", "env": [{"name": "A", "value": "x" * 1000}]})
        assert call(document).data
        monkeypatch.setattr(dispatcher, "MAXIMUM", MAXIMUM._replace(**{limit: value}))
        monkeypatch.setattr(dispatcher, "LIGHT", LIGHT._replace(**{limit: value / 2}))
        response = call(document)
        assert (response.status, response.code) == (400, "BUDGET_EXCEEDED")
        assert message in response.error["message"]
        assert "data" not in response.body
        monkeypatch.undo()
        assert call(document).data


def test_a_change_over_its_budget_changes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caller: type[Caller]
) -> None:
    """A mutation that asks for more than its budget is rolled back."""
    with LocalServer(database=tmp_path / "gradient.db") as server:
        call = caller(server)
        monkeypatch.setattr(dispatcher, "MAXIMUM", MAXIMUM._replace(fields=3))
        response = call(
            "mutation ($input: CreateDeploymentInput!) { createDeployment(input: $input) { deployment { id name"
            " dtCreated } } }",
            input={"name": "a", "projectId": "p", "spec": call.SPEC},
        )
        assert (response.status, response.code) == (400, "BUDGET_EXCEEDED")
        monkeypatch.undo()
        assert call(TINY).data == {"deployments": {"nodes": []}}


def test_long_statements(stored: Path) -> None:
    """The time limit and an interrupt end a statement of SQLite."""
    backend = backend_of(LocalServer(database=stored))
    endless = "WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n) SELECT count(*) FROM n"
    with pytest.raises(BudgetExceededError), backend.database.reading(Budget(MAXIMUM._replace(seconds=0.2))):
        backend.database.rows(endless)
    budget = Budget(MAXIMUM)
    threading.Timer(0.2, budget.interrupt).start()
    with pytest.raises(InterruptedRequestError), backend.database.reading(budget):
        backend.database.rows(endless)
    with backend.database.reading():
        assert backend.database.rows("SELECT 1 AS one") == [{"one": 1}]
    backend.database.close()


class Gate:
    """Hold the requests of one document until the test opens the gate, and list what is executed."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.entered, self.opened = threading.Event(), threading.Event()
        self.executed: list[str] = []
        execute = Executor.execute

        def hold(executor: Executor, request: Request, budget: Budget) -> Response:
            self.executed.append(request.query)
            if "held" in request.query:
                self.entered.set()
                while not self.opened.wait(0.01):
                    budget.check()
            return execute(executor, request, budget)

        monkeypatch.setattr(Executor, "execute", hold)


@pytest.fixture
def gate(monkeypatch: pytest.MonkeyPatch) -> Iterator[Gate]:
    gate = Gate(monkeypatch)
    yield gate
    gate.opened.set()


def post(session: aiohttp.ClientSession, server: LocalServer, query: str) -> asyncio.Task[Any]:
    async def request() -> Any:
        async with session.post(server.url, json={"query": query}, headers=HEADERS) as response:
            return response.status, await response.json()

    return asyncio.create_task(request())


@pytest.mark.anyio
async def test_reads_do_not_wait_for_changes(stored: Path, gate: Gate) -> None:
    """While a mutation is executed, queries are."""
    async with LocalServer(database=stored, api_key="key") as server, aiohttp.ClientSession() as session:
        change = post(session, server, "mutation held { deleteDeployment { deployment { id } } }")
        await asyncio.to_thread(gate.entered.wait, 60)
        status, _ = await asyncio.wait_for(post(session, server, TINY), 60)
        assert status == 200
        assert not change.done()
        gate.opened.set()
        await change


@pytest.fixture
def heavy_read_held(monkeypatch: pytest.MonkeyPatch, gate: Gate) -> threading.Event:
    """Make NEST a heavy read, which ends when the gate opens. The event says that one has started."""
    monkeypatch.setattr(dispatcher, "LIGHT", LIGHT._replace(fields=50, seconds=60))
    started = threading.Event()
    count_field = Budget.count_field

    def slow(budget: Budget, size: int) -> None:
        if budget._limits is MAXIMUM:
            started.set()
            gate.opened.wait(60)
        count_field(budget, size)

    monkeypatch.setattr(Budget, "count_field", slow)
    return started


@asynccontextmanager
async def beside_heavy_reads(
    database: Path, gate: Gate, held: threading.Event
) -> AsyncIterator[tuple[LocalServer, aiohttp.ClientSession]]:
    """Start a server that executes heavy reads during the whole block; they end after it."""
    async with LocalServer(database=database, api_key="key") as server, aiohttp.ClientSession() as session:
        heavy = [post(session, server, NEST) for _ in range(5)]
        await asyncio.to_thread(held.wait, 60)
        yield server, session
        assert not any(task.done() for task in heavy)
        gate.opened.set()
        assert {status for status, _ in await asyncio.gather(*heavy)} == {200}


@pytest.mark.anyio
async def test_light_reads_do_not_wait_for_heavy_ones(
    stored: Path, gate: Gate, heavy_read_held: threading.Event
) -> None:
    """Reads over the small budget run in a lane of their own, and others pass them."""
    async with beside_heavy_reads(stored, gate, heavy_read_held) as (server, session):
        for _ in range(5):
            status, body = await asyncio.wait_for(post(session, server, TINY), 60)
            assert (status, len(body["data"]["deployments"]["nodes"])) == (200, 1)


@pytest.mark.anyio
async def test_metrics_and_status_do_not_wait_for_heavy_reads(
    stored: Path, gate: Gate, heavy_read_held: threading.Event
) -> None:
    """However many heavy reads clients send, `/metrics` and `gradient server status` respond."""
    async with beside_heavy_reads(stored, gate, heavy_read_held) as (server, session), asyncio.timeout(30):
        async with session.get(server.url.replace("/graphql", "/metrics"), headers=HEADERS) as response:
            assert response.status == 200
        assert sum((await server._summarize()).counts.values()) == 3


@pytest.mark.anyio
async def test_requests_of_callers_who_left(gate: Gate) -> None:
    """What nobody waits for any more is not executed."""
    async with LocalServer(api_key="key") as server, aiohttp.ClientSession() as session:
        held = post(session, server, "query held { __typename }")
        await asyncio.to_thread(gate.entered.wait, 60)
        abandoned = [post(session, server, f"query left{number} {{ __typename }}") for number in range(5)]
        await asyncio.sleep(0.2)
        for task in abandoned:
            task.cancel()
        await asyncio.gather(*abandoned, return_exceptions=True)
        await asyncio.sleep(0.2)
        gate.opened.set()
        await held
        assert (await post(session, server, "query last { __typename }"))[0] == 200
    assert [query.split()[1] for query in gate.executed] == ["held", "last"]


@pytest.mark.anyio
async def test_a_read_is_interrupted_when_its_caller_leaves(stored: Path, gate: Gate) -> None:
    """A read that runs ends soon after its caller has left."""
    async with LocalServer(database=stored, api_key="key") as server, aiohttp.ClientSession() as session:
        held = post(session, server, "query held { __typename }")
        await asyncio.to_thread(gate.entered.wait, 60)
        running = server._dispatcher._light._running
        assert len(running) == 1
        held.cancel()
        for _ in range(1000):
            if not running:
                break
            await asyncio.sleep(0.01)
        assert not running


@pytest.mark.anyio
@pytest.mark.parametrize("in_memory", [True, False])
@pytest.mark.parametrize("query", ["query held { __typename }", "mutation held { a }"])
async def test_stopping(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, gate: Gate, query: str, *, in_memory: bool
) -> None:
    """After the grace period, the server interrupts what runs and drops what waits; all get status 503, and it stops."""
    monkeypatch.setattr(local, "GRACE_PERIOD", 0.1)
    database = ":memory:" if in_memory else tmp_path / "gradient.db"
    async with aiohttp.ClientSession() as session:
        async with LocalServer(database=database, api_key="key") as server:
            tasks = [post(session, server, query) for _ in range(10)]
            await asyncio.to_thread(gate.entered.wait, 60)
            await asyncio.sleep(0.2)
        responses = await asyncio.gather(*tasks)
    assert {status for status, _ in responses} == {503}
    codes = {body["errors"][0]["extensions"]["code"] for _, body in responses}
    assert codes == {"SERVICE_UNAVAILABLE"}
    assert not gate.opened.is_set()


@pytest.mark.anyio
@pytest.mark.parametrize("in_memory", [True, False])
async def test_clear_errors_of_requests_that_wait_when_the_server_stops(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, gate: Gate, *, in_memory: bool
) -> None:
    """Requests of all kinds that wait when the server stops get status 503, Retry-After, and an error that says why."""
    monkeypatch.setattr(local, "GRACE_PERIOD", 0.1)
    database = ":memory:" if in_memory else tmp_path / "gradient.db"
    async with aiohttp.ClientSession(headers=HEADERS) as session:
        async with LocalServer(database=database, api_key="key") as server:
            held = [post(session, server, f"{kind} held {{ __typename }}") for kind in ("mutation", "query", "query")]
            while len(gate.executed) < (1 if in_memory else 3):  # noqa: ASYNC110 - threads fill it
                await asyncio.sleep(0.01)
            base = server.url.removesuffix("/graphql")
            waiting = [
                asyncio.create_task(session.post(server.url, json={"query": TINY})),
                asyncio.create_task(session.post(server.url, json={"query": "mutation { __typename }"})),
                asyncio.create_task(session.get(server.url, params={"query": TINY})),
                asyncio.create_task(session.get(f"{base}/endpoints/00000000-0000-0000-0000-000000000001")),
            ]
            await asyncio.sleep(0.2)
            assert not any(task.done() for task in waiting)
        for task in waiting:
            async with await task as response:
                assert response.status == 503
                assert response.headers["Retry-After"] == "1"
                (error,) = (await response.json())["errors"]
                assert error["message"] == "the server is stopping; the request was not executed"
                assert error["extensions"] == {"code": "SERVICE_UNAVAILABLE", "retryable": True}
        assert {(await task)[0] for task in held} == {503}


@pytest.mark.anyio
async def test_a_change_is_finished_when_its_caller_leaves(tmp_path: Path, gate: Gate, caller: type[Caller]) -> None:
    """A change that runs when its caller leaves is committed."""
    async with (
        LocalServer(database=tmp_path / "gradient.db", api_key="key") as server,
        aiohttp.ClientSession() as session,
    ):
        create = caller.CREATE.replace("mutation", "mutation held", 1)
        variables = {"input": {"name": "a", "projectId": "p", "spec": caller.SPEC}}
        task = asyncio.create_task(
            session.post(server.url, json={"query": create, "variables": variables}, headers=HEADERS)
        )
        await asyncio.to_thread(gate.entered.wait, 60)
        task.cancel()
        await asyncio.sleep(0.2)
        gate.opened.set()
        status, body = await post(session, server, "mutation { __typename }")  # after the change
        assert (status, body) == (200, {"data": {"__typename": "Mutation"}})
        _, body = await post(session, server, TINY)
        assert len(body["data"]["deployments"]["nodes"]) == 1
