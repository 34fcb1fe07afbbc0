"""Tables for people: as wide as the terminal at most, and as wide as they like where there is none."""

from __future__ import annotations

import shutil
import sys
from typing import TYPE_CHECKING, NamedTuple, TypeVar

import click

from paperspace.gradient.cli._output import plain_terminal, printable, tell

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

Row = TypeVar("Row")

_GAP = "  "


class Column(NamedTuple):
    """A column.

    Attributes:
        title: What stands above it.
        rank: Where the terminal is too narrow, the columns of the highest rank go first; those of rank 0 stay.
        least: The width down to which its cells may be shortened. None: not at all.
        right: Whether its cells stand to the right, as numbers do.
    """

    title: str
    rank: int = 0
    least: int | None = None
    right: bool = False


def draw(columns: dict[Column, Callable[[Row], str]], rows: Sequence[Row]) -> None:
    """Prints a table; says on stderr which columns had no room."""
    cells = {
        column: [column.title, *(printable(cell(row)).replace("\n", " ") for row in rows)]
        for column, cell in columns.items()
    }
    room = shutil.get_terminal_size().columns if sys.stdout.isatty() else None
    widths = _widths(cells, room)
    for index in range(len(rows) + 1):
        line = _GAP.join(_fit(cells[column][index], width, column) for column, width in widths.items()).rstrip()
        click.echo(click.style(line, bold=True) if index == 0 and not plain_terminal() else line)
    hidden = [column.title for column in columns if column not in widths]
    if hidden:
        tell(f"Too narrow for: {', '.join(hidden)}; with `| cat`, the table is whole.")


def _widths(cells: dict[Column, list[str]], room: int | None) -> dict[Column, int]:
    """The columns that fit, each with its width."""
    from rich.cells import cell_len

    widths = {column: max(map(cell_len, texts)) for column, texts in cells.items()}
    if room is None:
        return widths

    def excess(widths: dict[Column, int]) -> int:
        return sum(widths.values()) + len(_GAP) * (len(widths) - 1) - room

    natural = widths.copy()

    def least(column: Column) -> int:
        return natural[column] if column.least is None else min(natural[column], column.least)

    while excess({column: least(column) for column in widths}) > 0 and any(column.rank for column in widths):
        del widths[max(widths, key=lambda column: column.rank)]
    while excess(widths) > 0 and (shorter := [column for column in widths if widths[column] > least(column)]):
        widths[max(shorter, key=lambda column: widths[column])] -= 1
    return widths


def _fit(text: str, width: int, column: Column) -> str:
    from rich.cells import cell_len, set_cell_size

    if cell_len(text) > width:
        text = set_cell_size(text, width - 1).rstrip() + "…"
    padding = " " * (width - cell_len(text))
    return padding + text if column.right else text + padding
