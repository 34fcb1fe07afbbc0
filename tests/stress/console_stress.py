"""Measure the list of the console with many deployments: the first row, the whole list, the main thread and the heap."""

from __future__ import annotations

import argparse
import os
import tempfile
from pathlib import Path
from time import monotonic
from typing import Any

from tests.server.storage.many_deployments import add_deployments, fast_writer

from paperspace.gradient.cli._server_console import ServerConsole
from paperspace.gradient.server import LocalServer


def main() -> None:
    """Print the measurements."""
    parser = argparse.ArgumentParser(prog="scripts/chaos console", description=main.__doc__)
    parser.add_argument("--deployments", type=int, default=5000, help="how many; default: %(default)s")
    parser.add_argument("--seconds", type=int, default=30, help="how long the page is watched; default: %(default)s")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "gradient.db"
        with LocalServer(database=file):
            pass  # creates the tables
        with fast_writer(file) as connection:
            add_deployments(connection, arguments.deployments)
        console = ServerConsole("127.0.0.1")
        with LocalServer(database=file, console=console):
            measure(console, arguments.deployments, arguments.seconds)


def measure(console: ServerConsole, deployments: int, seconds: int) -> None:
    """Open the page twice, as the server imports the console for the first one, and watch the second one."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as driver:
        browser = driver.chromium.launch(
            executable_path=os.environ["GRADIENT_TEST_BROWSER"], args=["--no-sandbox", "--disable-gpu"]
        )
        for visit in ("first visit", "second visit"):
            page = browser.new_page()
            started = monotonic()
            page.goto(console.link())
            page.locator("[data-key]").first.wait_for()
            first_row = monotonic() - started
            page.locator(".summary", has_text=f"{deployments:,}").wait_for(timeout=120_000)
            print(f"{visit}: first row after {first_row:.2f} s, whole list after {monotonic() - started:.2f} s")
            if visit == "second visit":
                session = page.context.new_cdp_session(page)
                session.send("Performance.enable")
                before = metrics(session)
                page.wait_for_timeout(seconds * 1000)
                after = metrics(session)
                busy = (after["TaskDuration"] - before["TaskDuration"]) / (after["Timestamp"] - before["Timestamp"])
                print(f"main thread {busy:.1%} over {seconds} s, heap {after['JSHeapUsedSize'] / 2**20:.1f} MiB")
            page.close()
        browser.close()


def metrics(session: Any) -> dict[str, float]:
    """Return the counters of the browser for a page."""
    return {metric["name"]: metric["value"] for metric in session.send("Performance.getMetrics")["metrics"]}


if __name__ == "__main__":
    main()
