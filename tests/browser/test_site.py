"""The pages of the site in a browser: on a phone, in dark mode, and copied."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import pytest
from tools import TOP

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

pytestmark = pytest.mark.skipif(not os.environ.get("GRADIENT_TEST_BROWSER"), reason="scripts/test-browser runs them")

# The elements that are wider than their place, and can be scrolled or not.
TOO_WIDE = """
[document.documentElement, ...document.querySelectorAll('article *')]
    .filter(e => e.clientWidth > 0 && e.scrollWidth > e.clientWidth + 1 && getComputedStyle(e).display !== 'inline')
    .filter(e => getComputedStyle(e).overflowX !== 'visible' || e === document.documentElement)
    .map(e => `${e.tagName} ${e.className}`)
"""


@pytest.fixture(scope="module")
def site() -> Path:
    """Build the site."""
    subprocess.run([TOP / "scripts/docs"], check=True, capture_output=True)
    return TOP / "site"


@pytest.fixture
def phone(browser: Browser) -> Iterator[Page]:
    """A page of the width of a phone, in dark mode."""
    context = browser.new_context(viewport={"width": 390, "height": 844}, color_scheme="dark")
    yield context.new_page()
    context.close()


def test_nothing_scrolls_sideways(site: Path, phone: Page) -> None:
    """At a width of 390 pixels, neither a page nor a table or block of code in it scrolls sideways."""
    pages = [*site.glob("*.html"), *site.glob("api/*.html")]
    assert len(pages) > 20
    for page in pages:
        phone.goto(page.as_uri())
        assert phone.evaluate(TOO_WIDE) == [], page.name


def test_diagrams_in_dark_mode(site: Path, phone: Page) -> None:
    """In dark mode, diagrams have light lines: those of the file are black."""
    expected_filters: dict[Literal["dark", "light"], str] = {"dark": "invert(1)", "light": "none"}
    for scheme, expected in expected_filters.items():
        phone.emulate_media(color_scheme=scheme)
        phone.goto((site / "architecture.html").as_uri())
        assert phone.locator("img.svgbob").first.evaluate("e => getComputedStyle(e).filter") == expected


def test_copy_buttons(site: Path, browser: Browser) -> None:
    """The button of a session copies what is typed: without prompts and output. That of a file copies all of it."""
    context = browser.new_context(permissions=["clipboard-read", "clipboard-write"])
    page = context.new_page()
    page.goto((site / "quickstart.html").as_uri())
    copied = []
    for button in page.locator("button.copybtn").all():
        button.scroll_into_view_if_needed()
        button.hover()
        button.click()
        copied.append(page.evaluate("navigator.clipboard.readText()"))
    context.close()
    assert copied[1:3] == [
        "gradient server --engine simulated",
        "image: tensorflow/serving\nport: 8501\nresources:\n  instanceType: A100\n  replicas: 1",
    ]
    assert copied[4].startswith('status = deployments.wait_for_deployment(created["id"])\nstatus["state"]')
    assert not any("$ " in text or ">>>" in text or "Created" in text for text in copied)


def test_charts(site: Path, phone: Page) -> None:
    """The longest bar of a group is the one with the largest number of the table."""
    phone.goto((site / "performance.html").as_uri())
    first = phone.locator(".chart").first
    widths = [bar.bounding_box() for bar in first.locator(".bar").all()[:6]]
    values = [float(value.split()[0]) for value in first.locator(".value").all_inner_texts()[:6]]
    longest = max(box["width"] for box in widths if box)
    for box, value in zip(widths, values, strict=True):
        assert box is not None
        assert abs(box["width"] / longest - value / max(values)) < 0.02
