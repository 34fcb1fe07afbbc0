"""A headless Chromium, and a server with a console for it."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from paperspace.gradient.cli._server_console import ServerConsole
from paperspace.gradient.server import LocalServer

if TYPE_CHECKING:
    from playwright.sync_api import Browser, BrowserContext, Page, Route, ViewportSize

# These tests need a browser and its driver. scripts/test-browser runs them.
collect_ignore_glob = [] if os.environ.get("GRADIENT_TEST_BROWSER") else ["*.py"]

WIDE: ViewportSize = {"width": 1280, "height": 800}
NARROW: ViewportSize = {"width": 390, "height": 844}


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """Chromium. Inside of a container, its own sandbox does not work."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as driver:
        browser = driver.chromium.launch(
            executable_path=os.environ["GRADIENT_TEST_BROWSER"], args=["--no-sandbox", "--disable-gpu"]
        )
        yield browser
        browser.close()


@pytest.fixture
def console() -> ServerConsole:
    """The console of the server."""
    return ServerConsole("127.0.0.1")


@pytest.fixture
def server(console: ServerConsole) -> Iterator[LocalServer]:
    """A server with a console, whose deployments are simulated."""
    with LocalServer(console=console) as server:
        yield server


@pytest.fixture
def context(browser: Browser) -> Iterator[BrowserContext]:
    """A new window: without anything stored."""
    context = browser.new_context(viewport=WIDE, permissions=["clipboard-read", "clipboard-write"])
    context.set_default_timeout(30_000)
    yield context
    context.close()


@pytest.fixture
def page(context: BrowserContext, server: LocalServer, console: ServerConsole) -> Iterator[Page]:
    """The page, opened by a link. A test fails if its scripts do, or if its policy blocks something."""
    page = context.new_page()
    errors: list[str] = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.on(
        "console", lambda message: errors.append(message.text) if "Content Security Policy" in message.text else None
    )
    page.on("request", lambda request: _note_foreign(request.url, server, errors))
    page.goto(console.link())
    page.get_by_role("heading", name="Deployments").wait_for()
    yield page
    assert errors == []


def _note_foreign(url: str, server: LocalServer, errors: list[str]) -> None:
    base = server.url.removesuffix("/graphql")
    if not url.startswith((base, "blob:", "data:")):
        errors.append(f"the page loads {url}")


def hold(page: Page, action: str) -> Callable[[], Route]:
    """Hold the next request of an action. The returned function waits for it, and returns it."""
    routes: list[Route] = []

    def keep(route: Route) -> None:
        routes.append(route)

    page.route(f"**/console/api/{action}", keep, times=1)
    return lambda: first_of(page, routes)


def first_of(page: Page, routes: list[Route]) -> Route:
    """Wait for the first one of the requests that a test holds."""
    deadline = time.monotonic() + 30
    while not routes:
        assert time.monotonic() < deadline, "there is no such request"
        page.wait_for_timeout(10)
    return routes[0]


@pytest.fixture(scope="session")
def axe() -> str:
    """The script of axe-core, which looks for what hinders people with disabilities."""
    return (Path(os.environ["GRADIENT_TEST_TOOLS"]) / "node_modules/axe-core/axe.min.js").read_text(encoding="utf-8")


def violations(page: Page, axe: str) -> list[Any]:
    """What axe-core finds on a page. It runs beside the policy of the page, as a tool of the browser."""
    page.evaluate(axe)
    result = page.evaluate("() => axe.run(document, {resultTypes: ['violations']})")
    return [
        (violation["id"], [node["html"][:200] for node in violation["nodes"]]) for violation in result["violations"]
    ]
