"""Create and edit a deployment, in a browser."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from tests.browser.conftest import NARROW, hold, violations

from paperspace.gradient import Client

if TYPE_CHECKING:
    from playwright.sync_api import Dialog, Page

SPEC: Any = {"image": "nginx", "port": 80, "resources": {"replicas": 1}}


def write(page: Page, text: str) -> None:
    """Replace the text of the editor."""
    page.get_by_role("textbox", name="Spec").fill(text)


def test_create(page: Page, client: Client) -> None:
    """A new deployment: what it would be is shown before, it is created as written, and its page opens."""
    page.get_by_role("link", name="New deployment").click()
    page.get_by_role("textbox", name="Name").fill("web")
    page.get_by_role("textbox", name="Project").fill("p1")
    write(page, "image: nginx\nport: 8080\n")
    page.get_by_role("heading", name="Would create web").wait_for()
    page.get_by_role("row", name=re.compile("port")).get_by_text("8080").wait_for()
    assert client.deployments.list_deployments() == []
    page.get_by_role("button", name="Create").click()
    page.wait_for_url(re.compile(r"#/deployments/[0-9a-f-]{36}"))
    [created] = client.deployments.list_deployments()
    assert created["name"] == "web"
    assert created["deploymentSpecs"]["nodes"][0]["data"]["port"] == 8080


def test_edit(page: Page, client: Client) -> None:
    """An edit shows the fields before and after, side by side, and applies them."""
    id_ = client.deployments.create_deployment("web", "p1", SPEC)["id"]
    page.goto(f"{page.url.partition('#')[0]}#/deployments/{id_}/edit")
    page.get_by_role("heading", name="Nothing would change").wait_for()
    assert page.get_by_role("button", name="Apply").is_disabled()
    write(page, "image: httpd\nport: 80\nresources:\n  replicas: 3\n")
    page.get_by_role("heading", name="Would update web").wait_for()
    changes = page.locator("table.difference tbody tr").all_inner_texts()
    assert [text.split() for text in changes] == [
        ["image", "nginx", "httpd"],
        ["resources.replicas", "1", "3"],
    ]
    page.keyboard.press("Control+Enter")
    page.wait_for_url(re.compile(f"#/deployments/{id_}$"))
    assert client.deployments.get_deployment_spec(id_)["image"] == "httpd"


def edit(page: Page, client: Client) -> str:
    """Open the editor of a new deployment, with another image that is not applied yet; return its address."""
    id_ = client.deployments.create_deployment("web", "p1", SPEC)["id"]
    address = f"{page.url.partition('#')[0]}#/deployments/{id_}/edit"
    page.goto(address)
    page.get_by_role("heading", name="Nothing would change").wait_for()
    write(page, "image: httpd\nport: 80\n")
    page.get_by_role("heading", name="Would update web").wait_for()
    return address


def test_apply_again_after_an_error(page: Page, client: Client) -> None:
    """If the text cannot be applied, the error is shown, and the same text can be applied again."""
    edit(page, client)
    failure = {"error": {"kind": "ConflictError", "message": "try again", "retryable": False}}
    page.route("**/console/api/apply", lambda route: route.fulfill(status=422, json=failure), times=1)
    page.get_by_role("button", name="Apply").click()
    page.get_by_text("try again").wait_for()
    page.get_by_role("button", name="Apply").click()
    page.wait_for_url(re.compile(r"#/deployments/[0-9a-f-]{36}$"))


def test_a_change_of_another_user_is_shown_before_it_is_replaced(page: Page, client: Client) -> None:
    """If the deployment has changed since its changes were shown, nothing is applied, and the new changes are shown."""
    edit(page, client)
    [deployment] = client.deployments.list_deployments()
    client.deployments.scale_deployment(deployment["id"], 5)
    page.get_by_role("button", name="Apply").click()
    page.get_by_text("nothing was applied: web was changed").wait_for()
    page.get_by_role("row", name="resources.replicas 5").wait_for()
    assert client.deployments.get_deployment_spec(deployment["id"])["image"] == "nginx"
    client.deployments.delete_deployment(deployment["id"])
    page.get_by_role("button", name="Apply").click()
    page.get_by_role("heading", name="Would create web").wait_for()
    assert client.deployments.list_deployments() == []


def test_an_outage_while_a_text_is_checked(page: Page, client: Client) -> None:
    """After an outage, the text is checked by itself, and can be applied."""
    edit(page, client)
    for action in ("check-spec", "plan"):
        page.route(f"**/console/api/{action}", lambda route: route.abort())
        write(page, f"image: {action}\nport: 80\n")
        page.get_by_text("The console does not respond").wait_for()
        page.unroute(f"**/console/api/{action}")
        page.get_by_text("The console does not respond").wait_for(state="detached")
        page.get_by_role("button", name="Apply", disabled=False).wait_for()


def test_what_is_typed_while_a_text_is_applied(page: Page, client: Client) -> None:
    """A text that was changed while an earlier one is applied stays in the editor."""
    address = edit(page, client)
    request = hold(page, "apply")
    page.get_by_role("button", name="Apply").click()
    applying = request()
    write(page, "image: caddy\nport: 80\n")
    applying.continue_()
    page.get_by_text("Updated web.").wait_for()
    page.get_by_role("row", name="image httpd caddy").wait_for()
    assert page.url == address
    assert page.get_by_role("textbox", name="Spec").input_value() == "image: caddy\nport: 80\n"


def test_what_is_typed_while_a_text_is_checked(page: Page) -> None:
    """One check runs at a time. The newest text is checked next, and nothing can be created until then."""
    page.goto(f"{page.url.partition('#')[0]}#/new")
    page.get_by_text("Set a name and a project").wait_for()
    assert page.get_by_role("button", name="Create").is_disabled()
    checks: list[Any] = []
    page.on("request", lambda sent: checks.append(sent.post_data_json) if "check-spec" in sent.url else None)
    request = hold(page, "check-spec")
    write(page, "imag: nginx\n")
    first = request()
    for text in ("image: [\n", "image: nginx\n", "image: nginx\nprot: 80\n"):
        write(page, text)
    first.continue_()
    page.get_by_role("button", name="prot: unknown field").wait_for()
    assert [check["text"] for check in checks] == ["imag: nginx\n", "image: nginx\nprot: 80\n"]


def test_errors_have_positions(page: Page) -> None:
    """An error names line and column, marks the line, and a click on it moves the cursor there."""
    page.goto(f"{page.url.partition('#')[0]}#/new?name=web&project=p1")
    write(page, "image: nginx\nprot: 80\n")
    problem = page.get_by_role("button", name=re.compile(r"2:1\s*prot: unknown field \(did you mean 'port'\?\)"))
    problem.wait_for()
    assert page.locator(".numbers .marked").all_inner_texts() == ["2"]
    assert page.get_by_role("button", name="Create").is_disabled()
    problem.click()
    assert page.evaluate("document.activeElement.selectionStart") == len("image: nginx\n")
    write(page, "image: nginx\nport: 80\n")
    page.get_by_role("heading", name="Would create web").wait_for()
    assert page.locator(".problems li").count() == 0


def test_the_command_and_the_call_can_be_copied(page: Page) -> None:
    """The same change, for a shell and for Python."""
    page.goto(f"{page.url.partition('#')[0]}#/new?name=web&project=p1")
    page.get_by_role("heading", name="Would create web").wait_for()
    page.get_by_role("region", name="The same in Python").get_by_role("button", name="Copy").click()
    page.get_by_role("button", name="Copied").wait_for()
    copied = page.evaluate("navigator.clipboard.readText()")
    assert copied.startswith("deployments.apply_deployment('web', 'p1', {'image': 'nginx'")


def test_a_draft_survives_another_page(page: Page) -> None:
    """What was typed is there again after a look at the list."""
    page.get_by_role("link", name="New deployment").click()
    write(page, "image: draft\n")
    page.get_by_role("link", name="Gradient Deployments").click()
    page.get_by_role("heading", name="Deployments", exact=True).wait_for()
    page.get_by_role("link", name="New deployment").click()
    assert page.get_by_role("textbox", name="Spec").input_value() == "image: draft\n"


def test_no_barriers(page: Page, axe: str) -> None:
    """Axe-core finds nothing, with and without problems, in light and dark, at both widths."""
    page.goto(f"{page.url.partition('#')[0]}#/new?name=web&project=p1")
    page.get_by_role("heading", name="Would create web").wait_for()
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme=scheme)
        assert violations(page, axe) == []
    page.set_viewport_size(NARROW)
    write(page, "imgae: nginx\n")
    page.locator(".problems li").first.wait_for()
    assert violations(page, axe) == []
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")


def test_cancel_discards_the_text(page: Page, client: Client) -> None:
    """After Cancel, the editor has the present spec again: it kept the text, and there was no way to get the spec.

    Cancel with Ctrl opens another window, as each link does, and keeps the text, which was lost as soon as the page was left.
    """
    edit(page, client)
    with page.context.expect_page():
        page.get_by_role("link", name="Cancel").click(modifiers=["Control"])
    page.get_by_role("link", name="Gradient Deployments").click()
    page.get_by_role("heading", name="Deployments", exact=True).wait_for()
    page.go_back()
    page.get_by_text("This text was not applied yet").wait_for()
    page.get_by_role("link", name="Cancel").click()
    page.get_by_role("button", name="Edit").click()
    page.get_by_role("heading", name="Nothing would change").wait_for()
    assert "image: nginx" in page.get_by_role("textbox", name="Spec").input_value()


def test_a_window_with_a_text_asks_before_it_is_closed(page: Page) -> None:
    """A reload asks if a text would be lost, also on another page of the console: it asked only in the editor."""
    asked: list[str] = []

    def accept(dialog: Dialog) -> None:
        asked.append(dialog.type)
        dialog.accept()

    page.on("dialog", accept)
    page.reload()
    page.get_by_role("link", name="New deployment").click()
    page.get_by_role("textbox", name="Spec").press_sequentially("#")
    page.get_by_role("link", name="Gradient Deployments").click()
    page.get_by_role("heading", name="Deployments", exact=True).wait_for()
    assert asked == []
    page.reload()
    page.get_by_role("heading", name="Deployments", exact=True).wait_for()
    assert asked == ["beforeunload"]


def test_an_indented_line_can_be_undone(page: Page) -> None:
    """After Enter in an indented line, Ctrl+Z undoes what was typed before: it did nothing."""
    page.get_by_role("link", name="New deployment").click()
    spec = page.get_by_role("textbox", name="Spec")
    spec.click()
    text = spec.input_value()
    page.keyboard.press("Control+End")
    page.keyboard.type("env:")
    page.keyboard.press("Enter")
    page.keyboard.type("- name: A")
    assert spec.input_value() == f"{text}env:\n  - name: A"
    for _ in range(5):
        page.keyboard.press("Control+z")
    assert spec.input_value() == text


def test_the_key_before_the_changes_are_shown(page: Page, client: Client) -> None:
    """Ctrl+Enter before the page shows what would change applies nothing, and says so: it said nothing."""
    edit(page, client)
    request = hold(page, "plan")
    write(page, "image: caddy\nport: 80\n")
    request()
    page.keyboard.press("Control+Enter")
    page.get_by_text("Nothing is applied until the page shows what the text would change.").wait_for()


def test_the_plan_of_an_earlier_text_ends(page: Page, client: Client) -> None:
    """When the text changes, the console does not compare the earlier one any more: the next one would wait for that."""
    edit(page, client)
    request = hold(page, "plan")
    ended: list[str] = []
    page.on("requestfailed", lambda failed: ended.append(failed.url))
    write(page, "image: caddy\nport: 80\n")
    request()
    write(page, "image: other\nport: 80\n")
    page.get_by_role("row", name="image nginx other").wait_for()
    assert [url.rpartition("/")[2] for url in ended] == ["plan"]


def test_a_text_is_applied_although_the_page_is_left(page: Page, client: Client) -> None:
    """Whoever leaves the editor while a text is applied is told what came of it, and stays where they are."""
    address = edit(page, client)
    for text, response in (("not applied", 422), ("Updated web.", 200)):
        request = hold(page, "apply")
        page.get_by_role("button", name="Apply").click()
        applying = request()
        page.keyboard.press("Escape")
        page.locator(".deployment h1").wait_for()
        if response == 200:
            applying.continue_()
        else:
            applying.fulfill(status=422, json={"error": {"kind": "X", "message": text, "retryable": False}})
        page.get_by_text(text).wait_for()
        page.get_by_role("button", name="Edit").click()
        page.get_by_text("This text was not applied yet" if response != 200 else "Nothing would change").wait_for()
        assert page.url == address
        page.get_by_role("button", name="Apply", disabled=response == 200).wait_for()
    assert client.deployments.list_deployments()[0]["deploymentSpecs"]["nodes"][0]["data"].get("image") == "httpd"
