"""Actions and streams: arguments, results, errors and lines."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any

import pytest
from tests.altering_proxy import altered
from tests.console.conftest import Page

from paperspace.gradient import AsyncClient, BadRequestError, NotFoundError
from paperspace.gradient.console import actions, calls
from paperspace.gradient.console.application import ACTIONS, STREAMS
from paperspace.gradient.console.turns import Turns
from paperspace.gradient.server import LocalServer

pytestmark = pytest.mark.anyio

SPEC = "image: nginx\nport: 80\n"


async def received(*values: object, error: Exception | None = None, pause: float = 0) -> AsyncGenerator[object]:
    """A stream with these values, a pause and an error."""
    for value in values:
        yield value
    await asyncio.sleep(pause)
    if error:
        raise error


async def lines_of(values: AsyncGenerator[object], closed: asyncio.Future[None] | None = None) -> list[dict[str, Any]]:
    """All lines of a stream."""
    closed = closed or asyncio.get_running_loop().create_future()
    return [json.loads(line) async for line in calls.lines(values, closed)]


async def test_a_stream_has_values_and_an_end() -> None:
    """A line for each value, and one that says that there is no more."""
    assert await lines_of(received(1, [])) == [{"value": 1}, {"value": []}, {"end": True}]


async def test_a_stream_ends_with_its_error() -> None:
    """The last line is the error, and whether to try again."""
    *_, last = await lines_of(received(1, error=NotFoundError("no deployment has this id")))
    assert last == {"error": {"kind": "NotFoundError", "message": "no deployment has this id", "retryable": False}}


async def test_a_bug_is_logged_and_not_shown(caplog: pytest.LogCaptureFixture) -> None:
    """What is not an error of the library may contain anything. Only the log has it."""
    *_, last = await lines_of(received(error=KeyError("secret")))
    assert (last["error"]["kind"], "secret" in str(last)) == ("InternalError", False)
    assert "secret" in caplog.text


async def test_a_silent_stream_has_heartbeats(monkeypatch: pytest.MonkeyPatch) -> None:
    """A stream without values says that it is alive."""
    monkeypatch.setattr(calls, "HEARTBEAT", 0.01)
    lines = await lines_of(received(1, pause=0.1))
    assert lines[0] == {"value": 1}
    assert lines[-1] == {"end": True}
    assert {} in lines[1:-1]


async def test_a_closed_console_ends_streams_without_a_last_line() -> None:
    """A page whose console stops sees a lost connection, and connects again."""
    closed = asyncio.get_running_loop().create_future()
    asyncio.get_running_loop().call_later(0.01, closed.set_result, None)
    assert await lines_of(received(1, pause=60), closed) == [{"value": 1}]


@pytest.mark.parametrize("body", [[], "text", None, {}])
async def test_arguments_are_checked(page: Page, body: object) -> None:
    """What is not an object, or lacks an argument, is an error that says so."""
    status, content = await page.post("/console/api/check-spec", body)
    assert (status, content["error"]["kind"]) in {(422, "InvalidArgumentError"), (415, "HTTP")}


async def test_names_of_actions_and_streams(page: Page) -> None:
    """Only registered ones exist. Each name is of one module, and is written in the same way."""
    for path in (
        "/console/api/nowhere",
        "/console/stream/nowhere",
        "/console/api/deployments",
        "/console/stream/apply",
    ):
        status, _ = await page.post(path, {})
        assert status == 404
    assert all(name == name.lower() and "_" not in name for name in [*ACTIONS, *STREAMS])


@pytest.mark.filterwarnings("ignore:Sending a large body")
async def test_a_text_is_checked_with_positions(page: Page) -> None:
    """Each problem has its line and column, also one of the syntax; a valid text has none."""
    _, content = await page.post("/console/api/check-spec", {"text": "image: nginx\nport: x\nprot: 1\n"})
    assert [(problem["line"], problem["column"]) for problem in content["problems"]] == [(2, 7), (3, 1)]
    assert content["problems"][1]["message"] == "prot: unknown field (did you mean 'port'?)"
    _, content = await page.post("/console/api/check-spec", {"text": "image: nginx\n  port: 80\n"})
    assert [problem["line"] for problem in content["problems"]] == [2]
    _, content = await page.post("/console/api/check-spec", {"text": ""})
    assert content["problems"][0]["message"]
    _, content = await page.post("/console/api/check-spec", {"text": "#" * 1_000_001})
    assert content["problems"] == [{"line": 0, "column": 0, "message": "cannot read spec.yaml: larger than 1 MB"}]
    _, content = await page.post("/console/api/check-spec", {"text": f"name: web\nprojectId: p1\n{SPEC}"})
    assert content == {"problems": [], "name": "web", "projectId": "p1"}


async def test_a_plan_changes_nothing(page: Page, aclient: AsyncClient) -> None:
    """A plan says what would change, and can be applied."""
    arguments = {"text": SPEC, "name": "web", "projectId": "p1"}
    _, plan = await page.post("/console/api/plan", arguments)
    assert (plan["action"], await aclient.deployments.list_deployments()) == ("created", [])
    assert {"path": "image", "before": None, "after": "nginx"} in plan["difference"]["changes"]
    _, applied = await page.post("/console/api/apply", {**arguments, "id": plan["id"], "specId": plan["specId"]})
    assert (await aclient.deployments.get_deployment_spec(applied["id"]))["port"] == 80
    _, plan = await page.post("/console/api/plan", {**arguments, "text": "image: nginx\nport: 81\n"})
    assert (plan["action"], plan["difference"]["changes"]) == (
        "updated",
        [{"path": "port", "before": 80, "after": 81}],
    )


async def test_the_text_of_a_deployment_can_be_applied_again(page: Page) -> None:
    """The editor gets the spec as a file that means the same, with the name and the project."""
    spec = f'{SPEC}env:\n  - {{name: MODE, value: "${{NAME}}"}}\n  - {{name: LINES, value: "1\\N2\\L3\\P4"}}\nx-literal: true\n'
    new = {"text": spec, "name": "web", "projectId": "p1", "id": None, "specId": None}
    _, applied = await page.post("/console/api/apply", new)
    _, loaded = await page.post("/console/api/get-text", {"id": applied["id"]})
    assert (loaded["name"], loaded["projectId"]) == ("web", "p1")
    _, plan = await page.post("/console/api/plan", loaded)
    assert plan["action"] == "unchanged"


async def test_errors_of_the_library_keep_their_kind(page: Page) -> None:
    """An error has the name of its class, and its message."""
    missing = "d4e74a9c-b125-4bd7-b143-8f5c386df8a9"
    status, content = await page.post("/console/api/get-text", {"id": missing})
    assert (status, content["error"]["kind"]) == (422, "NotFoundError")
    assert missing in content["error"]["message"]


async def test_the_list_follows_changes(page: Page, aclient: AsyncClient) -> None:
    """The first value has all deployments; the next ones have what was created, changed and deleted."""
    first = (await aclient.deployments.create_deployment("a", "p", {"image": "nginx"}))["id"]
    values = page.lines("deployments", {})
    value = (await anext(values))["value"]
    assert (value["first"], value["complete"]) == (True, True)
    assert [(row["id"], row["projectId"]) for row in value["rows"]] == [(first, "p")]

    second = (await aclient.deployments.create_deployment("b", "p", {"image": "nginx"}))["id"]
    await aclient.deployments.delete_deployment(first)
    shown, removed = {first}, set()
    async for line in values:
        shown |= {row["id"] for row in line["value"]["rows"]}
        removed |= set(line["value"]["removed"])
        if second in shown and removed:
            break
    assert (shown, removed) == ({first, second}, {first})


async def test_a_list_of_more_than_a_page(
    page: Page, server: LocalServer, aclient: AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The newest deployments come first, then all of them."""
    monkeypatch.setattr("paperspace.gradient.console.streams.FIRST", 2)
    ids = [(await aclient.deployments.create_deployment(f"n{n}", "p", {"image": "nginx"}))["id"] for n in range(3)]
    values = page.lines("deployments", {})
    value = (await anext(values))["value"]
    assert (value["complete"], [row["id"] for row in value["rows"]]) == (False, ids[:0:-1])
    value = (await anext(values))["value"]
    assert (value["complete"], [row["id"] for row in value["rows"]]) == (True, ids[:1])
    assert server.url


