"""What the page does when a connection is lost, in a browser."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import pytest
from tests.browser.conftest import hold

from paperspace.gradient import Client
from paperspace.gradient.cli._server_console import ServerConsole
from paperspace.gradient.server import LocalServer

if TYPE_CHECKING:
    from playwright.sync_api import BrowserContext, Page

SPEC: Any = {"image": "nginx", "port": 80, "resources": {"replicas": 1}}


@pytest.fixture
def database(tmp_path: Path) -> Path:
    return tmp_path / "gradient.db"


@pytest.fixture
def server(console: ServerConsole, database: Path) -> Iterator[LocalServer]:
    """A server whose deployments survive its end."""
    server = LocalServer(database=database, console=console)
    with server:
        yield server


def test_it_reconnects(page: Page, server: LocalServer, console: ServerConsole, database: Path) -> None:
    """The page says that it reconnects, and why; it shows what was changed in the meantime, and keeps its filter."""
    with Client(server.api_key, server.url) as client:
        client.deployments.create_deployment("before", "p1", SPEC)
        gone = client.deployments.create_deployment("deleted", "p1", SPEC)["id"]
    page.get_by_role("link", name="deleted").wait_for()
    page.get_by_role("searchbox", name="Filter").fill("p1")
    server.stop()
    page.get_by_text("Reconnecting").wait_for()
    again = LocalServer(port=urlsplit(server.url).port or 0, database=database, api_key=server.api_key, console=console)
    with again, Client(again.api_key, again.url) as client:
        client.deployments.create_deployment("meanwhile", "p1", SPEC)
        client.deployments.delete_deployment(gone)
        page.get_by_role("link", name="meanwhile").wait_for()
        page.get_by_role("link", name="deleted").wait_for(state="detached")
        page.get_by_text("Reconnecting").wait_for(state="detached")
        assert page.get_by_role("searchbox", name="Filter").input_value() == "p1"


def test_a_page_that_is_opened_without_a_connection(page: Page, context: BrowserContext, server: LocalServer) -> None:
    """A page that was not open before opens when there is a connection again."""
    with Client(server.api_key, server.url) as client:
        client.deployments.create_deployment("web", "p1", SPEC)
    page.get_by_role("link", name="web").wait_for()
    context.set_offline(True)
    page.get_by_role("link", name="web").click()
    page.get_by_text("Reconnecting").wait_for()
    context.set_offline(False)
    page.get_by_role("heading", name="web").wait_for()


@pytest.mark.parametrize("response", [None, "<html>"])
def test_a_link_without_a_response(
    context: BrowserContext, server: LocalServer, console: ServerConsole, response: str | None
) -> None:
    """If the console, or a proxy before it, does not respond to a link, the page says so, and the link works later."""
    page, link = context.new_page(), console.link()
    assert link.startswith(server.url.removesuffix("graphql"))
    page.route(
        "**/console/session",
        lambda route: route.fulfill(status=502, body=response) if response else route.abort(),
        times=1,
    )
    page.goto(link)
    page.get_by_text("The console does not respond. Open the link again.").wait_for()
    page.goto(link)
    page.get_by_role("heading", name="Deployments", exact=True).wait_for()


def test_many_windows(page: Page, context: BrowserContext, server: LocalServer) -> None:
    """The streams of some windows leave connections for actions, and for other windows, which say what they wait for."""
    with Client(server.api_key, server.url) as client:
        id_ = client.deployments.create_deployment("web", "p1", SPEC)["id"]
        address = f"{page.url.partition('#')[0]}#/deployments/{id_}/logs"
        windows = [context.new_page() for _ in range(3)]
        for window in windows[:2]:
            window.goto(address)
            window.get_by_label("Search the log").wait_for()
            window.get_by_text("[simulated] ready").wait_for()
        windows[2].goto(address)  # the list has a stream, and each of the two other windows has two
        windows[2].get_by_text("Other windows of the console use all connections").wait_for()
        windows[0].keyboard.press("s")
        dialog = windows[0].get_by_role("dialog")
        dialog.get_by_label("Replicas").fill("2")
        dialog.get_by_role("button", name="Scale").click()
        windows[0].get_by_text("2 of 2 replicas ready").wait_for()
        windows[0].evaluate("Object.defineProperty(document, 'hidden', { get: () => true })")
        windows[2].reload()  # it asks again, and the window that is hidden now gives back its connections
        windows[2].get_by_text("2 of 2 replicas ready").wait_for()
        windows[2].get_by_text("[simulated] ready").first.wait_for()


def loaded(page: Page) -> None:
    """Wait until the list has its connection: afterwards, only the test itself sends requests."""
    page.get_by_text("There are no deployments yet").wait_for()


CONNECT_TWICE = """async () => {
    const { Api } = await import("/console/static/api.js");
    const bodies = ['{"value": 1}\\n', '{"value": 2}\\n{"end": true}\\n'];
    const seen = [];
    window.requestAnimationFrame = () => 0;
    window.fetch = async () => new Response(bodies.shift());
    const begin = () => (seen.push("begin"), {});
    await new Api(() => {}).stream("any", begin, (values) => seen.push(values), new AbortController().signal);
    return seen;
}"""


def test_a_hidden_page_gets_values_in_order(page: Page) -> None:
    """Without frames, as on a hidden page, what one connection sent is received before the next one begins.

    The download of a log begins again with each connection: it had the lines of the connection before twice.
    """
    loaded(page)
    assert page.evaluate(CONNECT_TWICE) == ["begin", [1], "begin", [2]]


CONNECT_DURING_AN_OUTAGE = """async () => {
    const { Api } = await import("/console/static/api.js");
    const error = { kind: "APITimeoutError", message: "no response", retryable: true };
    const bodies = [[{ error }], [{}], [{ value: 1 }, { end: true }]];
    const states = [];
    window.fetch = async () => new Response(bodies.shift().map((line) => `${JSON.stringify(line)}\\n`).join(""));
    await new Api((state) => states.push(state)).stream("any", {}, () => {}, new AbortController().signal);
    return states;
}"""


def test_a_heartbeat_is_no_response_of_the_api(page: Page) -> None:
    """In a console of its own, the page says that it reconnects until there is a value from the API again.

    If the API did not respond, the page said so for 5 seconds of each 30: until the first heartbeat.
    """
    loaded(page)
    assert page.evaluate(CONNECT_DURING_AN_OUTAGE) == ["reconnecting", "reconnecting", "connected"]


def test_a_new_start_needs_a_new_link(page: Page, server: LocalServer, database: Path) -> None:
    """After the console was started again, its sessions are gone, and the page says how to get a link."""
    server.stop()
    page.get_by_text("Reconnecting").wait_for()
    again = LocalServer(
        port=urlsplit(server.url).port or 0,
        database=database,
        api_key=server.api_key,
        console=ServerConsole("127.0.0.1"),
    )
    with again:
        page.get_by_text("The session has ended. Run `gradient console`").wait_for()


def test_a_new_window_has_the_newest_session(
    page: Page, context: BrowserContext, server: LocalServer, database: Path
) -> None:
    """A window of before a restart gives others the session of the newest link, and uses it itself.

    It gave them its own session, which had ended.
    """
    page.route("**/console/stream/**", lambda route: route.abort())  # it does not learn that its session has ended
    server.stop()
    port, console = urlsplit(server.url).port or 0, ServerConsole("127.0.0.1")
    with LocalServer(port=port, database=database, api_key=server.api_key, console=console):
        opened = context.new_page()
        opened.goto(console.link())
        opened.get_by_role("heading", name="Deployments", exact=True).wait_for()
        opened.close()
        other = context.new_page()
        other.goto(page.url.partition("#")[0])
        other.get_by_text("There are no deployments yet").wait_for()
        other.close()
        page.unroute("**/console/stream/**")
        page.get_by_text("Reconnecting").wait_for(state="detached")


def test_a_text_survives_a_new_start(page: Page, context: BrowserContext, server: LocalServer, database: Path) -> None:
    """The text of an editor stays when its session ends, and can be applied after a new link was opened in another window."""
    page.get_by_role("link", name="New deployment").click()
    page.get_by_role("textbox", name="Name").fill("web")
    page.get_by_role("textbox", name="Project").fill("p1")
    page.get_by_role("heading", name="Would create web").wait_for()
    server.stop()
    port, console = urlsplit(server.url).port or 0, ServerConsole("127.0.0.1")
    again = LocalServer(port=port, database=database, api_key=server.api_key, console=console)
    with again, Client(again.api_key, again.url) as client:
        page.get_by_role("textbox", name="Spec").fill("image: httpd\n")
        page.get_by_text("The session has ended").wait_for()
        opened = context.new_page()
        opened.goto(console.link())
        opened.get_by_role("heading", name="Deployments", exact=True).wait_for()
        page.get_by_role("textbox", name="Name").fill("other")
        page.get_by_role("heading", name="Would create other").wait_for()
        assert page.get_by_text("The session has ended").count() == 0
        page.get_by_role("button", name="Create").click()
        page.wait_for_url("**/#/deployments/*")
        [created] = client.deployments.list_deployments()
        assert created["deploymentSpecs"]["nodes"][0]["data"].get("image") == "httpd"


def test_an_action_without_a_response_ends(page: Page) -> None:
    """An action whose response never comes, or is incomplete, ends with an error, and can be tried again.

    The check of a text waited without end, so no later text was checked.
    """
    page.evaluate(
        "() => { AbortSignal.original = AbortSignal.timeout; AbortSignal.timeout = () => AbortSignal.original(300); }"
    )
    hold(page, "check-spec")
    page.get_by_role("link", name="New deployment").click()
    page.get_by_text("did not respond within 120 seconds").wait_for()
    page.get_by_text("Set a name and a project").wait_for()
    page.evaluate("() => void (AbortSignal.timeout = AbortSignal.original)")
    page.route("**/console/api/check-spec", lambda route: route.fulfill(body='{"problems": '))
    page.get_by_role("textbox", name="Spec").fill("image: httpd\n")
    page.get_by_text("sent no complete response").wait_for()
    page.unroute("**/console/api/check-spec")
    page.get_by_text("sent no complete response").wait_for(state="detached")


FAIL_AFTER_THE_FIRST_VALUE = """async () => {
    const { Api } = await import("/console/static/api.js");
    const error = { kind: "APITimeoutError", message: "no response", retryable: true };
    const failing = [{ value: [] }, { error }], times = [];
    window.fetch = async () => {
        times.push(performance.now());
        const lines = times.length < 4 ? failing : [{ end: true }];
        return new Response(lines.map((line) => `${JSON.stringify(line)}\\n`).join(""));
    };
    await new Api(() => {}).stream("any", {}, () => {}, new AbortController().signal);
    return times[3] - times[2];
}"""


def test_a_stream_that_fails_after_its_first_value(page: Page) -> None:
    """Each wait before another connection is longer, also if a stream has values before it fails: a log that could not be read was requested twice a second."""
    assert page.evaluate(FAIL_AFTER_THE_FIRST_VALUE) > 1400


BLOCK_STORAGE = """
    const blocked = () => { throw new DOMException("The operation is insecure.", "SecurityError"); };
    for (const name of ["localStorage", "sessionStorage"]) Object.defineProperty(window, name, { get: blocked });
    window.BroadcastChannel = function () { blocked(); };
    navigator.locks.request = async () => blocked();
"""


def test_blocked_storage(context: BrowserContext, server: LocalServer, console: ServerConsole) -> None:
    """In a browser that blocks storage, locks and channels, a link opens the page, and it works until it is closed: it stayed blank."""
    context.add_init_script(BLOCK_STORAGE)
    page, errors = context.new_page(), list[str]()
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.goto(console.link())
    with Client(server.api_key, server.url) as client:
        client.deployments.create_deployment("web", "p1", SPEC)
    page.get_by_role("link", name="web").wait_for()
    page.get_by_role("button", name="Dark").click()
    page.get_by_role("button", name="Light").wait_for()
    page.reload()
    page.get_by_text("it prints a link that opens this page").wait_for()
    assert errors == []
