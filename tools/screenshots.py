"""Write the images of the console: light and dark, on a wide and on a narrow window."""

from __future__ import annotations

import argparse
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from paperspace.gradient import Client
from paperspace.gradient.cli._server_console import ServerConsole
from paperspace.gradient.server import LocalServer
from tools import TOP

if TYPE_CHECKING:
    from playwright.sync_api import Page, ViewportSize

WIDE: ViewportSize = {"width": 1280, "height": 720}
NARROW: ViewportSize = {"width": 390, "height": 720}
THEMES: tuple[Literal["light", "dark"], ...] = ("light", "dark")

DEPLOYMENTS: tuple[tuple[str, str, str, int, dict[str, str]], ...] = (
    ("mnist", "vision", "tensorflow/serving", 2, {}),
    ("resnet-50", "vision", "tensorflow/serving:2.19.0", 1, {}),
    ("detector-canary", "vision", "ghcr.io/example/detector:1.8.0-rc.2", 1, {"GRADIENT_SIMULATE": "crash-loop"}),
    ("llama-3.1-8b", "language", "vllm/vllm-openai:v0.11.0", 3, {}),
    ("embeddings", "language", "ghcr.io/example/embeddings:2026-11", 4, {}),
    ("summarizer", "language", "ghcr.io/example/summarizer:0.4.2", 0, {}),
    ("reranker", "language", "ghcr.io/example/reranker:7", 2, {"GRADIENT_SIMULATE": "pending"}),
    ("whisper", "speech", "ghcr.io/example/whisper-large-v3", 1, {}),
)
EDITED = """image: tensorflow/serving:2.19.0
port: 8501
env:
  - name: MODEL_NAME
    value: mnist
resources:
  instanceType: A100
  replicas: 3
"""


def main() -> None:
    """Write the images."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("folder", nargs="?", type=Path, default=TOP / "docs/images", help="default: docs/images")
    folder = parser.parse_args().folder
    folder.mkdir(exist_ok=True)
    from playwright.sync_api import sync_playwright

    console = ServerConsole("127.0.0.1")
    with (
        LocalServer(console=console, actor="Ada Example") as server,
        Client(server.api_key, server.url) as client,
        sync_playwright() as driver,
    ):
        ids = create(client)
        browser = driver.chromium.launch(
            executable_path=os.environ["GRADIENT_TEST_BROWSER"], args=["--no-sandbox", "--disable-gpu"]
        )
        for theme in THEMES:
            for width, size in (("wide", WIDE), ("narrow", NARROW)):
                page = browser.new_page(viewport=size, color_scheme=theme, reduced_motion="reduce")
                page.goto(console.link())
                shoot(page, ids, lambda name: folder / f"console-{name}-{width}-{theme}.png")  # noqa: B023  # called at once
                page.close()
        browser.close()


def create(client: Client) -> dict[str, str]:
    """Create the deployments, and return their ids by name when their states have settled."""
    ids: dict[str, str] = {}
    for name, project, image, replicas, env in DEPLOYMENTS:
        spec: Any = {"image": image, "port": 8501, "resources": {"instanceType": "A100", "replicas": replicas}}
        spec["env"] = [{"name": key, "value": value} for key, value in env.items()]
        ids[name] = client.deployments.create_deployment(name, project, spec)["id"]
    for name in ("mnist", "resnet-50", "llama-3.1-8b", "embeddings", "whisper"):
        client.deployments.wait_for_deployment(ids[name])
    client.deployments.patch_deployment(ids["embeddings"], image="ghcr.io/example/embeddings:2026-12", wait=True)
    return ids


def shoot(page: Page, ids: dict[str, str], path: Any) -> None:
    """Write the images of each page."""
    page.get_by_role("link", name="mnist", exact=True).wait_for()
    page.locator("[data-key]", has_text="detector-canary").get_by_text("failed").wait_for(timeout=120_000)
    page.screenshot(path=path("list"))
    page.goto(f"{page.url.partition('#')[0]}#/deployments/{ids['mnist']}/edit")
    page.get_by_role("heading", name="Nothing would change").wait_for()
    page.get_by_role("textbox", name="Spec").fill(EDITED)
    page.get_by_role("heading", name="Would update mnist").wait_for()
    page.screenshot(path=path("editor"))
    page.goto(f"{page.url.partition('#')[0]}#/deployments/{ids['embeddings']}")
    page.get_by_role("heading", name="Changes in revision 2").wait_for()
    page.get_by_role("table").first.wait_for()
    page.screenshot(path=path("deployment"))


if __name__ == "__main__":
    main()
