"""Tables that fit the width of the terminal. Without a terminal, they are complete."""

from __future__ import annotations

import shutil
import sys
from typing import TYPE_CHECKING, NamedTuple, TypeVar

import click

from paperspace.gradient.cli._output import is_plain_terminal, may_color, print_message, printable

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

Row = TypeVar("Row")

_GAP = "  "


class Column(NamedTuple):
    """A column of a table.

    Attributes:
        title: The heading.
        rank: If the terminal is too narrow, the columns with the lowest ranks that fit are shown; rank 0 is always shown.
        min_width: The width to which cells may be shortened. None: cells are never shortened.
        right: Whether cells are aligned to the right, as for numbers.
        color: Returns the color of a cell on a terminal, from its text. None: no color.
    """

    title: str
    rank: int = 0
    min_width: int | None = None
    right: bool = False
    color: Callable[[str], str | None] | None = None


def print_table(columns: dict[Column, Callable[[Row], str]], rows: Sequence[Row]) -> None:
    """Print a table. A message names the columns that are hidden."""
    lines, note = table_lines(columns, rows)
    for index, line in enumerate(lines):
        click.echo(click.style(line, bold=True) if index == 0 and not is_plain_terminal() else line)
    if note:
        print_message(note)


def table_lines(columns: dict[Column, Callable[[Row], str]], rows: Sequence[Row]) -> tuple[list[str], str]:
    """Return the lines of a table, the first one with the titles, and a note that names the hidden columns, if there are any."""
    cells = {
        column: [column.title, *(printable(cell(row)).replace("\n", " ") for row in rows)]
        for column, cell in columns.items()
    }
    max_width = shutil.get_terminal_size().columns if sys.stdout.isatty() else None
    widths = _widths(cells, max_width)
    lines = []
    for index in range(len(rows) + 1):
        colored = index > 0 and may_color()
        texts = (_fit(cells[column][index], width, column, colored=colored) for column, width in widths.items())
        lines.append(_GAP.join(texts).rstrip())
    hidden = ", ".join(column.title for column in columns if column not in widths)
    return lines, f"Hidden columns: {hidden}. Use a wider terminal, or `| cat`, to see them." if hidden else ""


def _widths(cells: dict[Column, list[str]], max_width: int | None) -> dict[Column, int]:
    """Return the columns that fit, with their widths."""
    from rich.cells import cell_len

    widths = {column: max(map(cell_len, texts)) for column, texts in cells.items()}
    if max_width is None:
        return widths

    def excess(widths: dict[Column, int]) -> int:
        return sum(widths.values()) + len(_GAP) * (len(widths) - 1) - max_width

    full_widths = widths.copy()

    def min_width(column: Column) -> int:
        return full_widths[column] if column.min_width is None else min(full_widths[column], column.min_width)

    shown: list[Column] = []
    for column in sorted(widths, key=lambda column: column.rank):
        if not column.rank or excess({other: min_width(other) for other in [*shown, column]}) <= 0:
            shown.append(column)
    widths = {column: width for column, width in widths.items() if column in shown}
    while excess(widths) > 0 and (shrinkable := [column for column in widths if widths[column] > min_width(column)]):
        widths[max(shrinkable, key=lambda column: widths[column])] -= 1
    return widths


def _fit(text: str, width: int, column: Column, *, colored: bool) -> str:
    """Shorten or pad a cell to a width, and color it. click removes colors where standard output is no terminal."""
    from rich.cells import cell_len, set_cell_size

    if cell_len(text) > width:
        text = set_cell_size(text, width - 1).rstrip() + "…"
    padding = " " * (width - cell_len(text))
    if colored and column.color:
        text = click.style(text, fg=column.color(text))
    return padding + text if column.right else text + padding
