"""The list of deployments, in a browser."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import pytest
from tests.browser.conftest import NARROW, violations

from paperspace.gradient import Client

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

    from paperspace.gradient.cli._server_console import ServerConsole

SPEC: Any = {"image": "nginx", "port": 80, "resources": {"replicas": 1}}


def names(page: Page) -> list[str]:
    """The names of the rows that are shown, from top to bottom, after the frame in which the page draws the latest change."""
    shown: list[str] = page.evaluate("""async () => {
        for (let frame = 0; frame < 2; frame++) await new Promise(requestAnimationFrame);
        const top = (row) => row.getBoundingClientRect().top;
        const rows = [...document.querySelectorAll("[data-key]")].sort((one, other) => top(one) - top(other));
        return rows.map((row) => row.querySelector("[role=rowheader]").innerText);
    }""")
    return shown


def row(page: Page, name: str) -> Any:
    """The row of a deployment."""
    return page.locator("[data-key]", has=page.get_by_role("link", name=name, exact=True))


def create(client: Client, *deployments: str) -> None:
    """Create deployments, oldest first."""
    for name in deployments:
        client.deployments.create_deployment(name, "p1", SPEC)


def test_a_deployment_becomes_ready(page: Page, client: Client) -> None:
    """A deployment that another client creates appears, becomes ready, is updated and disappears, without a reload."""
    page.get_by_text("There are no deployments yet.").wait_for()
    id_ = client.deployments.create_deployment("web", "p1", SPEC)["id"]
    row(page, "web").get_by_text("pending").wait_for()
    row(page, "web").get_by_text("ready").wait_for()
    assert row(page, "web").locator(".replicas").inner_text() == "1/1"
    client.deployments.patch_deployment(id_, image="httpd")
    row(page, "web").get_by_text("httpd").wait_for()
    client.deployments.delete_deployment(id_)
    page.get_by_text("There are no deployments yet.").wait_for()


def test_a_failed_deployment_says_why(page: Page, client: Client) -> None:
    """The state is a word and a shape; the reason is in its title."""
    client.deployments.create_deployment(
        "broken", "p1", {**SPEC, "env": [{"name": "GRADIENT_SIMULATE", "value": "fail"}]}
    )
    row(page, "broken").get_by_text("failed").wait_for()
    assert "Simulated" in (row(page, "broken").locator(".state").first.get_attribute("title") or "")


def test_filter_and_sort_are_in_the_address(page: Page, client: Client) -> None:
    """What is typed filters the rows, a title sorts them, and a reload shows the same."""
    create(client, "web-2", "web-10", "other")
    row(page, "other").wait_for()
    assert names(page) == ["other", "web-10", "web-2"]
    page.get_by_role("searchbox", name="Filter").fill("web")
    page.get_by_role("button", name="Name").click()
    row(page, "other").wait_for(state="detached")
    assert names(page) == ["web-2", "web-10"]
    assert page.url.endswith("#/deployments?filter=web&sort=name")
    page.reload()
    page.get_by_text("2 of 3").wait_for()
    row(page, "web-2").wait_for()
    assert names(page) == ["web-2", "web-10"]
    page.get_by_role("searchbox", name="Filter").fill("nothing like it")
    page.get_by_text("No deployment matches the filter.").wait_for()
    page.get_by_role("button", name="Clear the filter").click()
    row(page, "other").wait_for()


def test_a_browser_that_limits_changes_of_the_address(page: Page, client: Client) -> None:
    """What is typed filters the rows although the browser refuses more changes of the address, which shows the filter later."""
    create(client, "web", "other")
    row(page, "other").wait_for()
    page.evaluate(
        """() => {
            history.replaceState = () => {
                delete history.replaceState;
                throw new DOMException("Attempt to use history.replaceState() more than 100 times", "SecurityError");
            };
        }"""
    )
    page.get_by_role("searchbox", name="Filter").fill("web")
    row(page, "other").wait_for(state="detached")
    page.wait_for_url("**#/deployments?filter=web")


def test_states_filter(page: Page, client: Client) -> None:
    """The number of each state is a button that shows only these."""
    create(client, "web")
    client.deployments.create_deployment("off", "p1", {**SPEC, "enabled": False})
    row(page, "off").get_by_text("stopped").wait_for()
    page.get_by_role("button", name=re.compile("stopped")).click()
    page.get_by_text("1 of 2").wait_for()
    assert names(page) == ["off"]


def test_keys(page: Page, client: Client) -> None:
    """Each action has a key, and `?` lists them."""
    create(client, "first", "second", "third")
    row(page, "third").wait_for()
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowDown")
    assert page.locator("a:focus").inner_text() == "second"
    page.keyboard.press("ArrowUp")
    assert page.locator("a:focus").inner_text() == "third"
    page.keyboard.press("/")
    page.keyboard.type("fir")
    page.get_by_text("1 of 3").wait_for()
    page.keyboard.press("Escape")
    row(page, "second").wait_for()
    page.keyboard.press("?")
    dialog = page.get_by_role("dialog", name="Keys")
    dialog.get_by_text("New deployment").wait_for()
    page.keyboard.press("Escape")
    dialog.wait_for(state="detached")
    page.keyboard.press("n")
    page.get_by_role("heading", name="New deployment").wait_for()
    page.keyboard.press("Escape")  # leaves the field
    page.keyboard.press("Escape")  # and the page
    row(page, "third").wait_for()
    assert names(page) == ["third", "second", "first"]
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    page.wait_for_url(re.compile(r"#/deployments/[0-9a-f-]{36}$"))


def test_escape_leads_back(page: Page, client: Client) -> None:
    """Esc on the page of a deployment opens the list with its filter. In a field, it leaves the field first."""
    create(client, "web", "other")
    row(page, "web").wait_for()
    page.keyboard.press("/")
    page.keyboard.type("web")
    page.keyboard.press("Enter")
    page.keyboard.press("Enter")
    page.get_by_role("heading", name="web").wait_for()
    page.keyboard.press("3")
    page.keyboard.press("/")
    page.keyboard.press("Escape")
    assert "/events" in page.url
    page.keyboard.press("Escape")
    page.wait_for_url(re.compile(r"#/deployments\?filter=web$"))
    row(page, "web").wait_for()
    assert names(page) == ["web"]


def test_the_focus_survives_updates(page: Page, client: Client) -> None:
    """A row that has the focus keeps it, while others come and go."""
    create(client, "kept")
    row(page, "kept").wait_for()
    page.keyboard.press("ArrowDown")
    create(client, "newer")
    row(page, "newer").wait_for()
    assert names(page) == ["newer", "kept"]
    assert page.locator("a:focus").inner_text() == "kept"


def test_a_long_list_has_few_rows(page: Page, client: Client) -> None:
    """Only the rows that are seen exist. The last one can be reached."""
    create(client, *(f"n{number:03}" for number in range(150)))
    page.get_by_text("150", exact=True).first.wait_for()
    row(page, "n149").wait_for()
    assert page.locator("[data-key]").count() < 60
    page.keyboard.press("End")
    row(page, "n000").wait_for()
    assert page.locator("a:focus").inner_text() == "n000"
    assert page.get_by_role("table").get_attribute("aria-rowcount") == "151"


def test_a_script_is_shown_as_text(page: Page, client: Client) -> None:
    """A name and an image that are HTML are shown as they are."""
    script = "<img src=x onerror=alert(1)>"
    page.on("dialog", lambda dialog: pytest.fail(dialog.message))
    client.deployments.create_deployment(script, "<b>p</b>", {**SPEC, "image": "<script>alert(1)</script>"})
    row(page, script).get_by_text("<script>alert(1)</script>").wait_for()
    assert page.locator("main img, main b:not(.chip b), main script").count() == 0


def test_no_barriers(page: Page, client: Client, axe: str) -> None:
    """Axe-core finds nothing, in light and dark, at both widths."""
    create(client, "web")
    row(page, "web").get_by_text("ready").wait_for()
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme=scheme)
        assert violations(page, axe) == []
    page.set_viewport_size(NARROW)
    row(page, "web").wait_for()
    assert violations(page, axe) == []
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")


def test_light_and_dark(page: Page) -> None:
    """The page follows the system, until its button chooses, also after a reload."""
    background = "getComputedStyle(document.body).backgroundColor"
    page.emulate_media(color_scheme="dark")
    dark = page.evaluate(background)
    page.emulate_media(color_scheme="light")
    assert page.evaluate(background) != dark
    page.get_by_role("button", name="Dark").click()
    page.reload()
    page.get_by_role("button", name="Light").wait_for()
    assert page.evaluate(background) == dark


def test_a_second_window(page: Page, client: Client) -> None:
    """An address works in another window of the same browser, without a link."""
    create(client, "web")
    row(page, "web").wait_for()
    other = page.context.new_page()
    other.goto(f"{page.url.partition('#')[0]}#/deployments?filter=web")
    other.locator("[data-key]").wait_for()


def test_a_page_without_a_link_says_how_to_get_one(browser: Browser, page: Page, console: ServerConsole) -> None:
    """Another browser sees nothing but the command that prints a link; a used link says that it was used."""
    used = console.link()
    page.goto(used)
    page.wait_for_url(lambda url: "token" not in url)
    page.get_by_role("heading", name="Deployments", exact=True).wait_for()
    context = browser.new_context()
    stranger = context.new_page()
    stranger.goto(used.partition("#")[0])
    stranger.get_by_text("gradient console").wait_for()
    stranger.goto("about:blank")
    stranger.goto(used)
    stranger.get_by_text("This link was used before").wait_for()
    context.close()


def test_the_focus_survives_another_order(page: Page, client: Client) -> None:
    """A row that has the focus keeps it when it moves up: the page lost it, and Enter did nothing."""
    create(client, "web", "other")
    row(page, "other").wait_for()
    row(page, "web").get_by_text("ready").wait_for()
    page.get_by_role("button", name="State").click()
    page.keyboard.press("End")
    assert page.locator("a:focus").inner_text() == "web"
    [web] = [deployment for deployment in client.deployments.list_deployments() if deployment["name"] == "web"]
    client.deployments.patch_deployment(web["id"], env={"GRADIENT_SIMULATE": "fail"})
    row(page, "web").get_by_text("failed").wait_for()
    assert names(page) == ["web", "other"]
    assert page.locator("a:focus").inner_text() == "web"


def test_a_selected_row_that_is_gone(page: Page, client: Client) -> None:
    """If the selected deployment is deleted or hidden by the filter, the Tab key reaches the first row, and `e` edits none.

    No row was reached any more, and `e` opened the editor of the deployment that is not shown.
    """
    create(client, "web", "gone")
    row(page, "gone").wait_for()
    page.keyboard.press("ArrowDown")
    assert page.locator("a:focus").inner_text() == "gone"
    [gone] = [deployment for deployment in client.deployments.list_deployments() if deployment["name"] == "gone"]
    client.deployments.delete_deployment(gone["id"])
    row(page, "gone").wait_for(state="detached")
    assert names(page) == ["web"]
    assert page.locator("[data-key] a[tabindex='0']").all_inner_texts() == ["web"]
    page.keyboard.press("e")
    row(page, "web").wait_for()
    page.keyboard.press("ArrowDown")
    page.get_by_label("Filter", exact=True).fill("none has this name")
    page.get_by_text("No deployment matches the filter.").wait_for()
    page.get_by_role("button", name="Clear the filter").focus()
    page.keyboard.press("e")
    page.get_by_text("No deployment matches the filter.").wait_for()