async def test_a_list_while_the_server_gets_another_database(server: LocalServer, aclient: AsyncClient) -> None:
    """If the server has another database between two pages of the list, the list is read again: it does not end."""
    ids = {(await aclient.deployments.create_deployment(f"n{n}", "p", {"image": "nginx"}))["id"] for n in range(101)}
    refused: list[str] = []

    def of_another_database(request: dict[str, Any]) -> None:
        if not refused and (cursor := request["variables"].get("after")):
            refused.append(cursor)
            request["variables"]["after"] = "b3RoZXI6ZGVwbG95bWVudHM6MQ"  # other:deployments:1

    shown: set[str] = set()
    with altered(server, request=of_another_database) as url:
        async with (
            AsyncClient(server.api_key, url) as client,
            aclosing(STREAMS["deployments"](client, calls.Arguments())) as values,
        ):
            async for value in values:
                content: Any = value
                shown |= {row["id"] for row in content["rows"]}
                if content["complete"]:
                    break
    assert (len(refused), shown) == (1, ids)


async def test_a_list_that_the_server_refuses(server: LocalServer, aclient: AsyncClient) -> None:
    """If the server refuses the list each time, the stream ends with its error: the list would stay incomplete, without a word."""
    for n in range(101):
        await aclient.deployments.create_deployment(f"n{n}", "p", {"image": "nginx"})

    def refuse(response: dict[str, Any]) -> None:
        if (deployments := response["data"].get("deployments")) and not deployments["pageInfo"]["hasNextPage"]:
            response.clear()
            response["errors"] = [{"message": "too much", "extensions": {"code": "BUDGET_EXCEEDED"}}]

    with altered(server, response=refuse) as url:
        async with (
            AsyncClient(server.api_key, url) as client,
            aclosing(STREAMS["deployments"](client, calls.Arguments())) as values,
        ):

            async def read_all() -> None:
                async for _ in values:
                    pass

            with pytest.raises(BadRequestError, match="too much"):
                await asyncio.wait_for(read_all(), 30)


