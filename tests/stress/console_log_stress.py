"""The log in the console while many lines are written: how busy the page and the server are. `scripts/chaos console-log` runs it."""

from __future__ import annotations

import argparse
import os
import statistics
import threading
import time
from datetime import timedelta
from typing import Any
from unittest.mock import patch

from playwright.sync_api import sync_playwright
from tests.browser.talkative import Talkative

from paperspace.gradient import Client
from paperspace.gradient.cli._server_console import ServerConsole
from paperspace.gradient.server import LocalServer, dispatcher
from paperspace.gradient.server.storage.budget import UNLIMITED

SPEC: Any = {"image": "nginx", "port": 80}
TEXT = "INFO request {n} POST /v1/models/mnist:predict 200 in 12 ms from 10.0.0.7 python-requests/2.32 batch=16"
REPORT = 30.0  # seconds between two lines of the report

MOST_BUSY = 0.15  # the share of the main thread
MOST_HEAP = 30e6  # bytes
SLOWEST = 0.1  # seconds: p99 of other requests


class Requests(threading.Thread):
    """Reads the status of a deployment all the time, and measures how long that takes."""

    def __init__(self, client: Client, id_: str) -> None:
        super().__init__(daemon=True)
        self.seconds: list[float] = []
        self._client, self._id = client, id_
        self._end = threading.Event()

    def run(self) -> None:
        """Read until the end."""
        while not self._end.wait(0.1):
            began = time.monotonic()
            self._client.deployments.get_deployment_status(self._id)
            self.seconds.append(time.monotonic() - began)

    def end(self) -> float:
        """Stop, and return the 99th percentile."""
        self._end.set()
        self.join()
        return statistics.quantiles(self.seconds, n=100)[98]


def measure(minutes: float, per_minute: int) -> bool:
    """Follow the log for some minutes, and print the figures. Return whether all of them are within their limits."""
    console = ServerConsole("127.0.0.1")
    count = int(minutes * per_minute) + per_minute
    runtime = Talkative(rate=per_minute / 60, lines=count, text=TEXT)
    with (
        LocalServer(runtime=runtime, console=console) as server,
        Client(server.api_key, server.url, timeout=300.0) as client,
        sync_playwright() as driver,
    ):
        # The simulation plans all lines at once, which is more than one request may write.
        with patch.object(dispatcher, "MAXIMUM", UNLIMITED):
            id_ = client.deployments.create_deployment("talk", "p1", SPEC)["id"]
        browser = driver.chromium.launch(
            executable_path=os.environ["GRADIENT_TEST_BROWSER"], args=["--no-sandbox", "--disable-gpu"]
        )
        page = browser.new_page(viewport={"width": 1280, "height": 800})
        page.goto(console.link())
        page.get_by_role("heading", name="Deployments").wait_for()
        page.goto(f"{page.url.partition('#')[0]}#/deployments/{id_}/logs")
        page.locator(".log-line").first.wait_for()
        devtools = page.context.new_cdp_session(page)
        devtools.send("Performance.enable", {"timeDomain": "timeTicks"})
        requests = Requests(client, id_)
        requests.start()
        busiest, largest = 0.0, 0.0
        before, began = figures(devtools), time.monotonic()
        while time.monotonic() - began < minutes * 60:
            page.wait_for_timeout(min(REPORT, minutes * 60) * 1000)
            after = figures(devtools)
            seconds = after["Timestamp"] - before["Timestamp"]
            busy = (after["TaskDuration"] - before["TaskDuration"]) / seconds
            devtools.send("HeapProfiler.collectGarbage")
            heap = figures(devtools)["JSHeapUsedSize"]
            shown = page.locator(".log-note").inner_text()
            last = page.locator(".log-line").last.locator(".log-text").inner_text().split()[2]
            print(
                f"{timedelta(seconds=round(time.monotonic() - began))}: line {last}, {shown}; main thread {busy:.1%} "
                f"(script {(after['ScriptDuration'] - before['ScriptDuration']) / seconds:.1%}, "
                f"layout {(after['LayoutDuration'] - before['LayoutDuration']) / seconds:.1%}), "
                f"heap {after['JSHeapUsedSize'] / 1e6:.1f} MB, {heap / 1e6:.1f} MB after a collection, "
                f"{after['Nodes']:.0f} nodes",
                flush=True,
            )
            busiest, largest = max(busiest, busy), max(largest, heap)
            before = figures(devtools)
        p99 = requests.end()
        browser.close()
    print(
        f"main thread {busiest:.1%} at most, heap {largest / 1e6:.1f} MB at most; other requests: p99 {p99 * 1000:.0f} ms"
    )
    return busiest < MOST_BUSY and largest < MOST_HEAP and p99 < SLOWEST


def figures(devtools: Any) -> dict[str, float]:
    """Return the figures of the page's process."""
    return {entry["name"]: entry["value"] for entry in devtools.send("Performance.getMetrics")["metrics"]}


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--per-minute", type=int, default=10_000)
    options = parser.parse_args()
    raise SystemExit(not measure(options.minutes, options.per_minute))
