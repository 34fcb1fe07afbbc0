"""The charts of the site show the numbers of the tables on their pages."""

from __future__ import annotations

import re

import pytest
from docutils.core import publish_doctree
from docutils.nodes import document, raw, table
from myst_parser.parsers.docutils_ import Parser
from tools import TOP
from tools.docs.charts import Bar, bars_of, draw, html_of

PAGE = (TOP / "docs/performance.md").read_text(encoding="utf-8")
TABLE = [["client", "what", "median"], ["ours", "get", "2.50 ms"], ["<b>", "get", "5.00 ms"], ["ours", "list", "1 s"]]

DOCUMENT = """
<!-- Chart of the next table: median of client by what -->

| other |
| --- |
| x |

| client | what | median |
| --- | --- | ---: |
| ours | get | 2.50 ms |
| httpx | get | 5.00 ms |
"""


def parsed(text: str) -> document:
    """Parse a page as the site does."""
    return publish_doctree(text, parser=Parser())


def test_bars() -> None:
    """A bar has its number, its label and its group from the columns with these names."""
    assert bars_of(TABLE, "median", "client", "what") == [
        Bar("get", "ours", "2.50 ms"),
        Bar("get", "<b>", "5.00 ms"),
        Bar("list", "ours", "1 s"),
    ]
    assert [bar.number for bar in bars_of(TABLE, "median", "client", None)] == [2.5, 5.0, 1.0]
    assert bars_of(TABLE, "median", "client", "unknown") == []


def test_widths() -> None:
    """The longest bar of each group has the full width, the others their share of it. Text is escaped."""
    chart = html_of(bars_of(TABLE, "median", "client", "what"), "Title <1>")
    assert re.findall(r"width: (.+?)%", chart) == ["50.0", "100.0", "100.0"]
    assert re.findall(r'<span class="label">(.+?)</span>', chart) == ["ours", "&lt;b&gt;", "ours"]
    assert re.findall(r'<span class="value">(.+?)</span>', chart) == ["2.50 ms", "5.00 ms", "1 s"]
    assert chart.count("bar ours") == 2
    assert "Title &lt;1&gt;" in chart


def test_a_comment_becomes_a_chart() -> None:
    """A comment is replaced by the chart of the first table after it with the columns; a comment without one is an error."""
    page = parsed(DOCUMENT)
    draw(page)
    (chart,) = page.findall(raw)
    assert next(node for node in page.findall() if isinstance(node, raw | table)) is chart
    assert chart.astext() == html_of([Bar("get", "ours", "2.50 ms"), Bar("get", "httpx", "5.00 ms")], TITLE)
    with pytest.raises(ValueError, match="no table with these columns follows"):
        draw(parsed(DOCUMENT.replace("median of client", "mean of client")))


TITLE = "Median of client, by what; each group has its own scale"


def test_charts_of_the_performance_page() -> None:
    """The page has a chart of each table that a benchmark writes."""
    assert re.findall(r"<!-- Chart of the next table: (.+) -->", PAGE) == [
        "median of client by measurement",
        "growth of deployments",
    ]