@pytest.mark.parametrize("change", ["created", "updated", "renamed", "deleted"])
async def test_a_text_is_applied_only_as_it_was_shown(page: Page, aclient: AsyncClient, change: str) -> None:
    """If another user changes the deployment after the plan, nothing is applied. With a new plan, it is."""
    text = {"text": SPEC, "name": "web", "projectId": "p1"}
    id_ = ""
    if change != "created":
        id_ = (await aclient.deployments.create_deployment("web", "p1", {"image": "httpd"}))["id"]
    _, plan = await page.post("/console/api/plan", text)
    match change:
        case "created":
            id_ = (await aclient.deployments.create_deployment("web", "p1", {"image": "httpd"}))["id"]
        case "updated":
            await aclient.deployments.scale_deployment(id_, 5)
        case "renamed":
            await aclient.deployments.update_deployment("other", id=id_)
        case "deleted":
            await aclient.deployments.delete_deployment(id_)
    before = await aclient.deployments.list_deployments()
    status, refused = await page.post("/console/api/apply", {**text, "id": plan["id"], "specId": plan["specId"]})
    assert (status, refused["error"]["kind"]) == (422, "ConflictError")
    assert await aclient.deployments.list_deployments() == before

    _, plan = await page.post("/console/api/plan", text)
    status, applied = await page.post("/console/api/apply", {**text, "id": plan["id"], "specId": plan["specId"]})
    assert (status, applied["action"]) == (200, plan["action"])


@pytest.mark.parametrize("name", [*ACTIONS, *STREAMS])
async def test_no_argument_is_a_bug(page: Page, aclient: AsyncClient, name: str) -> None:
    """Whatever an argument is, the response is a result, or an error that says what is wrong."""
    id_ = (await aclient.deployments.create_deployment("web", "p1", {"image": "nginx"}))["id"]
    sent = {"id": id_, "text": SPEC, "name": "web", "projectId": "p1", "replicas": 1, "to": id_, "since": "1m"}
    sent |= {
        "specId": id_,
        "method": "GET",
        "path": "/",
        "headers": "A: b",
        "body": "",
        "login": "",
        "instance": None,
        "tail": 1,
    }

    async def kind_of(arguments: dict[str, Any]) -> str | None:
        if name in STREAMS:
            async with aclosing(page.lines(name, arguments)) as lines:
                content: Any = await anext(lines)
        else:
            _, content = await page.post(f"/console/api/{name}", arguments)
        return str(content["error"]["kind"]) if isinstance(content, dict) and "error" in content else None

    values: list[Any] = [5, None, [], "\ud800"]
    wrong = [{**sent, argument: value} for argument in sent for value in values]
    kinds = await asyncio.gather(*map(kind_of, wrong))
    assert [arguments for arguments, kind in zip(wrong, kinds, strict=True) if kind == "InternalError"] == []


