"""The console with real containers, in a browser: from the first revision to the delete."""

from __future__ import annotations

import os
import re
import tempfile
from pathlib import Path

import pytest
from tests.engine.private_engine import PrivateEngine

from paperspace.gradient.cli._server_console import ServerConsole
from paperspace.gradient.server import LocalServer
from paperspace.gradient.server.controller.controller import Options
from paperspace.gradient.server.docker.address import Address
from paperspace.gradient.server.docker.engine import DockerEngine
from paperspace.gradient.server.gateway.gateway import EnvoyGateway
from paperspace.gradient.server.gateway.options import Options as GatewayOptions

SPEC = """\
image: shell:1
port: 8080
command: [/bin/sh, -c, "echo hello from $NAME > /tmp/index.html; httpd -p 8080 -h /tmp; echo serving $NAME; trap 'exit 0' TERM;
  i=0; while true; do i=$((i + 1)); echo line $i; sleep 0.2; done"]
env:
  - {name: NAME, value: mnist}
"""


@pytest.mark.skipif("GRADIENT_TEST_BROWSER" not in os.environ, reason="there is no browser")
def test_from_create_to_delete(docker: PrivateEngine) -> None:
    """A deployment is created in the editor, becomes ready, writes its log, responds in the playground, and is deleted."""
    from playwright.sync_api import sync_playwright

    console = ServerConsole("127.0.0.1")
    with tempfile.TemporaryDirectory(prefix="gw") as folder:
        gateway = EnvoyGateway(GatewayOptions(Path(folder) / "gateway", port=0, ephemeral=True))
        engine = DockerEngine(address=Address(docker.url, "the test"))
        with (
            LocalServer(engine=engine, gateway=gateway, console=console, options=Options(stop_grace=2)),
            sync_playwright() as driver,
        ):
            browser = driver.chromium.launch(
                executable_path=os.environ["GRADIENT_TEST_BROWSER"], args=["--no-sandbox", "--disable-gpu"]
            )
            page = browser.new_page()
            page.goto(console.link())
            page.get_by_role("link", name="New deployment").click()
            page.get_by_role("textbox", name="Name").fill("mnist")
            page.get_by_role("textbox", name="Project").fill("p")
            page.get_by_role("textbox", name="Spec").fill(SPEC)
            page.get_by_role("button", name="Create").click()
            page.locator(".sentence", has_text=re.compile("ready.*1 of 1 replica ready")).wait_for()
            page.get_by_role("img", name=re.compile("healthy from")).wait_for()

            page.keyboard.press("2")
            page.get_by_role("log").get_by_text("serving mnist").wait_for()
            page.get_by_role("log").get_by_text("line 5", exact=True).wait_for()

            page.keyboard.press("6")
            page.get_by_role("button", name="Send").click()
            page.get_by_text(re.compile("^200 OK")).wait_for()
            assert page.get_by_role("region", name="Response").locator("pre").inner_text() == "hello from mnist\n"

            page.keyboard.press("d")
            dialog = page.get_by_role("dialog")
            dialog.get_by_role("textbox").fill("mnist")
            dialog.get_by_role("button", name="Delete").click()
            page.get_by_role("heading", name="mnist is deleted.").wait_for()
            browser.close()
