"""Tables that fit the width of the terminal. Without a terminal, they are complete."""

from __future__ import annotations

import shutil
import sys
from typing import TYPE_CHECKING, NamedTuple, TypeVar

import click

from paperspace.gradient.cli._output import is_plain_terminal, print_message, printable

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

Row = TypeVar("Row")

_GAP = "  "


class Column(NamedTuple):
    """A column of a table.

    Attributes:
        title: The heading.
        rank: Columns with the highest rank are dropped first if the terminal is too narrow; rank 0 is never dropped.
        min_width: The width to which cells may be shortened. None: cells are never shortened.
        right: Whether cells are aligned to the right, as for numbers.
    """

    title: str
    rank: int = 0
    min_width: int | None = None
    right: bool = False


def print_table(columns: dict[Column, Callable[[Row], str]], rows: Sequence[Row]) -> None:
    """Print a table. A message names the columns that were dropped."""
    cells = {
        column: [column.title, *(printable(cell(row)).replace("\n", " ") for row in rows)]
        for column, cell in columns.items()
    }
    max_width = shutil.get_terminal_size().columns if sys.stdout.isatty() else None
    widths = _widths(cells, max_width)
    for index in range(len(rows) + 1):
        line = _GAP.join(_fit(cells[column][index], width, column) for column, width in widths.items()).rstrip()
        click.echo(click.style(line, bold=True) if index == 0 and not is_plain_terminal() else line)
    dropped = [column.title for column in columns if column not in widths]
    if dropped:
        print_message(f"Hidden columns: {', '.join(dropped)}. Use a wider terminal, or `| cat`, to see them.")


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

    while excess({column: min_width(column) for column in widths}) > 0 and any(column.rank for column in widths):
        del widths[max(widths, key=lambda column: column.rank)]
    while excess(widths) > 0 and (shrinkable := [column for column in widths if widths[column] > min_width(column)]):
        widths[max(shrinkable, key=lambda column: widths[column])] -= 1
    return widths


def _fit(text: str, width: int, column: Column) -> str:
    """Shorten or pad a cell to a width."""
    from rich.cells import cell_len, set_cell_size

    if cell_len(text) > width:
        text = set_cell_size(text, width - 1).rstrip() + "…"
    padding = " " * (width - cell_len(text))
    return padding + text if column.right else text + padding