@pytest.mark.parametrize(
    ("function", "name"),
    [
        ("parse_text", "check-spec"),
        ("parse_text", "plan"),
        ("text_of", "get-text"),
        ("as_python", "plan"),
    ],
)
async def test_work_on_a_text_does_not_block_others(
    page: Page, aclient: AsyncClient, monkeypatch: pytest.MonkeyPatch, function: str, name: str
) -> None:
    """While a text is parsed, written or compared, the console responds to others, and works on one text at a time."""
    id_ = (await aclient.deployments.create_deployment("web", "p1", {"image": "nginx"}))["id"]
    started, others, running, most = threading.Event(), threading.Event(), 0, 0
    work = getattr(actions, function)

    def slow(*args: Any) -> Any:
        nonlocal running, most
        running += 1
        most = max(most, running)
        started.set()
        assert others.wait(20)
        running -= 1
        return work(*args)

    monkeypatch.setattr(f"paperspace.gradient.console.actions.{function}", slow)
    arguments = {"id": id_, "text": SPEC, "name": "web", "projectId": "p1"}
    waiting = [asyncio.ensure_future(page.post(f"/console/api/{name}", arguments)) for _ in range(3)]
    assert await asyncio.to_thread(started.wait, 60)
    assert (await page.post("/console/api/delete", {"id": id_, "name": "another"}))[0] == 422
    others.set()
    assert [status for status, _ in await asyncio.gather(*waiting)] == [200, 200, 200]
    assert most == 1


async def test_a_check_does_not_wait_for_the_api(server: LocalServer) -> None:
    """While a plan waits for an API that does not respond, other texts are checked: they waited for the plan."""
    asked, respond = asyncio.Event(), threading.Event()
    loop = asyncio.get_running_loop()

    def wait(_: dict[str, Any]) -> None:
        loop.call_soon_threadsafe(asked.set)
        assert respond.wait(20)

    with altered(server, request=wait) as url:
        async with AsyncClient(server.api_key, url) as client:
            arguments = calls.Arguments(text=SPEC, name="web", projectId="p1")
            plan = asyncio.ensure_future(ACTIONS["plan"](client, arguments))
            await asyncio.wait_for(asked.wait(), 20)
            try:
                checked = await asyncio.wait_for(ACTIONS["check-spec"](client, arguments), 10)
            finally:
                respond.set()
            assert checked == {"problems": [], "name": None, "projectId": None}
            result: Any = await plan
            assert result["action"] == "created"


async def test_work_of_a_page_that_is_gone_has_its_turn_to_the_end() -> None:
    """The work of a caller that was cancelled goes on in its thread, and other work waits for its end."""
    started, end = threading.Event(), threading.Event()
    done: list[str] = []

    def slow() -> None:
        started.set()
        assert end.wait(20)
        done.append("first")

    turns = Turns()
    first = asyncio.create_task(turns.run(slow))
    assert await asyncio.to_thread(started.wait, 20)
    first.cancel()
    await asyncio.gather(first, return_exceptions=True)
    second = asyncio.create_task(turns.run(done.append, "second"))
    await asyncio.wait([second], timeout=0.3)
    assert done == []
    end.set()
    await second
    assert done == ["first", "second"]


async def test_a_proxy_passes_the_lines_of_a_stream_on(page: Page) -> None:
    """A stream tells nginx, with the header that nginx reads, not to collect its lines: the page would stand still."""
    status, headers, body = await page.request("POST", "/console/stream/deployment", {"id": "unknown"})
    assert (status, headers["X-Accel-Buffering"]) == (200, "no")
    assert b'"error"' in body  # the stream has ended


async def test_a_page_that_is_gone_is_no_error_of_the_console(page: Page, caplog: pytest.LogCaptureFixture) -> None:
    """A stream whose page is closed before its response begins logs nothing."""
    address = page.base.removeprefix("http://")
    head = (
        f"Host: {address}\r\nOrigin: {page.base}\r\nX-Console-Token: {page.token}\r\nContent-Type: application/json\r\n"
    )
    request = f"POST /console/stream/deployments HTTP/1.1\r\n{head}Content-Length: 2\r\n\r\n{{}}"
    for turns in range(200):
        _, writer = await asyncio.open_connection(*address.split(":"))
        writer.write(request.encode())
        for _ in range(turns % 20):
            await asyncio.sleep(0)
        writer.close()
    assert (await page.post("/console/api/check-spec", {"text": SPEC}))[0] == 200
    assert caplog.text == ""
