"""Charts of tables, as an extension of Sphinx: `<!-- Chart of the next table: median of client by measurement -->`.

The comment names three columns of the first table after it that has them: numbers, their labels, and groups. Each group of
bars has a scale of its own. `<!-- Chart of the next table: growth of deployments -->` has one group. The numbers are only in the
table.
"""

from __future__ import annotations

import re
from html import escape
from itertools import groupby
from typing import TYPE_CHECKING, Any, NamedTuple

from docutils import nodes

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from sphinx.application import Sphinx

_COMMENT = re.compile(r"<!-- Chart of the next table: (?P<value>.+?) of (?P<label>.+?)(?: by (?P<group>.+))? -->")
_OURS = "ours"


class Bar(NamedTuple):
    """A row of a table."""

    group: str
    label: str
    shown: str
    """The text in the table, with its unit."""

    @property
    def number(self) -> float:
        """The number at the start of the text."""
        return float(self.shown.split()[0])


def bars_of(rows: Sequence[Sequence[str]], value: str, label: str, group: str | None) -> list[Bar]:
    """Return the bars for a table, whose first row has the names of the columns. Empty: it lacks a column.

    Args:
        rows: The texts of the cells.
        value: The name of the column with the numbers.
        label: The name of the column with their labels.
        group: The name of the column with their groups. None: there is one group.
    """
    names, *entries = rows
    if not {value, label, group or label} <= set(names):
        return []
    return [
        Bar(row[names.index(group)] if group else "", row[names.index(label)], row[names.index(value)])
        for row in entries
    ]


def html_of(bars: Sequence[Bar], title: str) -> str:
    """Return the chart."""
    parts = [f'<figure class="chart"><figcaption>{escape(title)}</figcaption>']
    for group, members in groupby(bars, key=lambda bar: bar.group):
        entries = list(members)
        longest = max(bar.number for bar in entries)
        parts += [f"<h4>{escape(group)}</h4>"] if group else []
        for bar in entries:
            kind = "bar ours" if bar.label == _OURS else "bar"
            width = 100 * bar.number / longest
            parts.append(
                f'<div class="row"><span class="label">{escape(bar.label)}</span>'
                f'<span class="track"><span class="{kind}" style="width: {width:.1f}%"></span></span>'
                f'<span class="value">{escape(bar.shown)}</span></div>'
            )
    return "".join([*parts, "</figure>"])


def _rows(table: nodes.table) -> list[list[str]]:
    return [[entry.astext() for entry in row.findall(nodes.entry)] for row in table.findall(nodes.row)]


def _following_tables(document: nodes.document, comment: nodes.raw) -> Iterator[nodes.table]:
    passed = False
    for node in document.findall():
        passed |= node is comment
        if passed and isinstance(node, nodes.table):
            yield node


def draw(document: nodes.document) -> None:
    """Replace each comment by the chart.

    Raises:
        ValueError: There is no such table.
    """
    for comment in list(document.findall(nodes.raw)):
        if match := _COMMENT.fullmatch(comment.astext().strip()):
            columns: dict[str, Any] = match.groupdict()
            tables = _following_tables(document, comment)
            bars = next((bars for table in tables if (bars := bars_of(_rows(table), **columns))), None)
            if not bars:
                raise ValueError(f"no table with these columns follows: {comment.astext().strip()}")
            title = f"{columns['value']} of {columns['label']}".capitalize()
            title += f", by {columns['group']}; each group has its own scale" if columns["group"] else ""
            comment.replace_self(nodes.raw("", html_of(bars, title), format="html"))


def setup(app: Sphinx) -> dict[str, bool]:
    """Register the extension."""
    app.connect("doctree-read", lambda _app, document: draw(document))
    return {"parallel_read_safe": True}
