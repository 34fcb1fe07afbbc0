"""The page of one deployment, in a browser."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from tests.browser.conftest import NARROW, first_of, hold, violations
from tests.browser.talkative import Talkative
from tests.server.storage.test_metric_file import FULL, TRAFFIC

from paperspace.gradient import Client
from paperspace.gradient.cli._server_console import ServerConsole
from paperspace.gradient.server import LocalServer
from paperspace.gradient.server.storage.metric_file import INTERVAL, KIND, MetricFile
from paperspace.gradient.server.storage.side_file import location_beside

if TYPE_CHECKING:
    from playwright.sync_api import Page, Route

SPEC: Any = {"image": "nginx", "port": 80, "env": [{"name": "KEY", "value": "secret"}]}
SCRIPT = "<img src=x onerror=alert(1)>"
TABS = ("overview", "logs", "events", "revisions", "metrics", "playground")


@pytest.fixture
def database(tmp_path: Path) -> Path:
    return tmp_path / "gradient.db"


@pytest.fixture
def server(console: ServerConsole, database: Path) -> Iterator[LocalServer]:
    """A server with a console. Deployments named `talk...` log 50 lines a second for half a minute."""
    runtime = Talkative(rate=50, lines=1500, text=f"line {{n}} {SCRIPT}")
    with LocalServer(database=database, runtime=runtime, console=console, actor="Ada") as server:
        yield server


def create(client: Client, name: str = "web", *, wait: bool = True, **fields: Any) -> str:
    """Create a deployment, and return its id."""
    return client.deployments.create_deployment(name, "p1", {**SPEC, **fields}, wait=wait)["id"]


def open_page(page: Page, id_: str, tab: str = "", parameters: str = "") -> None:
    """Open the page of a deployment."""
    page.goto(f"{page.url.partition('#')[0]}#/deployments/{id_}{tab and f'/{tab}'}{parameters and f'?{parameters}'}")
    page.locator(".deployment h1").wait_for()


def press(page: Page, key: str, button: str) -> None:
    """Press the key of an action, and confirm it."""
    page.keyboard.press(key)
    page.get_by_role("dialog").get_by_role("button", name=button, exact=True).click()
    page.get_by_role("dialog").wait_for(state="detached")


def sentence(page: Page, text: str) -> None:
    """Wait until the page says something about the state."""
    page.locator(".sentence", has_text=re.compile(text)).wait_for()


def test_it_becomes_ready(page: Page, client: Client) -> None:
    """The state is said in words, with the progress of the rollout, and each replica has its phases as a drawing."""
    waiting = [{"name": "GRADIENT_SIMULATE", "value": "pending"}]
    id_ = create(client, wait=False, resources={"replicas": 2}, env=waiting)
    open_page(page, id_)
    sentence(page, "pending.*a rollout is in progress; 0 of 2 replicas ready")
    assert page.get_by_role("progressbar").get_attribute("max") == "2"
    client.deployments.patch_deployment(id_, unset_env=["GRADIENT_SIMULATE"])
    sentence(page, "ready.*2 of 2 replicas ready")
    page.get_by_role("progressbar").wait_for(state="hidden")
    lanes = page.get_by_role("img", name=re.compile("pending from .*, healthy from "))
    assert lanes.count() == 2
    box = lanes.first.bounding_box()
    assert box
    lanes.first.hover(position={"x": box["width"] - 2, "y": 10})
    page.locator(".tooltip", has_text=re.compile("healthy|Ready")).wait_for()
    page.get_by_role("cell", name="Ready", exact=True).first.wait_for()


def test_a_failure_has_its_reason(page: Page, client: Client) -> None:
    """A deployment that fails says which replica failed, and why; one that crashes, how often."""
    id_ = create(client, wait=False, env=[{"name": "GRADIENT_SIMULATE", "value": "crash-loop"}])
    open_page(page, id_)
    sentence(page, "failed")
    page.locator(".reason", has_text="exited with code 1 (crash 4)").wait_for()
    assert page.locator(".lanes tbody tr").first.get_by_role("cell").nth(1).inner_text() == "3"
    page.get_by_role("img", name=re.compile("retrying")).wait_for()
    open_page(page, create(client, "rejected", wait=False, resources={"replicas": 101}))
    page.locator(".reason", has_text="101 replicas are too many").wait_for()


def test_a_failed_update_says_what_serves(page: Page, client: Client) -> None:
    """If an update fails, the page says which revision serves instead; the list of revisions says it too."""
    id_ = create(client)
    client.deployments.patch_deployment(id_, env={"GRADIENT_SIMULATE": "fail"})
    open_page(page, id_, "revisions")
    sentence(page, "failed.*the newest revision does not run; revision 1 serves, with 1 ready replica$")
    page.locator(".reason", has_text="cannot pull the image").wait_for()
    page.get_by_role("link", name=re.compile(r"^1 · .* · serves")).wait_for()
    assert page.get_by_role("link", name=re.compile("serves")).count() == 1


def test_tabs_have_addresses_and_keys(page: Page, client: Client) -> None:
    """Each tab has an address that a reload and the history know, and a key."""
    id_ = create(client)
    open_page(page, id_)
    for key, tab in enumerate(TABS, start=1):
        page.keyboard.press(str(key))
        page.wait_for_url(re.compile(f"#/deployments/{id_}/{tab}$"))
        assert page.locator(".tabs [aria-current]").inner_text().lower() == tab
    page.go_back()
    page.locator(".tabs [aria-current]", has_text="Metrics").wait_for()
    page.reload()
    page.locator(".tabs [aria-current]", has_text="Metrics").wait_for()
    page.get_by_role("link", name="Events").click()
    page.get_by_role("cell", name="Ready", exact=True).wait_for()


def test_actions(page: Page, client: Client) -> None:
    """Scale, restart, stop and start, each by its key, in a dialog that says what happens."""
    id_ = create(client)
    open_page(page, id_)
    sentence(page, "1 of 1 replica ready")
    page.keyboard.press("s")
    page.get_by_role("spinbutton", name="Replicas").fill("3")
    page.keyboard.press("Enter")
    sentence(page, "3 of 3 replicas ready")
    press(page, "r", "Restart")
    page.locator(".facts dd", has_text=re.compile("^3, ")).wait_for()
    sentence(page, "3 of 3 replicas ready")
    press(page, "x", "Stop")
    sentence(page, "stopped")
    press(page, "x", "Start")
    sentence(page, "3 of 3 replicas ready")
    changes = [
        change["path"]
        for entry in client.deployments.get_deployment_history(id_)[:-1]
        for change in entry["difference"]["changes"]
    ]
    assert changes == ["enabled", "enabled", "resources.replicas"]


def test_an_error_of_an_action_is_in_its_dialog(page: Page, client: Client) -> None:
    """A dialog stays open until its action has succeeded."""
    id_ = create(client, resources={"replicas": 0})
    open_page(page, id_)
    sentence(page, "stopped")
    page.keyboard.press("x")
    page.get_by_role("dialog").get_by_role("button", name="Start", exact=True).click()
    page.get_by_role("alert").get_by_text("has 0 replicas; scale it first").wait_for()
    page.keyboard.press("Escape")
    page.get_by_role("dialog").wait_for(state="detached")


def test_an_action_whose_page_is_left(page: Page, client: Client) -> None:
    """An action goes on when its dialog is closed or its page is left, and its result or error is said.

    The error of a closed dialog was not shown. If the page was left, the request was cancelled, and the dialog stayed.
    """
    id_ = create(client)
    page.goto(f"{page.url.partition('#')[0]}#/deployments")
    open_page(page, id_)
    for leave, failure in ((lambda: page.keyboard.press("Escape"), "it fails"), (page.go_back, "no restart")):
        request = hold(page, "restart")
        page.keyboard.press("r")
        page.get_by_role("dialog").get_by_role("button", name="Restart", exact=True).click()
        restarting = request()
        leave()
        page.get_by_role("dialog").wait_for(state="detached")
        restarting.fulfill(status=422, json={"error": {"kind": "X", "message": failure, "retryable": False}})
        page.get_by_role("status").get_by_text(f"Restart web: {failure}").wait_for()
    for key, name, result in (("r", "Restart", "web restarts."), ("d", "Delete", "Deleted web.")):
        page.go_forward()
        page.locator(".deployment h1").wait_for()
        request = hold(page, name.lower())
        page.keyboard.press(key)
        dialog = page.get_by_role("dialog")
        if name == "Delete":
            assert len(client.deployments.get_deployment_history(id_)) == 2
            dialog.get_by_label("Type web to confirm").fill("web")
        dialog.get_by_role("button", name=name, exact=True).click()
        action = request()
        page.go_back()
        page.get_by_role("heading", name="Deployments", exact=True).wait_for()
        action.continue_()
        page.get_by_text(result).wait_for()
    assert client.deployments.list_deployments() == []


def test_an_action_runs_once(page: Page, client: Client) -> None:
    """While an action runs, another value in its dialog does not start it again."""
    id_ = create(client)
    open_page(page, id_)
    request = hold(page, "scale")
    page.keyboard.press("s")
    replicas = page.get_by_role("spinbutton", name="Replicas")
    replicas.fill("3")
    page.keyboard.press("Enter")
    scaling = request()
    replicas.fill("2")
    assert page.get_by_role("dialog").get_by_role("button", name="Scale", exact=True).is_disabled()
    scaling.fulfill(status=422, json={"error": {"kind": "X", "message": "it fails", "retryable": False}})
    page.get_by_role("alert").get_by_text("it fails").wait_for()
    page.get_by_role("dialog").get_by_role("button", name="Scale", exact=True).click()
    sentence(page, "2 of 2 replicas ready")


def test_delete_asks_for_the_name(page: Page, client: Client) -> None:
    """Only the name as it is allows the delete; then the page says that the deployment is gone."""
    id_ = create(client)
    open_page(page, id_)
    page.keyboard.press("d")
    dialog = page.get_by_role("dialog", name="Delete web")
    button = dialog.get_by_role("button", name="Delete")
    assert button.is_disabled()
    dialog.get_by_role("textbox").fill("we")
    assert button.is_disabled()
    dialog.get_by_role("textbox").fill("web")
    button.click()
    page.get_by_role("heading", name="web is deleted.").wait_for()
    assert client.deployments.list_deployments() == []
    page.get_by_role("link", name="All deployments").click()
    page.get_by_text("There are no deployments yet.").wait_for()


def test_revisions(page: Page, client: Client) -> None:
    """Each revision shows what it changed; a rollback shows first what it would change, and never a secret."""
    id_ = create(client)
    client.deployments.patch_deployment(id_, image="nginx:2", env={"KEY": "other-secret"})
    client.deployments.scale_deployment(id_, 2)
    open_page(page, id_, "revisions")
    assert page.get_by_role("list", name="Revisions").get_by_role("link").count() == 3
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowDown")
    page.get_by_role("heading", name="Revision 1").wait_for()
    page.wait_for_url(re.compile(r"\?revision=1$"))
    page.get_by_role("heading", name="A rollback to this revision would change").wait_for()
    rows = page.locator(".master section table.difference tbody tr")
    rows.first.wait_for()
    assert [text.split() for text in rows.all_inner_texts()] == [
        ["env.KEY", "(hidden)", "(hidden),", "changed"],
        ["image", "nginx:2", "nginx"],
        ["resources.replicas", "2", "1"],
    ]
    press(page, "b", "Roll back")
    page.get_by_role("heading", name="Revision 4").wait_for()
    assert client.deployments.get_deployment_spec(id_)["image"] == "nginx"
    assert client.deployments.get_deployment_spec(id_).get("env") == SPEC["env"]
    assert "secret" not in page.content()


def log_state(page: Page) -> Any:
    """How far the log is scrolled, and its first visible line."""
    return page.evaluate(
        "() => { const log = document.querySelector('.log'); const top = log.getBoundingClientRect().top;"
        " const first = [...log.querySelectorAll('.log-line')].find((row) => row.getBoundingClientRect().bottom > top + 1);"
        " return [log.scrollTop, first?.querySelector('.log-text').textContent]; }"
    )


def test_logs_are_followed(page: Page, client: Client) -> None:
    """New lines come at the end. Whoever scrolls up stays where they are, and is told how many lines are new."""
    open_page(page, create(client, "talk"), "logs")
    log = page.get_by_role("log")
    log.get_by_text("line 60 <").wait_for()
    assert page.locator(".log-line").count() < 120
    box = log.bounding_box()
    assert box
    page.mouse.move(box["x"] + 50, box["y"] + 50)
    page.mouse.wheel(0, -400)
    more = page.get_by_role("button", name=re.compile(r"Follow, \d+ new lines"))
    more.wait_for()
    state, text = log_state(page), more.inner_text()
    page.wait_for_function("(text) => document.querySelector('.log-more').textContent !== text", arg=text)
    assert log_state(page) == state
    more.click()
    more.wait_for(state="hidden")
    before = log_state(page)[0]
    page.wait_for_function("(top) => document.querySelector('.log').scrollTop > top", arg=before)
    page.keyboard.press("f")
    page.get_by_role("button", name="Follow", exact=True).wait_for()
    more.wait_for()


def test_lines_of_a_replaced_log(page: Page, client: Client) -> None:
    """Lines that come again are left out; those of a log that the server began anew are not, although they have smaller numbers."""
    open_page(page, create(client), "logs")
    texts = page.evaluate(
        """async () => {
            const { LogLines } = await import("/console/static/deployment/log-lines.js");
            const lines = new LogLines(100);
            lines.add([["a", 7, "2026-01-01T00:00:01Z", "seven"], ["a", 8, "2026-01-01T00:00:02Z", "eight"]]);
            lines.add([["a", 8, "2026-01-01T00:00:02Z", "eight"], ["a", 9, "2026-01-01T00:00:02Z", "nine"]]);
            lines.add([["a", 2, "2026-01-01T00:00:03Z", "two"], ["a", 3, "2026-01-01T00:00:03Z", "three"]]);
            return lines.all.map((line) => line.text);
        }"""
    )
    assert texts == ["seven", "eight", "nine", "two", "three"]


def test_long_lines(page: Page, client: Client) -> None:
    """The page keeps 50 million characters of a log at most: 50,000 lines of 16 KB were 800 MB."""
    open_page(page, create(client), "logs")
    kept = page.evaluate(
        """async () => {
            const { LogLines } = await import("/console/static/deployment/log-lines.js");
            const lines = new LogLines(50_000), text = "x".repeat(1_000_000);
            for (let number = 1; number <= 200; number++) lines.add([["a", number, "2026-01-01T00:00:01Z", text]]);
            return [lines.all.length, lines.shown.length + lines.dropped, lines.all.at(-1).number];
        }"""
    )
    assert 50 <= kept[0] <= 55
    assert kept[1:] == [200, 200]


def test_logs_are_searched(page: Page, client: Client) -> None:
    """A search shows the lines that contain a text, with the text marked, and has an address."""
    id_ = create(client, "talk")
    open_page(page, id_, "logs")
    page.locator(".log-line").nth(30).wait_for()
    page.keyboard.press("/")
    page.keyboard.type("LINE 2")
    page.get_by_text(re.compile(r"^\d+ of \d+ lines")).wait_for()
    assert set(page.locator(".log mark").all_inner_texts()) == {"line 2"}
    page.reload()
    page.get_by_text(re.compile(r"\d+ of \d+ lines")).wait_for()
    page.keyboard.press("/")
    page.keyboard.press("Escape")
    page.get_by_text(re.compile(r"^\d+ lines")).wait_for()


def test_a_line_has_an_address(page: Page, client: Client) -> None:
    """A line that is selected is shown completely, and its address opens it again. A script in it is text."""
    id_ = create(client, "talk")
    page.on("dialog", lambda dialog: pytest.fail(dialog.message))
    open_page(page, id_, "logs")
    line = page.get_by_role("log").get_by_text("line 50 <")
    line.wait_for()
    page.keyboard.press("f")  # it does not move any more
    line.click()
    selected = page.get_by_role("complementary", name="Selected line")
    selected.get_by_text(f"line 50 {SCRIPT}").wait_for()
    time.sleep(1)  # more lines are written
    page.reload()
    selected.get_by_text(f"line 50 {SCRIPT}").wait_for()
    assert page.locator(".log-line[aria-current] .log-text").inner_text() == f"line 50 {SCRIPT}"
    page.keyboard.press("ArrowDown")
    selected.get_by_text("line 51 ").wait_for()
    page.keyboard.press("Escape")
    selected.wait_for(state="hidden")
    assert page.locator("main img").count() == 0


def test_a_line_that_is_not_loaded(page: Page, client: Client) -> None:
    """If the line of an address is not there, the page says so, and keeps the address."""
    open_page(page, create(client, "talk"), "logs", "line=99999%20instance")
    page.locator(".log-note", has_text="not among the loaded ones").wait_for()
    assert page.url.endswith("line=99999%20instance")


def test_one_replica_and_download(page: Page, client: Client, tmp_path: Path) -> None:
    """The log of one replica alone, without the line that was selected, and the whole log as a file."""
    id_ = create(client, "talk", resources={"replicas": 2})
    one, other = (instance["name"] for instance in client.deployments.get_deployment_status(id_)["instances"])
    open_page(page, id_, "logs")
    page.locator(".log-instance", has_text=other or "").first.wait_for()
    page.keyboard.press("f")  # it does not move any more
    page.locator(".log-line", has_text=other or "").first.click()
    selected = page.get_by_role("complementary", name="Selected line")
    selected.wait_for()
    page.get_by_role("combobox", name="Replica").select_option(one)
    page.locator(".log-instance", has_text=other or "").first.wait_for(state="detached")
    page.locator(".log-instance", has_text=one or "").first.wait_for()
    assert selected.is_hidden()
    with page.expect_download() as download:
        page.get_by_role("button", name="Download").click()
    download.value.save_as(tmp_path / "log")
    lines = (tmp_path / "log").read_text().splitlines()
    wanted = [line["message"] for line in client.deployments.get_deployment_logs(id_, instance=one)]
    assert [text.split(" ", 2)[2] for text in lines] == wanted[: len(lines)]
    assert len(lines) > 3
    assert download.value.suggested_filename == "talk.log"


def test_the_log_ends_with_the_deployment(page: Page, client: Client) -> None:
    """When the deployment is stopped, the log says that it has ended; it goes on with the next start."""
    id_ = create(client)
    open_page(page, id_, "logs")
    page.get_by_role("log").get_by_text("[simulated] ready").wait_for()
    client.deployments.stop_deployment(id_)
    page.locator(".log-note", has_text="The log has ended").wait_for()
    client.deployments.start_deployment(id_)
    page.locator(".log-note", has_text="The log has ended").wait_for(state="detached")
    page.get_by_role("log").get_by_text("[simulated] ready").nth(1).wait_for()
    lines = [line["message"] for line in client.deployments.get_deployment_logs(id_)]
    assert page.locator(".log-text").all_inner_texts() == lines


def test_playground(page: Page, client: Client) -> None:
    """A request is sent by Python, and its response is text with status, time and size; the same for a shell and for Python."""
    id_ = create(client, SCRIPT)
    page.on("dialog", lambda dialog: pytest.fail(dialog.message))
    open_page(page, id_, "playground")
    page.get_by_role("combobox", name="Method").select_option("POST")
    page.get_by_role("textbox", name="Path").fill("/v1?x=1")
    page.get_by_role("textbox", name="Headers").fill("X-One: 1")
    page.get_by_role("textbox", name="Body").fill('{"a": 1}')
    page.wait_for_url(re.compile(r"method=POST&path=%2Fv1%3Fx%3D1$"))
    page.keyboard.press("Control+Enter")
    page.get_by_text(re.compile(r"200 OK · [\d.]+ ms · \d+ B")).wait_for()
    shown = page.get_by_role("region", name="Response").locator("pre").inner_text()
    assert f'"name": "{SCRIPT}"' in shown
    assert page.locator("main img").count() == 0
    page.get_by_role("region", name="curl").locator("code", has_text="--request POST").wait_for()
    assert "X-One: 1" in page.get_by_role("region", name="curl").locator("code").inner_text()
    assert "urlopen" in page.get_by_role("region", name="Python").locator("code").inner_text()


def test_deep_json(page: Page) -> None:
    """A response of JSON with many objects in one another is shown: its indent was longer than a text can be."""
    body = '{"a":' * 100_000 + "1" + "}" * 100_000
    shown = page.evaluate("async (body) => (await import('/console/static/deployment/json.js')).indented(body)", body)
    assert shown.startswith('{\n  "a": {\n    "a": {')
    assert "".join(shown.split()) == body
    assert len(shown) < 20 * len(body)


def test_the_code_of_the_last_request(page: Page, client: Client) -> None:
    """If the code of an earlier request arrives later, that of the last one stays."""
    open_page(page, create(client), "playground")
    page.get_by_text("curl --include").wait_for()
    request = hold(page, "request-code")
    path = page.get_by_role("textbox", name="Path")
    path.fill("/first")
    earlier = request()
    path.fill("/second")
    code = page.locator("pre", has_text="curl --include")
    code.filter(has_text="/second").wait_for()
    with page.expect_response("**/console/api/request-code"):
        earlier.continue_()
    page.wait_for_timeout(100)
    assert "/second" in code.inner_text()


def test_the_playground_stays_at_its_endpoint(page: Page, client: Client) -> None:
    """A path that leaves the endpoint is refused, with the reason."""
    open_page(page, create(client), "playground", "path=/../../graphql")
    page.get_by_role("button", name="Send").click()
    page.get_by_role("alert").get_by_text("the path leaves the endpoint").wait_for()


def test_metrics(page: Page, client: Client, database: Path) -> None:
    """Plots with axes, of what the server knows; the values at the pointer are shown in all of them."""
    id_ = create(client)
    open_page(page, id_, "metrics")
    page.get_by_text("simulated deployments have none").wait_for()
    file = MetricFile(location_beside(database, KIND.name))
    for ago in range(60, 0, -1):
        file.append(int(time.time()) // INTERVAL - ago, {id_: FULL._replace(traffic=TRAFFIC._replace(errors=0))})
    file.close()
    page.get_by_role("combobox", name="Time").select_option("15m")
    plots = page.locator(".plot")
    plots.last.locator("path[d^=M]").first.wait_for(state="attached")
    assert plots.count() == 6
    assert "NaN" not in plots.evaluate_all("(plots) => plots.map((plot) => plot.outerHTML).join()")
    assert page.locator("figure", has_text="Replicas").locator("svg text[text-anchor=end]").all_text_contents() == [
        "0",
        "1",
        "2",
    ]
    assert plots.first.locator("text").count() > 5
    plots.first.hover()
    tooltip = page.locator(".tooltip")
    tooltip.wait_for()
    assert re.fullmatch(r"\d\d:\d\d:\d\d\nrequests [\d.]+", tooltip.inner_text())
    assert re.search(
        r"p50 [\d.]+ m?s", page.locator("figure", has_text="Duration of requests").locator(".legend").inner_text()
    )
    assert re.search(r"Requests per second: requests [\d.]+\. Maximum", plots.first.get_attribute("aria-label") or "")


def test_metrics_with_a_gap(page: Page, client: Client, database: Path) -> None:
    """Where the server has no figures, because it did not run, the lines have a gap."""
    id_ = create(client)
    file = MetricFile(location_beside(database, KIND.name))
    for ago in (*range(50, 30, -1), 28, *range(20, 0, -1)):  # two are missing, and seven
        file.append(int(time.time()) // INTERVAL - ago, {id_: FULL})
    file.close()
    open_page(page, id_, "metrics")
    lines = page.locator(".plot path[d^=M]")
    lines.first.wait_for(state="attached")
    assert {
        line.count("M") for line in lines.evaluate_all("(lines) => lines.map((line) => line.getAttribute('d'))")
    } == {3}


def test_metrics_of_another_time(page: Page, client: Client) -> None:
    """If the figures of the time chosen before arrive later, those of the chosen time stay."""
    id_ = create(client)
    request = hold(page, "metrics")
    open_page(page, id_, "metrics")
    earlier = request()
    page.get_by_label("Time").select_option("15m")
    page.get_by_text("No metrics in this time.").wait_for()
    fields = (
        "replicas",
        "readyReplicas",
        "cpu",
        "cpuLimit",
        "memory",
        "memoryLimit",
        "requestsPerSecond",
        "errorsPerSecond",
    )
    point = {"time": "2024-05-17T09:30:00.000Z", "requestDurationP50": None, "requestDurationP95": None}
    with page.expect_response("**/console/api/metrics"):
        earlier.fulfill(json=[point | dict.fromkeys(fields)])
    page.wait_for_timeout(100)
    assert page.get_by_text("No metrics in this time.").is_visible()


def test_metrics_that_take_long(page: Page, client: Client) -> None:
    """One request for metrics waits at a time, and none on a hidden page.

    They took all connections of the browser, so that no action was sent.
    """
    id_ = create(client)
    asked: list[Route] = []

    def keep(route: Route) -> None:
        asked.append(route)

    page.route("**/console/api/metrics", keep)
    page.clock.install()
    open_page(page, id_, "metrics")
    first = first_of(page, asked)
    page.clock.run_for(60_000)
    page.wait_for_timeout(100)
    assert len(asked) == 1
    asked.clear()
    first.continue_()
    page.get_by_text("No metrics in this time.").wait_for()
    page.clock.run_for(10_000)
    second = first_of(page, asked)
    page.evaluate("Object.defineProperty(document, 'hidden', { get: () => true })")
    asked.clear()
    with page.expect_response(lambda response: response.url.endswith("/metrics")) as response:
        second.continue_()
    response.value.finished()
    page.clock.run_for(15_000)
    page.wait_for_timeout(100)
    assert asked == []


def test_a_rollback_before_its_changes_are_shown(page: Page, client: Client) -> None:
    """The key `b` does nothing until the page shows what a rollback would change, like its button."""
    id_ = create(client)
    client.deployments.patch_deployment(id_, image="nginx:2")
    request = hold(page, "rollback-changes")
    open_page(page, id_, "revisions", "revision=1")
    reading = request()
    page.keyboard.press("b")
    assert page.get_by_role("dialog").count() == 0
    reading.continue_()
    page.get_by_role("button", name="Roll back to revision 1", disabled=False).wait_for()
    page.keyboard.press("b")
    page.get_by_role("dialog").wait_for()


@pytest.mark.parametrize("hours", [-1, 1])
def test_a_browser_whose_clock_is_wrong(page: Page, client: Client, hours: int) -> None:
    """Ages and timelines are those of the server's clock.

    If the clock of the browser was behind, they were empty; if it was ahead, all was an hour old.
    """
    id_ = create(client)
    page.add_init_script(f"const {{ now }} = Date; Date.now = () => now() + {hours} * 3_600_000;")
    page.reload()
    open_page(page, id_)
    page.get_by_text(re.compile(r"created \d+s ago")).wait_for()
    healthy = page.locator(".lane .phase-healthy").first
    healthy.wait_for(state="attached")
    position, width = (float((healthy.get_attribute(name) or "").rstrip("%")) for name in ("x", "width"))
    assert 1 < position < 100
    assert position + width == pytest.approx(100, abs=0.3)


def test_a_rollback_whose_changes_cannot_be_read(page: Page, client: Client) -> None:
    """After an outage, what a rollback would change is shown by itself; until then, there is no rollback."""
    id_ = create(client)
    client.deployments.patch_deployment(id_, image="nginx:2")
    page.route("**/console/api/rollback-changes", lambda route: route.abort(), times=1)
    open_page(page, id_, "revisions", "revision=1")
    page.get_by_text("The console does not respond").wait_for()
    button = page.get_by_role("button", name="Roll back to revision 1")
    assert button.is_disabled()
    page.get_by_text("The console does not respond").wait_for(state="detached")
    page.get_by_role("button", name="Roll back to revision 1", disabled=False).wait_for()


def test_updates_keep_focus_and_selection(page: Page, client: Client) -> None:
    """While the deployment changes, the focus and a selection stay."""
    id_ = create(client)
    open_page(page, id_, "events")
    page.get_by_role("cell", name="Ready", exact=True).wait_for()
    page.evaluate("() => getSelection().selectAllChildren(document.querySelector('.events tbody tr .message'))")
    selected = page.evaluate("getSelection().toString()")
    page.get_by_role("searchbox").focus()
    client.deployments.scale_deployment(id_, 2)
    page.get_by_role("cell", name="Scaled").wait_for()
    assert page.evaluate("document.activeElement.type") == "search"
    page.evaluate("document.activeElement.blur()")
    assert selected
    page.evaluate(
        "() => getSelection().selectAllChildren(document.querySelector('.events tbody tr:last-child .message'))"
    )
    selected = page.evaluate("getSelection().toString()")
    client.deployments.scale_deployment(id_, 3)
    page.locator(".events tr", has_text="from 2 to 3").wait_for()
    assert page.evaluate("getSelection().toString()") == selected


@pytest.mark.parametrize("tab", TABS)
def test_no_barriers(page: Page, client: Client, axe: str, tab: str) -> None:
    """Axe-core finds nothing, in light and dark, at both widths, and nothing is wider than the window."""
    id_ = create(client, "talk")
    client.deployments.scale_deployment(id_, 2)
    client.deployments.wait_for_deployment(id_)
    open_page(page, id_, tab, "revision=1" if tab == "revisions" else "")
    time.sleep(0.5)
    for size in (None, NARROW):
        if size:
            page.set_viewport_size(size)
        for scheme in ("light", "dark"):
            page.emulate_media(color_scheme=scheme)
            assert violations(page, axe) == []
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
