"""What is polled until Ctrl-C. A short outage of the server does not end it."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING, TypeVar

from paperspace.gradient.cli._output import is_plain_terminal, print_message, printable
from paperspace.gradient.errors import APIConnectionError, APITimeoutError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

T = TypeVar("T")

INTERVAL = 2.0  # seconds between two polls


def can_redraw() -> bool:
    """Return whether standard output is a terminal on which a table can be updated in its place."""
    return sys.stdout.isatty() and not is_plain_terminal()


def polls(latest: Callable[[], T]) -> Iterator[T]:
    """Yield the latest state again and again. An outage is a message, unless it is there from the start."""
    yield latest()
    is_reported = False
    while True:
        time.sleep(INTERVAL)
        try:
            state = latest()
        except (APIConnectionError, APITimeoutError) as error:
            if not is_reported:
                print_message(_describe(error))
            is_reported = True
        else:
            is_reported = False
            yield state


def redraw(latest: Callable[[], list[str]]) -> None:
    """Show the latest lines of a table, the first of which has the titles, in the place of those before."""
    from rich.console import Console
    from rich.live import Live
    from rich.text import Text

    lines = latest()
    console = Console(markup=False, highlight=False)
    with Live(console=console, auto_refresh=False, transient=False) as live:
        problem = ""
        while True:
            title, *others = lines[: max(console.height - 1, 1)]
            rows = (Text.from_ansi(f"\n{line}") for line in others)
            live.update(Text.assemble((title, "bold"), *rows, f"\n{problem}", no_wrap=True), refresh=True)
            time.sleep(INTERVAL)
            try:
                lines = latest()
                problem = ""
            except (APIConnectionError, APITimeoutError) as error:
                problem = printable(_describe(error)).replace("\n", " ")


def _describe(error: APIConnectionError | APITimeoutError) -> str:
    return f"The server does not respond: {error.args[0]}"
